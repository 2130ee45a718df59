//! A socket some of whose bytes have been read already: what came behind a PROXY header, on its way to TLS.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Plain;
use super::account::Account;

/// Gives the bytes that were read back first, then those of the socket. Keeps account of what is written.
#[derive(Debug)]
pub(crate) struct Prefixed {
    read: Bytes,
    socket: Plain,
    account: Rc<Account>,
}

impl Prefixed {
    pub(crate) fn new(read: Bytes, socket: Plain) -> Self {
        let account = Rc::new(Account::new(socket.forgets_unread()));
        Self {
            read,
            socket,
            account,
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.socket()
    }

    pub(super) fn account(&self) -> &Rc<Account> {
        &self.account
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, space);
        }
        let len = self.read.len().min(space.remaining());
        space.put_slice(&self.read[..len]);
        self.read.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, slices))?;
        self.account.wrote_sealed(self.socket.socket(), slices, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
