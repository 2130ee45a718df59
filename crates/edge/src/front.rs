//! The way of a request, from its head to its answer.
//!
//! 1. One host, or 400.
//! 2. One client, or 400; the reason stands in the log and nowhere else.
//! 3. One route, or 404. (It is looked up first and used last: the log must know whether the path is a secret.)
//! 4. The route's handler answers; what happened is counted and logged when the last byte is handed over.

use std::rc::Rc;
use std::time::Instant;

use http::header::{CONNECTION, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode};
use truehop::{Arrival, Peer, Policy, Resolution, Scheme, Unresolved};
use truehop_delivery::Courier;
use truehop_http1::{Host, effective_host};

use crate::access_log::Line;
use crate::body::Body;
use crate::handler::Context;
use crate::outward::Origin;
use crate::page::{RequestId, page};
use crate::server::Worker;
use crate::target;
use crate::wire::Outgoing;

/// Answers one request that came over a connection.
pub(crate) async fn answer(
    worker: Rc<Worker>,
    arrival: Arrival,
    tls: bool,
    request: Request<Body>,
) -> Outgoing {
    let is_head = request.method() == Method::HEAD;
    let mut record = Record::new(Rc::clone(&worker), arrival.peer(), request.method().as_str());
    let mut response = decide(&worker, arrival, tls, request, &mut record.line).await;
    let courier = response.extensions_mut().remove::<Courier>().filter(|_| !is_head);
    record.line.status = response.status().as_u16();
    // An answer to HEAD has no bytes to hand over.
    let done = move |bytes, whole| record.end(bytes, whole || is_head);
    Outgoing {
        response,
        courier,
        done: Box::new(done),
    }
}

/// Counts and logs a head that was refused before there was a request.
pub(crate) fn refused(worker: Rc<Worker>, peer: Peer, status: StatusCode) {
    let mut record = Record::new(worker, peer, "");
    record.line.status = status.as_u16();
    record.end(0, true);
}

/// What is known of one request. Counted and logged when it is dropped, so that every request is, whatever becomes of
/// it.
struct Record {
    worker: Rc<Worker>,
    started: Instant,
    line: Line,
}

/// The client went away before it was answered. Not a status of HTTP; nginx logs the same number.
const CLIENT_GONE: u16 = 499;

impl Record {
    fn new(worker: Rc<Worker>, peer: Peer, method: &str) -> Self {
        let line = Line {
            id: worker.next_id(),
            peer,
            client: Err(None),
            method: method.to_owned(),
            host: String::new(),
            path: String::new(),
            status: CLIENT_GONE,
            bytes: 0,
            took: Default::default(),
            whole: false,
        };
        Self {
            worker,
            started: Instant::now(),
            line,
        }
    }

    fn end(mut self, bytes: u64, whole: bool) {
        self.line.bytes = bytes;
        self.line.whole = whole;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.line.took = self.started.elapsed();
        self.worker.shared.metrics.answered(self.line.status);
        self.worker.log.write(&self.line);
    }
}

async fn decide(
    worker: &Worker,
    arrival: Arrival,
    tls: bool,
    request: Request<Body>,
    line: &mut Line,
) -> Response<Body> {
    let (id, peer, shared) = (line.id, arrival.peer(), &worker.shared);
    let bad_request = |sentence: &str| page(StatusCode::BAD_REQUEST, sentence, id);

    let authority = request.uri().authority().map(|authority| authority.as_str());
    let hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    // TRACE would send the client's own secrets back to whatever page made it ask.
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return page(StatusCode::NOT_IMPLEMENTED, "This server does not do that.", id);
    }
    // RFC 9112 section 6.1: a coding that this server does not take off would be lost on the way.
    let codings = request.headers().get_all(TRANSFER_ENCODING);
    if codings
        .iter()
        .any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
    {
        return page(
            StatusCode::NOT_IMPLEMENTED,
            "This server takes bodies as they are, or chunked.",
            id,
        );
    }
    let host = match effective_host(authority, hosts) {
        Ok(host) => host,
        Err(error) => {
            tracing::debug!(%id, %peer, %error, "bad host");
            return bad_request("The request does not say which host it is for.");
        }
    };
    line.host = host.to_string();
    // RFC 9110 section 9.3.7: `OPTIONS *` asks about the server, not about a path.
    let path = match request.uri().path() {
        "*" if request.method() == Method::OPTIONS => Some(b"/".to_vec()),
        path => target::normalised(path),
    };
    let route = path
        .as_deref()
        .and_then(|path| shared.routes.find(host.name(), path));
    // Looked up before anything can fail, so that no error writes a secret into the log.
    line.path = match route {
        Some(route) if route.handler.paths_are_secret() => format!("{}*", route.prefix),
        None if shared.routes.have_secrets() => String::new(),
        _ => request.uri().path().to_owned(),
    };

    // Borrowed, not counted: a counter would be shared by all workers.
    let policy = shared.policy.load();
    let resolution = match policy.resolve(arrival, request.headers()) {
        Ok(resolution) => resolution,
        Err(reason) => {
            line.client = Err(Some(reason));
            return unresolved(worker, peer, reason, id);
        }
    };
    line.client = Ok(resolution);
    if let Some(suspicion) = shared.detector.observe(&policy, &resolution, request.headers()) {
        tracing::warn!(code = suspicion.code(), "{suspicion}");
    }

    let Some(path) = path else {
        return bad_request("The request's path is malformed.");
    };
    let Some(route) = route else {
        return page(StatusCode::NOT_FOUND, "There is nothing here.", id);
    };
    let origin = match origin(tls, host, &policy, &resolution, request.headers()) {
        Ok(origin) => origin,
        Err(reason) => {
            line.client = Err(Some(reason));
            return unresolved(worker, peer, reason, id);
        }
    };
    let context = Context {
        worker,
        policy: &policy,
        arrival,
        resolution,
        origin,
        id,
        route: route.index,
        rest: path.get(route.prefix.len()..).unwrap_or_default(),
        ends_in_slash: path.ends_with(b"/"),
    };
    let mut response = route.handler.handle(request, &context).await;
    // What a handler says about the connection is about its own.
    response.headers_mut().remove(CONNECTION);
    response
}

fn unresolved(worker: &Worker, peer: Peer, reason: Unresolved, id: RequestId) -> Response<Body> {
    worker.shared.metrics.unresolved(reason);
    tracing::warn!(%id, %peer, error = reason.code(), "no client: {reason}");
    page(
        StatusCode::BAD_REQUEST,
        "This server cannot tell where the request came from.",
        id,
    )
}

/// What the client asked for: our own listener and its Host, unless the policy believes a proxy about it.
fn origin(
    tls: bool,
    host: Host,
    policy: &Policy,
    resolution: &Resolution,
    headers: &HeaderMap,
) -> Result<Origin, Unresolved> {
    let claimed = policy.origin(resolution, headers)?;
    let https = claimed.scheme.map_or(tls, |scheme| scheme == Scheme::Https);
    let host = match claimed.host {
        Some(claim) => Host::parse(claim.as_bytes()).map_err(|_| Unresolved::Malformed)?,
        None => host,
    };
    let host = match claimed.port {
        // The scheme's own port goes without saying.
        Some(port) => host.with_port((port != if https { 443 } else { 80 }).then_some(port)),
        None => host,
    };
    Ok(Origin { https, host })
}
