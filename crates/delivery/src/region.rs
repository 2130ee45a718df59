//! A region of an open file, and how pieces of it leave.
//!
//! Invariants: no byte leaves before the region's [`Guard`] has said yes to it, because a [`Piece`] is made of that yes;
//! and a file that became shorter meanwhile is an error, never a short region.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;

use crate::guard::{Guard, LAST_PIECE};

/// What the kernel is asked to send at once: more would leave the processor's cache before the reader takes it.
const AT_ONCE: u64 = 512 * 1024;

/// A region of an open file.
#[derive(Clone, Debug)]
pub struct FileRegion {
    file: Arc<File>,
    offset: u64,
    len: u64,
    guard: Option<Arc<dyn Guard>>,
}

impl FileRegion {
    /// The `len` bytes of `file` that start at `offset`.
    pub fn new(file: Arc<File>, offset: u64, len: u64) -> Self {
        Self {
            file,
            offset,
            len,
            guard: None,
        }
    }

    /// The same region under a guard.
    pub fn guarded_by(mut self, guard: Arc<dyn Guard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// The region's length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the region holds no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Of this region, the `len` bytes that start at `offset`, or what there is of them; under the same guard, which then
    /// counts to the end of the slice.
    pub fn slice(mut self, offset: u64, len: u64) -> Self {
        let offset = offset.min(self.len);
        self.offset += offset;
        self.len = len.min(self.len - offset);
        self
    }

    /// The piece at the region's front, once the guard lets it leave. Pending only for the guard.
    ///
    /// # Errors
    ///
    /// The guard's stop, as [`Other`](io::ErrorKind::Other).
    pub fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<io::Result<Piece<'_>>> {
        let mut len = self.len;
        if let Some(guard) = self.guard.as_ref().filter(|_| len > 0) {
            if !ready!(guard.poll_piece(len, cx)) {
                return Poll::Ready(Err(io::Error::other("the file is not to be sent any more")));
            }
            if len > LAST_PIECE {
                len -= LAST_PIECE;
            }
        }
        Poll::Ready(Ok(Piece {
            region: self,
            len: len.min(AT_ONCE),
        }))
    }

    /// So many bytes at the region's front have left: tells the guard, and makes what follows them the region.
    pub fn sent(&mut self, bytes: u64) {
        let bytes = bytes.min(self.len);
        self.offset += bytes;
        self.len -= bytes;
        if let Some(guard) = &self.guard {
            guard.sent(bytes);
        }
    }

    /// What reads the file, for a thread that may block.
    pub(crate) fn reader(&self, len: usize) -> impl FnOnce() -> io::Result<Vec<u8>> + Send + use<> {
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        move || {
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, offset)?;
            Ok(bytes)
        }
    }

    pub(crate) fn unreadable(&self, error: io::Error) -> io::Error {
        if let Some(guard) = &self.guard {
            guard.cannot_read(&error);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => error,
            _ => io::Error::other(error),
        }
    }
}

/// The bytes at a region's front that may leave now.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'r> {
    region: &'r FileRegion,
    len: u64,
}

impl Piece<'_> {
    /// The piece's length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the piece holds no byte: only that of an empty region does.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Has the kernel send the piece to `socket` (sendfile(2)), or as much of it as the socket takes at once. How much
    /// that was is to be told to the region ([`FileRegion::sent`]).
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the file has become shorter than the region, and
    /// [`Other`](io::ErrorKind::Other) when it cannot be read. All others are the socket's,
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) among them.
    pub fn send_to(&self, socket: impl AsFd) -> io::Result<u64> {
        let mut offset = self.region.offset;
        // No more than AT_ONCE.
        let count = self.len as usize;
        match rustix::fs::sendfile(socket, &*self.region.file, Some(&mut offset), count) {
            Ok(0) if count > 0 => Err(self.region.unreadable(io::ErrorKind::UnexpectedEof.into())),
            Ok(sent) => Ok(sent as u64),
            Err(Errno::IO) => Err(self.region.unreadable(Errno::IO.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads as much of the piece as there is `space` for, and says how much that is. May wait for the disk, as
    /// [`send_to`](Self::send_to) may.
    ///
    /// # Errors
    ///
    /// As those of [`send_to`](Self::send_to) that are the file's.
    pub fn read_into(&self, space: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.len).map_or(space.len(), |len| len.min(space.len()));
        let read = self
            .region
            .file
            .read_exact_at(&mut space[..len], self.region.offset);
        read.map(|()| len).map_err(|error| self.region.unreadable(error))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::task::Waker;

    use super::*;
    use crate::testing::{Gate, file_of};

    fn piece(region: &FileRegion) -> Poll<io::Result<Piece<'_>>> {
        region.poll_piece(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn pieces_end_where_the_last_one_begins() {
        let gate = Arc::new(Gate::new(u64::MAX));
        let file = file_of(b"");
        for (len, expected) in [
            (AT_ONCE + LAST_PIECE + 1, AT_ONCE),
            (AT_ONCE + LAST_PIECE, AT_ONCE),
            (LAST_PIECE + 1, 1),
            (LAST_PIECE, LAST_PIECE),
            (LAST_PIECE - 1, LAST_PIECE - 1),
            (1, 1),
            (0, 0),
        ] {
            let region = FileRegion::new(Arc::clone(&file), 0, len);
            let unguarded = len.min(AT_ONCE);
            assert!(matches!(piece(&region), Poll::Ready(Ok(piece)) if piece.len() == unguarded));
            let region = region.guarded_by(gate.clone());
            assert!(
                matches!(piece(&region), Poll::Ready(Ok(piece)) if piece.len() == expected),
                "{len}"
            );
        }
        assert!(!gate.asked().contains(&0), "nobody is asked for nothing");
    }

    #[test]
    fn the_kernel_sends_what_may_leave_and_not_a_byte_more() {
        let bytes: Vec<u8> = (0..LAST_PIECE + 10).map(|n| n as u8).collect();
        let gate = Arc::new(Gate::new(u64::MAX));
        gate.hold_from(LAST_PIECE);
        let mut region = FileRegion::new(file_of(&bytes), 0, LAST_PIECE + 10)
            .slice(3, u64::MAX)
            .guarded_by(gate.clone());
        let (socket, _other) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let Poll::Ready(Ok(first)) = piece(&region) else {
            panic!("held back")
        };
        assert_eq!(first.send_to(&socket).unwrap(), 7);
        region.sent(7);
        assert!(piece(&region).is_pending());
        gate.release();
        while !region.is_empty() {
            let Poll::Ready(Ok(last)) = piece(&region) else {
                panic!("held back")
            };
            let sent = match last.send_to(&socket) {
                Ok(sent) => sent,
                Err(error) => panic!("{error}"),
            };
            region.sent(sent);
        }
        assert_eq!(gate.sent(), LAST_PIECE + 7);
        assert_eq!(gate.asked().first(), Some(&(LAST_PIECE + 7)));
    }

    #[test]
    fn a_refusal_is_an_error_and_no_piece() {
        let gate = Arc::new(Gate::new(0));
        let region = FileRegion::new(file_of(b"abc"), 0, 3).guarded_by(gate.clone());
        let Poll::Ready(Err(error)) = piece(&region) else {
            panic!("may leave")
        };
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert_eq!(gate.unreadable(), 0);
    }

    #[test]
    fn a_file_that_became_shorter_is_told_and_an_error_either_way() {
        let gate = Arc::new(Gate::new(u64::MAX));
        let mut region = FileRegion::new(file_of(b"abc"), 0, 4).guarded_by(gate.clone());
        let Poll::Ready(Ok(all)) = piece(&region) else {
            panic!("held back")
        };
        let error = all.read_into(&mut [0; 9]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let (socket, _other) = UnixStream::pair().unwrap();
        assert_eq!(all.send_to(&socket).unwrap(), 3);
        region.sent(3);
        let Poll::Ready(Ok(rest)) = piece(&region) else {
            panic!("held back")
        };
        assert_eq!(
            rest.send_to(&socket).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!((gate.unreadable(), gate.sent()), (2, 3));
    }

    #[test]
    fn a_piece_is_read_as_far_as_there_is_space() {
        let region = FileRegion::new(file_of(b"abcdef"), 1, 4).slice(1, 2);
        let Poll::Ready(Ok(piece)) = piece(&region) else {
            panic!("held back")
        };
        for len in 0..4 {
            let mut space = vec![b'-'; len];
            let read = piece.read_into(&mut space).unwrap();
            assert_eq!((&space[..read], read), (&b"cd"[..len.min(2)], len.min(2)));
        }
    }
}
