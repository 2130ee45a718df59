//! A byte stream over a socket: of a client or of an upstream, plain or with TLS.
//!
//! Its operations take `&self`, because one task reads and writes a connection at the same time.
//!
//! Invariant: a short read or write tells the reactor that the socket is exhausted, so that the next attempt waits
//! instead of asking the kernel in vain.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

mod prefixed;

pub(crate) use self::prefixed::Prefixed;

/// See the module.
#[derive(Debug)]
pub(crate) struct Stream(RefCell<Kind>);

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
        Self(RefCell::new(Kind::Plain(plain)))
    }
}

impl From<TlsStream<Prefixed>> for Stream {
    fn from(stream: TlsStream<Prefixed>) -> Self {
        Self(RefCell::new(Kind::Tls(Box::new(stream))))
    }
}

impl Stream {
    /// Reads into `space`; 0 means the other side has ended.
    pub(crate) async fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, space)).await
    }

    /// Appends what comes to `bytes`; 0 means the other side has ended.
    pub(crate) async fn read_onto(&self, bytes: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|cx| match &mut *self.0.borrow_mut() {
            Kind::Plain(plain) => std::pin::pin!(plain.read_buf(bytes)).poll(cx),
            Kind::Tls(stream) => std::pin::pin!(stream.read_buf(bytes)).poll(cx),
        })
        .await
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut space = ReadBuf::new(space);
        let read = match &mut *self.0.borrow_mut() {
            Kind::Plain(plain) => Pin::new(plain).poll_read(cx, &mut space),
            Kind::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, &mut space),
        };
        read.map_ok(|()| space.filled().len())
    }

    /// Writes all of `slices`.
    pub(crate) async fn write_all(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.write_all_counting(slices, &mut 0).await
    }

    /// Writes all of `slices`; `count` tells how much has left also when it fails.
    pub(crate) async fn write_all_counting(
        &self,
        mut slices: &mut [IoSlice<'_>],
        count: &mut usize,
    ) -> io::Result<()> {
        // Without this an empty first slice would look like a socket that takes nothing.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let written = poll_fn(|cx| self.poll_write(cx, slices)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            *count += written;
            IoSlice::advance_slices(&mut slices, written);
        }
        match &*self.0.borrow() {
            Kind::Plain(_) => return Ok(()),
            Kind::Tls(_) => {}
        }
        poll_fn(|cx| match &mut *self.0.borrow_mut() {
            Kind::Plain(_) => Poll::Ready(Ok(())),
            Kind::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        })
        .await
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut *self.0.borrow_mut() {
            Kind::Plain(plain) => Pin::new(plain).poll_write_vectored(cx, slices),
            Kind::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| match &mut *self.0.borrow_mut() {
            Kind::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Kind::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        })
        .await
    }

    /// Whether bytes can go between the socket and the kernel without passing through this process.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(&*self.0.borrow(), Kind::Plain(_))
    }

    /// Waits until a plain socket has bytes to read, or has ended. Needs no buffer. With TLS nobody can tell without
    /// reading: ready at once.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.0.borrow() {
            Kind::Plain(Plain::Tcp(stream)) => stream.poll_read_ready(cx),
            Kind::Plain(Plain::Unix(stream)) => stream.poll_read_ready(cx),
            Kind::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether a plain socket has bytes to read, or has ended, as far as is known without asking the kernel.
    pub(crate) fn has_news(&self) -> bool {
        self.poll_readable(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    /// Runs a system call on a plain socket until it no longer says that it would block.
    pub(crate) fn poll_call<T>(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let kind = self.0.borrow();
        let Kind::Plain(plain) = &*kind else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        loop {
            let result = match plain {
                Plain::Tcp(stream) => {
                    ready!(match interest.is_writable() {
                        true => stream.poll_write_ready(cx),
                        false => stream.poll_read_ready(cx),
                    })?;
                    stream.try_io(interest, || call(stream.as_fd()))
                }
                Plain::Unix(stream) => {
                    ready!(match interest.is_writable() {
                        true => stream.poll_write_ready(cx),
                        false => stream.poll_read_ready(cx),
                    })?;
                    stream.try_io(interest, || call(stream.as_fd()))
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Writes `bytes` to a plain socket and tells the kernel that more follows at once, so that it waits for that with
    /// the packet. With TLS: as [`write_all`](Self::write_all).
    pub(crate) async fn write_before_more(&self, mut bytes: &[u8]) -> io::Result<()> {
        if !self.is_plain() {
            return self.write_all(&mut [IoSlice::new(bytes)]).await;
        }
        while !bytes.is_empty() {
            let send = |socket: BorrowedFd<'_>| {
                let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
                let mut control = SendAncillaryBuffer::default();
                Ok(rustix::net::sendmsg(
                    socket,
                    &[IoSlice::new(bytes)],
                    &mut control,
                    flags,
                )?)
            };
            let sent = poll_fn(|cx| self.poll_call(cx, Interest::WRITABLE, send)).await?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Another descriptor of the same socket.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        match &*self.0.borrow() {
            Kind::Plain(plain) => plain.socket().try_clone_to_owned(),
            Kind::Tls(stream) => stream.get_ref().0.plain().socket().try_clone_to_owned(),
        }
    }

    /// Whether the kernel takes bytes for read when their reader goes away without reading them.
    pub(crate) fn forgets_unread(&self) -> bool {
        let is_unix = |plain: &Plain| matches!(plain, Plain::Unix(_));
        match &*self.0.borrow() {
            Kind::Plain(plain) => is_unix(plain),
            Kind::Tls(stream) => is_unix(stream.get_ref().0.plain()),
        }
    }
}

impl Plain {
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
