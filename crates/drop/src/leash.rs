//! What the bytes on their way to a recipient share with the rest of the drop.
//!
//! Invariant: both words are said once and never taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Held by the body that is being sent, by the task that sees the collection through, and by the catalog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leash(Arc<Words>);

#[derive(Debug, Default)]
struct Words {
    cut: AtomicBool,
    failed: AtomicBool,
}

impl Leash {
    /// The file is over: no further byte leaves.
    pub(crate) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
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
}
