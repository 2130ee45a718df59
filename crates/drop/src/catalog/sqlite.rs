//! The catalog in an SQLite database, in the data directory.
//!
//! One thread writes ([`writer`]): it takes all calls that wait, and makes them durable together. Reading goes past it
//! ([`readers`]), on the thread that asks. The tables and their versions are in [`schema`], the statements in
//! [`statements`], the decisions in [`lifecycle`](crate::lifecycle).
//!
//! Invariant: this is the only process that writes; the lock that says so is held until the database is closed. Memory
//! knows of a request as long as the rows do: it is there before its grant is committed, and gone after its settlement is.

mod changes;
mod inbox;
mod readers;
mod rows;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod values;
mod writer;

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::future::ready;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

pub(crate) use readers::Readers;
pub(crate) use schema::SchemaError;

use super::live::Live;
use super::{
    Admission, Answer, Catalog, CatalogError, Claim, Complete, DropRecord, Grant, Listed, NewDrop, NewFile,
    Settled, Swept, Which,
};
use crate::clock::{Clock, Timestamp};
use crate::config::OwnerRule;
use crate::failpoint::reached;
use crate::id::{BlobId, DropId};
use crate::lifecycle::{Ending, Settlement, State, Terms};
use crate::owner::AddressDigest;
use crate::reserve::Reserve;
use crate::secret::SecretHash;
use changes::Change;
use inbox::Inbox;
use writer::{Erased, Pace, Writer};

/// A database in use.
#[derive(Debug)]
pub(crate) struct SqliteCatalog {
    inbox: Arc<Inbox>,
    readers: Readers,
    live: Arc<RwLock<Live>>,
    terms: Terms,
    clock: Clock,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteCatalog {
    /// Opens the database at `path`, creating or upgrading it, and starts the thread that writes. `lock` is held until the
    /// database is closed. Files of a schema without owner rules get `rule`.
    pub(crate) fn open(
        path: &Path,
        terms: Terms,
        rule: OwnerRule,
        clock: &Clock,
        reserve: Reserve,
        lock: Option<Arc<File>>,
    ) -> Result<Self, OpenFault> {
        Self::open_at(Pace::default(), path, terms, rule, clock, reserve, lock)
    }

    fn open_at(
        pace: Pace,
        path: &Path,
        terms: Terms,
        rule: OwnerRule,
        clock: &Clock,
        reserve: Reserve,
        lock: Option<Arc<File>>,
    ) -> Result<Self, OpenFault> {
        let live = Arc::new(RwLock::new(Live::default()));
        let inbox = Arc::new(Inbox::new());
        let writer = Writer {
            db: schema::writer(path, rule)?,
            terms,
            clock: clock.clone(),
            live: Arc::clone(&live),
            inbox: Arc::clone(&inbox),
            reserve,
            pace,
            next_request: 1,
            // A crash may have left what was erased in the log, and no row tells.
            erased: Some(Erased::now(pace)),
            lock,
        };
        let thread = Builder::new()
            .name("drop-catalog".to_owned())
            .spawn(|| writer.run())?;
        Ok(Self {
            inbox,
            readers: Readers::new(path),
            live,
            terms,
            clock: clock.clone(),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Has `ask` made durable.
    fn write<T: Send + 'static>(
        &self,
        ask: impl Fn(&mut Change<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.inbox.call(false, ask))
    }

    /// The same for what leads to an end, and so to room: a full disk must not stop it.
    fn insist<T: Send + 'static>(
        &self,
        ask: impl Fn(&mut Change<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.inbox.call(true, ask))
    }

    /// Makes the thread panic.
    #[cfg(test)]
    pub(crate) async fn die(&self) {
        let answer = self.write::<()>(|_| panic!("a test's panic")).await;
        assert!(matches!(answer, Err(CatalogError::Died)), "{answer:?}");
    }
}

impl Catalog for SqliteCatalog {
    fn announce(&self, drop: NewDrop, file: NewFile) -> Answer<'_, ()> {
        self.write(move |change| change.announce(&drop, &file))
    }

    fn ready(
        &self,
        id: &DropId,
        files: Vec<Complete>,
        wait: Duration,
        rule: OwnerRule,
        uploader: Option<AddressDigest>,
    ) -> Answer<'_, Timestamp> {
        let id = id.clone();
        self.write(move |change| change.ready(&id, &files, wait, rule, uploader))
    }

    fn abandon(&self, id: &DropId) -> Answer<'_, ()> {
        let id = id.clone();
        self.insist(move |change| change.abandon(&id))
    }

    fn find(&self, id: &DropId) -> Answer<'_, Option<DropRecord>> {
        // While this is held no request comes or goes, so row and request are of one moment.
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let found = self.readers.find(id, self.clock.now()).map(|found| {
            found.map(|mut drop| {
                for file in &mut drop.files {
                    file.is_alive = live.is_alive(id, file.number, &file.life, &[]);
                    file.progress = live.progress(id, file.number, &file.life);
                }
                drop
            })
        });
        Box::pin(ready(found))
    }

    fn admit(&self, claim: Claim) -> Answer<'_, Admission> {
        self.insist(move |change| change.admit(&claim))
    }

    fn last_piece(&self, id: &DropId, number: u32, collection: SecretHash) -> Answer<'_, bool> {
        let id = id.clone();
        self.insist(move |change| change.last_piece(&id, number, collection))
    }

    fn settle(&self, grant: &Grant, files: Vec<(u32, Settlement)>) -> Answer<'_, Vec<(u32, Settled)>> {
        let grant = grant.clone();
        self.insist(move |change| change.settle(&grant, &files))
    }

    fn end(&self, id: &DropId, which: Which, ending: Ending) -> Answer<'_, Vec<u32>> {
        let id = id.clone();
        self.insist(move |change| change.end(&id, which, ending))
    }

    fn extend(&self, id: &DropId, wait: Duration) -> Answer<'_, Option<Timestamp>> {
        let id = id.clone();
        self.write(move |change| change.extend(&id, wait))
    }

    fn rearm(&self, id: &DropId, number: u32) -> Answer<'_, bool> {
        let id = id.clone();
        self.write(move |change| change.rearm(&id, number))
    }

    fn sweep(&self) -> Answer<'_, Swept> {
        self.insist(|change| change.sweep())
    }

    fn unlinked(&self, blob: &BlobId) -> Answer<'_, ()> {
        let blob = blob.clone();
        let told = self.insist(move |change| change.unlinked(&blob));
        Box::pin(async move {
            told.await?;
            reached("forgotten");
            Ok(())
        })
    }

    fn postpone(&self, blob: &BlobId, wait: Duration) -> Answer<'_, ()> {
        let blob = blob.clone();
        self.insist(move |change| change.postpone(&blob, wait))
    }

    fn next_due(&self) -> Answer<'_, Option<Duration>> {
        let now = self.clock.now();
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let is_alive = |id: &DropId, number, life: &_| live.is_alive(id, number, life, &[]);
        let due = self.readers.next_due(&self.terms, now, is_alive);
        Box::pin(ready(due.map(|due| due.map(|due| due.after(now)))))
    }

    fn interrupt(&self) -> Answer<'_, u64> {
        self.insist(|change| change.interrupt())
    }

    fn list(&self, after: Option<(DropId, u32)>, limit: u32) -> Answer<'_, Vec<Listed>> {
        Box::pin(ready(self.readers.list(after, limit)))
    }

    fn strays(&self, blobs: Vec<BlobId>, complete: bool) -> Answer<'_, Vec<BlobId>> {
        Box::pin(ready(self.readers.strays(blobs, complete)))
    }

    fn census(&self) -> Answer<'_, Vec<(State, u64, u64)>> {
        Box::pin(ready(self.readers.census()))
    }

    fn close(&self) {
        self.readers.close();
        self.inbox.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the catalog's thread has panicked");
        }
    }
}

impl Drop for SqliteCatalog {
    fn drop(&mut self) {
        self.close();
    }
}

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> Self {
        match changes::is_full(&error) {
            true => Self::Full(error.into()),
            false => Self::Broken(error.into()),
        }
    }
}

/// Why the catalog cannot be opened.
#[derive(Debug)]
pub(crate) enum OpenFault {
    Schema(SchemaError),
    /// There is no thread to be had.
    Thread(io::Error),
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(error) => error.fmt(f),
            Self::Thread(error) => error.fmt(f),
        }
    }
}

impl Error for OpenFault {}

impl From<SchemaError> for OpenFault {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

impl From<io::Error> for OpenFault {
    fn from(error: io::Error) -> Self {
        Self::Thread(error)
    }
}
