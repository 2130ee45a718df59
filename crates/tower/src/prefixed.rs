//! A stream some of whose bytes were read already.
//!
//! Invariant: a reader sees those bytes first, each once and in order, and then the stream's own; writing is the
//! stream's alone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pin_project! {
    /// A stream that begins with bytes which were read from it before: what [`read_preface`](crate::read_preface)
    /// gives back. Reads and writes like the stream itself.
    #[derive(Debug)]
    pub struct Prefixed<S> {
        #[pin]
        stream: S,
        // Not yet replayed; the first `replayed` are. Freed when all are.
        bytes: Vec<u8>,
        replayed: usize,
    }
}

impl<S> Prefixed<S> {
    /// `bytes`, and then `stream`.
    pub fn new(stream: S, bytes: Vec<u8>) -> Self {
        Self {
            stream,
            // Nothing to replay keeps no memory either.
            bytes: if bytes.is_empty() { Vec::new() } else { bytes },
            replayed: 0,
        }
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream. What is read from it directly comes after the bytes that were not replayed yet.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream, and the bytes that were not replayed yet.
    pub fn into_parts(mut self) -> (S, Vec<u8>) {
        self.bytes.drain(..self.replayed);
        (self.stream, self.bytes)
    }
}

impl<S: AsyncRead> AsyncRead for Prefixed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let left = &this.bytes[*this.replayed..];
        if left.is_empty() {
            return this.stream.poll_read(cx, buf);
        }
        let now = left.len().min(buf.remaining());
        buf.put_slice(&left[..now]);
        *this.replayed += now;
        if *this.replayed == this.bytes.len() {
            *this.bytes = Vec::new();
            *this.replayed = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite> AsyncWrite for Prefixed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
