//! A tower service that runs inside the edge, such as the drop.
//!
//! The service gets the client as a [`truehop::Resolution`] in the request's extensions, and the URI in absolute form,
//! as the client sees it (RFC 9110 section 7.1). A [`Parcel`](truehop_delivery::Parcel) in the response's extensions is
//! sent instead of the body, when it is as long: the same bytes, cheaper. A [`Courier`](truehop_delivery::Courier) is told
//! when the client has every byte, or how many it had when the response broke off.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use truehop::Resolution;

use crate::body::{Body, BoxError};
use crate::outward::Origin;

/// A service to be mounted on a route.
#[derive(Clone)]
pub struct Service(Arc<dyn Call>);

pub(crate) type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

trait Call: Send + Sync {
    fn call(&self, request: Request<Body>) -> Answer;
}

impl Service {
    /// Wraps a tower service; each request gets a clone of it.
    pub fn new<S, B>(service: S) -> Self
    where
        S: tower_service::Service<Request<Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Mounted(service)))
    }

    /// A service that answers 503, to check a configuration without opening what it names.
    pub fn unmounted() -> Self {
        Self(Arc::new(Unmounted))
    }

    /// Has the service answer.
    pub(crate) fn call(&self, request: Request<Body>) -> Answer {
        self.0.call(request)
    }
}

/// The request as a service sees it, but for its body. `None` when it makes no URI.
pub(crate) fn request(
    request: truehop_http1::Request<'_>,
    origin: &Origin,
    resolution: Resolution,
) -> Option<Request<()>> {
    let mut asked = Request::new(());
    *asked.method_mut() = Method::from_bytes(request.method_text().as_bytes()).ok()?;
    *asked.uri_mut() = Uri::builder()
        .scheme(origin.scheme())
        .authority(origin.host.to_string())
        .path_and_query(request.path_and_query())
        .build()
        .ok()?;
    let headers = asked.headers_mut();
    for field in request.fields() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    asked.extensions_mut().insert(resolution);
    Some(asked)
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

struct Mounted<S>(S);

impl<S, B> Call for Mounted<S>
where
    S: tower_service::Service<Request<Body>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request<Body>) -> Answer {
        let mut service = self.0.clone();
        Box::pin(async move {
            let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
            let Ok(response) = service.call(request).await;
            response.map(Body::new)
        })
    }
}

struct Unmounted;

impl Call for Unmounted {
    fn call(&self, _: Request<Body>) -> Answer {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        Box::pin(std::future::ready(response))
    }
}
