//! A region of an open file as a response body.
//!
//! There are two ways to send it. [`FileBody`] reads it piece by piece, for any server. [`FileRegion::send_to`] has the
//! kernel send it; a server that can takes the region out of the response's extensions and leaves the body alone.
//!
//! Invariant: either way gives exactly the region's length, or an error; a file that became shorter meanwhile never
//! passes for a whole one, and no byte leaves once its [`Guard`] says stop.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rustix::io::Errno;
use tokio::task::{JoinHandle, spawn_blocking};

/// One read from disk; large enough that the hop to a blocking thread does not dominate.
const CHUNK: u64 = 256 * 1024;

/// What the kernel is asked to send at once: more would leave the processor's cache before the reader takes it.
const AT_ONCE: usize = 512 * 1024;

/// Watches over a region while it is sent.
pub trait Guard: fmt::Debug + Send + Sync {
    /// Whether more of it may leave. Asked before each piece.
    fn may_go_on(&self) -> bool;

    /// It could not be read, so what follows is not the recipient's doing.
    fn cannot_read(&self, error: &io::Error);
}

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

    /// Has the kernel send what follows the first `sent` bytes to `socket` (sendfile(2)), as much as it takes at once.
    ///
    /// # Errors
    ///
    /// Those of the call, [`WouldBlock`](io::ErrorKind::WouldBlock) among them;
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the file has become shorter than the region; and the guard's
    /// stop.
    pub fn send_to(&self, socket: impl AsFd, sent: u64) -> io::Result<u64> {
        let left = self.len.saturating_sub(sent);
        let mut offset = self.offset + sent;
        let count = usize::try_from(left).unwrap_or(AT_ONCE).min(AT_ONCE);
        self.ask_guard()?;
        match rustix::fs::sendfile(socket, &*self.file, Some(&mut offset), count) {
            Ok(0) if left > 0 => Err(self.unreadable(io::ErrorKind::UnexpectedEof.into())),
            Ok(sent) => Ok(sent as u64),
            Err(Errno::IO) => Err(self.unreadable(Errno::IO.into())),
            Err(error) => Err(error.into()),
        }
    }

    fn ask_guard(&self) -> io::Result<()> {
        match &self.guard {
            Some(guard) if !guard.may_go_on() => Err(io::Error::other("the file is not to be sent any more")),
            _ => Ok(()),
        }
    }

    fn unreadable(&self, error: io::Error) -> io::Error {
        if let Some(guard) = &self.guard {
            guard.cannot_read(&error);
        }
        error
    }
}

/// Reads a [`FileRegion`] chunk by chunk on tokio's blocking threads.
#[derive(Debug)]
pub struct FileBody {
    rest: FileRegion,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    /// What has not been read yet.
    pub fn into_region(self) -> FileRegion {
        self.rest
    }
}

impl From<FileRegion> for FileBody {
    fn from(region: FileRegion) -> Self {
        Self {
            rest: region,
            reading: None,
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        // The connection breaks, so that the recipient does not take a part for the whole.
        self.rest.ask_guard()?;
        let Self { rest, reading } = &mut *self;
        let read = reading.get_or_insert_with(|| {
            let (file, offset) = (Arc::clone(&rest.file), rest.offset);
            let want = rest.len.min(CHUNK) as usize;
            spawn_blocking(move || read_at(&file, offset, want))
        });
        let outcome = ready!(Pin::new(read).poll(cx));
        *reading = None;
        let chunk = outcome
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| rest.unreadable(error))?;
        rest.offset += chunk.len() as u64;
        rest.len -= chunk.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len)
    }
}

fn read_at(file: &File, offset: u64, want: usize) -> io::Result<Bytes> {
    let mut chunk = vec![0; want];
    file.read_exact_at(&mut chunk, offset)?;
    Ok(chunk.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use http_body_util::BodyExt;

    use super::*;

    fn file_of(bytes: &[u8]) -> Arc<File> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        Arc::new(file)
    }

    #[tokio::test]
    async fn a_region_is_read_to_the_byte() {
        let bytes: Vec<u8> = (0..CHUNK * 2 + 17).map(|n| n as u8).collect();
        let region = FileRegion::new(file_of(&bytes), 5, CHUNK * 2 + 3);
        let body = FileBody::from(region);
        assert_eq!(body.size_hint().exact(), Some(CHUNK * 2 + 3));
        let collected = body.collect().await.unwrap().to_bytes();
        assert_eq!(collected, bytes[5..][..CHUNK as usize * 2 + 3]);
    }

    /// Lets so many pieces pass.
    #[derive(Debug, Default)]
    struct Counting {
        left: AtomicUsize,
        unreadable: AtomicUsize,
    }

    impl Guard for Counting {
        fn may_go_on(&self) -> bool {
            self.left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                .is_ok()
        }

        fn cannot_read(&self, _: &io::Error) {
            self.unreadable.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test]
    async fn a_guard_stops_either_way_of_sending() {
        let bytes = vec![7; CHUNK as usize * 3];
        let guard = Arc::new(Counting::default());
        guard.left.store(2, Relaxed);
        let region = FileRegion::new(file_of(&bytes), 0, CHUNK * 3).guarded_by(guard.clone());
        assert!(FileBody::from(region.clone()).collect().await.is_err());
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(
            region.send_to(&socket, 0).unwrap_err().kind(),
            io::ErrorKind::Other
        );
        guard.left.store(1, Relaxed);
        assert!(region.send_to(&socket, CHUNK * 3 - 5).unwrap() == 5);
        assert_eq!(guard.unreadable.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn a_guard_is_told_of_a_file_that_cannot_be_read() {
        let guard = Arc::new(Counting::default());
        guard.left.store(9, Relaxed);
        let region = FileRegion::new(file_of(b"abc"), 0, 4).guarded_by(guard.clone());
        assert!(FileBody::from(region.clone()).collect().await.is_err());
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(region.send_to(&socket, 0).unwrap(), 3);
        let error = region.send_to(&socket, 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(guard.unreadable.load(Relaxed), 2);
    }

    #[tokio::test]
    async fn an_empty_region_ends_at_once() {
        let body = FileBody::from(FileRegion::new(file_of(b"abc"), 1, 0));
        assert!(body.is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "");
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        let body = FileBody::from(FileRegion::new(file_of(b"abc"), 0, 4));
        assert_eq!(
            body.collect().await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
