//! A request's body as a service sees it: read from the client only when the service asks for more.
//!
//! Invariants: at most one piece waits between the socket and the service; a body that broke off is an error, never an
//! end; and the client is told to go on (`100 Continue`) only when somebody wants its body.

use std::cell::Cell;
use std::fmt;
use std::future::{pending, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use thiserror::Error;

use super::body::BodyLeft;
use super::buffer::{Buffer, Buffers, LARGE};
use super::clock::Clock;
use crate::body::BoxError;
use crate::stream::Stream;

/// The most that is read at once: below the size from which the allocator asks the kernel each time.
const PIECE: usize = 64 * 1024;
/// With less room than this, more is made.
const LEAST: usize = 4 * 1024;
/// With so much still to come, it is read in larger pieces: fewer calls, and fewer trips from thread to thread.
const BULK: u64 = 1024 * 1024;

/// Makes the two ends of a body that is `left` on the wire.
pub(super) fn pull(left: &BodyLeft) -> (Pulled, Feed) {
    let slot = Slot {
        left: match left {
            BodyLeft::Nothing => Some(0),
            BodyLeft::Length(length) => Some(*length),
            BodyLeft::Chunked(_) | BodyLeft::UntilClose => None,
        },
        over: left.is_over(),
        ..Slot::default()
    };
    let slot = Arc::new(Mutex::new(slot));
    (Pulled(Arc::clone(&slot)), Feed(slot))
}

#[derive(Debug, Default)]
struct Slot {
    piece: Option<Result<Bytes, BoxError>>,
    /// The service waits for a piece.
    wanted: bool,
    /// The last piece was put in, or taken out.
    over: bool,
    /// The service was told that the body broke off.
    failed: bool,
    /// Nobody will put in another piece.
    cut: bool,
    /// The service no longer wants the body.
    abandoned: bool,
    /// Bytes that the service has not seen, when that is known.
    left: Option<u64>,
    service: Option<Waker>,
    feed: Option<Waker>,
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The service's end.
pub(super) struct Pulled(Arc<Mutex<Slot>>);

impl http_body::Body for Pulled {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut slot = lock(&self.0);
        if let Some(piece) = slot.piece.take() {
            slot.failed = piece.is_err();
            if let (Ok(bytes), Some(left)) = (&piece, &mut slot.left) {
                *left = left.saturating_sub(bytes.len() as u64);
            }
            return Poll::Ready(Some(piece.map(Frame::data)));
        }
        if slot.over || slot.failed {
            return Poll::Ready(None);
        }
        if slot.cut {
            slot.failed = true;
            return Poll::Ready(Some(Err(Box::new(BrokenOff))));
        }
        slot.wanted = true;
        slot.service = Some(cx.waker().clone());
        if let Some(feed) = slot.feed.take() {
            feed.wake();
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let slot = lock(&self.0);
        slot.over && slot.piece.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0)
            .left
            .map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Drop for Pulled {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.abandoned = true;
        if let Some(feed) = slot.feed.take() {
            feed.wake();
        }
    }
}

impl fmt::Debug for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pulled")
    }
}

/// The connection's end. When it is dropped before the body's end, the service learns that there is no more.
#[derive(Debug)]
pub(super) struct Feed(Arc<Mutex<Slot>>);

impl Drop for Feed {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.cut = true;
        if let Some(service) = slot.service.take() {
            service.wake();
        }
    }
}

/// Where the bytes come from, and how long they may take.
pub(super) struct Source<'a> {
    pub(super) stream: &'a Stream,
    pub(super) input: &'a mut Option<Buffer>,
    pub(super) buffers: &'a std::rc::Rc<Buffers>,
    pub(super) limit: Duration,
    /// Whether the client waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// Whether the final answer has begun: then there is no telling it to go on.
    pub(super) answering: &'a Cell<bool>,
}

/// The client went away: nobody waits for the answer.
#[derive(Debug)]
pub(crate) struct Gone;

impl Feed {
    /// Whether the client has sent the whole body.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.0).over
    }

    /// Feeds the body for as long as it is wanted, then watches the client.
    pub(super) async fn run(&self, left: &mut BodyLeft, mut source: Source<'_>) -> Gone {
        let mut clock = Clock::default();
        let mut memory = Memory::default();
        while !left.is_over() {
            if !self.wanted().await {
                // Whoever answers without reading knows why.
                return pending().await;
            }
            if std::mem::take(&mut source.expects_continue)
                && !source.answering.get()
                && !tell_to_go_on(source.stream).await
            {
                return Gone;
            }
            match next_piece(left, &mut source, &mut clock, &mut memory).await {
                Ok(piece) => self.put(Ok(piece), left.is_over()),
                Err(error) => {
                    self.put(Err(error), false);
                    return pending().await;
                }
            }
        }
        watch(source.stream, source.input, source.buffers).await
    }

    /// Waits until the service wants a piece; false when it no longer wants any.
    async fn wanted(&self) -> bool {
        poll_fn(|cx| {
            let mut slot = lock(&self.0);
            if slot.abandoned {
                return Poll::Ready(false);
            }
            if slot.wanted && slot.piece.is_none() {
                return Poll::Ready(true);
            }
            slot.feed = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn put(&self, piece: Result<Bytes, BoxError>, over: bool) {
        let mut slot = lock(&self.0);
        // The end of a chunked body may come alone.
        if !matches!(&piece, Ok(bytes) if bytes.is_empty()) {
            slot.piece = Some(piece);
            slot.wanted = false;
        }
        slot.over = over;
        if let Some(service) = slot.service.take() {
            service.wake();
        }
    }
}

/// Tells the client to send its body, unless it does not take anything now: then it goes on by itself after a while (RFC
/// 9110 section 10.1.1). At once or not at all, so that nothing else can come in between. Whether that went well.
async fn tell_to_go_on(stream: &Stream) -> bool {
    const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let wrote = poll_fn(|cx| Poll::Ready(stream.poll_write(cx, &[IoSlice::new(GO_ON)], false))).await;
    match wrote {
        Poll::Pending => true,
        Poll::Ready(Ok(n)) if n == GO_ON.len() => stream.flush().await.is_ok(),
        Poll::Ready(_) => false,
    }
}

/// What a body is read into.
#[derive(Debug, Default)]
struct Memory {
    /// Small pieces share a block of it.
    shared: BytesMut,
    blocks: Blocks,
}

/// Blocks for large pieces. They come back when the service has done with them, from whatever thread, and are used
/// again: new memory would be given by the kernel page by page.
#[derive(Clone, Debug, Default)]
struct Blocks(Arc<Mutex<Vec<Vec<u8>>>>);

impl Blocks {
    fn take(&self) -> Block {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Block {
            bytes: free.unwrap_or_else(|| vec![0; LARGE]),
            home: self.clone(),
        }
    }
}

struct Block {
    bytes: Vec<u8>,
    home: Blocks,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.home
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(bytes);
    }
}

/// The next piece of content; empty when the body ended without one.
async fn next_piece(
    left: &mut BodyLeft,
    source: &mut Source<'_>,
    clock: &mut Clock,
    memory: &mut Memory,
) -> Result<Bytes, BoxError> {
    let broken = || -> BoxError { Box::new(BrokenOff) };
    if let (BodyLeft::Length(length @ BULK..), None) = (&mut *left, &source.input) {
        let mut block = memory.blocks.take();
        let read = clock
            .limit(source.limit, source.stream.read(&mut block.bytes))
            .await;
        let piece = match read.map_err(|_| BodyTimedOut)?? {
            0 => return Err(broken()),
            // Too little to lend a block for.
            read @ ..PIECE => Bytes::copy_from_slice(&block.bytes[..read]),
            read => Bytes::from_owner(block).slice(..read),
        };
        // A block is smaller than what is still to come.
        *length -= piece.len() as u64;
        return Ok(piece);
    }
    if let (BodyLeft::Length(length), None) = (&mut *left, &source.input) {
        let bytes = &mut memory.shared;
        // Straight into memory that the service may keep; many small pieces share a block of it.
        if bytes.capacity() - bytes.len() < LEAST {
            bytes.reserve(PIECE);
        }
        let read = clock.limit(source.limit, source.stream.read_onto(bytes)).await;
        if read.map_err(|_| BodyTimedOut)?? == 0 {
            return Err(broken());
        }
        let len = usize::try_from(*length).map_or(bytes.len(), |length| length.min(bytes.len()));
        let piece = bytes.split_to(len).freeze();
        *length -= len as u64;
        if *length == 0 {
            *left = BodyLeft::Nothing;
        }
        if !bytes.is_empty() {
            // The next request has come with the end of this one.
            let input = source.input.insert(source.buffers.take());
            input.append(&bytes.split());
        }
        return Ok(piece);
    }
    loop {
        let buffer = source.input.get_or_insert_with(|| source.buffers.take());
        let content = left.gather(buffer.filled_mut())?;
        let piece = Bytes::copy_from_slice(buffer.filled().get(..content.len).unwrap_or_default());
        buffer.consume(content.consumed);
        if !piece.is_empty() || left.is_over() {
            if buffer.is_empty() {
                *source.input = None;
            }
            return Ok(piece);
        }
        let read = clock
            .limit(source.limit, source.stream.read(buffer.space()))
            .await;
        match read.map_err(|_| BodyTimedOut)?? {
            0 => return Err(broken()),
            n => buffer.filled_by(n),
        }
    }
}

/// Watches a client that has sent its request and waits, until it goes away. What it sends meanwhile becomes the input.
pub(crate) async fn watch(
    stream: &Stream,
    input: &mut Option<Buffer>,
    buffers: &std::rc::Rc<Buffers>,
) -> Gone {
    loop {
        if poll_fn(|cx| stream.poll_readable(cx)).await.is_err() {
            return Gone;
        }
        let buffer = input.get_or_insert_with(|| buffers.take());
        if buffer.space().is_empty() {
            // It has sent enough for now; whether it is still there shows when it is answered.
            return pending().await;
        }
        match stream.read(buffer.space()).await {
            Ok(0) | Err(_) => return Gone,
            Ok(n) => buffer.filled_by(n),
        }
    }
}

/// The client stopped sending in the middle of a body.
#[derive(Clone, Copy, Debug, Error)]
#[error("the client sent no more of its body in time")]
pub(crate) struct BodyTimedOut;

/// The client went away in the middle of a body.
#[derive(Clone, Copy, Debug, Error)]
#[error("the client went away in the middle of its body")]
pub(crate) struct BrokenOff;

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_that_nobody_feeds_any_more_breaks_off_behind_what_had_come() {
        let (mut body, feed) = pull(&BodyLeft::Length(10));
        feed.put(Ok(Bytes::from_static(b"four")), false);
        drop(feed);
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece, "four");
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.is::<BrokenOff>(), "{error}");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_body_that_was_fed_whole_ends() {
        let (body, feed) = pull(&BodyLeft::Length(4));
        feed.put(Ok(Bytes::from_static(b"four")), true);
        drop(feed);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "four");
    }
}
