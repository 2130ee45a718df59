//! Writes one response.
//!
//! Invariants: a body is announced as what it is (a length, or chunks) and ends as announced, or the connection breaks;
//! the bytes of a file go from the file to the socket without passing through this process, where that is possible and
//! cheaper; and a courier is told the truth also when the writer is dropped in the middle.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Write as _};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use http_body::Body as _;
use tokio::task::yield_now;
use truehop_delivery::{Courier, FileRegion, Parcel, Part, Piece};
use truehop_http1::{Method, Version};

use super::confirm::Delivery;
use super::write::write_on;
use super::{Buffer, Clock, Unwritten, connection_option, while_taken};
use crate::body::{Body, BoxError, Kind};
use crate::server::Worker;
use crate::stream::Stream;

/// Up to this size it is cheaper to put pieces from memory together than to have the kernel collect them.
const SMALL: usize = 4 * 1024;

/// Up to this size it is cheaper to read a piece of a file, and send it with what is before it, than to have the kernel
/// send it in a call of its own: 8 µs of CPU instead of 9 for 16 KiB with a head, 10 instead of 9 for 32 KiB.
const READ: u64 = 16 * 1024;

/// What has become of a response.
#[derive(Debug)]
pub(super) struct Sent {
    /// Whether all of it left for the kernel.
    pub(super) whole: bool,
    /// How much of the body left.
    pub(super) bytes: u64,
    /// Whether the client was told that it may send another request.
    pub(super) stays: bool,
    /// Whether only the connection's end tells where the body ends.
    pub(super) until_close: bool,
    /// Whoever is to be told what arrives, when all that will ever leave has left.
    pub(super) delivery: Option<Delivery>,
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
pub(super) struct ResponseWriter<'a> {
    pub(super) worker: &'a Worker,
    pub(super) stream: &'a Stream,
    pub(super) clock: &'a mut Clock,
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) stays: bool,
    /// The head, until it has left.
    pub(super) text: &'a mut Vec<u8>,
    /// Bytes of the body that have left.
    pub(super) bytes: &'a mut u64,
    /// The next bytes of the body, until they have left: what was read of files, and small pieces between.
    pub(super) gathered: Option<Buffer>,
    pub(super) delivery: Option<Delivery>,
}

impl ResponseWriter<'_> {
    pub(super) async fn send(mut self, mut response: Response<Body>) -> Sent {
        if response.status().is_informational() {
            tracing::error!(status = %response.status(), "a service gave an interim answer for a final one");
            response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        // A service may say what its body is made of, and that it wants to know what arrives.
        let parcel = response.extensions_mut().remove::<Parcel>();
        let courier = response.extensions_mut().remove::<Courier>();
        let announced = self.head(&mut response);
        // An answer to HEAD has no bytes to deliver.
        self.delivery = courier
            .filter(|_| self.method != Method::Head)
            .map(|courier| self.delivery_of(courier, announced));
        let is_all = |parcel: &Parcel| announced == Announced::Length(parcel.len());
        let parcel = parcel.filter(is_all);
        let recalled = self.delivery.as_ref().map(|delivery| delivery.courier.clone());
        let body = response.into_body();
        let outcome = match recalled {
            None => self.body(announced, body, parcel).await,
            Some(courier) => tokio::select! {
                biased;
                outcome = self.body(announced, body, parcel) => outcome,
                () = courier.recalled() => Err(CutShort::Recalled),
            },
        };
        self.sent(outcome, announced == Announced::UntilClose)
    }

    async fn body(
        &mut self,
        announced: Announced,
        body: Body,
        parcel: Option<Parcel>,
    ) -> Result<(), CutShort> {
        match (body.into_kind(), parcel) {
            _ if announced == Announced::None => self.write(b"", b"", b"").await,
            (_, Some(parcel)) => self.send_parcel(parcel).await,
            (Kind::Parcel(body), _) => self.send_parcel(body.into_parcel()).await,
            (Kind::Memory(bytes), _) => self.write(b"", &bytes.unwrap_or_default(), b"").await,
            (Kind::Other(body), _) => self.send_pieces(announced, body).await,
        }
    }

    /// Sends a body whose head stands in the text already.
    pub(super) async fn send_whole(mut self, bytes: &[u8]) -> Sent {
        let written = self.write(b"", bytes, b"").await;
        self.sent(written, false)
    }

    fn delivery_of(&self, courier: Courier, announced: Announced) -> Delivery {
        // In chunks, what arrived is not all content.
        let is_content = matches!(announced, Announced::Length(_) | Announced::UntilClose);
        let place = self.stream.position().filter(|_| is_content);
        Delivery {
            courier,
            begin: place.map(|place| place.behind(self.text.len() as u64)),
        }
    }

    fn sent(&mut self, outcome: Result<(), CutShort>, until_close: bool) -> Sent {
        let whole = outcome.is_ok();
        match outcome {
            Ok(()) => {}
            Err(CutShort::Unwritten(Unwritten::Socket(error))) => {
                tracing::debug!(%error, "a response was cut short");
                self.break_off();
            }
            Err(CutShort::Unwritten(Unwritten::Late)) => {
                tracing::debug!("a response was cut short: the client did not take it in time");
                self.break_off();
            }
            Err(CutShort::Recalled) => {
                tracing::debug!("a response was cut short: it was recalled");
                self.break_off();
            }
            Err(CutShort::Body(error)) => tracing::debug!(%error, "a response body ended early"),
        }
        Sent {
            whole,
            bytes: *self.bytes,
            stays: self.stays && whole,
            until_close,
            delivery: self.delivery.take(),
        }
    }

    /// There is nothing to wait for.
    fn break_off(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.break_off(self.stream);
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
            // A length tells what 200 would (RFC 9110 section 8.6). That of the empty body that the service has to give says
            // nothing of that.
            Announced::None if status == StatusCode::NOT_MODIFIED && declared != Some(0) => {}
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

    /// Writes the head and what was gathered, when they have not left yet, and one piece of the body with its framing.
    async fn write(&mut self, before: &[u8], piece: &[u8], behind: &[u8]) -> Result<(), CutShort> {
        self.put([before, piece, behind], false).await
    }

    /// Writes the head and what was gathered. With `more`, another piece follows at once.
    async fn flush(&mut self, more: bool) -> Result<(), CutShort> {
        self.put([b"", b"", b""], more).await
    }

    async fn put(&mut self, [before, piece, behind]: [&[u8]; 3], more: bool) -> Result<(), CutShort> {
        let limit = self.worker.shared.timeouts.write;
        let gathered = self.gathered.take();
        let gathered = gathered.as_ref().map_or(&b""[..], Buffer::filled);
        let (mut count, content) = (0, gathered.len() + piece.len());
        let framing = self.text.len() + before.len();
        let is_small = !self.text.is_empty() && self.text.len() + content <= SMALL;
        if is_small {
            for part in [gathered, before, piece, behind] {
                self.text.extend_from_slice(part);
            }
        }
        let slices = &mut match is_small {
            true => [self.text.as_slice(), b"", b"", b"", b""],
            false => [self.text.as_slice(), gathered, before, piece, behind],
        }
        .map(IoSlice::new);
        // One slice alone takes the kernel less time.
        let used = slices.iter().rposition(|slice| !slice.is_empty());
        let slices = &mut slices[..used.map_or(0, |last| last + 1)];
        let outcome = write_on(self.stream, self.clock, limit, slices, &mut count, more).await;
        self.left(count.saturating_sub(framing).min(content) as u64);
        self.text.clear();
        Ok(outcome?)
    }

    /// So much more of the body has left.
    fn left(&mut self, bytes: u64) {
        *self.bytes += bytes;
        if self.delivery.is_some() {
            self.stream.look_in_time();
        }
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
                        self.flush(false).await?;
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
                    _ => self.flush(false).await,
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
                Part::Bytes(bytes) if bytes.len() <= SMALL => {
                    if self.gather().space().len() < bytes.len() {
                        self.flush(true).await?;
                    }
                    self.gather().append(&bytes);
                }
                Part::Bytes(bytes) => self.write(b"", &bytes, b"").await?,
                Part::File(region) => self.send_file(region).await?,
            }
        }
        self.flush(false).await
    }

    /// What is gathered. With TLS, whatever is sent must pass through it.
    fn gather(&mut self) -> &mut Buffer {
        let buffers = &self.worker.buffers;
        self.gathered.get_or_insert_with(|| match self.stream.is_plain() {
            true => buffers.take(),
            false => buffers.take_large(),
        })
    }

    async fn send_file(&mut self, mut region: FileRegion) -> Result<(), CutShort> {
        let most = if self.stream.is_plain() { READ } else { u64::MAX };
        while !region.is_empty() {
            let piece = self.piece(&region).await?;
            if piece.len() <= most {
                let space = self.gather().space();
                if space.is_empty() {
                    self.flush(true).await?;
                    yield_now().await;
                    continue;
                }
                let read = piece.read_into(space).map_err(CutShort::body)?;
                self.gather().filled_by(read);
                region.sent(read as u64);
            } else if !self.text.is_empty() || self.gathered.is_some() {
                self.flush(true).await?;
            } else {
                self.send_by_kernel(&mut region).await?;
                if !region.is_empty() {
                    // Others have their turn, and the reader the time to take what is there while it is in the cache.
                    yield_now().await;
                }
            }
        }
        Ok(())
    }

    /// The piece at the region's front, when it may leave.
    async fn piece<'r>(&mut self, region: &'r FileRegion) -> Result<Piece<'r>, CutShort> {
        let at_once = poll_fn(|cx| Poll::Ready(region.poll_piece(cx))).await;
        let piece = match at_once {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                // What is before it may leave.
                self.flush(false).await?;
                // However long this takes, it is not the client that is slow; and a guard knows in the end.
                poll_fn(|cx| region.poll_piece(cx)).await
            }
        };
        piece.map_err(CutShort::body)
    }

    /// Has the kernel send as much of the piece at the region's front as it takes at once.
    async fn send_by_kernel(&mut self, region: &mut FileRegion) -> Result<(), CutShort> {
        let sending = poll_fn(|cx| {
            // Each time, for the socket may have kept us waiting.
            let piece = ready!(region.poll_piece(cx))?;
            // No more than the kernel is asked to send at once.
            let send = |socket: BorrowedFd<'_>| piece.send_to(socket).map(|sent| sent as usize);
            self.stream.poll_send(cx, send)
        });
        let limit = self.worker.shared.timeouts.write;
        let sent = while_taken(self.stream, self.clock, limit, sending).await;
        let sent = match sent.map_err(Unwritten::from)? {
            Ok(sent) => sent as u64,
            // The file's doing, not the socket's.
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::Other) => {
                return Err(CutShort::body(error));
            }
            Err(error) => return Err(Unwritten::Socket(error).into()),
        };
        region.sent(sent);
        self.left(sent);
        Ok(())
    }
}

/// Whoever waits for the answer may be gone, and this with it.
impl Drop for ResponseWriter<'_> {
    fn drop(&mut self) {
        self.break_off();
    }
}

/// Adds the lines that every answer has, and the end of the head.
pub(super) fn end_head(text: &mut Vec<u8>, worker: &Worker, version: Version, stays: bool) {
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
    /// Nobody wants it to arrive any more.
    Recalled,
}

impl CutShort {
    fn body(error: io::Error) -> Self {
        Self::Body(error.into())
    }
}

impl From<Unwritten> for CutShort {
    fn from(unwritten: Unwritten) -> Self {
        Self::Unwritten(unwritten)
    }
}
