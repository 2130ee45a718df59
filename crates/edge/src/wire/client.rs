//! HTTP/1.1 to an upstream: one connection, one request at a time.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clocked::WriteClock;
use crate::body::{Body, BoxError};

/// A connection to an upstream, ready for one request at a time. The socket is driven by a task of its own.
#[derive(Debug)]
pub(crate) struct UpstreamConnection(http1::SendRequest<Body>);

impl UpstreamConnection {
    /// Speaks HTTP/1.1 over `stream`; a response's head may have `head_limit` bytes, and the upstream may take `patience`
    /// for each piece that is sent to it.
    pub(crate) async fn start<S>(stream: S, head_limit: usize, patience: Duration) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(head_limit)
            .handshake::<_, Body>(TokioIo::new(Patient {
                stream,
                clock: WriteClock::new(patience),
            }))
            .await
            .map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "connection to an upstream ended");
            }
        });
        Ok(Self(sender))
    }

    /// Whether a request can be sent now: the last one is through and the upstream has not closed.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    /// Sends one request and waits for the head of its response.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
        match self.0.try_send_request(request).await {
            Ok(response) => Ok(response.map(Body::new)),
            Err(mut failed) => {
                let unsent = failed.take_message();
                let error = failed.into_error();
                Err(NoAnswer {
                    unsent,
                    timed_out: is_timeout(&error),
                    error: error.into(),
                })
            }
        }
    }
}

/// An upstream's socket on which no write waits for ever. Reads have their clocks where responses are awaited.
struct Patient<S> {
    stream: S,
    clock: WriteClock,
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.clock.check(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.clock.check(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The connection ended before a response's head came.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    /// The request, when not a byte of it was sent.
    pub(crate) unsent: Option<Request<Body>>,
    /// Whether the upstream did not take the request in time.
    pub(crate) timed_out: bool,
    pub(crate) error: BoxError,
}

fn is_timeout(error: &hyper::Error) -> bool {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}
