//! What a crash may have left behind, put right before anybody asks.
//!
//! 1. Rows that are still `receiving` were never promised to anybody: bytes and rows go.
//! 2. No collection has survived: what was being collected is ready again, or expired. That was our doing, so the attempt
//!    is given back.
//! 3. Rows whose bytes are missing or short are `failed`: a damaged file is never handed out.
//! 4. The outbox is replayed.
//! 5. Bytes without a row go.
//!
//! Invariant: afterwards rows and bytes agree.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use crate::blobs::Blobs;
use crate::catalog::Store;
use crate::clock::Timestamp;
use crate::lifecycle::{Blame, Ending};

/// When to try again what could not be unlinked.
const LATER: Duration = Duration::from_secs(60);

pub(super) fn recover(store: &mut Store, blobs: &Blobs, now: Timestamp) -> Result<(), Fault> {
    let half_received = store.half_received()?;
    for id in &half_received {
        blobs.discard(id)?;
        store.abandon(id)?;
    }
    let interrupted = store.interrupted()?;
    for id in &interrupted {
        store.undelivered(id, Blame::Server, now)?;
    }
    let mut lost = 0;
    for (id, size) in store.on_disk()? {
        let found = blobs.size(&id)?;
        if found != Some(size) {
            let file = id.tag();
            tracing::error!(
                file,
                size,
                ?found,
                "a file is missing or damaged on disk; nobody will get it"
            );
            store.end(&id, Ending::Lost, now)?;
            lost += 1;
        }
    }
    let mut unlinked = 0;
    loop {
        let swept = store.sweep(now)?;
        for id in &swept.unlink {
            match blobs.unlink(id) {
                Ok(()) => {
                    store.unlinked(id)?;
                    unlinked += 1;
                }
                Err(error) => {
                    let file = id.tag();
                    tracing::error!(file, %error, "a file that is over could not be deleted");
                    store.postpone(id, now.plus(LATER))?;
                }
            }
        }
        if swept.unlink.is_empty() && swept.ended.is_empty() {
            break;
        }
    }
    let mut keep: HashSet<_> = store.on_disk()?.into_iter().map(|(id, _)| id).collect();
    keep.extend(store.outbox()?);
    let orphans = blobs.remove_orphans(|id| keep.contains(id))?;
    let (half_received, interrupted) = (half_received.len(), interrupted.len());
    if half_received + interrupted + lost + unlinked + orphans > 0 {
        tracing::info!(
            half_received,
            interrupted,
            lost,
            unlinked,
            orphans,
            "recovered after an interruption"
        );
    }
    Ok(())
}

#[derive(Debug)]
pub(super) enum Fault {
    Catalog(rusqlite::Error),
    Blobs(io::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Catalog(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Blobs(error)
    }
}
