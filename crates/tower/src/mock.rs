//! A client for handlers' tests, which have no server and no policy.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;
use truehop::{Peer, Policy, Resolution};

use crate::origin::ClientOrigin;

/// Gives each request the client that a test names, in the place of [`ClientLayer`](crate::ClientLayer).
///
/// The resolution is one of [`Policy::peer`]: a client that connected directly from that address. For tests only:
/// whoever sends the request has no say in it. To test a policy as well, keep the `ClientLayer` and put a [`Peer`]
/// into the request's extensions.
///
/// # Examples
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::body::Body;
/// use axum::http::Request;
/// use axum::routing::get;
/// use axum::Router;
/// use tower::ServiceExt;
/// use truehop_tower::{Client, MockClient};
///
/// // In the server: `routes().layer(ClientLayer::new(policy))`.
/// fn routes() -> Router {
///     Router::new().route("/", get(async |client: Client| client.ip().to_string()))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = routes().layer(MockClient::new("203.0.113.95".parse::<std::net::IpAddr>()?));
/// let response = app.oneshot(Request::new(Body::empty())).await?;
/// assert_eq!(axum::body::to_bytes(response.into_body(), 100).await?, "203.0.113.95");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MockClient {
    /// Always there: under `Policy::peer` a peer with an address is its own client.
    resolution: Option<Resolution>,
    origin: ClientOrigin,
}

impl MockClient {
    /// Every request comes from `ip`.
    pub fn new(ip: impl Into<IpAddr>) -> Self {
        let no_headers: [(&str, &str); 0] = [];
        let peer = Peer::from(SocketAddr::new(ip.into(), 0));
        Self {
            resolution: Policy::peer().resolve(peer, &no_headers[..]).ok(),
            origin: ClientOrigin::default(),
        }
    }

    /// Every request asks for `origin`.
    #[must_use]
    pub fn origin(mut self, origin: ClientOrigin) -> Self {
        self.origin = origin;
        self
    }
}

impl<S> Layer<S> for MockClient {
    type Service = MockClientService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        MockClientService {
            inner,
            mock: self.clone(),
        }
    }
}

/// The service that [`MockClient`] makes.
#[derive(Clone, Debug)]
pub struct MockClientService<S> {
    inner: S,
    mock: MockClient,
}

impl<S, B> Service<Request<B>> for MockClientService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let extensions = request.extensions_mut();
        if let Some(resolution) = self.mock.resolution {
            extensions.insert(resolution);
        }
        extensions.insert(self.mock.origin.clone());
        self.inner.call(request)
    }
}
