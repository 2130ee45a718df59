//! A byte stream over a socket: of a client or of an upstream, plain or with TLS.
//!
//! Its operations take `&self`, because one task reads and writes a connection at the same time.
//!
//! Invariant: a short read or write tells the reactor that the socket is exhausted, so that the next attempt waits
//! instead of asking the kernel in vain.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, sockopt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

mod account;
mod prefixed;
mod records;

use self::account::Account;
pub(crate) use self::account::{Gone, Position, Witness};
pub(crate) use self::prefixed::Prefixed;

/// See the module.
#[derive(Debug)]
pub(crate) struct Stream {
    kind: RefCell<Kind>,
    account: Rc<Account>,
}

#[derive(Debug)]
enum Kind {
    Plain(Plain),
    Tls(Box<TlsStream<Prefixed>>),
}

/// A socket of the kernel's, and nothing in between.
#[derive(Debug)]
pub(crate) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<Plain> for Stream {
    fn from(plain: Plain) -> Self {
        Self {
            account: Rc::new(Account::new(plain.forgets_unread())),
            kind: RefCell::new(Kind::Plain(plain)),
        }
    }
}

impl From<TlsStream<Prefixed>> for Stream {
    fn from(stream: TlsStream<Prefixed>) -> Self {
        Self {
            account: Rc::clone(stream.get_ref().0.account()),
            kind: RefCell::new(Kind::Tls(Box::new(stream))),
        }
    }
}

impl Stream {
    /// Reads into `space`; 0 means the other side has ended.
    pub(crate) async fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, space)).await
    }

    /// Appends what comes to `bytes`; 0 means the other side has ended.
    pub(crate) async fn read_onto(&self, bytes: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|cx| {
            let read = match &mut *self.kind.borrow_mut() {
                Kind::Plain(plain) => std::pin::pin!(plain.read_buf(bytes)).poll(cx),
                Kind::Tls(stream) => std::pin::pin!(stream.read_buf(bytes)).poll(cx),
            };
            self.noted(read)
        })
        .await
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Kind::Tls(stream) = &mut *self.kind.borrow_mut() {
            let mut space = ReadBuf::new(space);
            let read = Pin::new(&mut **stream).poll_read(cx, &mut space);
            return self.noted(read.map_ok(|()| space.filled().len()));
        }
        let all = space.len();
        self.poll_some(cx, Interest::READABLE, all, |socket| {
            Ok(rustix::net::recv(socket, &mut *space, RecvFlags::empty())?.0)
        })
    }

    /// Writes some of `slices`. With `more` to follow at once, a plain socket may wait with the rest of a packet for it.
    pub(crate) async fn write_some(&self, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        match poll_fn(|cx| self.poll_write(cx, slices, more)).await {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            written => written,
        }
    }

    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        if let Kind::Tls(stream) = &mut *self.kind.borrow_mut() {
            return self.noted(Pin::new(&mut **stream).poll_write_vectored(cx, slices));
        }
        let all = slices.iter().map(|slice| slice.len()).sum();
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, more);
        self.poll_some(cx, Interest::WRITABLE, all, |socket| match slices {
            [slice] => Ok(rustix::net::send(socket, slice, flags)?),
            slices => {
                let mut control = SendAncillaryBuffer::default();
                Ok(rustix::net::sendmsg(socket, slices, &mut control, flags)?)
            }
        })
    }

    /// Waits until the kernel has all that was written; with TLS something may be left here.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        if self.is_plain() {
            return Ok(());
        }
        poll_fn(|cx| match &mut *self.kind.borrow_mut() {
            Kind::Plain(_) => Poll::Ready(Ok(())),
            Kind::Tls(stream) => self.noted(Pin::new(&mut **stream).poll_flush(cx)),
        })
        .await
    }

    /// Says that nothing more will be written.
    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let ended = match &mut *self.kind.borrow_mut() {
                Kind::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
                Kind::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            };
            if matches!(ended, Poll::Ready(Ok(()))) {
                self.account.ledger.end();
            }
            self.noted(ended)
        })
        .await
    }

    /// Has the connection end with a reset when it is dropped, so that nobody takes a part for the whole.
    pub(crate) fn reset_when_dropped(&self) {
        // Should it fail, the connection ends in the ordinary way.
        let _ = self.with_socket(|socket| sockopt::set_socket_linger(socket, Some(Duration::ZERO)));
    }

    fn noted<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &outcome
            && is_final(error)
        {
            self.account.ledger.fail();
        }
        outcome
    }

    /// Whether bytes can go between the socket and the kernel without passing through this process.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(&*self.kind.borrow(), Kind::Plain(_))
    }

    /// Waits until a plain socket has bytes to read, or has ended. Needs no buffer. With TLS nobody can tell without
    /// reading: ready at once.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.kind.borrow() {
            Kind::Plain(Plain::Tcp(stream)) => stream.poll_read_ready(cx),
            Kind::Plain(Plain::Unix(stream)) => stream.poll_read_ready(cx),
            Kind::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether a socket has bytes to read, or has ended. The kernel is asked only when the reactor does not know that
    /// there is nothing. With TLS nobody can tell: there may be.
    pub(crate) fn has_news(&self) -> bool {
        let Kind::Plain(plain) = &*self.kind.borrow() else {
            return true;
        };
        let looked = plain.try_call(Interest::READABLE, |socket| {
            Ok(rustix::net::recv(
                socket,
                &mut [0],
                RecvFlags::PEEK | RecvFlags::DONTWAIT,
            )?)
        });
        let Poll::Ready(looked) = self.noted(Poll::Ready(looked)) else {
            return false;
        };
        !matches!(looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Runs a system call that moves bytes to a plain socket, until it no longer says that it would block.
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let moved = ready!(self.poll_call(cx, Interest::WRITABLE, call))?;
        self.account.ledger.wrote(moved as u64);
        Poll::Ready(Ok(moved))
    }

    /// Runs a system call that takes bytes from a plain socket, until it no longer says that it would block. Whatever else
    /// it may be short of, that it took little says nothing about how much the socket has.
    pub(crate) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_call(cx, Interest::READABLE, call)
    }

    fn poll_call(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Kind::Plain(plain) = &*self.kind.borrow() else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        loop {
            ready!(plain.poll_ready(cx, interest))?;
            match plain.try_call(interest, &mut call) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return self.noted(Poll::Ready(result)),
            }
        }
    }

    /// Runs a system call that may move up to `all` bytes. When it moves some and not all, the socket has no more for
    /// now: the reactor is told so, which saves asking the kernel once more to hear the same.
    pub(crate) fn poll_some(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        all: usize,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Kind::Plain(plain) = &*self.kind.borrow() else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        loop {
            ready!(plain.poll_ready(cx, interest))?;
            let mut some = None;
            let result = plain.try_call(interest, |socket| {
                let moved = call(socket)?;
                if 0 < moved && moved < all {
                    some = Some(moved);
                    // The reactor takes this for what it is to mean.
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(moved)
            });
            let moved = match (some, result) {
                (Some(moved), _) | (None, Ok(moved)) => moved,
                (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => continue,
                (None, Err(error)) => return self.noted(Poll::Ready(Err(error))),
            };
            if interest.is_writable() {
                self.account.ledger.wrote(moved as u64);
            }
            return Poll::Ready(Ok(moved));
        }
    }

    /// Bytes that were written and that the other side has not taken yet, if the kernel knows.
    pub(crate) fn untaken(&self) -> Option<u64> {
        self.with_socket(truehop_delivery::unacknowledged).ok()
    }

    /// Bytes that have left for the socket, as the kernel counts them.
    pub(crate) fn written(&self) -> u64 {
        self.account.ledger.written()
    }

    /// Where the next byte that is written will stand, for [`give_up`](Self::give_up). `None` when nobody
    /// can tell: with TLS, while something is left here.
    pub(crate) fn position(&self) -> Option<Position> {
        let kind = self.kind.borrow();
        let Kind::Tls(stream) = &*kind else {
            return Some(self.account.position());
        };
        let (_, connection) = stream.get_ref();
        if connection.wants_write() {
            return None;
        }
        let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        let overhead = records::overhead(connection.protocol_version(), suite);
        Some(self.account.position_sealed(overhead))
    }

    /// Ends the connection, and has nothing more arrive of what the kernel still holds. How many bytes behind a position
    /// have, if one is known.
    pub(crate) fn give_up(&self, position: Option<Position>) -> Option<Gone> {
        self.with_socket(|socket| self.account.give_up(socket, position))
    }

    /// Looks how much has arrived, if the kernel will not know any more once the other side is gone.
    pub(crate) fn look_in_time(&self) {
        if self.account.ledger.forgets_unread() {
            self.with_socket(|socket| self.account.ledger.look(socket));
        }
    }

    /// Somebody who can ask after the stream is gone.
    pub(crate) fn witness(&self) -> io::Result<Witness> {
        Ok(Witness {
            socket: self.with_socket(|socket| socket.try_clone_to_owned())?,
            account: Rc::clone(&self.account),
        })
    }

    fn with_socket<T>(&self, ask: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match &*self.kind.borrow() {
            Kind::Plain(plain) => ask(plain.socket()),
            Kind::Tls(stream) => ask(stream.get_ref().0.socket()),
        }
    }
}

/// Whether a socket that gives this error will never be well again.
fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
    )
}

impl Plain {
    /// Whether the kernel takes bytes for read when their reader goes away without reading them.
    fn forgets_unread(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<()>> {
        match (self, interest.is_writable()) {
            (Self::Tcp(stream), true) => stream.poll_write_ready(cx),
            (Self::Tcp(stream), false) => stream.poll_read_ready(cx),
            (Self::Unix(stream), true) => stream.poll_write_ready(cx),
            (Self::Unix(stream), false) => stream.poll_read_ready(cx),
        }
    }

    fn try_call<T>(
        &self,
        interest: Interest,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, || call(stream.as_fd())),
            Self::Unix(stream) => stream.try_io(interest, || call(stream.as_fd())),
        }
    }

    fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, space),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, space),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The kernel has it.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
