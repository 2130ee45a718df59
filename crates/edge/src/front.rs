//! The way of a request, from its head to its answer.
//!
//! 1. One host, or 400.
//! 2. One client, or 400; the reason stands in the log and nowhere else.
//! 3. One route, or 404.
//! 4. The route's handler answers; what happened is counted and logged when the last byte is handed over.

use std::rc::Rc;
use std::time::Instant;

use http::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use truehop::{Peer, Policy, Resolution, Unresolved};
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

/// Answers one request that came over a connection from `peer`.
pub(crate) async fn answer(worker: Rc<Worker>, peer: Peer, tls: bool, request: Request<Body>) -> Outgoing {
    let started = Instant::now();
    let id = worker.next_id();
    let mut line = Line {
        id,
        peer,
        client: Err(None),
        method: request.method().to_string(),
        host: String::new(),
        path: String::new(),
        status: 0,
        bytes: 0,
        took: Default::default(),
        whole: false,
    };
    let is_head = request.method() == Method::HEAD;
    let mut response = decide(&worker, peer, tls, request, &mut line).await;
    let courier = response.extensions_mut().remove::<Courier>().filter(|_| !is_head);
    line.status = response.status().as_u16();
    let done = move |bytes, whole| {
        line.bytes = bytes;
        // An answer to HEAD has no bytes to hand over.
        line.whole = whole || is_head;
        line.took = started.elapsed();
        worker.shared.metrics.answered(line.status);
        worker.log.write(&line);
    };
    Outgoing {
        response,
        courier,
        done: Box::new(done),
    }
}

async fn decide(
    worker: &Worker,
    peer: Peer,
    tls: bool,
    request: Request<Body>,
    line: &mut Line,
) -> Response<Body> {
    let (id, shared) = (line.id, &worker.shared);
    let bad_request = |sentence: &str| page(StatusCode::BAD_REQUEST, sentence, id);

    let authority = request.uri().authority().map(|authority| authority.as_str());
    let hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    if request.method() == Method::CONNECT {
        return page(StatusCode::NOT_IMPLEMENTED, "This server is no tunnel.", id);
    }
    let host = match effective_host(authority, hosts) {
        Ok(host) => host,
        Err(error) => {
            tracing::debug!(%id, %peer, %error, "bad host");
            return bad_request("The request does not say which host it is for.");
        }
    };
    line.host = host.to_string();
    line.path = request.uri().path().to_owned();

    let resolution = match shared.policy.resolve(peer, request.headers()) {
        Ok(resolution) => resolution,
        Err(reason) => {
            line.client = Err(Some(reason));
            return unresolved(worker, peer, reason, id);
        }
    };
    line.client = Ok(resolution);
    if let Some(suspicion) = shared
        .detector
        .observe(&shared.policy, &resolution, request.headers())
    {
        tracing::warn!(code = suspicion.code(), "{suspicion}");
    }

    // RFC 9110 section 9.3.7: `OPTIONS *` asks about the server, not about a path.
    let path = match request.uri().path() {
        "*" if request.method() == Method::OPTIONS => Some(b"/".to_vec()),
        path => target::normalised(path),
    };
    let Some(path) = path else {
        return bad_request("The request's path is malformed.");
    };
    let Some(route) = shared.routes.find(host.name(), &path) else {
        return page(StatusCode::NOT_FOUND, "There is nothing here.", id);
    };
    if route.handler.paths_are_secret() {
        line.path = format!("{}*", route.prefix);
    }
    let context = Context {
        worker,
        resolution,
        origin: origin(tls, host, &shared.policy, &resolution, request.headers()),
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

/// The scheme is our own listener's, unless the trusted peer says what it was asked by, in one word.
fn origin(tls: bool, host: Host, policy: &Policy, resolution: &Resolution, headers: &HeaderMap) -> Origin {
    let mut claims = headers.get_all("x-forwarded-proto").iter();
    let claim = claims
        .next()
        .filter(|_| claims.next().is_none() && policy.trusts(resolution.peer()));
    let https = match claim.map(HeaderValue::as_bytes) {
        Some(b"https") => true,
        Some(b"http") => false,
        _ => tls,
    };
    Origin { https, host }
}
