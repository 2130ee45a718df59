//! Writes the answers of the edge itself and of services.
//!
//! Invariants: a body is announced as what it is (a length, or chunks) and ends as announced, or the connection breaks;
//! the bytes of a file go from the file to the socket without passing through this process, where that is possible.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Write as _};
use std::os::fd::BorrowedFd;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use http_body::Body as _;
use tokio::io::Interest;
use tokio::task::yield_now;
use truehop_delivery::{Courier, FileRegion, Parcel, ParcelBody, Part};
use truehop_http1::{Method, Request, RequestBody, Version};

use super::pull::{self, Gone, Source};
use super::{
    BodyLeft, Buffer, Clock, Connection, Then, Unwritten, connection_option, may_stay, while_taken, write_all,
};
use crate::body::{Body, BoxError, Kind};
use crate::front::Record;
use crate::handler::{Service, Small};
use crate::server::Worker;
use crate::stream::Stream;

impl Connection {
    /// Sends `response`, which nobody needs the request's body for.
    pub(super) async fn answer(
        &mut self,
        request: Request<'_>,
        left: &mut BodyLeft,
        response: Response<Body>,
        record: Option<Record<'_>>,
        text: &mut Vec<u8>,
    ) -> Then {
        discard(left, &mut self.input);
        let stays = left.is_over() && may_stay(&self.worker, request);
        self.respond(request, stays, response, record, text).await
    }

    /// Answers a request that could not be forwarded. How much of its body was read for nothing is not known any more,
    /// so one with a body is the last of its connection.
    pub(super) async fn give_up(
        &mut self,
        request: Request<'_>,
        response: Response<Body>,
        record: Record<'_>,
        text: &mut Vec<u8>,
    ) -> Then {
        let stays = request.body() == RequestBody::Empty && may_stay(&self.worker, request);
        self.respond(request, stays, response, Some(record), text).await
    }

    async fn respond(
        &mut self,
        request: Request<'_>,
        stays: bool,
        mut response: Response<Body>,
        mut record: Option<Record<'_>>,
        text: &mut Vec<u8>,
    ) -> Then {
        let courier = courier(&mut response, request.method());
        let mut bytes = 0;
        if let Some(record) = &mut record {
            record.line.status = response.status().as_u16();
        }
        let writer = ResponseWriter {
            worker: &self.worker,
            stream: &self.stream,
            clock: &mut self.clock,
            method: request.method(),
            version: request.version(),
            stays,
            text,
            bytes: &mut bytes,
        };
        let sent = writer.send(response).await;
        if let Some(record) = record {
            record.end(bytes, sent.whole);
        }
        self.after(sent, courier, true)
    }

    /// Sends a small file that is at hand, whole.
    pub(super) async fn hand_out(
        &mut self,
        request: Request<'_>,
        left: &mut BodyLeft,
        small: &Small,
        mut record: Record<'_>,
        text: &mut Vec<u8>,
    ) -> Then {
        discard(left, &mut self.input);
        let stays = left.is_over() && may_stay(&self.worker, request);
        record.line.status = StatusCode::OK.as_u16();
        text.clear();
        text.extend_from_slice(&small.head);
        end_head(text, &self.worker, request.version(), stays);
        let mut writer = ResponseWriter {
            worker: &self.worker,
            stream: &self.stream,
            clock: &mut self.clock,
            method: request.method(),
            version: request.version(),
            stays,
            text,
            bytes: &mut record.line.bytes,
        };
        let written = writer.write(b"", &small.bytes, b"").await;
        let sent = writer.sent(written, false);
        record.line.whole = sent.whole;
        self.after(sent, None, true)
    }

    /// Answers a head that could not be read.
    pub(super) async fn answer_refused(&mut self, response: Response<Body>, mut record: Record<'_>) {
        let writer = ResponseWriter {
            worker: &self.worker,
            stream: &self.stream,
            clock: &mut self.clock,
            method: Method::Other,
            version: Version::Http11,
            stays: false,
            text: &mut Vec::new(),
            bytes: &mut record.line.bytes,
        };
        record.line.whole = writer.send(response).await.whole;
    }

    /// Has a service answer, which reads the request's body as it likes.
    pub(super) async fn ask(
        &mut self,
        request: Request<'_>,
        mut left: BodyLeft,
        service: &Service,
        asked: http::Request<()>,
        mut record: Record<'_>,
        text: &mut Vec<u8>,
    ) -> Then {
        let worker = &*self.worker;
        let (stream, clock, line) = (&self.stream, &mut self.clock, &mut record.line);
        let (pulled, feed) = pull::pull(&left);
        let answering = Cell::new(false);
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
            let mut answer = pin!(async {
                let mut response = service.call(asked.map(|()| body)).await;
                let courier = courier(&mut response, request.method());
                answering.set(true);
                line.status = response.status().as_u16();
                let writer = ResponseWriter {
                    worker,
                    stream,
                    clock,
                    method: request.method(),
                    version: request.version(),
                    stays: feed.is_over() && may_stay(worker, request),
                    text,
                    bytes: &mut line.bytes,
                };
                (writer.send(response).await, courier)
            });
            let mut feeding = pin!(feed.run(&mut left, source));
            poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(sent) => Poll::Ready(Ok(sent)),
                Poll::Pending => feeding.as_mut().poll(cx).map(Err),
            })
            .await
        };
        match answered {
            Ok((sent, courier)) => {
                record.line.whole = sent.whole;
                self.after(sent, courier, left.is_over())
            }
            Err(Gone) => {
                tracing::debug!(id = %record.line.id, "the client went away before it was answered");
                Then::Close
            }
        }
    }

    fn after(&mut self, sent: Sent, courier: Option<Courier>, was_read: bool) -> Then {
        if !sent.whole {
            return if sent.until_close {
                Then::Reset
            } else {
                Then::Close
            };
        }
        if let Some(courier) = courier {
            self.confirmations.await_word(courier, &self.stream);
        }
        match (sent.stays, was_read) {
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
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Whether all of it left for the kernel.
    whole: bool,
    /// Whether the client was told that it may send another request.
    stays: bool,
    /// Whether only the connection's end tells where the body ends.
    until_close: bool,
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

/// Writes one response to a client.
struct ResponseWriter<'a> {
    worker: &'a Worker,
    stream: &'a Stream,
    clock: &'a mut Clock,
    method: Method,
    version: Version,
    stays: bool,
    /// The head, until it has left.
    text: &'a mut Vec<u8>,
    /// Bytes of the body that have left.
    bytes: &'a mut u64,
}

impl ResponseWriter<'_> {
    async fn send(mut self, mut response: Response<Body>) -> Sent {
        if response.status().is_informational() {
            tracing::error!(status = %response.status(), "a service gave an interim answer for a final one");
            response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        // A service may say what its body is made of.
        let parcel = response.extensions_mut().remove::<Parcel>();
        let announced = self.head(&mut response);
        let is_plain = self.stream.is_plain();
        let is_all = |parcel: &Parcel| announced == Announced::Length(parcel.len());
        let outcome = match (response.into_body().into_kind(), parcel.filter(is_all)) {
            _ if announced == Announced::None => self.write(b"", b"", b"").await,
            (_, Some(parcel)) if is_plain => self.send_parcel(parcel).await,
            (Kind::Parcel(body), _) if is_plain => self.send_parcel(body.into_parcel()).await,
            (Kind::Memory(bytes), _) => self.write(b"", &bytes.unwrap_or_default(), b"").await,
            (Kind::Parcel(body), _) => self.send_pieces(announced, Box::pin(Owned(body))).await,
            (Kind::Other(body), _) => self.send_pieces(announced, body).await,
        };
        self.sent(outcome, announced == Announced::UntilClose)
    }

    fn sent(&self, outcome: Result<(), CutShort>, until_close: bool) -> Sent {
        let whole = outcome.is_ok();
        match outcome {
            Ok(()) => {}
            Err(CutShort::Unwritten(Unwritten::Socket(error))) => {
                tracing::debug!(%error, "a response was cut short");
            }
            Err(CutShort::Unwritten(Unwritten::Late)) => {
                tracing::debug!("a response was cut short: the client did not take it in time");
            }
            Err(CutShort::Body(error)) => tracing::debug!(%error, "a response body ended early"),
        }
        Sent {
            whole,
            stays: self.stays && whole,
            until_close,
        }
    }

    /// Writes the head into the text.
    fn head(&mut self, response: &mut Response<Body>) -> Announced {
        let status = response.status();
        let size = http_body::Body::size_hint(response.body()).exact();
        let headers = response.headers_mut();
        // What a handler says about the connection is about its own.
        headers.remove(CONNECTION);
        headers.remove(TRANSFER_ENCODING);
        // We are the origin: the time is ours to tell.
        headers.remove(DATE);
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
        if announced == Announced::Chunked {
            line(b"transfer-encoding", b"chunked");
        }
        end_head(text, self.worker, self.version, self.stays);
        announced
    }

    /// Writes the head, when it has not left yet, and one piece of the body with its framing.
    async fn write(&mut self, before: &[u8], piece: &[u8], behind: &[u8]) -> Result<(), CutShort> {
        let limit = self.worker.shared.timeouts.write;
        let mut count = 0;
        let is_small = !self.text.is_empty() && self.text.len() + piece.len() <= SMALL;
        let framing = self.text.len() + before.len();
        if is_small {
            for part in [before, piece, behind] {
                self.text.extend_from_slice(part);
            }
        }
        let slices = &mut match is_small {
            true => [self.text.as_slice(), b"", b"", b""],
            false => [self.text.as_slice(), before, piece, behind],
        }
        .map(IoSlice::new);
        let outcome = write_all(self.stream, self.clock, limit, slices, &mut count).await;
        *self.bytes += count.saturating_sub(framing).min(piece.len()) as u64;
        self.text.clear();
        Ok(outcome?)
    }

    async fn send_pieces(
        &mut self,
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
                        self.write(b"", b"", b"").await?;
                    }
                    next.await
                }
            };
            let Some(frame) = frame else {
                return match announced {
                    Announced::Length(length) if *self.bytes < length => {
                        Err(CutShort::Body("it is shorter than announced".into()))
                    }
                    Announced::Chunked => self.write(b"", b"", b"0\r\n\r\n").await,
                    _ => self.write(b"", b"", b"").await,
                };
            };
            let piece = frame.map_err(CutShort::Body)?.into_data().unwrap_or_default();
            if piece.is_empty() {
                continue;
            }
            match announced {
                Announced::Length(length) => {
                    if *self.bytes + piece.len() as u64 > length {
                        return Err(CutShort::Body("it is longer than announced".into()));
                    }
                    self.write(b"", &piece, b"").await?;
                    if *self.bytes == length {
                        return Ok(());
                    }
                }
                Announced::Chunked => {
                    let size = format!("{:x}\r\n", piece.len());
                    let ended = body.is_end_stream();
                    let behind: &[u8] = if ended { b"\r\n0\r\n\r\n" } else { b"\r\n" };
                    self.write(size.as_bytes(), &piece, behind).await?;
                    if ended {
                        return Ok(());
                    }
                }
                Announced::UntilClose | Announced::None => self.write(b"", &piece, b"").await?,
            }
        }
    }

    async fn send_parcel(&mut self, parcel: Parcel) -> Result<(), CutShort> {
        for part in parcel {
            match part {
                Part::Bytes(bytes) => self.write(b"", &bytes, b"").await?,
                Part::File(region) => self.send_file(region).await?,
            }
        }
        self.write(b"", b"", b"").await
    }

    async fn send_file(&mut self, mut region: FileRegion) -> Result<(), CutShort> {
        let limit = self.worker.shared.timeouts.write;
        self.write(b"", b"", b"").await?;
        while !region.is_empty() {
            // However long the guard takes, it is not the client that is slow.
            poll_fn(|cx| region.poll_piece(cx).map_ok(drop))
                .await
                .map_err(|error| CutShort::Body(error.into()))?;
            let progress = poll_fn(|cx| {
                // Asked again, for the socket may have kept us waiting.
                let piece = ready!(region.poll_piece(cx))?;
                let call = |socket: BorrowedFd<'_>| piece.send_to(socket);
                self.stream.poll_call(cx, Interest::WRITABLE, call)
            });
            let progress = while_taken(self.stream, self.clock, limit, progress).await;
            let sent = match progress.map_err(Unwritten::from)? {
                Ok(sent) => sent,
                // The file's doing, not the socket's.
                Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::Other) => {
                    return Err(CutShort::Body(error.into()));
                }
                Err(error) => return Err(Unwritten::Socket(error).into()),
            };
            region.sent(sent);
            *self.bytes += sent;
            // Others have their turn, and the reader the time to take what is there while it is in the cache.
            yield_now().await;
        }
        Ok(())
    }
}

/// Up to this size it is cheaper to put a head and its body together than to have the kernel collect them.
const SMALL: usize = 4 * 1024;

/// Adds the lines that every answer has, and the end of the head.
fn end_head(text: &mut Vec<u8>, worker: &Worker, version: Version, stays: bool) {
    text.extend_from_slice(b"date: ");
    text.extend_from_slice(worker.date().as_bytes());
    text.extend_from_slice(b"\r\n");
    if let Some(option) = connection_option(version, stays) {
        text.extend_from_slice(b"connection: ");
        text.extend_from_slice(option.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
}

/// Why a response ended before its end.
enum CutShort {
    Unwritten(Unwritten),
    Body(BoxError),
}

impl From<Unwritten> for CutShort {
    fn from(unwritten: Unwritten) -> Self {
        Self::Unwritten(unwritten)
    }
}

/// A file's bytes for a connection on which they must pass through this process.
struct Owned(ParcelBody);

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
