//! Resolves each request's client before the service sees it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use truehop::{Peer, Policy, Unresolved};

/// Resolves the client of each request under one policy.
///
/// The request's extensions must hold the [`Peer`], put there by whoever accepted the connection. The layer adds the
/// [`Resolution`](truehop::Resolution). A request without a client is answered with 400 and an empty body; the reason
/// stands in the response's extensions as [`Refused`], for logs.
#[derive(Clone, Debug)]
pub struct ClientLayer {
    policy: Arc<Policy>,
}

impl ClientLayer {
    /// Resolves under `policy`.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy: Arc::new(policy),
        }
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientService {
            inner,
            policy: Arc::clone(&self.policy),
        }
    }
}

/// The service that [`ClientLayer`] makes.
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
    policy: Arc<Policy>,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let resolved = match request.extensions().get::<Peer>() {
            Some(&peer) => self.policy.resolve(peer, request.headers()),
            None => Err(Unresolved::NoAddress),
        };
        match resolved {
            Ok(resolution) => {
                request.extensions_mut().insert(resolution);
                ResponseFuture {
                    inner: Some(self.inner.call(request)),
                    refused: None,
                }
            }
            Err(reason) => ResponseFuture {
                inner: None,
                refused: Some(reason),
            },
        }
    }
}

/// Why a request was answered with 400 by [`ClientLayer`]; in the response's extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused(pub Unresolved);

pin_project! {
    /// The response of [`ClientService`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        refused: Option<Unresolved>,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(future) = this.inner.as_pin_mut() {
            return future.poll(cx);
        }
        let mut response = Response::new(R::default());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        if let Some(reason) = this.refused.take() {
            response.extensions_mut().insert(Refused(reason));
        }
        Poll::Ready(Ok(response))
    }
}
