//! Two sockets that speak a protocol of their own through this server.
//!
//! Invariants: it begins only when both sides have agreed ([RFC 9110 section 7.8]); an end of one side is passed on to
//! the other; and a tunnel through which nothing has gone for long is closed.
//!
//! [RFC 9110 section 7.8]: https://www.rfc-editor.org/rfc/rfc9110.html#section-7.8

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use crate::server::Worker;
use crate::stream::Stream;
use crate::wire::{Buffer, Buffers, Clock, Late};

/// An upstream with which both sides have agreed on another protocol.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(super) upstream: Stream,
    /// What has been read from it already.
    pub(super) read: Buffer,
}

impl Tunnel {
    /// Carries bytes both ways until both sides have ended, one fails, or nothing moves for the time that is configured.
    /// `input` is what has been read from the client. Gives back the bytes that went to it.
    pub(crate) async fn carry(
        self,
        client: &Stream,
        input: Option<Buffer>,
        worker: &Worker,
        clock: &mut Clock,
    ) -> u64 {
        let (patience, buffers) = (worker.shared.timeouts.tunnel, &worker.buffers);
        let read = Some(self.read).filter(|read| !read.is_empty());
        let input = input.filter(|input| !input.is_empty());
        let (up, down) = (Cell::new(0), Cell::new(0));
        let mut upward = pin!(carry(client, &self.upstream, input, buffers, &up));
        let mut downward = pin!(carry(&self.upstream, client, read, buffers, &down));
        let (mut up_ended, mut down_ended) = (false, false);
        let mut both = pin!(poll_fn(|cx| {
            if !up_ended && let Poll::Ready(end) = upward.as_mut().poll(cx) {
                up_ended = true;
                down_ended |= end.is_err();
            }
            if !down_ended && let Poll::Ready(end) = downward.as_mut().poll(cx) {
                down_ended = true;
                up_ended |= end.is_err();
            }
            match up_ended && down_ended {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }));
        loop {
            let before = (up.get(), down.get());
            match clock.limit(patience, both.as_mut()).await {
                Err(Late) if before != (up.get(), down.get()) => {}
                Ok(()) | Err(Late) => return down.get(),
            }
        }
    }
}

/// Carries bytes one way until there are no more.
async fn carry(
    from: &Stream,
    to: &Stream,
    mut read: Option<Buffer>,
    buffers: &Rc<Buffers>,
    carried: &Cell<u64>,
) -> io::Result<()> {
    loop {
        if read.is_none() {
            // A tunnel at rest holds no buffer.
            poll_fn(|cx| from.poll_readable(cx)).await?;
        }
        let mut buffer = read.take().unwrap_or_else(|| buffers.take());
        if buffer.is_empty() {
            match from.read(buffer.space()).await? {
                0 => return to.shutdown().await,
                n => buffer.filled_by(n),
            }
        }
        while !buffer.is_empty() {
            let written = to.write_some(&[IoSlice::new(buffer.filled())], false).await?;
            carried.set(carried.get() + written as u64);
            buffer.consume(written);
        }
        to.flush().await?;
    }
}
