//! Resolves each request's client before the service sees it.
//!
//! One request, in order:
//!
//! 1. The arrival: [`Arrival`] in the request's extensions, else [`Peer`], else (feature `axum`) `ConnectInfo`.
//! 2. The client, and with it the origin, by the policy. One decision: an error in either refuses the request.
//! 3. The metrics hook hears of the decision; the detector looks at the request.
//! 4. The forwarding headers go, when that is wanted, and the answer goes into the extensions.
//!
//! Invariant: the inner service is called with exactly one [`Resolution`], made here, or not at all. What an outer
//! layer left in the extensions does not survive.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use truehop::{Arrival, Detector, Peer, Policy, Resolution, Suspicion, Unresolved};

use crate::live::LivePolicy;
use crate::origin::ClientOrigin;
use crate::refusal::{EmptyBadRequest, Refusal, Refused};
use crate::removal;

/// Resolves the client of each request under one policy.
///
/// The request's extensions must hold an [`Arrival`] or a [`Peer`], put there by whoever accepted the connection
/// ([`Peer::UNIX`] for a Unix socket); with the feature `axum` a `ConnectInfo<SocketAddr>` will do. The layer adds the
/// [`Resolution`], and a [`ClientOrigin`] when the policy believes one.
///
/// A request without a client does not reach the service. It is answered with 400 and an empty body, or by what
/// [`refuse_with`](Self::refuse_with) was given; the reason stands in the response's extensions as [`Refused`]. A
/// request that nobody gave a peer is refused as [`Unresolved::NoAddress`], under every policy.
///
/// A clone costs two reference counts; so does each service made.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
///
/// use http::{Request, Response, StatusCode};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use truehop_tower::ClientLayer;
/// use truehop_tower::truehop::{Peer, Policy, Resolution};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = Policy::x_forwarded_for().trusted(["10.0.0.0/8"]).build()?;
/// let service = ServiceBuilder::new()
///     .layer(ClientLayer::new(policy).remove_forwarding_headers(true))
///     .service(service_fn(async |request: Request<String>| {
///         let resolution = request.extensions().get::<Resolution>().expect("the layer put it there");
///         Ok::<_, Infallible>(Response::new(resolution.client().ip().to_string()))
///     }));
///
/// // The server accepted a connection of 10.0.0.1 and read this request from it.
/// let request = Request::builder()
///     .extension("10.0.0.1:40000".parse::<Peer>()?)
///     .header("X-Forwarded-For", "6.6.6.6, 203.0.113.95");
/// let response = service.clone().oneshot(request.body(String::new())?).await?;
/// assert_eq!(response.body(), "203.0.113.95");
///
/// // The proxy forgot the header: there is no client, and no guess is made.
/// let request = Request::builder().extension("10.0.0.1:40000".parse::<Peer>()?);
/// let response = service.oneshot(request.body(String::new())?).await?;
/// assert_eq!(response.status(), StatusCode::BAD_REQUEST);
/// # Ok(())
/// # }
/// ```
pub struct ClientLayer<A = EmptyBadRequest> {
    rules: Arc<Rules>,
    refusal: Arc<A>,
}

impl ClientLayer {
    /// Resolves under `policy`: a [`Policy`], an `Arc` of one that is shared already (an accept loop that reads PROXY
    /// headers needs it too), or a [`LivePolicy`] that is replaced when a list of trusted networks changes.
    pub fn new(policy: impl Into<LivePolicy>) -> Self {
        Self {
            rules: Arc::new(Rules {
                policy: policy.into(),
                removes: false,
                on_decision: None,
                detector: None,
                on_suspicion: None,
            }),
            refusal: Arc::new(EmptyBadRequest),
        }
    }
}

impl<A> ClientLayer<A> {
    /// Whether the headers by which proxies tell of clients are removed once the decision has been made, so that no
    /// later code can read them. Off unless called.
    ///
    /// Removed are all [`FORWARDING_HEADERS`](truehop::FORWARDING_HEADERS), the header that the policy reads, and
    /// their twins with underscores. `X-Forwarded-User` and its like tell of other things and stay.
    #[must_use]
    pub fn remove_forwarding_headers(self, removes: bool) -> Self {
        self.with(|rules| rules.removes = removes)
    }

    /// Calls `hook` with every decision: the resolution, or why there is none. Made for counting by reason
    /// ([`Unresolved::code`]; all of them stand in [`Unresolved::ALL`]). It runs on the request's path: keep it short.
    #[must_use]
    pub fn on_decision<F>(self, hook: F) -> Self
    where
        F: Fn(Result<&Resolution, Unresolved>) + Send + Sync + 'static,
    {
        self.with(|rules| rules.on_decision = Some(Arc::new(hook)))
    }

    /// Lets `detector` look at each resolved request for signs of a proxy that the policy does not know. Share one
    /// among all layers of a server.
    #[must_use]
    pub fn detector(self, detector: Arc<Detector>) -> Self {
        self.with(|rules| rules.detector = Some(detector))
    }

    /// Calls `hook` with the first sign of each kind that the detector finds; its `Display` says what to write. Without
    /// a [`detector`](Self::detector) of yours the layer has one of its own.
    #[must_use]
    pub fn on_suspicion<F>(self, hook: F) -> Self
    where
        F: Fn(&Suspicion) + Send + Sync + 'static,
    {
        self.with(|rules| {
            rules.detector.get_or_insert_default();
            rules.on_suspicion = Some(Arc::new(hook));
        })
    }

    /// Answers requests without a client by `refusal` instead of an empty 400. [`Refused`] is added to the response.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{Response, StatusCode};
    /// use truehop_tower::ClientLayer;
    /// use truehop_tower::truehop::{Policy, Unresolved};
    ///
    /// let layer = ClientLayer::new(Policy::peer()).refuse_with(|reason: Unresolved| {
    ///     let mut response = Response::new(format!("no client: {}", reason.code()));
    ///     *response.status_mut() = StatusCode::FORBIDDEN;
    ///     response
    /// });
    /// # let _: ClientLayer<_> = layer;
    /// ```
    #[must_use]
    pub fn refuse_with<F, R>(self, refusal: F) -> ClientLayer<F>
    where
        F: Fn(Unresolved) -> Response<R>,
    {
        ClientLayer {
            rules: self.rules,
            refusal: Arc::new(refusal),
        }
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Arc<Policy> {
        self.rules.policy.current()
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        self
    }
}

impl<A> Clone for ClientLayer<A> {
    fn clone(&self) -> Self {
        Self {
            rules: Arc::clone(&self.rules),
            refusal: Arc::clone(&self.refusal),
        }
    }
}

impl<A> fmt::Debug for ClientLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.describe("ClientLayer", f)
    }
}

impl<S, A> Layer<S> for ClientLayer<A> {
    type Service = ClientService<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`ClientLayer`] makes.
pub struct ClientService<S, A = EmptyBadRequest> {
    inner: S,
    layer: ClientLayer<A>,
}

impl<S: Clone, A> Clone for ClientService<S, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, A> fmt::Debug for ClientService<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layer.rules.describe("ClientService", f)
    }
}

impl<S, A, B, R> Service<Request<B>> for ClientService<S, A>
where
    S: Service<Request<B>, Response = Response<R>>,
    A: Refusal<R>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.layer.rules.decide(&mut request) {
            Ok(()) => ResponseFuture {
                kind: Kind::Passed {
                    future: self.inner.call(request),
                },
            },
            Err(reason) => {
                let mut response = self.layer.refusal.response(reason);
                response.extensions_mut().insert(Refused(reason));
                ResponseFuture {
                    kind: Kind::Refused {
                        response: Some(response),
                    },
                }
            }
        }
    }
}

pin_project! {
    /// The response of [`ClientService`].
    #[derive(Debug)]
    pub struct ResponseFuture<F, R> {
        #[pin]
        kind: Kind<F, R>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<F, R> {
        Passed {
            #[pin]
            future: F,
        },
        Refused {
            response: Option<Response<R>>,
        },
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Passed { future } => future.poll(cx),
            // Nobody may poll a future that was ready; one that does waits.
            KindProjection::Refused { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
        }
    }
}

type DecisionHook = dyn Fn(Result<&Resolution, Unresolved>) + Send + Sync;
type SuspicionHook = dyn Fn(&Suspicion) + Send + Sync;

/// All that a layer was told but the refusal, whose type is the caller's.
#[derive(Clone)]
struct Rules {
    policy: LivePolicy,
    removes: bool,
    on_decision: Option<Arc<DecisionHook>>,
    detector: Option<Arc<Detector>>,
    on_suspicion: Option<Arc<SuspicionHook>>,
}

impl Rules {
    /// Resolves `request` and tells it, and everybody who wants to know, the answer.
    fn decide<B>(&self, request: &mut Request<B>) -> Result<(), Unresolved> {
        // One policy for the whole of it, whoever replaces it meanwhile.
        let policy = self.policy.load();
        let decision = resolve(&policy, request.extensions(), request.headers());
        if let Some(hook) = &self.on_decision {
            hook(
                decision
                    .as_ref()
                    .map(|(resolution, _)| resolution)
                    .map_err(|&reason| reason),
            );
        }
        let (resolution, origin) = decision?;
        self.notice(&policy, &resolution, request.headers());
        if self.removes {
            removal::remove_forwarding(request.headers_mut(), policy.reads());
        }
        let extensions = request.extensions_mut();
        extensions.insert(resolution);
        if origin.is_empty() {
            extensions.remove::<ClientOrigin>();
        } else {
            extensions.insert(origin);
        }
        Ok(())
    }

    fn notice(&self, policy: &Policy, resolution: &Resolution, headers: &HeaderMap) {
        let Some(detector) = &self.detector else {
            return;
        };
        let suspicion = detector.observe(policy, resolution, headers);
        if let (Some(suspicion), Some(hook)) = (suspicion, &self.on_suspicion) {
            hook(&suspicion);
        }
    }

    fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("policy", &self.policy.current())
            .field("remove_forwarding_headers", &self.removes)
            .finish_non_exhaustive()
    }
}

fn resolve(
    policy: &Policy,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> Result<(Resolution, ClientOrigin), Unresolved> {
    let arrival = arrival(extensions).ok_or(Unresolved::NoAddress)?;
    let resolution = policy.resolve(arrival, headers)?;
    let origin = policy.origin(&resolution, headers)?;
    Ok((resolution, origin.into()))
}

/// Where the request's connection comes from, by the most exact of what the server said.
fn arrival(extensions: &Extensions) -> Option<Arrival> {
    let arrival = extensions.get().copied();
    arrival
        .or_else(|| extensions.get::<Peer>().map(|&peer| peer.into()))
        .or_else(|| connected(extensions))
}

#[cfg(feature = "axum")]
fn connected(extensions: &Extensions) -> Option<Arrival> {
    use std::net::SocketAddr;

    use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};

    // As axum's own extractor does: what a test made up counts when no server said anything.
    let real = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let mock = || extensions.get::<MockConnectInfo<SocketAddr>>().map(|info| info.0);
    real.or_else(mock).map(|address| Peer::from(address).into())
}

#[cfg(not(feature = "axum"))]
fn connected(_: &Extensions) -> Option<Arrival> {
    None
}
