//! Passes a request to an application server and its answer back, both while they come.
//!
//! Invariants: an upstream sees only forwarding headers that the edge wrote ([`outward`](crate::outward)) and no field
//! that ends at this hop; a request is sent twice only when the first try cannot have had an effect.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Body as _, Frame, SizeHint};
use thiserror::Error;
use tokio::time::{Sleep, sleep, timeout};
use truehop_http1::HopByHop;

use super::Context;
use crate::body::{Body, BoxError};
use crate::config::{BadConfig, Key, RouteConfig, TimeoutsConfig};
use crate::outward;
use crate::page::page;
use crate::upstream::{Lent, Pool, Unreachable, Upstream};
use crate::wire::{BodyEnd, Ended, NoAnswer};

#[derive(Debug)]
pub(crate) struct Proxy {
    upstreams: Vec<Upstream>,
    bind: Option<IpAddr>,
}

impl Proxy {
    pub(crate) fn new(config: &RouteConfig, texts: &[String], at: &[Key]) -> Result<Self, BadConfig> {
        if texts.is_empty() {
            return Err(BadConfig::new(
                at,
                "proxy names no upstream",
                "write proxy = [\"http://127.0.0.1:9000\"]",
            ));
        }
        let mut upstreams = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            upstreams.push(Upstream::parse(text).ok_or_else(|| {
                BadConfig::new(
                    &[at, &[Key::Index(index)]].concat(),
                    format!("{text:?} is no upstream"),
                    "write \"http://host:port\" or \"unix:/path\"",
                )
            })?);
        }
        Ok(Self {
            upstreams,
            bind: config.bind,
        })
    }

    /// The route's connections in one worker.
    pub(crate) fn pool(&self, timeouts: TimeoutsConfig, head_limit: usize) -> Pool {
        Pool::new(&self.upstreams, self.bind, timeouts, head_limit)
    }

    pub(super) async fn handle(&self, request: Request<Body>, context: &Context<'_>) -> Response<Body> {
        match exchange(request, context).await {
            Ok(response) => response,
            Err(failure) => {
                let (status, sentence) = failure.answer();
                tracing::warn!(id = %context.id, route = %self, error = &failure as &dyn std::error::Error, "{status}");
                page(status, sentence, context.id)
            }
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("proxy")?;
        self.upstreams
            .iter()
            .try_for_each(|upstream| write!(f, " {upstream}"))
    }
}

async fn exchange(request: Request<Body>, context: &Context<'_>) -> Result<Response<Body>, Failure> {
    let shared = &context.worker.shared;
    let limit = shared.limits.body.as_u64();
    let (mut head, body) = request.into_parts();
    if body.size_hint().lower() > limit {
        return Err(Failure::TooLarge);
    }
    let bodyless = body.is_end_stream();
    let end = BodyEnd::default();
    let body = match bodyless {
        true => Body::empty(),
        false => Body::new(Outbound {
            body,
            left: limit,
            end: end.clone(),
        }),
    };

    remove_hop_by_hop(&mut head.headers);
    // The engine has answered 100 (Continue) itself.
    head.headers.remove(EXPECT);
    outward::rewrite(
        &mut head.headers,
        context.policy,
        &context.resolution,
        &context.origin,
        shared.forwarded,
    );
    head.headers.insert("x-request-id", context.id.header());
    let target = head
        .uri
        .path_and_query()
        .cloned()
        .unwrap_or(PathAndQuery::from_static("/"));
    head.uri = Uri::from(target);
    head.version = Version::HTTP_11;
    let idempotent = matches!(
        head.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    let request = Request::from_parts(head, body);

    let pool = context.worker.pool(context.route).ok_or(Failure::NoPool)?;
    let limit = shared.timeouts.response;
    let passed_on = || bodyless || end.ended() != Ended::NotYet;
    let mut lent = pool.take().await.map_err(Failure::Unreachable)?;
    // An idle connection may be closed by the upstream at the moment in which it is used again.
    let again = (lent.reused && bodyless && idempotent).then(|| copy_of(&request));
    let mut answered = answer(&mut lent, request, passed_on, limit).await?;
    if let Err(NoAnswer { unsent, .. }) = &mut answered
        && lent.reused
        && let Some(request) = unsent.take().or(again)
    {
        lent = pool.take_fresh(lent).await.map_err(Failure::Unreachable)?;
        answered = answer(&mut lent, request, passed_on, limit).await?;
    }
    match answered {
        Ok(response) => downstream(response, lent, end, bodyless, limit),
        Err(NoAnswer { timed_out, error, .. }) => Err(match end.ended() {
            Ended::TooLarge => Failure::TooLarge,
            Ended::TimedOut => Failure::BodyTimedOut,
            Ended::Broken => Failure::ClientGone,
            Ended::NotYet | Ended::Whole if timed_out => Failure::Silent,
            Ended::NotYet | Ended::Whole => Failure::BadAnswer(error),
        }),
    }
}

/// Sends a request and waits for the head of its response. The clock does not run while the client is still sending:
/// its body has a clock of its own.
async fn answer(
    lent: &mut Lent,
    request: Request<Body>,
    passed_on: impl Fn() -> bool,
    limit: Duration,
) -> Result<Result<Response<Body>, NoAnswer>, Failure> {
    let mut sending = std::pin::pin!(lent.connection.send(request));
    loop {
        let late = passed_on();
        match timeout(limit, sending.as_mut()).await {
            Ok(answer) => return Ok(answer),
            Err(_) if late => return Err(Failure::Silent),
            Err(_) => {}
        }
    }
}

fn downstream(
    response: Response<Body>,
    lent: Lent,
    end: BodyEnd,
    bodyless: bool,
    limit: Duration,
) -> Result<Response<Body>, Failure> {
    let (mut head, body) = response.into_parts();
    // RFC 9112 section 6.3: two lengths are an attack or a mistake. RFC 9110 section 15.2.2: nobody asked to switch.
    if head.headers.contains_key(TRANSFER_ENCODING) && head.headers.contains_key(CONTENT_LENGTH) {
        return Err(Failure::BadAnswer("the answer has two lengths".into()));
    }
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::BadAnswer(
            "the upstream switches protocols without being asked".into(),
        ));
    }
    remove_hop_by_hop(&mut head.headers);
    head.version = Version::HTTP_11;
    let mut inbound = Inbound {
        body,
        lent: Some(lent),
        end,
        bodyless,
        limit,
        clock: None,
    };
    if inbound.body.is_end_stream() {
        inbound.ended();
    }
    Ok(Response::from_parts(head, Body::new(inbound)))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let ends_here = HopByHop::new(headers.get_all(CONNECTION).iter().map(|line| line.as_bytes()));
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| ends_here.contains(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

fn copy_of(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// A request's body on its way to an upstream: counted, and remembered how it ended.
struct Outbound {
    body: Body,
    left: u64,
    end: BodyEnd,
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.end.set(Ended::Whole),
            Some(Err(error)) => self.end.set_error(error),
            Some(Ok(frame)) => {
                let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                match self.left.checked_sub(len) {
                    Some(left) => self.left = left,
                    None => {
                        self.end.set(Ended::TooLarge);
                        return Poll::Ready(Some(Err(Box::new(Failure::TooLarge))));
                    }
                }
                if self.body.is_end_stream() {
                    self.end.set(Ended::Whole);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body on its way from an upstream: each piece within a time; its end gives the connection back.
struct Inbound {
    body: Body,
    lent: Option<Lent>,
    end: BodyEnd,
    bodyless: bool,
    limit: Duration,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Inbound {
    fn ended(&mut self) {
        // An answer before the end of the request leaves the rest of the request on the connection.
        if let Some(lent) = self.lent.take()
            && (self.bodyless || self.end.ended() == Ended::Whole)
        {
            lent.give_back();
        }
    }
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.clock = None;
                if frame.is_none() || this.body.is_end_stream() {
                    this.ended();
                }
                Poll::Ready(frame)
            }
            Poll::Pending => {
                let clock = this.clock.get_or_insert_with(|| Box::pin(sleep(this.limit)));
                ready!(clock.as_mut().poll(cx));
                Poll::Ready(Some(Err(Box::new(Failure::Silent))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a request got no answer from its upstream.
#[derive(Debug, Error)]
enum Failure {
    /// The client's fault.
    #[error("the request's body is over the limit")]
    TooLarge,
    /// The client's fault.
    #[error("the client sent no more of its body in time")]
    BodyTimedOut,
    /// The client's fault; nobody will read the answer.
    #[error("the client went away in the middle of its body")]
    ClientGone,
    /// The upstream's fault, before anything was sent.
    #[error("no upstream can be reached")]
    Unreachable(#[source] Unreachable),
    /// The upstream's fault, after the request was sent.
    #[error("the upstream did not answer in time")]
    Silent,
    /// The upstream's fault, after the request was sent.
    #[error("the upstream closed the connection or sent no HTTP")]
    BadAnswer(#[source] BoxError),
    /// Ours.
    #[error("the route has no pool in this worker")]
    NoPool,
}

impl Failure {
    fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request is larger than this server takes.",
            ),
            Self::BodyTimedOut => (StatusCode::REQUEST_TIMEOUT, "The request stopped coming."),
            Self::ClientGone => (StatusCode::BAD_REQUEST, "The request ended too early."),
            Self::Unreachable(Unreachable::TimedOut) | Self::Silent => (
                StatusCode::GATEWAY_TIMEOUT,
                "The application behind this server did not answer in time.",
            ),
            Self::Unreachable(Unreachable::Failed(_)) => (
                StatusCode::BAD_GATEWAY,
                "The application behind this server cannot be reached.",
            ),
            Self::BadAnswer(_) => (
                StatusCode::BAD_GATEWAY,
                "The application behind this server gave no answer.",
            ),
            Self::NoPool => (StatusCode::INTERNAL_SERVER_ERROR, "This server made a mistake."),
        }
    }
}
