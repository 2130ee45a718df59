//! What happens without a request: files expire, leases lapse, bytes are unlinked, receipts are forgotten.
//!
//! Invariant: the sweeper holds no knowledge of its own. It asks the catalog what is due, so that it may be stopped at
//! any point and started again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::catalog::CatalogError;
use crate::file_drop::Shared;
use crate::id::FileId;

/// The longest pause: a wall clock may be set, and no timer notices.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The shortest pause, so that something that stays due cannot make this a busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// When to try again what could not be unlinked.
const LATER: Duration = Duration::from_secs(30);

pub(crate) async fn forever(shared: Arc<Shared>) {
    loop {
        let pause = match sweep(&shared).await {
            Ok(next) => next.unwrap_or(LONGEST_PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
            Err(CatalogError::Closed) => return,
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
    let swept = shared.catalog.sweep(shared.clock.now()).await?;
    for (id, ending) in swept.ended {
        tracing::info!(%id, ending = ending.word(), "a file is over");
        shared.metrics.ending(ending);
    }
    for id in swept.unlink {
        unlink(shared, &id).await?;
    }
    let next = shared.catalog.next_due().await?;
    Ok(next.map(|due| due.after(shared.clock.now())))
}

async fn unlink(shared: &Arc<Shared>, id: &FileId) -> Result<(), CatalogError> {
    let (blobs, gone) = (shared.blobs.clone(), id.clone());
    match spawn_blocking(move || blobs.unlink(&gone)).await {
        Ok(Ok(())) => shared.catalog.unlinked(id).await,
        Ok(Err(error)) => {
            tracing::error!(%id, %error, "a file that is over could not be deleted; it will be tried again");
            shared.catalog.postpone(id, shared.clock.now().plus(LATER)).await
        }
        // The runtime is going down; the outbox stays for the next start.
        Err(_) => Err(CatalogError::Closed),
    }
}
