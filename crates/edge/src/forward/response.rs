//! The answer's way down.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use truehop_http1::{Known, ResponseBody, Version};

use super::framed::{Framed, write_framed};
use super::splice;
use super::{Answered, Down, Failure, Job, Papers, is_websocket};
use crate::access_log::Line;
use crate::stream::Stream;
use crate::wire::{BodyLeft, Buffer, Clock, Late, connection_option, may_stay};

/// So many interim answers are enough for one request.
const INTERIM: usize = 32;

impl Job<'_> {
    pub(super) async fn download(
        &self,
        upstream: &Stream,
        clock: &mut Clock,
        papers: &mut Papers<'_>,
        line: &mut Line,
        sent: &Cell<bool>,
    ) -> Result<Down, Failure> {
        let mut buffer = self.worker.buffers.take();
        for _ in 0..INTERIM {
            self.read_head(upstream, &mut buffer, clock, papers, sent).await?;
            let response = papers.response.view(buffer.filled());
            match response.status() {
                101 => {
                    let agreed = |protocol: &[u8]| protocol.eq_ignore_ascii_case(b"websocket");
                    if !is_websocket(self.request) || !response.lines("upgrade").all(agreed) {
                        return Err(Failure::Switched);
                    }
                    return Ok(Down::Switched(buffer));
                }
                100..200 => {
                    self.relay_interim(&buffer, clock, papers).await?;
                    buffer.consume(papers.response.len());
                }
                _ => {
                    let answered = self.relay(upstream, buffer, clock, papers, line, sent).await?;
                    return Ok(Down::Answered(answered));
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
        papers: &mut Papers<'_>,
        sent: &Cell<bool>,
    ) -> Result<(), Failure> {
        let (limit, limits) = (self.worker.shared.timeouts.response, self.worker.head_limits);
        let head = &mut *papers.response;
        head.clear();
        loop {
            if !buffer.is_empty() && head.parse(buffer.filled(), &limits).map_err(Failure::BadAnswer)? {
                return Ok(());
            }
            if buffer.space().is_empty() {
                buffer.grow(limits.head + 1);
            }
            match read_patiently(upstream, buffer.space(), clock, limit, sent).await? {
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
        papers: &mut Papers<'_>,
    ) -> Result<(), Failure> {
        let interim = papers.response.view(buffer.filled());
        let unasked = interim.status() == 100 && !self.request.expects_continue();
        if self.request.version() == Version::Http10 || unasked {
            return Ok(());
        }
        let homeward = &mut *papers.homeward;
        homeward.clear();
        homeward.status_line(interim.status(), interim.reason());
        for field in interim.fields() {
            if !interim.ends_here(field) && field.known != Some(Known::ContentLength) {
                homeward.keep(field);
            }
        }
        homeward.finish();
        let writing = write_framed(self.stream, homeward.pieces(buffer.filled()), Framed::default());
        match clock.limit(self.worker.shared.timeouts.write, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(Late) => Err(Failure::ClientGone),
        }
    }

    /// Passes on the final answer.
    async fn relay(
        &self,
        upstream: &Stream,
        mut buffer: Buffer,
        clock: &mut Clock,
        papers: &mut Papers<'_>,
        line: &mut Line,
        sent: &Cell<bool>,
    ) -> Result<Answered, Failure> {
        let head_len = papers.response.len();
        let response = papers.response.view(buffer.filled());
        let body = response.body(self.request.method());
        let unbounded = matches!(body, ResponseBody::Chunked | ResponseBody::UntilClose);
        let chunked = unbounded && self.request.version() == Version::Http11;
        let mut answered = Answered {
            whole: false,
            upstream_stays: response.keep_alive() && !matches!(body, ResponseBody::UntilClose),
            client_stays: may_stay(self.worker, self.request) && sent.get() && (chunked || !unbounded),
        };
        line.status = response.status();

        let homeward = &mut *papers.homeward;
        homeward.clear();
        homeward.status_line(response.status(), response.reason());
        let mut dated = false;
        for field in response.fields() {
            dated |= field.known == Some(Known::Date);
            // RFC 9110 section 8.6: none with 204.
            let is_wrong = response.status() == 204 && field.known == Some(Known::ContentLength);
            if !is_wrong && !response.ends_here(field) {
                homeward.keep(field);
            }
        }
        // What is added here is plain text: there is nothing to refuse.
        if !dated {
            let _ = homeward.add("date", self.worker.date().as_bytes());
        }
        if chunked {
            let _ = homeward.add("transfer-encoding", b"chunked");
        }
        if let Some(option) = connection_option(self.request.version(), answered.client_stays) {
            let _ = homeward.add("connection", option.as_bytes());
        }
        homeward.finish();

        let mut left = BodyLeft::of_response(body);
        let behind = buffer.filled_mut().get_mut(head_len..).unwrap_or_default();
        let content = left.gather(behind).map_err(Failure::BadAnswerBody)?;
        let framed = Framed {
            content: buffer
                .filled()
                .get(head_len..head_len + content.len)
                .unwrap_or_default(),
            chunked,
            ended: content.trailers.as_deref(),
        };
        let writing = write_framed(self.stream, homeward.pieces(buffer.filled()), framed);
        match clock.limit(self.worker.shared.timeouts.write, writing).await {
            Ok(Ok(())) => line.bytes += content.len as u64,
            Ok(Err(_)) | Err(Late) => return Ok(answered),
        }
        buffer.consume(head_len + content.consumed);
        let rest = Rest {
            job: self,
            upstream,
            chunked,
            bytes: &mut line.bytes,
        };
        answered.whole = left.is_over() || rest.relay(&mut left, &mut buffer, clock).await;
        answered.upstream_stays &= buffer.is_empty();
        Ok(answered)
    }
}

/// Reads from an upstream. The clock does not count while the client is still sending: its body has one of its own.
async fn read_patiently(
    upstream: &Stream,
    space: &mut [u8],
    clock: &mut Clock,
    limit: Duration,
    sent: &Cell<bool>,
) -> Result<io::Result<usize>, Failure> {
    loop {
        let was_sent = sent.get();
        match clock.limit(limit, upstream.read(space)).await {
            Ok(read) => return Ok(read),
            Err(Late) if was_sent => return Err(Failure::TimedOut),
            Err(Late) => {}
        }
    }
}

/// The rest of an answer's body.
struct Rest<'a> {
    job: &'a Job<'a>,
    upstream: &'a Stream,
    chunked: bool,
    bytes: &'a mut u64,
}

impl Rest<'_> {
    /// Passes on what is left: whether it came to its end.
    async fn relay(self, left: &mut BodyLeft, buffer: &mut Buffer, clock: &mut Clock) -> bool {
        let (worker, client) = (self.job.worker, self.job.stream);
        let timeouts = &worker.shared.timeouts;
        if let BodyLeft::Length(length) = left
            && splice::pays(*length, self.upstream, client)
        {
            let limits = splice::Limits {
                read: timeouts.response,
                write: timeouts.write,
            };
            let before = *length;
            let spliced = splice::splice(&worker.pipes, self.upstream, client, length, clock, limits).await;
            *self.bytes += before - *length;
            if let Err(broken) = &spliced {
                tracing::debug!(error = %broken, "an answer was cut short");
            }
            return spliced.is_ok();
        }
        if left.is_large() && buffer.is_empty() {
            *buffer = worker.buffers.take_large();
        }
        loop {
            let reading = self.upstream.read(buffer.space());
            let ended = match clock.limit(timeouts.response, reading).await {
                Ok(Ok(n)) => {
                    buffer.filled_by(n);
                    n == 0
                }
                Ok(Err(_)) | Err(Late) => return false,
            };
            if ended && !left.ended_by_close() {
                return false;
            }
            let Ok(content) = left.gather(buffer.filled_mut()) else {
                return false;
            };
            let framed = Framed {
                content: buffer.filled().get(..content.len).unwrap_or_default(),
                chunked: self.chunked,
                ended: content.trailers.as_deref().or(ended.then_some(b"")),
            };
            let writing = write_framed(client, [].into_iter(), framed);
            if !matches!(clock.limit(timeouts.write, writing).await, Ok(Ok(()))) {
                return false;
            }
            *self.bytes += content.len as u64;
            buffer.consume(content.consumed);
            if left.is_over() {
                return true;
            }
        }
    }
}
