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
//! sent twice only when nothing of it had left, or when its method promises that it has no effect; once an answer has
//! begun, no other is put into it; and a connection on which anything is left over is never used again.

mod framed;
mod request;
mod response;
mod splice;
mod tunnel;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use http::{Response, StatusCode};
use thiserror::Error;
use truehop_http1::{BadChunk, BadResponse, Method, Request, ResponseHead, Rewrite};

use crate::access_log::Line;
use crate::body::Body;
use crate::page::page;
use crate::server::Worker;
use crate::stream::Stream;
use crate::upstream::{Pool, Unreachable};
use crate::wire::{BodyLeft, Buffer, Clock, Then};

use self::framed::{Framed, Receiver};
pub(crate) use self::request::is_websocket;
pub(crate) use self::splice::Pipes;
pub(crate) use self::tunnel::Tunnel;

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

/// Reusable memory for an answer.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    head: ResponseHead,
    /// The head as it goes to the client.
    rewrite: Rewrite,
    /// Small things, put together.
    pub(crate) text: Vec<u8>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Forwarded {
    /// The client has its answer, or the part of it that there was.
    Answered(Then),
    /// Both sides go on in another protocol.
    Switched(Tunnel),
    /// Nothing final was sent; this is to be.
    Failed(Response<Body>),
}

/// How far the request is on its way up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Up {
    Sending,
    /// The upstream has all of it.
    Sent,
    /// The upstream takes no more.
    Stopped,
}

/// What both directions of an exchange know of each other.
#[derive(Debug)]
struct Progress {
    up: Cell<Up>,
    /// Whether something of an answer is on its way to the client, behind which no other can be put.
    answering: Cell<bool>,
}

impl Job<'_> {
    pub(crate) async fn run(
        &self,
        mut left: BodyLeft,
        input: &mut Option<Buffer>,
        clock: &mut Clock,
        scratch: &mut Scratch,
        line: &mut Line,
    ) -> Forwarded {
        let progress = Progress {
            up: Cell::new(Up::Sending),
            answering: Cell::new(false),
        };
        let exchanged = self
            .exchange(&mut left, input, clock, scratch, line, &progress)
            .await;
        let failure = match exchanged {
            Ok(forwarded) => return forwarded,
            Err(failure) => failure,
        };
        let id = line.id;
        if let Failure::ClientGone = failure {
            tracing::debug!(%id, "the client went away before it was answered");
            return Forwarded::Answered(Then::Close);
        }
        let (status, sentence) = failure.answer();
        let error = &failure as &dyn std::error::Error;
        if progress.answering.get() {
            // The answer has begun: another cannot be put into it.
            tracing::warn!(%id, upstreams = %self.pool, error, "an answer was cut short");
            return Forwarded::Answered(Then::Reset);
        }
        tracing::warn!(%id, upstreams = %self.pool, error, "{status}");
        Forwarded::Failed(page(status, sentence, id))
    }

    async fn exchange(
        &self,
        left: &mut BodyLeft,
        input: &mut Option<Buffer>,
        clock: &mut Clock,
        scratch: &mut Scratch,
        line: &mut Line,
        progress: &Progress,
    ) -> Result<Forwarded, Failure> {
        let limit = self.worker.shared.limits.body.as_u64();
        if left.announced() > limit {
            return Err(Failure::TooLarge);
        }
        let bodyless = left.is_over();
        let mut lent = self.pool.take().await.map_err(Failure::Unreachable)?;
        loop {
            let mut budget = limit;
            progress.up.set(Up::Sending);
            let sending = self.send_head(&lent.stream, left, input, clock, &mut scratch.text, &mut budget);
            let outcome = match sending.await {
                Err(failure) => Err(failure),
                Ok(()) => {
                    if left.is_over() {
                        progress.up.set(Up::Sent);
                    }
                    // Pinned where they are made: they are large.
                    let upward = pin!(self.upload(&lent.stream, left, input, &mut budget, progress));
                    let downward = pin!(self.download(&lent.stream, clock, scratch, line, progress));
                    both(upward, downward).await
                }
            };
            match outcome {
                // An idle connection may be closed by the upstream at the moment in which it is used again.
                Err(failure) if lent.reused && self.may_repeat(bodyless, &failure) => {
                    lent = self.pool.take_fresh(lent).await.map_err(Failure::Unreachable)?;
                }
                Err(failure) => return Err(failure),
                Ok(Down::Switched(read)) => {
                    let upstream = lent.stream;
                    return self.switch(upstream, read, clock, scratch, line, progress).await;
                }
                Ok(Down::Relayed(relayed)) => {
                    let was_sent = progress.up.get() == Up::Sent;
                    line.whole = relayed.whole;
                    let then = match (relayed.whole, was_sent) {
                        (false, _) if relayed.until_close => Then::Reset,
                        (false, _) => Then::Close,
                        (true, true) if relayed.client_stays => Then::Next,
                        (true, true) => Then::Close,
                        (true, false) => Then::Linger,
                    };
                    if relayed.whole && relayed.upstream_stays && was_sent {
                        lent.give_back();
                    }
                    return Ok(Forwarded::Answered(then));
                }
            }
        }
    }

    /// Both sides have agreed on another protocol: says so to the client.
    async fn switch(
        &self,
        upstream: Stream,
        mut read: Buffer,
        clock: &mut Clock,
        scratch: &mut Scratch,
        line: &mut Line,
        progress: &Progress,
    ) -> Result<Forwarded, Failure> {
        let response = scratch.head.view(read.filled());
        line.status = response.status();
        let rewrite = &mut scratch.rewrite;
        rewrite.clear();
        rewrite.status_line(response.status(), response.reason());
        for field in response.fields() {
            if !response.ends_here(field) {
                rewrite.keep(field);
            }
        }
        // Plain text: there is nothing to refuse.
        let _ = rewrite.add("connection", b"upgrade");
        let _ = rewrite.add("upgrade", b"websocket");
        rewrite.finish();
        progress.answering.set(true);
        let to = Receiver {
            stream: self.stream,
            clock,
            limit: self.worker.shared.timeouts.write,
        };
        let pieces = rewrite.pieces(read.filled());
        if to
            .write_head(&mut scratch.text, pieces, Framed::default(), &mut 0)
            .await
            .is_err()
        {
            return Err(Failure::ClientGone);
        }
        read.consume(scratch.head.len());
        Ok(Forwarded::Switched(Tunnel { upstream, read }))
    }

    /// Whether a request that got no byte of an answer may be sent once more: nothing of it has left, or it has no body
    /// and its method is safe (RFC 9110 section 9.2.1). PUT and DELETE are idempotent, but not without effect: a second
    /// DELETE tells the client that there was nothing.
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
    mut up: Pin<&mut impl Future<Output = Failure>>,
    mut down: Pin<&mut impl Future<Output = Result<T, Failure>>>,
) -> Result<T, Failure> {
    poll_fn(|cx| match down.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome),
        Poll::Pending => up.as_mut().poll(cx).map(Err),
    })
    .await
}

/// What came down.
enum Down {
    Relayed(Relayed),
    /// The upstream speaks another protocol from here on. Its head, and perhaps more, is in the buffer.
    Switched(Buffer),
}

/// An answer of which the client got something.
#[derive(Debug)]
struct Relayed {
    /// Whether the client got all of it.
    whole: bool,
    /// Whether only the connection's end tells the client where the answer ends.
    until_close: bool,
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
