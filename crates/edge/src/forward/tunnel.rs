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
use std::time::Duration;

use crate::stream::Stream;
use crate::wire::{Buffer, Buffers, Clock, Late};

/// One end, with what has been read from it already.
pub(super) struct End<'a> {
    pub(super) stream: &'a Stream,
    pub(super) read: Option<Buffer>,
}

/// Carries bytes both ways until both sides have ended, one fails, or nothing moves for `patience`. Gives back the
/// bytes that went to `client`.
pub(super) async fn tunnel(
    client: End<'_>,
    upstream: End<'_>,
    buffers: &Rc<Buffers>,
    clock: &mut Clock,
    patience: Duration,
) -> u64 {
    let (up, down) = (Cell::new(0), Cell::new(0));
    {
        let mut upward = pin!(carry(client.stream, upstream.stream, client.read, buffers, &up));
        let mut downward = pin!(carry(
            upstream.stream,
            client.stream,
            upstream.read,
            buffers,
            &down
        ));
        let (mut up_ended, mut down_ended) = (false, false);
        let mut both = pin!(poll_fn(|cx| {
            for (carrying, ended) in [
                (
                    upward.as_mut() as std::pin::Pin<&mut dyn Future<Output = _>>,
                    &mut up_ended,
                ),
                (downward.as_mut(), &mut down_ended),
            ] {
                if !*ended && let Poll::Ready(result) = carrying.poll(cx) {
                    *ended = true;
                    if result.is_err() {
                        return Poll::Ready(());
                    }
                }
            }
            if up_ended && down_ended {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        loop {
            let before = (up.get(), down.get());
            match clock.limit(patience, both.as_mut()).await {
                Err(Late) if before != (up.get(), down.get()) => {}
                Ok(()) | Err(Late) => break,
            }
        }
    }
    down.get()
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
        to.write_all(&mut [IoSlice::new(buffer.filled())]).await?;
        carried.set(carried.get() + buffer.filled().len() as u64);
    }
}
