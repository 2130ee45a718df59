//! A recipient's download: requests that hold the lease of some files, and end in delivery or not at all.
//!
//! Of one request:
//!
//! 1. The blobs are opened, so that what follows cannot fail for want of them.
//! 2. The lease is taken, compare-and-set, or joined. Of many who ask one gets it.
//! 3. It is held for as long as the receipt is out, however long that takes. When a file comes to another end meanwhile,
//!    the [`Leash`] cuts the bytes off; before the last piece leaves, the catalog is asked ([`watch`]).
//! 4. The receipt says how much of the body arrived, and so how much of each file: that is settled, and delivered is what
//!    became whole by it. What cannot be written is tried again; the lease is held until it is.
//!
//! Invariant: whoever was granted bytes settles, and nobody else has them before. The work is done by a task of its own; a
//! handler that is dropped drops the courier with it, and then the receipt says that nothing is known to have arrived. A
//! task that is dropped (its runtime ended) leaves the lease to the next start.

pub(crate) mod outline;
mod watch;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use truehop_delivery::{Arrival, Courier, Parcel, Part, Receipt, receipt};

use crate::blobs::Stored;
use crate::catalog::{Admission, CatalogError, Claim, DropRecord, Grant, Settled, Which};
use crate::collection::outline::{Outline, Placed, Segment};
use crate::collection::watch::Watch;
use crate::failpoint;
use crate::file_drop::Shared;
use crate::id::DropId;
use crate::leash::Leash;
use crate::lifecycle::{Asker, Blame, Ending, Settlement};
use crate::secret::SecretHash;

/// Between two tries to write down how a request ended, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a recipient asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The body of the answer.
    pub(crate) body: Outline,
    /// Files of an archive that the body is a part of, and that it has nothing of: where it begins, at a file's start or
    /// behind its end.
    pub(crate) beside: Vec<(u32, u64)>,
    /// Whether the body is all of a single file, or of an archive.
    pub(crate) is_whole: bool,
    pub(crate) is_archive: bool,
    pub(crate) asker: Asker,
    /// Why nobody can say whether this is the owner.
    pub(crate) unknown: Option<&'static str>,
}

/// The answer to a recipient.
#[derive(Debug)]
pub(crate) enum Collection {
    Granted(Handed),
    /// Somebody else is collecting, for at least so long.
    Busy {
        rest: Duration,
    },
    /// The collection has had so many bytes that no attempt is left.
    Spent,
    Gone,
}

/// Bytes for a recipient. The courier must travel with them.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) parcel: Parcel,
    pub(crate) courier: Courier,
    pub(crate) collection: SecretHash,
}

/// Why a recipient gets no answer.
#[derive(Debug)]
pub(crate) enum CollectionError {
    Disk(io::Error),
    Catalog(CatalogError),
    /// The runtime is going down.
    Stopped,
}

/// Asks for bytes on behalf of somebody who is not the owner.
pub(crate) async fn collect(
    shared: &Arc<Shared>,
    record: &DropRecord,
    wanted: Wanted,
) -> Result<Collection, CollectionError> {
    let Some(blobs) = open(shared, record, &wanted.body).await? else {
        return Ok(Collection::Gone);
    };
    let (reply, answer) = oneshot::channel();
    let (shared, id) = (Arc::clone(shared), record.id.clone());
    tokio::spawn(async move {
        let leash = Leash::default();
        match admit(&shared, id, &wanted, leash.clone()).await {
            Ok(Admission::Granted(grant)) => {
                failpoint::reached("admitted");
                let (courier, receipt) = receipt();
                let request = Request {
                    placed: wanted.body.files().collect(),
                    is_part: wanted.is_archive && !wanted.is_whole,
                    is_archive: wanted.is_archive,
                    grant,
                    leash,
                };
                let handed = Handed {
                    parcel: request.parcel(&shared, wanted.body, &blobs),
                    courier,
                    collection: request.grant.collection,
                };
                drop(blobs);
                // A handler that is gone lets the courier fall here.
                drop(reply.send(Ok(Collection::Granted(handed))));
                request.see_through(&shared, receipt).await;
            }
            Ok(Admission::Busy { rest }) => drop(reply.send(Ok(Collection::Busy { rest }))),
            Ok(Admission::Spent) => drop(reply.send(Ok(Collection::Spent))),
            Ok(Admission::Gone) => drop(reply.send(Ok(Collection::Gone))),
            Err(error) => drop(reply.send(Err(error.into()))),
        }
    });
    answer.await.unwrap_or(Err(CollectionError::Stopped))
}

/// The bytes for the owner: nothing hangs on them. `None` when some are not there.
pub(crate) async fn open_for_owner(
    shared: &Shared,
    record: &DropRecord,
    body: Outline,
) -> Result<Option<Parcel>, CollectionError> {
    let blobs = open(shared, record, &body).await?;
    Ok(blobs.map(|blobs| {
        parcel(body, |number, range| {
            blobs.get(&number).map(|blob| blob.part(range, None))
        })
    }))
}

type Opened = HashMap<u32, Arc<dyn Stored>>;

/// Opens what the body needs; a file that ought to be there and is not comes to its end.
async fn open(
    shared: &Shared,
    record: &DropRecord,
    body: &Outline,
) -> Result<Option<Opened>, CollectionError> {
    let mut opened = Opened::new();
    for Placed { number, .. } in body.files() {
        let Some(file) = record.file(number) else {
            return Ok(None);
        };
        match shared
            .blobs
            .open(&file.blob)
            .await
            .map_err(CollectionError::Disk)?
        {
            Some(blob) => {
                opened.insert(number, blob);
            }
            None => {
                lost(shared, &record.id, number).await?;
                return Ok(None);
            }
        }
    }
    Ok(Some(opened))
}

/// Between the look at the row and the look for the blob it may have been delivered and unlinked: then this changes
/// nothing.
async fn lost(shared: &Shared, id: &DropId, number: u32) -> Result<(), CatalogError> {
    let ended = shared.catalog.end(id, Which::One(number), Ending::Lost).await?;
    for number in ended {
        tracing::error!(
            drop = id.tag(),
            number,
            "a file is missing on disk; nobody will get it"
        );
        shared.metrics.ending(Ending::Lost);
        shared.work.notify_one();
    }
    Ok(())
}

async fn admit(
    shared: &Shared,
    id: DropId,
    wanted: &Wanted,
    leash: Leash,
) -> Result<Admission, CatalogError> {
    let beside = wanted.beside.iter().map(|&(number, at)| (number, at..at));
    let mut wants: Vec<_> = wanted
        .body
        .files()
        .map(|placed| (placed.number, placed.range))
        .chain(beside)
        .collect();
    wants.sort_by_key(|(number, _)| *number);
    let claim = Claim {
        id,
        wants,
        asker: wanted.asker,
        unknown: wanted.unknown,
        leash,
    };
    shared.catalog.admit(claim).await
}

/// A body of what `part` gives for the files.
fn parcel(body: Outline, mut part: impl FnMut(u32, std::ops::Range<u64>) -> Option<Part>) -> Parcel {
    Parcel::new(
        body.into_segments()
            .into_iter()
            .filter_map(|segment| match segment {
                Segment::Bytes(bytes) => Some(Part::Bytes(bytes)),
                Segment::File { number, range } => part(number, range),
            }),
    )
}

/// One request that was granted bytes.
struct Request {
    grant: Grant,
    leash: Leash,
    placed: Vec<Placed>,
    is_archive: bool,
    /// Of an archive.
    is_part: bool,
}

impl Request {
    fn parcel(&self, shared: &Arc<Shared>, body: Outline, blobs: &Opened) -> Parcel {
        parcel(body, |number, range| {
            let granted = self.grant.files.iter().find(|file| file.number == number)?;
            let watch = Watch::new(Arc::clone(shared), &self.grant, granted, self.leash.clone());
            Some(blobs.get(&number)?.part(range, Some(Arc::new(watch))))
        })
    }

    /// Waits for the receipt, and writes down what it says.
    async fn see_through(self, shared: &Shared, receipt: Receipt) {
        let _under_way = shared.metrics.collecting();
        let arrival = self.arrival(receipt).await;
        if arrival == Arrival::Whole {
            failpoint::reached("acknowledged");
        }
        // A recipient who breaks off while we stop is not told from one whom we break off: both get the attempt back. So
        // do those whose other files were in one body with one that is over.
        let is_ours =
            shared.is_stopping.load(Ordering::Acquire) || self.leash.has_failed() || self.leash.is_cut();
        let blame = if is_ours { Blame::Server } else { Blame::Recipient };
        let settlements = self.settlements(arrival, blame);
        let mut pause = Duration::from_millis(100);
        let settled = loop {
            match shared.catalog.settle(&self.grant, settlements.clone()).await {
                Ok(settled) => break settled,
                // The next start knows what may be; told rather than lost.
                Err(error @ (CatalogError::Closed | CatalogError::Died)) => {
                    let drop = self.grant.id.tag();
                    tracing::warn!(drop, ?arrival, %error, "a collection's end could not be written down");
                    break Vec::new();
                }
                Err(error) => {
                    let drop = self.grant.id.tag();
                    tracing::error!(drop, ?arrival, %error, "a collection's end could not be written down; trying again");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        };
        if !settlements.is_empty() {
            self.tell(shared, &settled, arrival, blame);
        }
        shared.work.notify_one();
    }

    /// Waits for the receipt. When the file is over meanwhile, what has not arrived shall not; in an archive it breaks off
    /// before the next piece, for what has left may be of others.
    async fn arrival(&self, mut receipt: Receipt) -> Arrival {
        tokio::select! {
            arrival = &mut receipt => return arrival,
            () = self.leash.until_cut(), if !self.is_archive => receipt.recall(),
        }
        receipt.await
    }

    /// How the request ended for each of its files.
    fn settlements(&self, arrival: Arrival, blame: Blame) -> Vec<(u32, Settlement)> {
        let (acknowledged, left) = match arrival {
            Arrival::Whole => (u64::MAX, u64::MAX),
            Arrival::Part { acknowledged, left } => (acknowledged, left),
            Arrival::Unknown => (0, self.sent()),
        };
        let granted = self.grant.files.iter().filter(|file| !file.is_again);
        granted
            .map(|file| {
                let placed = self.placed.iter().find(|placed| placed.number == file.number);
                let end = |count: u64| placed.filter(|_| count > 0)?.end_within(count);
                let settlement = Settlement {
                    granted: file.range.clone(),
                    acknowledged: end(acknowledged),
                    left: end(left).unwrap_or(file.range.start),
                    blame,
                    // These two are for the catalog to say.
                    request: 0,
                    others: false,
                    is_part: self.is_part || (self.is_archive && arrival != Arrival::Whole),
                };
                (file.number, settlement)
            })
            .collect()
    }

    /// How much of the body was sent at most, as far as is known here: up to the last byte of files.
    fn sent(&self) -> u64 {
        let mut bytes = self.leash.bytes();
        let mut sent = 0;
        for placed in &self.placed {
            let of_it = bytes.min(placed.range.end - placed.range.start);
            if of_it > 0 {
                sent = placed.at + of_it;
            }
            bytes -= of_it;
        }
        sent
    }

    fn tell(&self, shared: &Shared, settled: &[(u32, Settled)], arrival: Arrival, blame: Blame) {
        let drop = self.grant.id.tag();
        let mut is_delivered = false;
        for &(number, settled) in settled {
            match settled {
                Settled::Delivered => {
                    failpoint::reached("delivered");
                    is_delivered = true;
                    tracing::info!(drop, number, "a file was delivered");
                    shared.metrics.ending(Ending::Delivered);
                }
                // Its end has been counted.
                Settled::DeliveredAfter(ending) => {
                    is_delivered = true;
                    let ending = ending.word();
                    tracing::warn!(
                        drop,
                        number,
                        ending,
                        "a file that was over was delivered all the same"
                    );
                }
                Settled::Held | Settled::Nothing => {}
            }
        }
        shared.metrics.collection(match (is_delivered, arrival, blame) {
            (true, ..) => "delivered",
            (false, Arrival::Whole, _) => "partial",
            (false, Arrival::Part { .. } | Arrival::Unknown, Blame::Recipient) => "undelivered",
            (false, Arrival::Part { .. } | Arrival::Unknown, Blame::Server) => "interrupted",
        });
    }
}

impl From<CatalogError> for CollectionError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}
