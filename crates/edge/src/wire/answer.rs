//! Writes the answers of the edge itself and of services.
//!
//! Invariants: a body is announced as what it is (a length, or chunks) and ends as announced, or the connection breaks;
//! the bytes of a file go from the file to the socket without passing through this process, where that is possible.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Write as _};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use http_body::Body as _;
use tokio::io::Interest;
use truehop_delivery::{Courier, FileBody, FileRegion};
use truehop_http1::{Method, Request, Version};

use super::pull::{self, Gone, Pulled, Source};
use super::{BodyLeft, Buffer, Clock, Connection, Then, connection_option, may_stay};
use crate::body::{Body, BoxError, Kind};
use crate::front::Record;
use crate::handler::Service;
use crate::server::Worker;
use crate::stream::Stream;

impl Connection {
    /// Sends `response`, which nobody needs the request's body for.
    pub(super) async fn answer(
        &mut self,
        request: Request<'_>,
        left: &mut BodyLeft,
        mut response: Response<Body>,
        mut record: Option<Record<'_>>,
        text: &mut Vec<u8>,
    ) -> Then {
        discard(left, &mut self.input);
        let worker = &*self.worker;
        let stays = left.is_over() && may_stay(worker, request);
        let courier = courier(&mut response, request.method());
        let letter = Letter {
            worker,
            stream: &self.stream,
            clock: &mut self.clock,
            method: request.method(),
            version: request.version(),
            stays,
            text,
        };
        if let Some(record) = &mut record {
            record.line.status = response.status().as_u16();
        }
        let sent = letter.send(response).await;
        if let Some(record) = record {
            record.end(sent.bytes, sent.whole);
        }
        self.after(sent, courier, stays, left.is_over())
    }

    /// Answers a head that could not be read.
    pub(super) async fn answer_refused(&mut self, response: Response<Body>, record: Record<'_>) {
        let letter = Letter {
            worker: &self.worker,
            stream: &self.stream,
            clock: &mut self.clock,
            method: Method::Other,
            version: Version::Http11,
            stays: false,
            text: &mut Vec::new(),
        };
        let sent = letter.send(response).await;
        record.end(sent.bytes, sent.whole);
    }

    /// Has a service answer, which reads the request's body as it likes.
    pub(super) async fn ask(
        &mut self,
        request: Request<'_>,
        left: &mut BodyLeft,
        service: &Service,
        asked: http::Request<()>,
        mut record: Record<'_>,
        text: &mut Vec<u8>,
    ) -> Then {
        let worker = &*self.worker;
        let (stream, clock) = (&self.stream, &mut self.clock);
        let (pulled, feed): (Pulled, _) = pull::pull(left);
        let answering = Cell::new(false);
        let mut told = None;
        let answered = {
            let source = Source {
                stream,
                input: &mut self.input,
                buffers: &worker.buffers,
                limit: worker.shared.timeouts.body,
                expects_continue: request.expects_continue(),
                answering: &answering,
            };
            let body = match left.is_over() {
                true => Body::empty(),
                false => Body::new(pulled),
            };
            let answer = async {
                let mut response = service.call(asked.map(|()| body)).await;
                let courier = courier(&mut response, request.method());
                answering.set(true);
                let stays = feed.is_over() && may_stay(worker, request);
                record.line.status = response.status().as_u16();
                told = Some((courier, stays));
                let letter = Letter {
                    worker,
                    stream,
                    clock,
                    method: request.method(),
                    version: request.version(),
                    stays,
                    text,
                };
                letter.send(response).await
            };
            let (mut answer, mut feeding) = (pin!(answer), pin!(feed.run(left, source)));
            poll_fn(|cx| {
                if let Poll::Ready(sent) = answer.as_mut().poll(cx) {
                    return Poll::Ready(Ok(sent));
                }
                feeding.as_mut().poll(cx).map(Err)
            })
            .await
        };
        match (answered, told) {
            (Ok(sent), Some((courier, stays))) => {
                record.end(sent.bytes, sent.whole);
                self.after(sent, courier, stays, left.is_over())
            }
            (Ok(_), None) | (Err(Gone), _) => {
                tracing::debug!(id = %record.line.id, "the client went away before it was answered");
                self.confirmations.broken();
                Then::Close
            }
        }
    }

    fn after(&mut self, sent: Sent, courier: Option<Courier>, stays: bool, was_read: bool) -> Then {
        if sent.failed {
            self.confirmations.broken();
        }
        if !sent.whole {
            return Then::Close;
        }
        if let Some(courier) = courier {
            self.confirmations.await_word(courier, &self.stream);
        }
        match (stays, was_read) {
            (true, _) => Then::Next,
            (false, true) => Then::Close,
            (false, false) => Then::Linger,
        }
    }
}

/// An answer to HEAD has no bytes to deliver.
fn courier(response: &mut Response<Body>, method: Method) -> Option<Courier> {
    response
        .extensions_mut()
        .remove::<Courier>()
        .filter(|_| method != Method::Head)
}

/// Throws away what has come of a body that nobody wants.
fn discard(left: &mut BodyLeft, input: &mut Option<Buffer>) {
    let Some(buffer) = input else {
        return;
    };
    if left.is_over() {
        return;
    }
    if let Ok(content) = left.gather(buffer.filled_mut()) {
        buffer.consume(content.consumed);
    }
    if buffer.is_empty() {
        *input = None;
    }
}

/// What has become of a response.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// Bytes of the body that left for the kernel.
    bytes: u64,
    /// Whether that was all.
    whole: bool,
    /// Whether it was the socket that failed.
    failed: bool,
}

/// How a body is announced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Announced {
    /// There is none, whatever the fields say: answers to HEAD, 204 and 304.
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A response on its way to a client.
struct Letter<'a> {
    worker: &'a Worker,
    stream: &'a Stream,
    clock: &'a mut Clock,
    method: Method,
    version: Version,
    stays: bool,
    text: &'a mut Vec<u8>,
}

impl Letter<'_> {
    async fn send(mut self, mut response: Response<Body>) -> Sent {
        // A service may say which file its body comes from.
        let region = response.extensions_mut().remove::<FileRegion>();
        let announced = self.head(&mut response);
        let mut sent = Sent::default();
        let outcome = match (announced, response.into_body().into_kind(), region) {
            (Announced::None, ..) => self.write(&mut sent, b"", b"", b"").await,
            (_, _, Some(region)) if self.stream.is_plain() => self.send_file(&mut sent, region).await,
            (_, Kind::File(file), _) if self.stream.is_plain() => {
                self.send_file(&mut sent, file.into_region()).await
            }
            (_, Kind::Memory(bytes), _) => {
                let bytes = bytes.unwrap_or_default();
                self.write(&mut sent, b"", &bytes, b"").await
            }
            (_, Kind::File(file), _) => {
                self.send_pieces(&mut sent, announced, Box::pin(Owned(file)))
                    .await
            }
            (_, Kind::Other(body), _) => self.send_pieces(&mut sent, announced, body).await,
        };
        match outcome {
            Ok(()) => sent.whole = true,
            Err(CutShort::Socket(error)) => {
                tracing::debug!(%error, "a response was cut short");
                sent.failed = true;
            }
            Err(CutShort::Late) => {
                tracing::debug!("a response was cut short: the client did not take it in time");
            }
            Err(CutShort::Body(error)) => tracing::debug!(%error, "a response body ended early"),
        }
        sent
    }

    /// Writes the head into the text.
    fn head(&mut self, response: &mut Response<Body>) -> Announced {
        let status = response.status();
        let size = http_body::Body::size_hint(response.body()).exact();
        let headers = response.headers_mut();
        // What a handler says about the connection is about its own.
        headers.remove(CONNECTION);
        headers.remove(TRANSFER_ENCODING);
        let bodyless =
            matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || status.is_informational();
        let declared = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let announced = match (size.or(declared), self.version) {
            _ if bodyless || self.method == Method::Head => Announced::None,
            (Some(length), _) => Announced::Length(length),
            (None, Version::Http11) => Announced::Chunked,
            (None, Version::Http10) => Announced::UntilClose,
        };
        match announced {
            Announced::Length(length) => {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            // HEAD tells what GET would: the handler knows, or nobody does.
            Announced::None if self.method == Method::Head && !bodyless => {}
            Announced::None if status == StatusCode::NOT_MODIFIED => {}
            Announced::None | Announced::Chunked | Announced::UntilClose => {
                headers.remove(CONTENT_LENGTH);
            }
        }
        self.stays &= announced != Announced::UntilClose;

        let text = &mut *self.text;
        text.clear();
        let reason = status.canonical_reason().unwrap_or_default();
        // Writing to a Vec cannot fail.
        let _ = write!(text, "HTTP/1.1 {} {reason}\r\n", status.as_str());
        let mut line = |name: &[u8], value: &[u8]| {
            for part in [name, b": ", value, b"\r\n"] {
                text.extend_from_slice(part);
            }
        };
        for (name, value) in &*headers {
            line(name.as_str().as_bytes(), value.as_bytes());
        }
        if !headers.contains_key(DATE) {
            line(b"date", self.worker.date().as_bytes());
        }
        if announced == Announced::Chunked {
            line(b"transfer-encoding", b"chunked");
        }
        if let Some(option) = connection_option(self.version, self.stays) {
            line(b"connection", option.as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        announced
    }

    /// Writes the head, when it has not left yet, and one piece of the body with its framing.
    async fn write(
        &mut self,
        sent: &mut Sent,
        before: &[u8],
        piece: &[u8],
        behind: &[u8],
    ) -> Result<(), CutShort> {
        let slices = &mut [
            IoSlice::new(self.text),
            IoSlice::new(before),
            IoSlice::new(piece),
            IoSlice::new(behind),
        ];
        let limit = self.worker.shared.timeouts.write;
        self.clock.limit(limit, self.stream.write_all(slices)).await??;
        self.text.clear();
        sent.bytes += piece.len() as u64;
        Ok(())
    }

    async fn send_pieces(
        &mut self,
        sent: &mut Sent,
        announced: Announced,
        mut body: Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>,
    ) -> Result<(), CutShort> {
        loop {
            let mut next = poll_fn(|cx| body.as_mut().poll_frame(cx));
            let at_once = poll_fn(|cx| Poll::Ready(Pin::new(&mut next).poll(cx))).await;
            let frame = match at_once {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    // The client should not wait for the head because the body takes its time.
                    if !self.text.is_empty() {
                        self.write(sent, b"", b"", b"").await?;
                    }
                    next.await
                }
            };
            let Some(frame) = frame else {
                return match announced {
                    Announced::Length(length) if sent.bytes < length => {
                        Err(CutShort::Body("it is shorter than announced".into()))
                    }
                    Announced::Chunked => self.write(sent, b"", b"", b"0\r\n\r\n").await,
                    _ => self.write(sent, b"", b"", b"").await,
                };
            };
            let piece = frame.map_err(CutShort::Body)?.into_data().unwrap_or_default();
            if piece.is_empty() {
                continue;
            }
            match announced {
                Announced::Length(length) => {
                    if sent.bytes + piece.len() as u64 > length {
                        return Err(CutShort::Body("it is longer than announced".into()));
                    }
                    self.write(sent, b"", &piece, b"").await?;
                    if sent.bytes == length {
                        return Ok(());
                    }
                }
                Announced::Chunked => {
                    let size = format!("{:x}\r\n", piece.len());
                    let ended = body.is_end_stream();
                    let behind: &[u8] = if ended { b"\r\n0\r\n\r\n" } else { b"\r\n" };
                    self.write(sent, size.as_bytes(), &piece, behind).await?;
                    if ended {
                        return Ok(());
                    }
                }
                Announced::UntilClose | Announced::None => self.write(sent, b"", &piece, b"").await?,
            }
        }
    }

    async fn send_file(&mut self, sent: &mut Sent, region: FileRegion) -> Result<(), CutShort> {
        let limit = self.worker.shared.timeouts.write;
        if region.is_empty() {
            return self.write(sent, b"", b"", b"").await;
        }
        self.clock
            .limit(limit, self.stream.write_before_more(self.text))
            .await??;
        self.text.clear();
        while sent.bytes < region.len() {
            let stream = self.stream;
            let progress = poll_fn(|cx| {
                let call = |socket: std::os::fd::BorrowedFd<'_>| region.send_to(socket, sent.bytes);
                stream.poll_call(cx, Interest::WRITABLE, call)
            });
            sent.bytes += self.clock.limit(limit, progress).await??;
        }
        Ok(())
    }
}

/// Why a response ended before its end.
enum CutShort {
    Socket(io::Error),
    Late,
    Body(BoxError),
}

impl From<io::Error> for CutShort {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<super::Late> for CutShort {
    fn from(_: super::Late) -> Self {
        Self::Late
    }
}

/// A file's bytes for a connection on which they must pass through this process.
struct Owned(FileBody);

impl http_body::Body for Owned {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}
