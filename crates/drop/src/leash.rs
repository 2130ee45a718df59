//! What the bytes on their way to a recipient share with the rest of the drop.
//!
//! Invariant: what is said here is never taken back.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// Held by the body that is being sent, by the task that sees the request through, and by the catalog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leash(Arc<Words>);

#[derive(Debug, Default)]
struct Words {
    cut: AtomicBool,
    told: Notify,
    failed: AtomicBool,
    bytes: AtomicU64,
}

impl Leash {
    /// The file is over: no further byte leaves.
    pub(crate) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.told.notify_waiters();
    }

    /// Waits until it is cut.
    pub(crate) async fn until_cut(&self) {
        let mut told = pin!(self.0.told.notified());
        // From here on a cut is heard; one before is seen.
        told.as_mut().enable();
        if !self.is_cut() {
            told.await;
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Acquire)
    }

    /// The bytes could not be read here: what follows is not the recipient's doing.
    pub(crate) fn fail(&self) {
        self.0.failed.store(true, Ordering::Release);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// So many more bytes of files have left.
    pub(crate) fn sent(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes of files have left, for those who watch.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }
}
