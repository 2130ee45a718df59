//! The answer's way down.

use std::future::poll_fn;
use std::time::Duration;

use truehop_http1::{Known, ResponseBody, Version};

use super::framed::{Framed, Receiver, kept_trailers};
use super::splice::{self, Broken, Splice};
use super::{Down, Failure, Job, Progress, Relayed, Scratch, Up, is_websocket};
use crate::access_log::Line;
use crate::stream::Stream;
use crate::wire::{BodyLeft, Buffer, Clock, Content, Late, Unwritten, connection_option, may_stay};

/// So many interim answers are enough for one request.
const INTERIM: usize = 32;

impl Job<'_> {
    pub(super) async fn download(
        &self,
        upstream: &Stream,
        clock: &mut Clock,
        scratch: &mut Scratch,
        line: &mut Line,
        progress: &Progress,
    ) -> Result<Down, Failure> {
        // An upstream may take its time, and many at once: nothing is held for its answer before it comes. What is wrong
        // with the socket shows when it is read.
        let limit = self.worker.shared.timeouts.response;
        let comes = async || poll_fn(|cx| upstream.poll_readable(cx)).await;
        let _ = patiently(clock, limit, progress, comes).await?;
        let mut buffer = self.worker.buffers.take();
        for n in 0..INTERIM {
            match self
                .read_head(upstream, &mut buffer, clock, scratch, progress)
                .await
            {
                // The client has had an interim answer: a second try would give it another.
                Err(Failure::Silence) if n > 0 => return Err(Failure::BrokenOff),
                read => read?,
            }
            let response = scratch.head.view(buffer.filled());
            match response.status() {
                101 => {
                    let mut protocols = response.lines("upgrade").peekable();
                    let agreed = protocols.peek().is_some()
                        && protocols.all(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
                    if !is_websocket(self.request) || !agreed {
                        return Err(Failure::Switched);
                    }
                    return Ok(Down::Switched(buffer));
                }
                100..200 => {
                    // Nothing may come in between while it is being written.
                    progress.answering.set(true);
                    self.relay_interim(&buffer, clock, scratch).await?;
                    progress.answering.set(false);
                    buffer.consume(scratch.head.len());
                }
                _ => {
                    let relayed = self.relay(upstream, buffer, clock, scratch, line, progress);
                    return Ok(Down::Relayed(relayed.await?));
                }
            }
        }
        Err(Failure::Interim)
    }

    async fn read_head(
        &self,
        upstream: &Stream,
        buffer: &mut Buffer,
        clock: &mut Clock,
        scratch: &mut Scratch,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let (limit, limits) = (self.worker.shared.timeouts.response, self.worker.head_limits);
        let head = &mut scratch.head;
        head.clear();
        loop {
            if !buffer.is_empty() && head.parse(buffer.filled(), &limits).map_err(Failure::BadAnswer)? {
                return Ok(());
            }
            if buffer.space().is_empty() {
                buffer.grow(limits.head.saturating_add(1));
            }
            let read = async || upstream.read(buffer.space()).await;
            match patiently(clock, limit, progress, read).await? {
                Ok(0) | Err(_) if buffer.is_empty() => return Err(Failure::Silence),
                Ok(0) => return Err(Failure::BrokenOff),
                Ok(n) => buffer.filled_by(n),
                Err(error) => return Err(Failure::Socket(error)),
            }
        }
    }

    /// Passes on a 1xx (RFC 9110 section 15.2), which HTTP/1.0 does not know.
    async fn relay_interim(
        &self,
        buffer: &Buffer,
        clock: &mut Clock,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        let interim = scratch.head.view(buffer.filled());
        let unasked = interim.status() == 100 && !self.request.expects_continue();
        if self.request.version() == Version::Http10 || unasked {
            return Ok(());
        }
        let rewrite = &mut scratch.rewrite;
        rewrite.clear();
        rewrite.status_line(interim.status(), interim.reason());
        for field in interim.fields() {
            if !interim.ends_here(field) && field.known != Some(Known::ContentLength) {
                rewrite.keep(field);
            }
        }
        rewrite.finish();
        let pieces = rewrite.pieces(buffer.filled());
        self.client(clock)
            .write_head(&mut scratch.text, pieces, Framed::default(), &mut 0)
            .await
            .map_err(|_| Failure::ClientGone)
    }

    fn client<'c>(&'c self, clock: &'c mut Clock) -> Receiver<'c> {
        Receiver {
            stream: self.stream,
            clock,
            limit: self.worker.shared.timeouts.write,
        }
    }

    /// Passes on the final answer.
    async fn relay(
        &self,
        upstream: &Stream,
        mut buffer: Buffer,
        clock: &mut Clock,
        scratch: &mut Scratch,
        line: &mut Line,
        progress: &Progress,
    ) -> Result<Relayed, Failure> {
        let head_len = scratch.head.len();
        let response = scratch.head.view(buffer.filled());
        let body = response.body(self.request.method());
        let unbounded = matches!(body, ResponseBody::Chunked | ResponseBody::UntilClose);
        let chunked = unbounded && self.request.version() == Version::Http11;
        let until_close = unbounded && !chunked;
        let is_sent = progress.up.get() == Up::Sent;
        let mut relayed = Relayed {
            whole: false,
            until_close,
            upstream_stays: response.keep_alive() && !matches!(body, ResponseBody::UntilClose),
            client_stays: may_stay(self.worker, self.request) && is_sent && !until_close,
        };
        line.status = response.status();

        let rewrite = &mut scratch.rewrite;
        rewrite.clear();
        rewrite.status_line(response.status(), response.reason());
        let mut dated = false;
        for field in response.fields() {
            dated |= field.known == Some(Known::Date);
            // RFC 9110 section 8.6: none with 204.
            let is_wrong = response.status() == 204 && field.known == Some(Known::ContentLength);
            if !is_wrong && !response.ends_here(field) {
                rewrite.keep(field);
            }
        }
        // What is added here is plain text: there is nothing to refuse.
        if !dated {
            let _ = rewrite.add("date", self.worker.date().as_bytes());
        }
        if chunked {
            let _ = rewrite.add("transfer-encoding", b"chunked");
        }
        if let Some(option) = connection_option(self.request.version(), relayed.client_stays) {
            let _ = rewrite.add("connection", option.as_bytes());
        }
        rewrite.finish();

        let mut left = BodyLeft::of_response(body);
        let behind = buffer.filled_mut().get_mut(head_len..).unwrap_or_default();
        let content = self.gather_answer(&mut left, behind)?;
        let behind = buffer.filled().get(head_len..).unwrap_or_default();
        let framed = Framed::new(behind, &content, chunked);
        let pieces = rewrite.pieces(buffer.filled());
        progress.answering.set(true);
        let client = self.client(clock);
        let wrote = client.write_head(&mut scratch.text, pieces, framed, &mut 0).await;
        if wrote.is_err() {
            return Ok(relayed);
        }
        line.bytes += content.len as u64;
        buffer.consume(head_len + content.consumed);
        if !left.is_over() {
            let rest = self.relay_rest(upstream, &mut left, &mut buffer, chunked, clock, &mut line.bytes);
            if let Err(broken) = rest.await {
                match broken {
                    Broken::Write(_) | Broken::WriteLate => {
                        tracing::debug!(id = %line.id, error = %broken, "an answer was cut short");
                    }
                    _ => tracing::warn!(
                        id = %line.id,
                        upstreams = %self.pool,
                        error = &broken as &dyn std::error::Error,
                        "an answer was cut short"
                    ),
                }
                return Ok(relayed);
            }
        }
        relayed.whole = true;
        relayed.upstream_stays &= buffer.is_empty();
        Ok(relayed)
    }

    /// Passes on what is left of an answer's body.
    async fn relay_rest(
        &self,
        upstream: &Stream,
        left: &mut BodyLeft,
        buffer: &mut Buffer,
        chunked: bool,
        clock: &mut Clock,
        bytes: &mut u64,
    ) -> Result<(), Broken> {
        let timeouts = &self.worker.shared.timeouts;
        if let BodyLeft::Length(length) = left
            && let Some(splice) = Splice::new(&self.worker.pipes, upstream, self.stream, *length)
        {
            let limits = splice::Limits {
                read: timeouts.response,
                write: timeouts.write,
            };
            return splice.run(length, bytes, clock, limits).await;
        }
        while !left.is_over() {
            buffer.enlarge_if_full();
            let reading = upstream.read(buffer.space());
            let read = clock.limit(timeouts.response, reading).await;
            let n = read.map_err(|Late| Broken::ReadLate)?.map_err(Broken::Read)?;
            buffer.filled_by(n);
            let ended = n == 0;
            if ended && !left.ended_by_close() {
                return Err(Broken::Ended);
            }
            let content = self
                .gather_answer(left, buffer.filled_mut())
                .map_err(|_| Broken::Malformed)?;
            let mut framed = Framed::new(buffer.filled(), &content, chunked);
            if ended {
                framed.ended = Some(b"");
            }
            let wrote = self.client(clock).write([].into_iter(), framed, &mut 0).await;
            match wrote {
                Ok(()) => {}
                Err(Unwritten::Late) => return Err(Broken::WriteLate),
                Err(Unwritten::Socket(error)) => return Err(Broken::Write(error)),
            }
            *bytes += content.len as u64;
            buffer.consume(content.consumed);
        }
        Ok(())
    }

    fn gather_answer(&self, left: &mut BodyLeft, bytes: &mut [u8]) -> Result<Content, Failure> {
        let mut content = left.gather(bytes).map_err(Failure::BadAnswerBody)?;
        if let Some(trailers) = &mut content.trailers
            && !trailers.is_empty()
        {
            *trailers = kept_trailers(trailers, None);
        }
        Ok(content)
    }
}

/// Waits for an upstream. The clock does not count while the client is still sending: its body has one of its own.
async fn patiently<T>(
    clock: &mut Clock,
    limit: Duration,
    progress: &Progress,
    mut what: impl AsyncFnMut() -> T,
) -> Result<T, Failure> {
    loop {
        let is_sending = progress.up.get() == Up::Sending;
        match clock.limit(limit, what()).await {
            Ok(output) => return Ok(output),
            Err(Late) if !is_sending => return Err(Failure::TimedOut),
            Err(Late) => {}
        }
    }
}
