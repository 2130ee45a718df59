//! The way of a request, from its head to whoever answers it.
//!
//! 1. One host, or 400.
//! 2. One client, or 400; the reason stands in the log and nowhere else.
//! 3. One route, or 404. (It is looked up first and used last: the log must know whether the path is a secret.)
//! 4. What the edge knows the answer to is answered here; a service and an upstream are told what they may know.

#[cfg(test)]
mod cases;

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use truehop::{Arrival, Fields, Peer, Policy, Resolution, Scheme, Unresolved};
use truehop_http1::{Host, Method, NamedFieldLines, Request, Rewrite};

use crate::access_log::Line;
use crate::body::Body;
use crate::handler::{Context, Handler, Served, Service, Small, service, whoami};
use crate::outward::{self, Origin};
use crate::page::{RequestId, page};
use crate::server::Worker;
use crate::target;
use crate::upstream::Pool;

/// Who answers a request.
#[derive(Debug)]
pub(crate) enum Decision<'w> {
    /// The edge, with this.
    Answer(Response<Body>),
    /// The edge, with this file.
    HandOut(Rc<Small>),
    /// A service, which is asked this.
    Ask(&'w Service, http::Request<()>),
    /// An upstream of this pool, which gets the head that was rewritten.
    Forward(&'w Pool),
}

/// What is known of one request. Counted and logged when it is dropped, so that every request is, whatever becomes of
/// it.
#[derive(Debug)]
pub(crate) struct Record<'w> {
    worker: &'w Worker,
    /// When somebody will read it.
    started: Option<Instant>,
    pub(crate) line: Line,
}

/// The client went away before it was answered. Not a status of HTTP; nginx logs the same number.
const CLIENT_GONE: u16 = 499;

impl<'w> Record<'w> {
    pub(crate) fn new(worker: &'w Worker, peer: Peer, method: &str) -> Self {
        let line = Line {
            id: worker.next_id(),
            peer,
            client: Err(None),
            method: worker.log.note(method),
            host: String::new(),
            path: String::new(),
            status: CLIENT_GONE,
            bytes: 0,
            took: Default::default(),
            whole: false,
        };
        Self {
            worker,
            started: worker.log.is_on().then(Instant::now),
            line,
        }
    }

    /// The answer is out: so many bytes of its body, and whether that was all.
    pub(crate) fn end(mut self, bytes: u64, whole: bool) {
        self.line.bytes = bytes;
        self.line.whole = whole;
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.line.took = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        self.worker.shared.metrics.answered(self.line.status);
        self.worker.log.write(&self.line);
    }
}

/// The fields of a parsed head, as policies read them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadFields<'a>(pub(crate) Request<'a>);

impl Fields for HeadFields<'_> {
    type Lines<'f>
        = NamedFieldLines<'f>
    where
        Self: 'f;

    fn lines<'f>(&'f self, name: &'f str) -> NamedFieldLines<'f> {
        self.0.lines(name)
    }
}

/// Decides who answers. For an upstream, `outward` becomes the head that it gets.
pub(crate) fn decide<'w>(
    worker: &'w Worker,
    arrival: Arrival,
    tls: bool,
    request: Request<'_>,
    outward: &mut Rewrite,
    line: &mut Line,
) -> Decision<'w> {
    let (id, peer, shared) = (line.id, arrival.peer(), &worker.shared);
    let answer = |status, sentence| Decision::Answer(page(status, sentence, id));

    // TRACE would send the client's own secrets back to whatever page made it ask.
    if matches!(request.method(), Method::Connect | Method::Trace) {
        return answer(StatusCode::NOT_IMPLEMENTED, "This server does not do that.");
    }
    let host = request.host();
    // RFC 9110 section 9.3.7: `OPTIONS *` asks about the server, not about a path.
    let path = match request.path() {
        "*" => Some(b"/".into()),
        path => target::normalised(path),
    };
    let route = path
        .as_deref()
        .and_then(|path| shared.routes.find(host.name(), path));
    if worker.log.is_on() {
        line.host = host.to_string();
        // Before anything can fail, so that no error writes a secret into the log.
        line.path = match route {
            Some(route) if route.handler.paths_are_secret() => format!("{}*", route.prefix),
            None if shared.routes.have_secrets() => String::new(),
            _ => request.path().to_owned(),
        };
    }

    // Borrowed, not counted: a counter would be shared by all workers.
    let policy = shared.policy.load();
    let fields = HeadFields(request);
    let resolution = match policy.resolve(arrival, &fields) {
        Ok(resolution) => resolution,
        Err(reason) => {
            line.client = Err(Some(reason));
            return unresolved(worker, peer, reason, id);
        }
    };
    line.client = Ok(resolution);
    if let Some(suspicion) = shared.detector.observe(&policy, &resolution, &fields) {
        tracing::warn!(code = suspicion.code(), "{suspicion}");
    }

    let Some(path) = path else {
        return answer(StatusCode::BAD_REQUEST, "The request's path is malformed.");
    };
    let Some(route) = route else {
        return answer(StatusCode::NOT_FOUND, "There is nothing here.");
    };
    let origin = match origin(tls, host, &policy, &resolution, &fields) {
        Ok(origin) => origin,
        Err(reason) => {
            line.client = Err(Some(reason));
            return unresolved(worker, peer, reason, id);
        }
    };
    let context = Context {
        worker,
        request,
        policy: &policy,
        arrival,
        resolution,
        id,
        rest: path.get(route.prefix.len()..).unwrap_or_default(),
        ends_in_slash: path.ends_with(b"/"),
    };
    match &route.handler {
        Handler::Files(files) => match files.handle(&context) {
            Served::Answer(response) => Decision::Answer(response),
            Served::AtHand(small) => Decision::HandOut(small),
        },
        Handler::Reply(reply) => Decision::Answer(reply.handle(&context)),
        Handler::WhoAmI => Decision::Answer(whoami::handle(&context)),
        Handler::Service { service, .. } => match service::request(request, &origin, resolution) {
            Some(asked) => Decision::Ask(service, asked),
            None => answer(
                StatusCode::BAD_REQUEST,
                "The request does not say which host it is for.",
            ),
        },
        Handler::Proxy(_) => match worker.pool(route.index) {
            Some(pool) => {
                let told = outward::Told {
                    policy: &policy,
                    resolution,
                    origin,
                    forwarded: shared.forwarded,
                    id,
                };
                told.rewrite(request, outward);
                Decision::Forward(pool)
            }
            None => answer(StatusCode::INTERNAL_SERVER_ERROR, "This server made a mistake."),
        },
    }
}

fn unresolved<'w>(worker: &Worker, peer: Peer, reason: Unresolved, id: RequestId) -> Decision<'w> {
    worker.shared.metrics.unresolved(reason);
    tracing::warn!(%id, %peer, error = reason.code(), "no client: {reason}");
    Decision::Answer(page(
        StatusCode::BAD_REQUEST,
        "This server cannot tell where the request came from.",
        id,
    ))
}

/// What the client asked for: our own listener and its Host, unless the policy believes a proxy about it.
fn origin(
    tls: bool,
    host: Host,
    policy: &Policy,
    resolution: &Resolution,
    fields: &HeadFields<'_>,
) -> Result<Origin, Unresolved> {
    let claimed = policy.origin(resolution, fields)?;
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
