//! The request's way up.

use std::io;

use truehop_http1::{BadChunk, Method, Request, RequestBody};

use super::framed::{Framed, Receiver, kept_trailers};
use super::splice::{self, Splice};
use super::{Failure, Job, Progress, Up};
use crate::stream::Stream;
use crate::wire::{BodyLeft, Buffer, Clock, Content, Late, Unwritten, watch};

/// Whether a client asks to go on with WebSocket (RFC 6455 section 4.1): the one protocol that is switched to. Any
/// other, and `h2c` above all, would carry requests past the rules of this server.
pub(crate) fn is_websocket(request: Request<'_>) -> bool {
    request.method() == Method::Get
        && request.body() == RequestBody::Empty
        && request
            .upgrade()
            .is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

impl Job<'_> {
    /// Sends the head, and what is there of the body with it. `budget` is what the body may still have.
    pub(super) async fn send_head(
        &self,
        upstream: &Stream,
        left: &mut BodyLeft,
        input: &mut Option<Buffer>,
        clock: &mut Clock,
        text: &mut Vec<u8>,
        budget: &mut u64,
    ) -> Result<(), Failure> {
        let chunked = matches!(left, BodyLeft::Chunked(_));
        let announced = left.announced();
        let content = match &mut *input {
            Some(buffer) if !left.is_over() => self.gather(left, buffer, budget)?,
            _ => Content::default(),
        };
        let there = input.as_ref().map_or(&b""[..], Buffer::filled);
        let to = Receiver {
            stream: upstream,
            clock,
            limit: self.worker.shared.timeouts.response,
        };
        let framed = Framed::new(there, &content, chunked);
        let mut count = 0;
        let pieces = self.outward.pieces(self.head);
        let outcome = to.write_head(text, pieces, framed, &mut count).await;
        if count == 0 && outcome.is_err() && (!chunked || content.consumed == 0) {
            // Nothing has left, and the body stands where it was: it may be sent elsewhere.
            if !chunked && content.consumed > 0 {
                *left = BodyLeft::Length(announced);
            }
            return Err(Failure::Unsent);
        }
        if let Some(buffer) = input {
            buffer.consume(content.consumed);
        }
        match outcome {
            Ok(()) => Ok(()),
            // It may have answered before it closed.
            Err(Unwritten::Socket(error)) if is_closed(&error) => Ok(()),
            Err(unwritten) => Err(unwritten.into()),
        }
    }

    /// Sends the rest of the body, then watches the client. Ends only with a failure.
    pub(super) async fn upload(
        &self,
        upstream: &Stream,
        left: &mut BodyLeft,
        input: &mut Option<Buffer>,
        budget: &mut u64,
        progress: &Progress,
    ) -> Failure {
        match self.send_rest(upstream, left, input, budget).await {
            Ok(()) => progress.up.set(Up::Sent),
            // An upstream that wants no more may have said why: what it answers decides.
            Err(Failure::Socket(error)) if is_closed(&error) => progress.up.set(Up::Stopped),
            Err(failure) => return failure,
        }
        watch(self.stream, input, &self.worker.buffers).await;
        Failure::ClientGone
    }

    async fn send_rest(
        &self,
        upstream: &Stream,
        left: &mut BodyLeft,
        input: &mut Option<Buffer>,
        budget: &mut u64,
    ) -> Result<(), Failure> {
        if left.is_over() {
            return Ok(());
        }
        let worker = self.worker;
        let timeouts = &worker.shared.timeouts;
        let mut clock = Clock::default();
        let is_empty = input.as_ref().is_none_or(Buffer::is_empty);
        if let (BodyLeft::Length(length), true) = (&mut *left, is_empty)
            && let Some(splice) = Splice::new(&worker.pipes, self.stream, upstream, *length)
        {
            let limits = splice::Limits {
                read: timeouts.body,
                write: timeouts.response,
            };
            splice.run(length, &mut 0, &mut clock, limits).await?;
            *left = BodyLeft::Nothing;
            return Ok(());
        }
        let chunked = matches!(left, BodyLeft::Chunked(_));
        let buffer = input.get_or_insert_with(|| worker.buffers.take());
        while !left.is_over() {
            buffer.enlarge_if_full();
            let read = clock.limit(timeouts.body, self.stream.read(buffer.space())).await;
            match read.map_err(|Late| Failure::BodyTimedOut)? {
                Ok(0) | Err(_) => return Err(Failure::ClientGone),
                Ok(n) => buffer.filled_by(n),
            }
            let content = self.gather(left, buffer, budget)?;
            let to = Receiver {
                stream: upstream,
                clock: &mut clock,
                limit: timeouts.response,
            };
            let framed = Framed::new(buffer.filled(), &content, chunked);
            let wrote = to.write([].into_iter(), framed, &mut 0).await;
            buffer.consume(content.consumed);
            wrote?;
        }
        buffer.become_usual();
        Ok(())
    }

    /// Gathers what has come, within the budget, which must be enough for what is announced, too.
    fn gather(&self, left: &mut BodyLeft, buffer: &mut Buffer, budget: &mut u64) -> Result<Content, Failure> {
        let mut content = left.gather(buffer.filled_mut())?;
        *budget = budget
            .checked_sub(content.len as u64)
            .filter(|budget| left.announced() <= *budget)
            .ok_or(Failure::TooLarge)?;
        if let Some(trailers) = &mut content.trailers
            && !trailers.is_empty()
        {
            *trailers = kept_trailers(trailers, self.worker.shared.policy.load().reads());
        }
        Ok(content)
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

impl From<BadChunk> for Failure {
    fn from(bad: BadChunk) -> Self {
        Self::BadBody(bad)
    }
}

impl From<Unwritten> for Failure {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Late => Self::TimedOut,
            Unwritten::Socket(error) => Self::Socket(error),
        }
    }
}

impl From<splice::Broken> for Failure {
    fn from(broken: splice::Broken) -> Self {
        match broken {
            splice::Broken::Ended | splice::Broken::Read(_) | splice::Broken::Malformed => Self::ClientGone,
            splice::Broken::ReadLate => Self::BodyTimedOut,
            splice::Broken::WriteLate => Self::TimedOut,
            splice::Broken::Write(error) => Self::Socket(error),
        }
    }
}
