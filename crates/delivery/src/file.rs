//! A region of an open file as a response body.
//!
//! Invariant: the body yields exactly the region's length, or an error; a file that became shorter meanwhile never
//! passes for a whole one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

/// One read from disk; large enough that the hop to a blocking thread does not dominate.
const CHUNK: u64 = 256 * 1024;

/// A region of an open file.
#[derive(Clone, Debug)]
pub struct FileRegion {
    file: Arc<File>,
    offset: u64,
    len: u64,
}

impl FileRegion {
    /// The `len` bytes of `file` that start at `offset`.
    pub fn new(file: Arc<File>, offset: u64, len: u64) -> Self {
        Self { file, offset, len }
    }

    /// The region's length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the region holds no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Reads a [`FileRegion`] chunk by chunk on tokio's blocking threads.
#[derive(Debug)]
pub struct FileBody {
    rest: FileRegion,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
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
        let Self { rest, reading } = &mut *self;
        let read = reading.get_or_insert_with(|| {
            let (file, offset) = (Arc::clone(&rest.file), rest.offset);
            let want = rest.len.min(CHUNK) as usize;
            spawn_blocking(move || read_at(&file, offset, want))
        });
        let outcome = ready!(Pin::new(read).poll(cx));
        *reading = None;
        let chunk = outcome.map_err(io::Error::other)??;
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
