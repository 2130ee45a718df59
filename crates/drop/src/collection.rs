//! A recipient's download: it holds a lease, and ends in delivery or not at all.
//!
//! 1. The file is opened, so that what follows cannot fail for want of it.
//! 2. The lease is taken, compare-and-set; of many who ask one gets it.
//! 3. While the receipt is out the lease is renewed; a crash leaves one that ends by itself.
//! 4. The receipt says *delivered*: state, receipt and outbox in one transaction, then the sweeper unlinks. It says
//!    anything else: the file is ready again, or at its end when that was the last attempt.
//!
//! Invariant: whoever got the lease gives it back. The work is done by a task of its own; a handler that is dropped drops
//! the courier with it, and then the receipt says *undelivered*.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use truehop_delivery::{Courier, Receipt, receipt};

use crate::catalog::{CatalogError, Recipient};
use crate::file_drop::Shared;
use crate::id::FileId;
use crate::lifecycle::{Admission, Ending, Relapse};

/// Between two tries to write down a delivery, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The answer to a recipient.
#[derive(Debug)]
pub(crate) enum Collection {
    /// The bytes; the courier must travel with them. Without one (the second try within the grace) nothing hangs on it.
    Granted {
        file: File,
        courier: Option<Courier>,
    },
    /// Somebody else is collecting, for at least so long.
    Busy {
        rest: Duration,
    },
    Gone,
}

/// Why a recipient gets no answer.
#[derive(Debug)]
pub(crate) enum CollectionError {
    Disk(io::Error),
    Catalog(CatalogError),
    /// The runtime is going down.
    Stopped,
}

/// Asks for the bytes of `id` on behalf of somebody who is not the owner.
pub(crate) async fn collect(
    shared: &Arc<Shared>,
    id: &FileId,
    recipient: Recipient,
) -> Result<Collection, CollectionError> {
    let (reply, answer) = oneshot::channel();
    let (shared, id) = (Arc::clone(shared), id.clone());
    tokio::spawn(async move {
        match begin(&shared, &id, recipient).await {
            Ok(Begun::Leased { file, attempt }) => {
                let (courier, receipt) = receipt();
                // A handler that is gone lets the courier fall here.
                drop(reply.send(Ok(Collection::Granted {
                    file,
                    courier: Some(courier),
                })));
                see_through(&shared, &id, recipient, attempt, receipt).await;
            }
            Ok(Begun::Answer(collection)) => drop(reply.send(Ok(collection))),
            Err(error) => drop(reply.send(Err(error))),
        }
    });
    answer.await.unwrap_or(Err(CollectionError::Stopped))
}

/// Opens the bytes of `id`; a file that ought to be there and is not comes to its end.
pub(crate) async fn open(shared: &Arc<Shared>, id: &FileId) -> Result<Option<File>, CollectionError> {
    let (blobs, name) = (shared.blobs.clone(), id.clone());
    match spawn_blocking(move || blobs.open(&name)).await {
        Ok(Ok(file)) => Ok(Some(file)),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            // Between the look at the row and here it may have been delivered and unlinked: then this changes nothing.
            if shared.catalog.end(id, Ending::Lost, shared.clock.now()).await? {
                tracing::error!(%id, "a file is missing on disk; nobody will get it");
                shared.metrics.ending(Ending::Lost);
                shared.work.notify_one();
            }
            Ok(None)
        }
        Ok(Err(error)) => Err(CollectionError::Disk(error)),
        Err(_) => Err(CollectionError::Stopped),
    }
}

enum Begun {
    Leased { file: File, attempt: u32 },
    Answer(Collection),
}

async fn begin(shared: &Arc<Shared>, id: &FileId, recipient: Recipient) -> Result<Begun, CollectionError> {
    let Some(file) = open(shared, id).await? else {
        return Ok(Begun::Answer(Collection::Gone));
    };
    let now = shared.clock.now();
    Ok(match shared.catalog.admit(id, recipient, now).await? {
        Admission::Lease { attempt, .. } => Begun::Leased { file, attempt },
        Admission::Again => Begun::Answer(Collection::Granted { file, courier: None }),
        Admission::Busy { until } => Begun::Answer(Collection::Busy {
            rest: until.after(now),
        }),
        Admission::Gone => Begun::Answer(Collection::Gone),
    })
}

/// Waits for the receipt, and writes down what it says.
async fn see_through(
    shared: &Arc<Shared>,
    id: &FileId,
    recipient: Recipient,
    attempt: u32,
    receipt: Receipt,
) {
    let _under_way = shared.metrics.collecting();
    let delivered = alive(shared, id, attempt, receipt).await;
    shared
        .metrics
        .collection(if delivered { "delivered" } else { "undelivered" });
    let mut pause = Duration::from_millis(100);
    loop {
        let written = match delivered {
            true => write_delivered(shared, id, recipient).await,
            false => write_undelivered(shared, id, attempt).await,
        };
        match written {
            Ok(()) => break,
            // The next start makes the file ready again: told rather than lost.
            Err(CatalogError::Closed) => {
                tracing::warn!(%id, delivered, "the drop was closed before a collection's end was written down");
                break;
            }
            Err(error) => {
                tracing::error!(%id, delivered, %error, "a collection's end could not be written down; trying again");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    shared.work.notify_one();
}

/// Renews the lease until the receipt speaks.
async fn alive(shared: &Arc<Shared>, id: &FileId, attempt: u32, mut receipt: Receipt) -> bool {
    loop {
        match timeout(shared.terms.lease / 3, &mut receipt).await {
            Ok(delivered) => return delivered,
            Err(_) => match shared.catalog.renew(id, attempt, shared.clock.now()).await {
                Ok(true) => {}
                // The file is over, or its time is up. What is on its way may still arrive.
                Ok(false) | Err(CatalogError::Closed) => return receipt.await,
                Err(error) => tracing::error!(%id, %error, "a lease could not be renewed"),
            },
        }
    }
}

async fn write_delivered(
    shared: &Arc<Shared>,
    id: &FileId,
    recipient: Recipient,
) -> Result<(), CatalogError> {
    if shared
        .catalog
        .delivered(id, recipient, shared.clock.now())
        .await?
    {
        tracing::info!(%id, behind_proxy = recipient.behind_proxy, "a file was delivered");
        shared.metrics.ending(Ending::Delivered);
    }
    Ok(())
}

async fn write_undelivered(shared: &Arc<Shared>, id: &FileId, attempt: u32) -> Result<(), CatalogError> {
    let now = shared.clock.now();
    if let Relapse::End(ending) = shared.catalog.undelivered(id, attempt, now).await? {
        tracing::info!(%id, ending = ending.word(), "a file is over");
        shared.metrics.ending(ending);
    }
    Ok(())
}

impl From<CatalogError> for CollectionError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}
