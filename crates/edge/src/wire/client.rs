//! HTTP/1.1 to an upstream: one connection, one request at a time.

use std::io;

use http::{Request, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::{Body, BoxError};

/// A connection to an upstream, ready for one request at a time. The socket is driven by a task of its own.
#[derive(Debug)]
pub(crate) struct UpstreamConnection(http1::SendRequest<Body>);

impl UpstreamConnection {
    /// Speaks HTTP/1.1 over `stream`; a response's head may have `head_limit` bytes.
    pub(crate) async fn start<S>(stream: S, head_limit: usize) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(head_limit)
            .handshake::<_, Body>(TokioIo::new(stream))
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
                Err(NoAnswer {
                    unsent,
                    error: failed.into_error().into(),
                })
            }
        }
    }
}

/// The connection ended before a response's head came.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    /// The request, when not a byte of it was sent.
    pub(crate) unsent: Option<Request<Body>>,
    pub(crate) error: BoxError,
}
