//! A request's body as it comes from the client: each piece within a time, and known to have ended or not.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use thiserror::Error;
use tokio::time::{Sleep, sleep};

use super::clocked::Reading;
use crate::body::BoxError;

/// A request's body. Pieces must follow each other within `limit`.
pub(crate) struct Incoming {
    body: hyper::body::Incoming,
    limit: Duration,
    /// Runs while a piece is waited for; made when first needed, since most requests have no body.
    clock: Option<Pin<Box<Sleep>>>,
    /// For whoever watches over the connection.
    reading: Reading,
}

impl Incoming {
    pub(super) fn new(body: hyper::body::Incoming, limit: Duration, reading: Reading) -> Self {
        match body.is_end_stream() {
            true => reading.end(),
            false => reading.begin(),
        }
        Self {
            body,
            limit,
            clock: None,
            reading,
        }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.clock = None;
                if frame.is_none() || this.body.is_end_stream() {
                    this.reading.end();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let clock = this.clock.get_or_insert_with(|| Box::pin(sleep(this.limit)));
                std::task::ready!(clock.as_mut().poll(cx));
                Poll::Ready(Some(Err(Box::new(BodyTimedOut))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.reading.leave();
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("size", &self.body.size_hint())
            .finish_non_exhaustive()
    }
}

/// The client stopped sending in the middle of a body.
#[derive(Clone, Copy, Debug, Error)]
#[error("the client sent no more of its body in time")]
pub(crate) struct BodyTimedOut;

/// How a body that was passed on came to its end; shared between the body and whoever passed it on.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyEnd(Arc<AtomicU8>);

/// See [`BodyEnd`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Ended {
    /// It has not: bytes may still come.
    NotYet,
    /// Whole.
    Whole,
    /// It grew over its limit.
    TooLarge,
    /// The client stopped sending.
    TimedOut,
    /// The connection broke, or the framing was wrong.
    Broken,
}

impl BodyEnd {
    pub(crate) fn set(&self, ended: Ended) {
        self.0.store(ended as u8, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self) -> Ended {
        match self.0.load(Ordering::Relaxed) {
            1 => Ended::Whole,
            2 => Ended::TooLarge,
            3 => Ended::TimedOut,
            4 => Ended::Broken,
            _ => Ended::NotYet,
        }
    }

    /// Files an error of an [`Incoming`] body under its kind.
    pub(crate) fn set_error(&self, error: &BoxError) {
        self.set(if error.is::<BodyTimedOut>() {
            Ended::TimedOut
        } else {
            Ended::Broken
        });
    }
}
