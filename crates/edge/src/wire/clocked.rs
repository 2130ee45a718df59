//! A client's socket on which no wait is endless.
//!
//! Three clocks, one at a time: *idle* until the first byte of a request, *header* from that byte until the head is
//! whole ([`Phase`]), and *write* while the client does not take what is sent ([`Clocked`]). While a request is being
//! answered only the last one runs; bodies have their own clock ([`Incoming`](super::Incoming)).
//!
//! Invariant: bytes that drip in do not wind the header clock up again.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Connection, Socket};
use crate::config::TimeoutsConfig;

/// Bytes and time that a client gets to notice that its body is not wanted, before the connection is closed on it.
/// Closing with unread bytes would make the kernel reset the connection, and the answer could be lost with it.
const LINGER_BYTES: usize = 4 << 20;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Where a connection stands between requests, and the clock that ends a wait for the next.
#[derive(Debug)]
pub(super) struct Phase {
    now: Cell<Now>,
    /// Requests whose answer is not out yet.
    unanswered: Cell<u32>,
    idle: Duration,
    header: Duration,
    clock: RefCell<Pin<Box<Sleep>>>,
    reading: Reading,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Now {
    /// No byte of a next request yet; the idle clock is to be wound up.
    Resting,
    /// No byte of a next request yet; the idle clock runs.
    Idle,
    /// The first bytes of a head; the header clock is to be wound up.
    Begun,
    /// Some bytes of a head; the header clock runs.
    Head,
    /// A request is being answered; no clock runs.
    Answering,
    /// The answer is out; the idle clock is to be wound up once nobody reads the request's body any more.
    Answered,
}

/// Whether a request's body is still being read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading(Arc<AtomicU8>);

impl Reading {
    const ENDED: u8 = 0;
    const UNDER_WAY: u8 = 1;
    const LEFT: u8 = 2;

    /// Bytes may still come, and somebody reads them.
    pub(super) fn begin(&self) {
        self.0.store(Self::UNDER_WAY, Ordering::Relaxed);
    }

    /// All has come.
    pub(super) fn end(&self) {
        self.0.store(Self::ENDED, Ordering::Relaxed);
    }

    /// Nobody reads what may still come.
    pub(super) fn leave(&self) {
        // Only from "under way": what has ended stays so.
        let _ = self
            .0
            .compare_exchange(Self::UNDER_WAY, Self::LEFT, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn is_under_way(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::UNDER_WAY
    }

    fn has_ended(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::ENDED
    }
}

impl Phase {
    pub(super) fn new(timeouts: &TimeoutsConfig) -> Self {
        Self {
            now: Cell::new(Now::Resting),
            unanswered: Cell::default(),
            idle: timeouts.idle,
            header: timeouts.header,
            clock: RefCell::new(Box::pin(sleep_until(Instant::now()))),
            reading: Reading::default(),
        }
    }

    pub(super) fn answering(&self) {
        self.unanswered.set(self.unanswered.get() + 1);
        self.now.set(Now::Answering);
    }

    /// One answer is out. With pipelining the next request may be under way already.
    pub(super) fn answered(&self) {
        self.unanswered.set(self.unanswered.get().saturating_sub(1));
        if self.unanswered.get() == 0 {
            self.now.set(Now::Answered);
        }
    }

    fn got_bytes(&self) {
        let between = match self.now.get() {
            Now::Resting | Now::Idle => true,
            Now::Answered => !self.reading.is_under_way(),
            Now::Begun | Now::Head | Now::Answering => false,
        };
        if between {
            self.now.set(Now::Begun);
        }
    }

    /// Ready when the client has taken too long for a whole head. To be polled after the connection itself.
    pub(super) fn poll_late(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut clock = self.clock.borrow_mut();
        match self.now.get() {
            Now::Answering => return Poll::Pending,
            // The body has a clock of its own.
            Now::Answered if self.reading.is_under_way() => return Poll::Pending,
            Now::Resting | Now::Answered => {
                clock.as_mut().reset(Instant::now() + self.idle);
                self.now.set(Now::Idle);
            }
            Now::Begun => {
                clock.as_mut().reset(Instant::now() + self.header);
                self.now.set(Now::Head);
            }
            Now::Idle | Now::Head => {}
        }
        clock.as_mut().poll(cx)
    }

    /// Tells whether the body of the request under way is still being read.
    pub(super) fn reading(&self) -> Reading {
        self.reading.clone()
    }
}

/// A client's socket with its clocks.
pub(super) struct Clocked<S> {
    stream: S,
    write_clock: WriteClock,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
    connection: Rc<Connection>,
}

impl<S> Clocked<S> {
    pub(super) fn new(stream: S, timeouts: &TimeoutsConfig, connection: Rc<Connection>) -> Self {
        Self {
            stream,
            write_clock: WriteClock::new(timeouts.write),
            linger: None,
            connection,
        }
    }

    /// Remembers that the socket has failed; a confirmation may have to know.
    fn noticed<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(result, Poll::Ready(Err(_))) {
            self.connection.broken.set(true);
        }
        result
    }
}

/// Ends a wait for a peer that does not take what is sent.
#[derive(Debug)]
pub(super) struct WriteClock {
    limit: Duration,
    clock: Option<Pin<Box<Sleep>>>,
}

impl WriteClock {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, clock: None }
    }

    /// Passes on what a write came to; one that waits longer than the limit is an error.
    pub(super) fn check(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if result.is_ready() {
            self.clock = None;
            return result;
        }
        let limit = self.limit;
        let clock = self
            .clock
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(clock.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer did not take what was sent in time",
        )))
    }
}

impl<S: Socket> AsyncRead for Clocked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        ready!(this.noticed(read))?;
        if buf.filled().len() > before {
            this.connection.phase.got_bytes();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Clocked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        let result = self.write_clock.check(cx, result);
        self.noticed(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        let result = self.write_clock.check(cx, result);
        self.noticed(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The engine flushes when its own buffer is empty: whatever ended before this is with the kernel now.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.connection.flushed(&self.stream);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if this.connection.phase.reading.has_ended() {
                return Poll::Ready(Ok(()));
            }
        }
        let (clock, taken) = this
            .linger
            .get_or_insert_with(|| (Box::pin(sleep_until(Instant::now() + LINGER_TIME)), 0));
        let mut scratch = [0; 8192];
        while clock.as_mut().poll(cx).is_pending() && *taken < LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *taken += buf.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
