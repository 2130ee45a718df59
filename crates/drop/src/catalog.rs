//! The catalog: what is known about each drop and its files.
//!
//! [`Catalog`] is what the service asks; [`sqlite`] is the one that there is. What may follow what is decided by
//! [`lifecycle`](crate::lifecycle); a catalog makes each decision and its writing one transaction, by its own clock.
//!
//! Invariant: what a call has changed is durable when it answers. Of those who ask for the same bytes at once, one gets
//! them; nobody else does before the one who got them has settled, whatever the clock says meanwhile.

mod claim;
#[cfg(test)]
pub(crate) mod conformance;
mod live;
#[cfg(test)]
mod memory;
pub(crate) mod sqlite;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::OwnerRule;
use crate::id::{BlobId, DropId};
use crate::leash::Leash;
use crate::lifecycle::{Asker, Ending, Life, Settlement, State};
use crate::owner::{AddressDigest, Kept, Salt};
use crate::secret::SecretHash;

/// What a call comes to.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, CatalogError>> + Send + 'a>>;

/// Files of one drop, which are numbered from 1.
pub(crate) const MOST_FILES: u32 = 100;

/// Keeps the rows. No caller's clock counts: times come from the catalog, and go to it as durations.
pub(crate) trait Catalog: fmt::Debug + Send + Sync {
    /// A file is about to arrive: its row comes before its first byte, with what is known of its drop.
    fn announce(&self, drop: NewDrop, file: NewFile) -> Answer<'_, ()>;

    /// All files of the drop are complete and durable; it waits so long for its recipient. Until when. The rule is what the
    /// uploader has asked for in the end, and with it what is kept of the address.
    fn ready(
        &self,
        id: &DropId,
        files: Vec<Complete>,
        wait: Duration,
        rule: OwnerRule,
        uploader: Option<AddressDigest>,
    ) -> Answer<'_, Timestamp>;

    /// The drop will not be complete, and its bytes are gone. Only one that never became ready.
    fn abandon(&self, id: &DropId) -> Answer<'_, ()>;

    /// What is known of a drop that there is, or was and is not forgotten; also of one that is being received.
    fn find(&self, id: &DropId) -> Answer<'_, Option<DropRecord>>;

    /// A recipient asks for bytes; compare-and-set, all of them or none. Who is granted them must [`settle`](Self::settle).
    fn admit(&self, claim: Claim) -> Answer<'_, Admission>;

    /// The last piece of file `number` is about to leave for the collection. Whether it may: the hold still stands.
    fn last_piece(&self, id: &DropId, number: u32, collection: SecretHash) -> Answer<'_, bool>;

    /// A request that was granted has ended so, for each of its files that are not [`Granted::is_again`]. To be told of every
    /// grant, also with no file at all.
    fn settle(&self, grant: &Grant, files: Vec<(u32, Settlement)>) -> Answer<'_, Vec<(u32, Settled)>>;

    /// Ends files that are live, and cuts off who collects them. Those that were. A file within its grace loses the
    /// grace when it is `Withdrawn`.
    fn end(&self, id: &DropId, which: Which, ending: Ending) -> Answer<'_, Vec<u32>>;

    /// The live files of the drop wait so long from now. Until when; `None` when no file is live.
    fn extend(&self, id: &DropId, wait: Duration) -> Answer<'_, Option<Timestamp>>;

    /// The owner gives the file another try. Whether that could be.
    fn rearm(&self, id: &DropId, number: u32) -> Answer<'_, bool>;

    /// Writes down what time has done, and tells what is to be unlinked now.
    fn sweep(&self) -> Answer<'_, Swept>;

    /// The bytes are gone.
    fn unlinked(&self, blob: &BlobId) -> Answer<'_, ()>;

    /// The bytes could not be unlinked; they are told again after so long.
    fn postpone(&self, blob: &BlobId, wait: Duration) -> Answer<'_, ()>;

    /// In how long the next [`sweep`](Self::sweep) has something to do.
    fn next_due(&self) -> Answer<'_, Option<Duration>>;

    /// At the start, before anything else: no request has survived. The collections that were under way.
    fn interrupt(&self) -> Answer<'_, u64>;

    /// The files after `after` in the order of their names, at most `limit`, in any state.
    fn list(&self, after: Option<(DropId, u32)>, limit: u32) -> Answer<'_, Vec<Listed>>;

    /// Which of these blobs belong to no file that has bytes: `complete` ones to none that was received, others to none
    /// that is being received.
    fn strays(&self, blobs: Vec<BlobId>, complete: bool) -> Answer<'_, Vec<BlobId>>;

    /// How many files, and how many bytes, are in each state.
    fn census(&self) -> Answer<'_, Vec<(State, u64, u64)>>;

    /// Does what was asked for already, then lets go of everything. Later calls fail with `Closed`. Blocks.
    fn close(&self);
}

/// A drop before its first byte.
#[derive(Clone, Debug)]
pub(crate) struct NewDrop {
    pub(crate) id: DropId,
    pub(crate) token_hash: SecretHash,
    pub(crate) rule: OwnerRule,
    /// The key of the drop's address digests.
    pub(crate) salt: Salt,
    pub(crate) uploader: Option<AddressDigest>,
}

/// A file before its first byte.
#[derive(Clone, Debug)]
pub(crate) struct NewFile {
    /// From 1 on, in the order of the upload.
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) blob: BlobId,
}

/// What is known of a file once all of it has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Complete {
    pub(crate) number: u32,
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
    pub(crate) crc32: u32,
}

/// What is known about a drop.
#[derive(Clone, Debug)]
pub(crate) struct DropRecord {
    pub(crate) id: DropId,
    pub(crate) rule: OwnerRule,
    pub(crate) token_hash: SecretHash,
    /// Erased, like the uploader, with the last file's bytes.
    pub(crate) salt: Option<Salt>,
    pub(crate) uploader: Option<AddressDigest>,
    /// Recipients of whom nobody could say whether they were the owner, and why the last one.
    pub(crate) unknown: u32,
    pub(crate) unknown_why: Option<String>,
    /// In the order of their numbers.
    pub(crate) files: Vec<FileRecord>,
    /// When the catalog said so.
    pub(crate) now: Timestamp,
}

impl DropRecord {
    /// What an owner is recognised by.
    pub(crate) fn kept(&self) -> Kept<'_> {
        Kept {
            rule: self.rule,
            token_hash: &self.token_hash,
            salt: self.salt.as_ref(),
            uploader: self.uploader.as_ref(),
        }
    }

    pub(crate) fn file(&self, number: u32) -> Option<&FileRecord> {
        self.files.iter().find(|file| file.number == number)
    }
}

/// What is known about a file. Its name and digests are erased with its bytes.
#[derive(Clone, Debug)]
pub(crate) struct FileRecord {
    pub(crate) number: u32,
    pub(crate) blob: BlobId,
    pub(crate) life: Life,
    pub(crate) name: Option<String>,
    pub(crate) sha256: Option<[u8; 32]>,
    /// `None` also for a file of before this was kept.
    pub(crate) crc32: Option<u32>,
    /// Whether a request is under way, also of a file that is over: it may yet turn out to have arrived.
    pub(crate) is_alive: bool,
    /// Bytes that its collection has or that are on their way to it, for those who watch.
    pub(crate) progress: u64,
}

/// Somebody other than the owner asks for bytes of some files at once.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) id: DropId,
    /// Numbers of files, and which bytes of each, in the order in which they are sent. No bytes of a file keep its lease, and
    /// count for nothing.
    pub(crate) wants: Vec<(u32, Range<u64>)>,
    pub(crate) asker: Asker,
    /// Why nobody can say whether this is the owner. Counted with the lease, not with each request.
    pub(crate) unknown: Option<&'static str>,
    /// By which the bytes can be cut off.
    pub(crate) leash: Leash,
}

/// The answer to a claim.
#[derive(Clone, Debug)]
pub(crate) enum Admission {
    Granted(Grant),
    Busy { rest: Duration },
    Spent,
    Gone,
}

/// One request of a collection, from admission to settlement.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) id: DropId,
    pub(crate) collection: SecretHash,
    /// Tells the requests of a collection apart.
    pub(crate) request: u64,
    pub(crate) files: Vec<Granted>,
}

/// What is granted of one file.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) number: u32,
    pub(crate) range: Range<u64>,
    /// Whether [`Catalog::last_piece`] must be asked before the end of the range leaves: with it the recipient may have
    /// everything. Not when that was written down with the grant: then the range is no more than a last piece.
    pub(crate) is_gated: bool,
    /// A second try within the grace: nothing hangs on it, and it is not among the files that are settled.
    pub(crate) is_again: bool,
}

/// What has become of a file with the end of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Settled {
    /// It was delivered with it.
    Delivered,
    /// It had come to this end meanwhile; now it is known to have been delivered.
    DeliveredAfter(Ending),
    /// The collection holds it until its lease lapses.
    Held,
    /// Nothing: it was over, or is not known any more.
    Nothing,
}

/// Of which files something is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Which {
    All,
    One(u32),
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Files that have come to an end by themselves.
    pub(crate) ended: Vec<(DropId, Ending)>,
    /// Blobs that are to be unlinked now.
    pub(crate) unlink: Vec<BlobId>,
}

/// A file as [`Catalog::list`] tells it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) id: DropId,
    pub(crate) number: u32,
    pub(crate) blob: BlobId,
    pub(crate) state: State,
    pub(crate) size: u64,
    pub(crate) sha256: Option<[u8; 32]>,
}

/// Why the catalog does not answer.
#[derive(Debug)]
pub(crate) enum CatalogError {
    /// The drop is being closed.
    Closed,
    /// It has failed for good; nothing will be answered any more.
    Died,
    /// No room.
    Full(Box<dyn Error + Send + Sync>),
    Broken(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the drop is closed"),
            Self::Died => f.write_str("the catalog's thread has panicked"),
            Self::Full(_) => f.write_str("the disk is full"),
            Self::Broken(error) => write!(f, "the catalog failed: {error}"),
        }
    }
}

impl Error for CatalogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed | Self::Died => None,
            Self::Full(error) | Self::Broken(error) => Some(&**error),
        }
    }
}
