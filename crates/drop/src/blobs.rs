//! The bytes of the files.
//!
//! [`Blobs`] is what the service asks; [`disk`] is the one that there is.
//!
//! Invariant: what was stored is complete and durable, and nothing is ever written to it again.

#[cfg(test)]
pub(crate) mod conformance;
pub(crate) mod disk;

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use truehop_delivery::{Guard, Part};

use crate::id::BlobId;

/// What a call comes to.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Keeps bytes under names.
pub(crate) trait Blobs: fmt::Debug + Send + Sync {
    /// A new blob, to be written piece by piece.
    fn create(&self, blob: &BlobId) -> Answer<'_, Box<dyn Incoming>>;

    /// A new blob, all of which is at hand. As [`create`](Self::create), write and finish, with fewer steps.
    fn store(&self, blob: &BlobId, pieces: Vec<Bytes>) -> Answer<'_, Digests>;

    /// The blob, to be read; `None` when there is none.
    fn open(&self, blob: &BlobId) -> Answer<'_, Option<Arc<dyn Stored>>>;

    /// How large a complete blob is; `None` when there is none.
    fn size(&self, blob: &BlobId) -> Answer<'_, Option<u64>>;

    /// Removes a complete blob; one that is gone already is no error. Durable when it answers.
    fn unlink(&self, blob: &BlobId) -> Answer<'_, ()>;

    /// Removes a blob that was not to be, wherever it had got to.
    fn discard(&self, blob: &BlobId) -> Answer<'_, ()>;

    /// Removes what is unfinished of a blob, and leaves what is complete.
    fn discard_unfinished(&self, blob: &BlobId) -> Answer<'_, ()>;

    /// Names of blobs, complete ones or unfinished ones, some at a time: those of folder `folder`, from 0 on. `None` after
    /// the last folder. Names that this program does not make are left alone.
    fn list(&self, complete: bool, folder: u32) -> Answer<'_, Option<Vec<BlobId>>>;
}

/// A blob that is being written. Dropped, it stays unfinished until it is discarded.
pub(crate) trait Incoming: fmt::Debug + Send {
    /// Adds bytes.
    fn write(&mut self, pieces: Vec<Bytes>) -> Answer<'_, ()>;

    /// Makes what was written durable, and only then visible.
    fn finish(self: Box<Self>) -> Answer<'static, Digests>;
}

/// A blob that is open for reading: what is unlinked meanwhile can still be read.
pub(crate) trait Stored: fmt::Debug + Send + Sync {
    /// A part of it for a response's body.
    fn part(&self, range: Range<u64>, guard: Option<Arc<dyn Guard>>) -> Part;
}

/// What was learnt of bytes while they were written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Digests {
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
    /// As archives want it (ISO 3309).
    pub(crate) crc32: u32,
}

/// Whether an error means that no more bytes fit.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
