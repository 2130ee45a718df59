//! A parcel as a body, for any server.
//!
//! Invariant: it gives exactly the parcel's length, or an error, so that the connection breaks and nobody takes a part
//! for the whole; and it hands out no byte of a guarded region that may not leave.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::parcel::{Parcel, Part};

/// One read from disk; large enough that the hop to a blocking thread does not dominate.
const CHUNK: u64 = 256 * 1024;

/// Hands out a [`Parcel`], reading its files chunk by chunk on tokio's blocking threads.
#[derive(Debug)]
pub struct ParcelBody {
    parts: VecDeque<Part>,
    left: u64,
    /// What is at the front of the first part.
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl ParcelBody {
    /// What has not been handed out yet.
    pub fn into_parcel(self) -> Parcel {
        Parcel::new(self.parts)
    }
}

impl From<Parcel> for ParcelBody {
    fn from(parcel: Parcel) -> Self {
        Self {
            left: parcel.len(),
            parts: parcel.into_iter().collect(),
            reading: None,
        }
    }
}

impl Body for ParcelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { parts, left, reading } = &mut *self;
        let chunk = match parts.front_mut() {
            None => return Poll::Ready(None),
            Some(Part::Bytes(bytes)) => std::mem::take(bytes),
            Some(Part::File(region)) => {
                // Each time: before the file is read, and before what was read is handed out.
                let piece = ready!(region.poll_piece(cx))?;
                let want = piece.len().min(CHUNK) as usize;
                let read = reading.get_or_insert_with(|| spawn_blocking(region.reader(want)));
                let outcome = ready!(Pin::new(read).poll(cx));
                *reading = None;
                let chunk = outcome
                    .map_err(io::Error::other)
                    .flatten()
                    .map_err(|error| region.unreadable(error))?;
                region.sent(chunk.len() as u64);
                chunk.into()
            }
        };
        parts.pop_front_if(|part| part.is_empty());
        *left -= chunk.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use http_body_util::BodyExt;

    use super::*;
    use crate::guard::LAST_PIECE;
    use crate::region::FileRegion;
    use crate::testing::{Gate, file_of};

    fn body_of(region: FileRegion) -> ParcelBody {
        Parcel::from(region).into()
    }

    async fn next(body: &mut ParcelBody) -> io::Result<Bytes> {
        Ok(body.frame().await.unwrap()?.into_data().unwrap())
    }

    #[tokio::test]
    async fn a_region_is_read_to_the_byte() {
        let bytes: Vec<u8> = (0..CHUNK * 2 + 17).map(|n| n as u8).collect();
        let body = body_of(FileRegion::new(file_of(&bytes), 5, CHUNK * 2 + 3));
        assert_eq!(body.size_hint().exact(), Some(CHUNK * 2 + 3));
        let collected = body.collect().await.unwrap().to_bytes();
        assert_eq!(collected, bytes[5..][..CHUNK as usize * 2 + 3]);
    }

    #[tokio::test]
    async fn the_last_piece_is_handed_out_alone_and_only_when_it_is_released() {
        let bytes: Vec<u8> = (0..LAST_PIECE + 9).map(|n| n as u8).collect();
        let gate = Arc::new(Gate::new(u64::MAX));
        gate.hold_from(LAST_PIECE);
        let region = FileRegion::new(file_of(&bytes), 0, LAST_PIECE + 9).guarded_by(gate.clone());
        let mut body = ParcelBody::from(Parcel::new([region.into(), Bytes::from_static(b"end").into()]));
        assert_eq!(next(&mut body).await.unwrap(), bytes[..9]);
        assert_eq!(body.size_hint().exact(), Some(LAST_PIECE + 3));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        assert_eq!(gate.sent(), 9);
        let (rest, ()) = tokio::join!(body.collect(), async { gate.release() });
        assert_eq!(rest.unwrap().to_bytes(), [&bytes[9..], b"end"].concat());
        assert_eq!(gate.sent(), LAST_PIECE + 9);
    }

    #[tokio::test]
    async fn a_guard_that_refuses_is_an_error_and_what_was_read_stays_here() {
        let gate = Arc::new(Gate::new(u64::MAX));
        gate.hold_from(3);
        let region = FileRegion::new(file_of(b"abc"), 0, 3).guarded_by(gate.clone());
        let parcel = Parcel::new([Bytes::from_static(b"before").into(), region.into()]);
        let mut body = ParcelBody::from(parcel);
        assert_eq!(next(&mut body).await.unwrap(), "before");
        let (refused, ()) = tokio::join!(next(&mut body), async { gate.refuse() });
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::Other);
        assert!(!body.is_end_stream());
        assert_eq!((gate.sent(), gate.unreadable()), (0, 0));
        assert_eq!(body.into_parcel().len(), 3);
    }

    #[tokio::test]
    async fn nothing_ends_at_once() {
        let empty = FileRegion::new(file_of(b"abc"), 1, 0);
        for parcel in [Parcel::default(), empty.into()] {
            let body = ParcelBody::from(parcel);
            assert!(body.is_end_stream());
            assert_eq!(body.collect().await.unwrap().to_bytes(), "");
        }
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_told_and_an_error() {
        let gate = Arc::new(Gate::new(u64::MAX));
        let body = body_of(FileRegion::new(file_of(b"abc"), 0, 4).guarded_by(gate.clone()));
        let error = body.collect().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!((gate.unreadable(), gate.sent()), (1, 0));
    }
}
