//! The client as an argument of an axum handler.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use truehop::Resolution;

/// The resolved client of this request, with its evidence.
///
/// Taken from the request's extensions, where [`ClientLayer`](crate::ClientLayer) or the server put it.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub Resolution);

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = NoResolution;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get().copied().map(Self).ok_or(NoResolution)
    }
}

/// Nobody resolved the client of this request: the layer is missing. Answers 500.
#[derive(Clone, Copy, Debug)]
pub struct NoResolution;

impl IntoResponse for NoResolution {
    fn into_response(self) -> Response {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "no client was resolved: add truehop_tower::ClientLayer",
        )
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use truehop::{Peer, Policy};

    use super::*;

    async fn extract(request: http::Request<()>) -> Result<Client, NoResolution> {
        Client::from_request_parts(&mut request.into_parts().0, &()).await
    }

    #[tokio::test]
    async fn a_handler_gets_what_was_resolved_and_nothing_else() {
        let headers: [(&str, &str); 0] = [];
        let peer: Peer = "203.0.113.9:1".parse().unwrap();
        let resolution = Policy::peer().resolve(peer, &headers[..]).unwrap();
        let with = http::Request::builder().extension(resolution).body(()).unwrap();
        assert_eq!(extract(with).await.unwrap().0, resolution);

        let without = http::Request::builder()
            .header("X-Real-IP", "1.2.3.4")
            .body(())
            .unwrap();
        let rejection = extract(without).await.unwrap_err();
        assert_eq!(
            rejection.into_response().status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
}
