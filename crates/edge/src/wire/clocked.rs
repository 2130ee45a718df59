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
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
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
    idle: Duration,
    header: Duration,
    clock: RefCell<Pin<Box<Sleep>>>,
    unread: Arc<AtomicBool>,
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
}

impl Phase {
    pub(super) fn new(timeouts: &TimeoutsConfig) -> Self {
        Self {
            now: Cell::new(Now::Resting),
            idle: timeouts.idle,
            header: timeouts.header,
            clock: RefCell::new(Box::pin(sleep_until(Instant::now()))),
            unread: Arc::default(),
        }
    }

    pub(super) fn answering(&self) {
        self.now.set(Now::Answering);
    }

    pub(super) fn answered(&self) {
        self.now.set(Now::Resting);
    }

    fn got_bytes(&self) {
        if matches!(self.now.get(), Now::Resting | Now::Idle) {
            self.now.set(Now::Begun);
        }
    }

    /// Ready when the client has taken too long for a whole head. To be polled after the connection itself.
    pub(super) fn poll_late(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut clock = self.clock.borrow_mut();
        match self.now.get() {
            Now::Answering => return Poll::Pending,
            Now::Resting => {
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

    /// Set while a request's body has not been read to its end.
    pub(super) fn unread(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.unread)
    }
}

/// A client's socket with its clocks.
pub(super) struct Clocked<S> {
    stream: S,
    write: Duration,
    write_clock: Option<Pin<Box<Sleep>>>,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
    connection: Rc<Connection>,
    confirmations: Rc<RefCell<JoinSet<()>>>,
}

impl<S> Clocked<S> {
    pub(super) fn new(
        stream: S,
        timeouts: &TimeoutsConfig,
        connection: Rc<Connection>,
        confirmations: Rc<RefCell<JoinSet<()>>>,
    ) -> Self {
        Self {
            stream,
            write: timeouts.write,
            write_clock: None,
            linger: None,
            connection,
            confirmations,
        }
    }

    fn wrote(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if result.is_ready() {
            self.write_clock = None;
            return result;
        }
        let write = self.write;
        let clock = self
            .write_clock
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + write)));
        ready!(clock.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client did not take the response in time",
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
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.connection.phase.got_bytes();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Clocked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The engine flushes when its own buffer is empty: whatever ended before this is with the kernel now.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.connection.flushed(self.stream.socket(), &self.confirmations);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.connection.phase.unread.load(Ordering::Relaxed) {
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
