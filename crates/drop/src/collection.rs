//! A recipient's download: it holds a lease, and ends in delivery or not at all.
//!
//! 1. The file is opened, so that what follows cannot fail for want of it.
//! 2. The lease is taken, compare-and-set; of many who ask one gets it.
//! 3. It is held for as long as the receipt is out, however long that takes. When the file comes to another end
//!    meanwhile, the [`Leash`] cuts the bytes off.
//! 4. The receipt says *delivered*: state, receipt and outbox in one transaction, then the sweeper unlinks. It says
//!    anything else: the file is ready again, or at its end when that was the last attempt. What cannot be written is
//!    tried again; the lease is held until it is.
//!
//! Invariant: whoever got the lease gives it back, and nobody else has it before. The work is done by a task of its own;
//! a handler that is dropped drops the courier with it, and then the receipt says *undelivered*. A task that is dropped
//! (its runtime ended) leaves the lease to the next start.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use truehop_delivery::{Arrival, Courier, Receipt, receipt};

use crate::catalog::{CatalogError, Delivery, Recipient};
use crate::file_drop::Shared;
use crate::id::FileId;
use crate::leash::Leash;
use crate::lifecycle::{Admission, Blame, Ending, Relapse};

/// Between two tries to write down a delivery, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The answer to a recipient.
#[derive(Debug)]
pub(crate) enum Collection {
    /// The bytes. What is [`Held`] must travel with them; the second try within the grace holds nothing.
    Granted {
        file: File,
        held: Option<Held>,
    },
    /// Somebody else is collecting, for at least so long.
    Busy {
        rest: Duration,
    },
    Gone,
}

/// What a collection hangs by.
#[derive(Debug)]
pub(crate) struct Held {
    /// Tells whether every byte has arrived.
    pub(crate) courier: Courier,
    pub(crate) leash: Leash,
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
            Ok(Begun::Leased { file, leash }) => {
                let (courier, receipt) = receipt();
                let held = Held {
                    courier,
                    leash: leash.clone(),
                };
                // A handler that is gone lets the courier fall here.
                drop(reply.send(Ok(Collection::Granted {
                    file,
                    held: Some(held),
                })));
                see_through(&shared, &id, recipient, leash, receipt).await;
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
                tracing::error!(file = id.tag(), "a file is missing on disk; nobody will get it");
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
    Leased { file: File, leash: Leash },
    Answer(Collection),
}

async fn begin(shared: &Arc<Shared>, id: &FileId, recipient: Recipient) -> Result<Begun, CollectionError> {
    let Some(file) = open(shared, id).await? else {
        return Ok(Begun::Answer(Collection::Gone));
    };
    let now = shared.clock.now();
    let leash = Leash::default();
    Ok(
        match shared.catalog.admit(id, recipient, leash.clone(), now).await? {
            Admission::Lease { .. } => Begun::Leased { file, leash },
            Admission::Again => Begun::Answer(Collection::Granted { file, held: None }),
            Admission::Busy { until } => Begun::Answer(Collection::Busy {
                rest: until.after(now),
            }),
            Admission::Gone => Begun::Answer(Collection::Gone),
        },
    )
}

/// Waits for the receipt, and writes down what it says.
async fn see_through(
    shared: &Arc<Shared>,
    id: &FileId,
    recipient: Recipient,
    leash: Leash,
    receipt: Receipt,
) {
    let _under_way = shared.metrics.collecting();
    let delivered = receipt.await == Arrival::Whole;
    // A recipient who breaks off while we stop is not told from one whom we break off: both get the attempt back.
    let blame = match shared.is_stopping.load(Ordering::Acquire) || leash.has_failed() {
        true => Blame::Server,
        false => Blame::Recipient,
    };
    shared.metrics.collection(match (delivered, blame) {
        (true, _) => "delivered",
        (false, Blame::Recipient) => "undelivered",
        (false, Blame::Server) => "interrupted",
    });
    let mut pause = Duration::from_millis(100);
    loop {
        let written = match delivered {
            true => write_delivered(shared, id, recipient).await,
            false => write_undelivered(shared, id, blame).await,
        };
        match written {
            Ok(()) => break,
            // The next start makes the file ready again: told rather than lost.
            Err(error @ (CatalogError::Closed | CatalogError::Died)) => {
                let file = id.tag();
                tracing::warn!(file, delivered, %error, "a collection's end could not be written down");
                break;
            }
            Err(error) => {
                let file = id.tag();
                tracing::error!(file, delivered, %error, "a collection's end could not be written down; trying again");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    shared.work.notify_one();
}

async fn write_delivered(
    shared: &Arc<Shared>,
    id: &FileId,
    recipient: Recipient,
) -> Result<(), CatalogError> {
    let (file, behind_proxy, now) = (id.tag(), recipient.behind_proxy, shared.clock.now());
    match shared.catalog.delivered(id, recipient, now).await? {
        Delivery::News => {
            tracing::info!(file, behind_proxy, "a file was delivered");
            shared.metrics.ending(Ending::Delivered);
        }
        // Its end has been counted.
        Delivery::After(ending) => {
            let ending = ending.word();
            tracing::warn!(
                file,
                behind_proxy,
                ending,
                "a file that was over was delivered all the same"
            );
        }
        Delivery::Forgotten => {}
    }
    Ok(())
}

async fn write_undelivered(shared: &Arc<Shared>, id: &FileId, blame: Blame) -> Result<(), CatalogError> {
    let now = shared.clock.now();
    if let Relapse::End(ending) = shared.catalog.undelivered(id, blame, now).await? {
        tracing::info!(file = id.tag(), ending = ending.word(), "a file is over");
        shared.metrics.ending(ending);
    }
    Ok(())
}

impl From<CatalogError> for CollectionError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}
