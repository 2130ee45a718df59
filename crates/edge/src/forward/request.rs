//! The request's way up.

use std::cell::Cell;
use std::future::pending;
use std::io;

use truehop_http1::Request;

use super::framed::{Framed, write_framed};
use super::splice;
use super::{Failure, Job};
use crate::stream::Stream;
use crate::wire::{BodyLeft, Buffer, Clock, Content, Late, watch};

/// Whether a client asks to go on with WebSocket (RFC 6455 section 4.1): the one protocol that is switched to. Any
/// other, and `h2c` above all, would carry requests past the rules of this server.
pub(crate) fn is_websocket(request: Request<'_>) -> bool {
    request
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
        budget: &mut u64,
    ) -> Result<(), Failure> {
        let limit = self.worker.shared.timeouts.response;
        let chunked = matches!(left, BodyLeft::Chunked(_));
        let content = match &mut *input {
            Some(buffer) if !left.is_over() => left.gather(buffer.filled_mut()).map_err(Failure::BadBody)?,
            _ => Content::default(),
        };
        spend(budget, content.len, left)?;
        let there = input.as_ref().map_or(&b""[..], Buffer::filled);
        let framed = Framed {
            content: there.get(..content.len).unwrap_or_default(),
            chunked,
            ended: content.trailers.as_deref(),
        };
        let writing = write_framed(upstream, self.outward.pieces(self.head), framed);
        let outcome = clock.limit(limit, writing).await;
        let used = content.consumed > 0;
        if let Some(buffer) = input {
            buffer.consume(content.consumed);
            if buffer.is_empty() {
                *input = None;
            }
        }
        match outcome {
            Ok(Ok(())) => Ok(()),
            // What has been taken from the input cannot be sent again.
            Ok(Err(stopped)) if !stopped.begun && !used => Err(Failure::Unsent),
            // It may have answered before it closed.
            Ok(Err(stopped)) if is_closed(&stopped.error) => Ok(()),
            Ok(Err(stopped)) => Err(Failure::Socket(stopped.error)),
            Err(Late) => Err(Failure::TimedOut),
        }
    }

    /// Sends the rest of the body, then watches the client. Ends only with a failure.
    pub(super) async fn upload(
        &self,
        upstream: &Stream,
        left: &mut BodyLeft,
        input: &mut Option<Buffer>,
        budget: &mut u64,
        sent: &Cell<bool>,
    ) -> Failure {
        if !left.is_over() {
            match self.send_rest(upstream, left, input, budget).await {
                Ok(()) => {}
                // An upstream that wants no more may have said why: what it answers decides.
                Err(Failure::Socket(error)) if is_closed(&error) => return pending().await,
                Err(failure) => return failure,
            }
        }
        sent.set(true);
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
        let worker = self.worker;
        let timeouts = &worker.shared.timeouts;
        let mut clock = Clock::default();
        if let (BodyLeft::Length(length), None) = (&mut *left, &input)
            && splice::pays(*length, self.stream, upstream)
        {
            let limits = splice::Limits {
                read: timeouts.body,
                write: timeouts.response,
            };
            let pipes = &worker.pipes;
            splice::splice(pipes, self.stream, upstream, length, &mut clock, limits).await?;
            *left = BodyLeft::Nothing;
            return Ok(());
        }
        let chunked = matches!(left, BodyLeft::Chunked(_));
        let mut buffer = match (left.is_large(), input.take()) {
            (true, first) => {
                let mut large = worker.buffers.take_large();
                large.append(first.as_ref().map_or(b"", Buffer::filled));
                large
            }
            (false, Some(first)) => first,
            (false, None) => worker.buffers.take(),
        };
        while !left.is_over() {
            let read = clock.limit(timeouts.body, self.stream.read(buffer.space())).await;
            match read.map_err(|Late| Failure::BodyTimedOut)? {
                Ok(0) | Err(_) => return Err(Failure::ClientGone),
                Ok(n) => buffer.filled_by(n),
            }
            let content = left.gather(buffer.filled_mut()).map_err(Failure::BadBody)?;
            spend(budget, content.len, left)?;
            let framed = Framed {
                content: buffer.filled().get(..content.len).unwrap_or_default(),
                chunked,
                ended: content.trailers.as_deref(),
            };
            let writing = write_framed(upstream, [].into_iter(), framed);
            match clock.limit(timeouts.response, writing).await {
                Ok(Ok(())) => {}
                Ok(Err(stopped)) => return Err(Failure::Socket(stopped.error)),
                Err(Late) => return Err(Failure::TimedOut),
            }
            buffer.consume(content.consumed);
        }
        if !buffer.is_empty() {
            // The next request has come with the end of this one.
            let mut rest = worker.buffers.take();
            rest.append(buffer.filled());
            *input = Some(rest);
        }
        Ok(())
    }
}

/// Takes what has come off the budget, which must be enough for what is announced, too.
fn spend(budget: &mut u64, bytes: usize, left: &BodyLeft) -> Result<(), Failure> {
    *budget = budget.checked_sub(bytes as u64).ok_or(Failure::TooLarge)?;
    if left.announced() > *budget {
        return Err(Failure::TooLarge);
    }
    Ok(())
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

impl From<splice::Broken> for Failure {
    fn from(broken: splice::Broken) -> Self {
        match broken {
            splice::Broken::Ended | splice::Broken::Read(_) => Self::ClientGone,
            splice::Broken::ReadLate => Self::BodyTimedOut,
            splice::Broken::WriteLate => Self::TimedOut,
            splice::Broken::Write(error) => Self::Socket(error),
        }
    }
}
