//! What a request without a client is answered.

use http::{Response, StatusCode};
use truehop::Unresolved;

/// Makes the response to a request that has no client.
///
/// Implemented by [`EmptyBadRequest`] and by closures `Fn(Unresolved) -> Response<R>`; see
/// [`ClientLayer::refuse_with`](crate::ClientLayer::refuse_with).
pub trait Refusal<R> {
    /// The response for this reason.
    fn response(&self, reason: Unresolved) -> Response<R>;
}

impl<F, R> Refusal<R> for F
where
    F: Fn(Unresolved) -> Response<R>,
{
    fn response(&self, reason: Unresolved) -> Response<R> {
        self(reason)
    }
}

/// 400 with an empty body: whoever sent the request is not told what the policy looks for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EmptyBadRequest;

impl<R: Default> Refusal<R> for EmptyBadRequest {
    fn response(&self, _: Unresolved) -> Response<R> {
        let mut response = Response::new(R::default());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    }
}

/// Why a request was answered by [`ClientLayer`](crate::ClientLayer) itself; in that response's extensions, for logs
/// and metrics of layers further out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused(pub Unresolved);
