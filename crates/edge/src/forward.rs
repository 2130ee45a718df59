//! Passes a request to an upstream and its answer back, both while they come.
//!
//! One task drives both sockets: what the client sends goes up while what the upstream sends comes down.
//!
//! 1. The head, as [`front`](crate::front) has rewritten it, and what is there of the body leave in one call.
//! 2. The rest of the body goes up; afterwards the client is watched, and when it goes away the upstream is let go.
//! 3. Interim answers are relayed; the final head comes down, rewritten, with what is there of its body in one call.
//! 4. The rest comes down. The upstream's connection is kept when both messages ended as they should.
//!
//! Invariants: an upstream sees no field that ends at this hop and no claim that the edge did not write; a request is
//! sent twice only when the first try cannot have had an effect; a connection on which anything is left over is never
//! used again.

mod framed;
mod request;
mod response;
mod splice;
mod tunnel;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use http::{Response, StatusCode};
use thiserror::Error;
use truehop_http1::{BadChunk, BadResponse, Method, Request, ResponseHead, Rewrite};

use self::framed::{Framed, write_framed};
use crate::access_log::Line;
use crate::body::Body;
use crate::page::page;
use crate::server::Worker;
use crate::stream::Stream;
use crate::upstream::{Lent, Pool, Unreachable};
use crate::wire::{BodyLeft, Buffer, Clock, Then};

pub(crate) use self::request::is_websocket;
pub(crate) use self::splice::Pipes;

/// A request to be forwarded.
pub(crate) struct Job<'a> {
    pub(crate) worker: &'a Worker,
    /// The client's.
    pub(crate) stream: &'a Stream,
    pub(crate) request: Request<'a>,
    /// The bytes of the request's head, which `outward` has pieces of.
    pub(crate) head: &'a [u8],
    /// The request's head as the upstream is to see it.
    pub(crate) outward: &'a Rewrite,
    pub(crate) pool: &'a Pool,
}

/// Reusable memory for the answer.
pub(crate) struct Papers<'a> {
    pub(crate) response: &'a mut ResponseHead,
    pub(crate) homeward: &'a mut Rewrite,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Forwarded {
    /// The client has its answer, or the part of it that there was.
    Answered(Then),
    /// Nothing final was sent; this is to be.
    Failed(Response<Body>),
}

impl Job<'_> {
    pub(crate) async fn run(
        &self,
        left: &mut BodyLeft,
        input: &mut Option<Buffer>,
        clock: &mut Clock,
        mut papers: Papers<'_>,
        line: &mut Line,
    ) -> Forwarded {
        let failure = match self.exchange(left, input, clock, &mut papers, line).await {
            Ok(then) => return Forwarded::Answered(then),
            Err(failure) => failure,
        };
        let id = line.id;
        if let Failure::ClientGone = failure {
            tracing::debug!(%id, "the client went away before it was answered");
            return Forwarded::Answered(Then::Close);
        }
        let (status, sentence) = failure.answer();
        let error = &failure as &dyn std::error::Error;
        tracing::warn!(%id, upstreams = %self.pool, error, "{status}");
        Forwarded::Failed(page(status, sentence, id))
    }

    async fn exchange(
        &self,
        left: &mut BodyLeft,
        input: &mut Option<Buffer>,
        clock: &mut Clock,
        papers: &mut Papers<'_>,
        line: &mut Line,
    ) -> Result<Then, Failure> {
        let limit = self.worker.shared.limits.body.as_u64();
        if left.announced() > limit {
            return Err(Failure::TooLarge);
        }
        let bodyless = left.is_over();
        let mut lent = self.pool.take().await.map_err(Failure::Unreachable)?;
        loop {
            let mut budget = limit;
            let sent = Cell::new(false);
            let outcome = match self
                .send_head(&lent.stream, left, input, clock, &mut budget)
                .await
            {
                Err(failure) => Err(failure),
                Ok(()) => {
                    sent.set(left.is_over());
                    let up = self.upload(&lent.stream, left, input, &mut budget, &sent);
                    let down = self.download(&lent.stream, clock, papers, line, &sent);
                    both(up, down).await
                }
            };
            match outcome {
                // An idle connection may be closed by the upstream at the moment in which it is used again.
                Err(failure) if lent.reused && self.may_repeat(bodyless, &failure) => {
                    lent = self.pool.take_fresh(lent).await.map_err(Failure::Unreachable)?;
                }
                Err(failure) => return Err(failure),
                Ok(Down::Switched(buffer)) => {
                    return Ok(self.switch(&lent, buffer, input, clock, papers, line).await);
                }
                Ok(Down::Answered(answered)) => {
                    let was_sent = sent.get();
                    if answered.whole && answered.upstream_stays && was_sent {
                        lent.give_back();
                    }
                    line.whole = answered.whole;
                    return Ok(match (answered.whole, was_sent) {
                        (false, _) => Then::Close,
                        (true, true) if answered.client_stays => Then::Next,
                        (true, true) => Then::Close,
                        (true, false) => Then::Linger,
                    });
                }
            }
        }
    }

    /// Both sides have agreed on another protocol: says so to the client, and carries it.
    async fn switch(
        &self,
        lent: &Lent,
        mut buffer: Buffer,
        input: &mut Option<Buffer>,
        clock: &mut Clock,
        papers: &mut Papers<'_>,
        line: &mut Line,
    ) -> Then {
        let response = papers.response.view(buffer.filled());
        line.status = response.status();
        let homeward = &mut *papers.homeward;
        homeward.clear();
        homeward.status_line(response.status(), response.reason());
        for field in response.fields() {
            if !response.ends_here(field) {
                homeward.keep(field);
            }
        }
        // Plain text: there is nothing to refuse.
        let _ = homeward.add("connection", b"upgrade");
        let _ = homeward.add("upgrade", b"websocket");
        homeward.finish();
        let timeouts = &self.worker.shared.timeouts;
        let writing = write_framed(self.stream, homeward.pieces(buffer.filled()), Framed::default());
        if let Ok(Ok(())) = clock.limit(timeouts.write, writing).await {
            buffer.consume(papers.response.len());
            let client = tunnel::End {
                stream: self.stream,
                read: input.take(),
            };
            let upstream = tunnel::End {
                stream: &lent.stream,
                read: Some(buffer),
            };
            line.bytes = tunnel::tunnel(client, upstream, &self.worker.buffers, clock, timeouts.tunnel).await;
            line.whole = true;
        }
        Then::Close
    }

    /// Whether a request that got no byte of an answer may be sent once more: nothing of it has left, or it has no body
    /// and no effect (RFC 9110 section 9.2.2).
    fn may_repeat(&self, bodyless: bool, failure: &Failure) -> bool {
        let safe = matches!(
            self.request.method(),
            Method::Get | Method::Head | Method::Options
        );
        match failure {
            Failure::Unsent => true,
            Failure::Silence => bodyless && safe,
            _ => false,
        }
    }
}

/// Drives both directions until the answer is through, or there can be none.
async fn both<T>(
    up: impl Future<Output = Failure>,
    down: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (mut up, mut down) = (pin!(up), pin!(down));
    poll_fn(|cx| match down.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome),
        Poll::Pending => up.as_mut().poll(cx).map(Err),
    })
    .await
}

/// What came down.
enum Down {
    Answered(Answered),
    /// The upstream speaks another protocol from here on. Its head, and perhaps more, is in the buffer.
    Switched(Buffer),
}

/// An answer of which the client got something.
#[derive(Debug)]
struct Answered {
    /// Whether the client got all of it.
    whole: bool,
    upstream_stays: bool,
    client_stays: bool,
}

/// Why a request got no answer from its upstream.
#[derive(Debug, Error)]
enum Failure {
    /// The client's fault.
    #[error("the request's body is over the limit")]
    TooLarge,
    /// The client's fault.
    #[error("the request's body is malformed")]
    BadBody(#[source] BadChunk),
    /// The client's fault.
    #[error("the client sent no more of its body in time")]
    BodyTimedOut,
    /// The client's doing; nobody will read an answer.
    #[error("the client went away")]
    ClientGone,
    /// The upstream's fault, before anything was sent.
    #[error("no upstream can be reached")]
    Unreachable(#[source] Unreachable),
    /// The upstream's doing: nothing could be written to its connection.
    #[error("the upstream had closed the connection")]
    Unsent,
    /// The upstream's doing, after the request was sent: the connection ended without a byte of an answer.
    #[error("the upstream closed the connection without an answer")]
    Silence,
    /// The upstream's fault, after the request was sent.
    #[error("the upstream did not answer in time")]
    TimedOut,
    /// The upstream's fault, after the request was sent.
    #[error("the upstream's answer is no HTTP")]
    BadAnswer(#[source] BadResponse),
    /// The upstream's fault, after the request was sent.
    #[error("the upstream's answer has a malformed body")]
    BadAnswerBody(#[source] BadChunk),
    /// The upstream's fault, after the request was sent.
    #[error("the upstream closed the connection in the middle of its answer's head")]
    BrokenOff,
    /// The upstream's fault, after the request was sent.
    #[error("the upstream switches protocols without being asked")]
    Switched,
    /// The upstream's fault, after the request was sent.
    #[error("the upstream sends interim answers without end")]
    Interim,
    /// The system's doing.
    #[error("the connection to the upstream failed")]
    Socket(#[source] io::Error),
}

impl Failure {
    fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request is larger than this server takes.",
            ),
            Self::BadBody(_) => (
                StatusCode::BAD_REQUEST,
                "The request's body is not what its head says.",
            ),
            Self::BodyTimedOut => (StatusCode::REQUEST_TIMEOUT, "The request stopped coming."),
            Self::ClientGone => (StatusCode::BAD_REQUEST, "The request ended too early."),
            Self::Unreachable(Unreachable::TimedOut) | Self::TimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                "The application behind this server did not answer in time.",
            ),
            Self::Unreachable(Unreachable::Failed(_)) => (
                StatusCode::BAD_GATEWAY,
                "The application behind this server cannot be reached.",
            ),
            Self::Unsent
            | Self::Silence
            | Self::BadAnswer(_)
            | Self::BadAnswerBody(_)
            | Self::BrokenOff
            | Self::Switched
            | Self::Interim
            | Self::Socket(_) => (
                StatusCode::BAD_GATEWAY,
                "The application behind this server gave no answer.",
            ),
        }
    }
}
