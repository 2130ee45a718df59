//! A catalog under test, with its clock, and those who ask it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use crate::catalog::memory::{MemoryCatalog, Rows};
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::*;
use crate::clock::Clock;
use crate::lifecycle::{Blame, Phase, Terms};
use crate::open::on_a_thread;
use crate::reserve::Reserve;

pub(super) const LEASE: Duration = Duration::from_secs(120);
pub(super) const GRACE: Duration = Duration::from_secs(60);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const MIB: u64 = 1024 * 1024;

pub(super) const TERMS: Terms = Terms {
    lease: LEASE,
    grace: GRACE,
    attempts: 3,
    receipts: Duration::from_secs(7 * 86_400),
};

/// A catalog, its clock, and what outlives it.
pub(crate) struct Site {
    clock: Arc<AtomicI64>,
    keeper: Keeper,
    pub(crate) catalog: Box<dyn Catalog>,
}

enum Keeper {
    Sqlite(TempDir),
    Memory(Arc<Mutex<Rows>>),
}

impl Keeper {
    fn open(&self, clock: &Arc<AtomicI64>) -> Box<dyn Catalog> {
        let clock = Arc::clone(clock);
        let clock = Clock::new(move || {
            UNIX_EPOCH + Duration::from_millis(u64::try_from(clock.load(Ordering::Relaxed)).unwrap())
        });
        match self {
            Self::Sqlite(data) => {
                let (path, reserve) = (data.path().join("catalog.sqlite"), Reserve::new(data.path()));
                let opened = SqliteCatalog::open(&path, TERMS, OwnerRule::Either, &clock, reserve, None);
                Box::new(opened.unwrap())
            }
            Self::Memory(rows) => Box::new(MemoryCatalog::new(Arc::clone(rows), TERMS, &clock)),
        }
    }
}

/// One that asks.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    pub(crate) asker: Asker,
}

/// Somebody with a cookie of their own and an address of their own.
pub(crate) fn who(name: u8) -> Who {
    Who {
        asker: Asker {
            shown: Some(SecretHash([name; 32])),
            fresh: SecretHash([name; 32]),
            address: Some(AddressDigest::stored([name; 32])),
            behind_proxy: false,
            has_range: false,
            request: 0,
        },
    }
}

impl Who {
    pub(super) fn behind_proxy(mut self) -> Self {
        self.asker.behind_proxy = true;
        self
    }

    /// Known by the address only.
    pub(super) fn without_cookie(mut self, has_range: bool) -> Self {
        self.asker.shown = None;
        self.asker.fresh = SecretHash([99; 32]);
        self.asker.has_range = has_range;
        self
    }
}

pub(super) fn how(granted: &Range<u64>, arrived: Option<u64>) -> Settlement {
    let acknowledged = arrived.map(|bytes| granted.start + bytes);
    Settlement {
        request: 0,
        granted: granted.clone(),
        acknowledged,
        left: acknowledged.unwrap_or(granted.start),
        blame: Blame::Recipient,
        others: false,
        is_part: false,
    }
}

impl Site {
    pub(crate) fn in_sqlite() -> Self {
        Self::with(Keeper::Sqlite(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn in_memory() -> Self {
        Self::with(Keeper::Memory(Arc::default()))
    }

    fn with(keeper: Keeper) -> Self {
        let clock = Arc::new(AtomicI64::new(1_000_000_000_000));
        let catalog = keeper.open(&clock);
        Self {
            clock,
            keeper,
            catalog,
        }
    }

    pub(crate) fn ask<T: Send>(&self, ask: impl FnOnce(&dyn Catalog) -> Answer<'_, T> + Send) -> T {
        on_a_thread(|| ask(&*self.catalog)).unwrap()
    }

    pub(super) fn advance(&self, by: Duration) {
        self.clock.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
    }

    pub(super) fn set_back(&self, by: Duration) {
        self.clock.fetch_sub(by.as_millis() as i64, Ordering::Relaxed);
    }

    /// The process dies, and another one takes over.
    pub(crate) fn restart(mut self) -> Self {
        self.catalog.close();
        self.catalog = self.keeper.open(&self.clock);
        self
    }

    pub(crate) fn announce(&self, id: &DropId, sizes: &[u64]) -> Vec<BlobId> {
        let new = NewDrop {
            id: id.clone(),
            token_hash: SecretHash([1; 32]),
            rule: OwnerRule::Either,
            salt: [7; 32],
            uploader: None,
        };
        let blobs: Vec<BlobId> = sizes.iter().map(|_| BlobId::random().unwrap()).collect();
        for (blob, number) in blobs.iter().zip(1..) {
            let file = NewFile {
                number,
                name: format!("file {number}"),
                blob: blob.clone(),
            };
            self.ask(|catalog| catalog.announce(new.clone(), file));
        }
        blobs
    }

    pub(crate) fn upload(&self, sizes: &[u64]) -> (DropId, Vec<BlobId>) {
        let id = DropId::random().unwrap();
        let blobs = self.announce(&id, sizes);
        let uploader = Some(AddressDigest::stored([8; 32]));
        let rule = OwnerRule::Address;
        self.ask(|catalog| catalog.ready(&id, complete(sizes), DAY, rule, uploader));
        (id, blobs)
    }

    pub(crate) fn find(&self, id: &DropId) -> DropRecord {
        self.ask(|catalog| catalog.find(id)).unwrap()
    }

    pub(crate) fn file(&self, id: &DropId) -> FileRecord {
        self.find(id).files.remove(0)
    }

    pub(super) fn state(&self, id: &DropId) -> State {
        self.file(id).life.state
    }

    pub(super) fn phase(&self, id: &DropId) -> Phase {
        let drop = self.find(id);
        drop.files[0].life.phase(&TERMS, drop.now, drop.files[0].is_alive)
    }

    pub(super) fn admit_all(
        &self,
        id: &DropId,
        wants: Vec<(u32, Range<u64>)>,
        who: Who,
        leash: &Leash,
    ) -> Admission {
        let claim = Claim {
            id: id.clone(),
            wants,
            asker: who.asker,
            unknown: None,
            leash: leash.clone(),
        };
        self.ask(|catalog| catalog.admit(claim))
    }

    pub(super) fn admit(&self, id: &DropId, range: Range<u64>, who: Who) -> Admission {
        self.admit_all(id, vec![(1, range)], who, &Leash::default())
    }

    pub(super) fn granted(&self, id: &DropId, range: Range<u64>, who: Who) -> Grant {
        granted(self.admit(id, range, who))
    }

    pub(super) fn settle(&self, grant: &Grant, arrived: Option<u64>) -> Settled {
        let files = grant.files.iter().filter(|file| !file.is_again);
        let files = files
            .map(|file| (file.number, how(&file.range, arrived)))
            .collect();
        let settled = self.ask(|catalog| catalog.settle(grant, files));
        settled.first().map_or(Settled::Nothing, |(_, settled)| *settled)
    }

    /// Somebody collects all of a file of one.
    pub(super) fn deliver(&self, id: &DropId, who: Who) -> Settled {
        let size = self.file(id).life.size;
        let grant = self.granted(id, 0..size, who);
        self.settle(&grant, Some(size))
    }

    pub(super) fn sweep(&self) -> Swept {
        self.ask(|catalog| catalog.sweep())
    }
}

/// Another name that begins like this one, as far as a catalog may look before it compares all of it.
pub(crate) fn alike(id: &DropId) -> DropId {
    let (begins, rest) = id.as_str().split_at(11);
    let other = rest.replace(|one| one != 'a', "a");
    let other = if other == rest {
        other.replace('a', "b")
    } else {
        other
    };
    DropId::parse(&format!("{begins}{other}")).unwrap()
}

pub(super) fn granted(admission: Admission) -> Grant {
    match admission {
        Admission::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

pub(super) fn complete(sizes: &[u64]) -> Vec<Complete> {
    let numbered = sizes.iter().zip(1..);
    numbered
        .map(|(&size, number)| Complete {
            number,
            size,
            sha256: [number as u8; 32],
            crc32: u32::MAX,
        })
        .collect()
}
