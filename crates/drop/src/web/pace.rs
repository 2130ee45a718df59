//! The least speed of an upload.
//!
//! The host ends an upload that says nothing for a while; a client that says a byte now and then would hold its place
//! for ever. So in every [`WINDOW`] at least [`LEAST`] bytes must come.
//!
//! Invariant: only time counts in which we wait for the client. A disk that is slow here is not the client's fault.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

const WINDOW: Duration = Duration::from_secs(60);
const LEAST: u64 = 64 * 1024;

/// A body that fails with [`TooSlow`] when too little of it comes.
pub(super) struct Paced {
    body: BodyDataStream,
    /// Bytes of this window.
    came: u64,
    /// Time waited in this window, before the current wait.
    waited: Duration,
    /// The current wait: since when, and the window's end.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Paced {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            came: 0,
            waited: Duration::ZERO,
            waiting: None,
        }
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(piece) = Pin::new(&mut this.body).poll_next(cx) {
            if let Some((since, _)) = this.waiting.take() {
                this.waited += since.elapsed();
            }
            if let Some(Ok(bytes)) = &piece {
                this.came += bytes.len() as u64;
            }
            return Poll::Ready(piece.map(|piece| piece.map_err(Into::into)));
        }
        loop {
            let rest = WINDOW.saturating_sub(this.waited);
            let (_, end) = this.waiting.get_or_insert_with(|| {
                let now = Instant::now();
                (now, Box::pin(sleep_until(now + rest)))
            });
            ready!(end.as_mut().poll(cx));
            if this.came < LEAST {
                return Poll::Ready(Some(Err(TooSlow.into())));
            }
            (this.came, this.waited, this.waiting) = (0, Duration::ZERO, None);
        }
    }
}

/// Too little came.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooSlow;

impl TooSlow {
    /// Whether this is why a body ended.
    pub(super) fn is(error: &(dyn Error + 'static)) -> bool {
        error.is::<Self>() || error.source().is_some_and(Self::is)
    }
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upload was too slow")
    }
}

impl Error for TooSlow {}
