//! What happens without a request: files expire, leases lapse, bytes are unlinked, receipts are forgotten.
//!
//! Invariant: the sweeper holds no knowledge of its own. It asks the catalog what is due, so that it may be stopped at
//! any point and started again.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::catalog::CatalogError;
use crate::failpoint::reached;
use crate::file_drop::Shared;
use crate::id::BlobId;

/// The longest pause: a wall clock may be set, and no timer notices.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The shortest pause, so that something that stays due cannot make this a busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// When to try again what could not be unlinked.
const LATER: Duration = Duration::from_secs(30);

pub(crate) async fn forever(shared: Arc<Shared>) -> Result<(), SweepError> {
    loop {
        let pause = match sweep(&shared).await {
            Ok(next) => next.unwrap_or(LONGEST_PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
            Err(CatalogError::Closed) => return Ok(()),
            Err(CatalogError::Died) => return Err(SweepError),
            Err(error) => {
                tracing::error!(%error, "the sweep failed; it will be tried again");
                LONGEST_PAUSE
            }
        };
        // Whether time or work woke us does not matter.
        let _ = timeout(pause, shared.work.notified()).await;
    }
}

pub(crate) async fn once(shared: &Arc<Shared>) -> Option<Duration> {
    match sweep(shared).await {
        Ok(next) => next,
        Err(error) => {
            tracing::error!(%error, "the sweep failed");
            None
        }
    }
}

/// One pass; tells in how long the next one has something to do.
async fn sweep(shared: &Arc<Shared>) -> Result<Option<Duration>, CatalogError> {
    let swept = shared.catalog.sweep().await?;
    for (id, ending) in swept.ended {
        tracing::info!(drop = id.tag(), ending = ending.word(), "a file is over");
        shared.metrics.ending(ending);
    }
    for blob in &swept.unlink {
        unlink(shared, blob).await?;
    }
    shared.catalog.next_due().await
}

async fn unlink(shared: &Arc<Shared>, blob: &BlobId) -> Result<(), CatalogError> {
    match shared.blobs.unlink(blob).await {
        Ok(()) => {
            reached("unlinked");
            shared.catalog.unlinked(blob).await
        }
        Err(error) => {
            let tag = blob.tag();
            tracing::error!(blob = tag, %error, "a file that is over could not be deleted; it will be tried again");
            shared.catalog.postpone(blob, LATER).await
        }
    }
}

/// The sweep has ended although nobody closed the drop: the catalog's thread has panicked, so that nothing is deleted
/// and no request answered any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SweepError;

impl fmt::Display for SweepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the catalog's thread has panicked; files are no longer deleted")
    }
}

impl Error for SweepError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Terms;
    use crate::open::{self, Opened};
    use crate::{Clock, DropConfig, FileDrop};

    #[tokio::test]
    async fn a_sweep_that_cannot_go_on_is_told_from_one_that_was_closed() {
        let data = tempfile::tempdir().unwrap();
        let config = DropConfig::default();
        let open = || open::open(data.path(), Terms::of(&config), config.owner, &Clock::system()).unwrap();
        let over = |opened: Opened| {
            let (catalog, blobs) = (Box::new(opened.catalog), Arc::new(opened.blobs));
            FileDrop::over(&config, Terms::of(&config), catalog, blobs)
        };
        let drop = over(open());
        let sweep = tokio::spawn(drop.sweep_forever());
        drop.close();
        assert_eq!(sweep.await.unwrap(), Ok(()));
        let opened = open();
        opened.catalog.die().await;
        assert_eq!(over(opened).sweep_forever().await, Err(SweepError));
    }
}
