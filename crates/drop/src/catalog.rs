//! The catalog: what is known about each file. One thread owns the database; everybody else sends it work.
//!
//! Invariant: a change has been committed to disk (`synchronous=FULL`) before the call that asked for it returns, and
//! the data directory stays locked until the thread has closed the database.

mod record;
mod schema;
mod store;

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use tokio::sync::{mpsc, oneshot};

pub(crate) use record::Record;
pub(crate) use schema::{SchemaError, open};
pub(crate) use store::{Arrival, Delivery, Recipient, Store, Swept, is_full};

use crate::clock::Timestamp;
use crate::id::FileId;
use crate::leash::Leash;
use crate::lifecycle::{Admission, Blame, Ending, Relapse};

/// Calls that may wait for the thread; more wait for room.
const QUEUE: usize = 128;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// The handle to the catalog's thread.
#[derive(Debug)]
pub(crate) struct Catalog {
    jobs: mpsc::Sender<Job>,
    stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Catalog {
    /// Starts the thread. `lock` is held until the database is closed.
    pub(crate) fn start(store: Store, lock: File) -> io::Result<Self> {
        let (jobs, mut inbox) = mpsc::channel::<Job>(QUEUE);
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let work = move || {
            let (_lock, mut store) = (lock, store);
            while let Some(job) = inbox.blocking_recv() {
                job(&mut store);
                if stop.load(Ordering::Acquire) {
                    inbox.close();
                }
            }
        };
        Ok(Self {
            jobs,
            stopping,
            thread: Mutex::new(Some(Builder::new().name("drop-catalog".to_owned()).spawn(work)?)),
        })
    }

    /// Does what was asked for already, then closes the database and the lock. Later calls fail with `Closed`.
    pub(crate) fn close(&self) {
        self.stopping.store(true, Ordering::Release);
        // When the queue is full the thread sees the flag after its next job anyway.
        let _ = self.jobs.try_send(Box::new(|_| {}));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the catalog's thread has panicked");
        }
    }

    /// A file is about to arrive: its row comes before its first byte.
    pub(crate) async fn announce(&self, arrival: Arrival, now: Timestamp) -> Result<(), CatalogError> {
        self.call(move |store| store.announce(&arrival, now)).await
    }

    /// The file is complete and durable.
    pub(crate) async fn ready(
        &self,
        id: &FileId,
        size: u64,
        sha256: [u8; 32],
        expires_at: Timestamp,
    ) -> Result<(), CatalogError> {
        let id = id.clone();
        self.call(move |store| store.ready(&id, size, &sha256, expires_at))
            .await
    }

    /// The file will not be complete, and its bytes are gone.
    pub(crate) async fn abandon(&self, id: &FileId) -> Result<(), CatalogError> {
        let id = id.clone();
        self.insist(move |store| store.abandon(&id)).await
    }

    pub(crate) async fn find(&self, id: &FileId) -> Result<Option<Record>, CatalogError> {
        let id = id.clone();
        self.call(move |store| store.find(&id)).await
    }

    /// A recipient asks for the bytes; compare-and-set. Who gets a lease must say in the end how it went, with
    /// [`delivered`](Self::delivered) or [`undelivered`](Self::undelivered): until then nobody else gets in.
    pub(crate) async fn admit(
        &self,
        id: &FileId,
        recipient: Recipient,
        leash: Leash,
        now: Timestamp,
    ) -> Result<Admission, CatalogError> {
        let id = id.clone();
        self.insist(move |store| store.admit(&id, &recipient, &leash, now))
            .await
    }

    /// A recipient has every byte.
    pub(crate) async fn delivered(
        &self,
        id: &FileId,
        recipient: Recipient,
        now: Timestamp,
    ) -> Result<Delivery, CatalogError> {
        let id = id.clone();
        self.insist(move |store| store.delivered(&id, &recipient, now))
            .await
    }

    pub(crate) async fn undelivered(
        &self,
        id: &FileId,
        blame: Blame,
        now: Timestamp,
    ) -> Result<Relapse, CatalogError> {
        let id = id.clone();
        self.insist(move |store| store.undelivered(&id, blame, now)).await
    }

    /// Ends a file that is ready or being collected, and cuts off who collects it. Whether it was.
    pub(crate) async fn end(
        &self,
        id: &FileId,
        ending: Ending,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let id = id.clone();
        self.insist(move |store| store.end(&id, ending, now)).await
    }

    /// Writes down what time has done, and tells what is to be unlinked.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<Swept, CatalogError> {
        self.insist(move |store| store.sweep(now)).await
    }

    /// The bytes are gone.
    pub(crate) async fn unlinked(&self, id: &FileId) -> Result<(), CatalogError> {
        let id = id.clone();
        self.insist(move |store| store.unlinked(&id)).await
    }

    /// The bytes could not be unlinked; try again at `due`.
    pub(crate) async fn postpone(&self, id: &FileId, due: Timestamp) -> Result<(), CatalogError> {
        let id = id.clone();
        self.insist(move |store| store.postpone(&id, due)).await
    }

    /// When the next [`sweep`](Self::sweep) has something to do.
    pub(crate) async fn next_due(&self) -> Result<Option<Timestamp>, CatalogError> {
        self.call(|store| store.next_due()).await
    }

    /// There may be room on the disk again.
    pub(crate) async fn restore_reserve(&self) -> Result<(), CatalogError> {
        self.call(|store| {
            store.restore_reserve();
            Ok(())
        })
        .await
    }

    /// For what leads to an end, and so to room: a full disk must not stop it.
    async fn insist<T: Send + 'static>(
        &self,
        ask: impl Fn(&mut Store) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.call(move |store| store.insist(ask)).await
    }

    async fn call<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Store) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            // Nobody waits any more: the change is made all the same.
            let _ = reply.send(ask(store));
        });
        self.jobs.send(job).await.map_err(|_| self.silence())?;
        answer
            .await
            .map_err(|_| self.silence())?
            .map_err(CatalogError::from)
    }

    /// Makes the thread panic.
    #[cfg(test)]
    pub(crate) async fn die(&self) {
        let answer = self.call::<()>(|_| panic!("a test's panic")).await;
        assert!(matches!(answer, Err(CatalogError::Died)), "{answer:?}");
    }

    /// Why the thread is not there.
    fn silence(&self) -> CatalogError {
        match self.stopping.load(Ordering::Acquire) {
            true => CatalogError::Closed,
            false => CatalogError::Died,
        }
    }
}

/// Why the catalog does not answer.
#[derive(Debug)]
pub(crate) enum CatalogError {
    /// The drop is being closed.
    Closed,
    /// The thread has panicked; nothing will be answered any more.
    Died,
    /// The disk is full.
    Full(rusqlite::Error),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> Self {
        match is_full(&error) {
            true => Self::Full(error),
            false => Self::Database(error),
        }
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the drop is closed"),
            Self::Died => f.write_str("the catalog's thread has panicked"),
            Self::Full(_) => f.write_str("the disk is full"),
            Self::Database(error) => write!(f, "the catalog failed: {error}"),
        }
    }
}

impl Error for CatalogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed | Self::Died => None,
            Self::Full(error) | Self::Database(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use rusqlite::ffi;

    use super::*;
    use crate::lifecycle::Terms;
    use crate::reserve::Reserve;

    fn store(data: &std::path::Path) -> Store {
        let terms = Terms {
            lease: Duration::from_secs(120),
            grace: Duration::from_secs(60),
            attempts: 5,
            receipts: Duration::from_secs(60),
        };
        let mut store = Store::new(
            open(&data.join("catalog.sqlite")).unwrap(),
            terms,
            Reserve::new(data),
        );
        store.restore_reserve();
        store
    }

    fn no_room() -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None)
    }

    #[test]
    fn a_full_disk_costs_the_reserve_once_and_then_no_upload_begins_until_there_is_room() {
        let data = tempfile::tempdir().unwrap();
        let mut store = store(data.path());
        let reserve = data.path().join("reserve");
        let asked = Cell::new(0);
        let until_released = |_: &mut Store| {
            asked.set(asked.get() + 1);
            if reserve.exists() { Err(no_room()) } else { Ok(()) }
        };
        store.insist(until_released).unwrap();
        assert_eq!(asked.get(), 2);
        assert!(store.insist(|_| Err::<(), _>(no_room())).is_err());

        let arrival = Arrival {
            id: FileId::random().unwrap(),
            name: "a".to_owned(),
            token_hash: [0; 32],
            salt: [0; 32],
            uploader: None,
        };
        assert!(is_full(&store.announce(&arrival, Timestamp(1)).unwrap_err()));
        store.restore_reserve();
        store.announce(&arrival, Timestamp(1)).unwrap();
        // Another error is not the disk's.
        let other = store.insist(|_| Err::<(), _>(rusqlite::Error::InvalidQuery));
        assert!(other.is_err() && reserve.exists());
    }

    #[tokio::test]
    async fn a_thread_that_has_died_is_not_taken_for_a_closed_one() {
        let data = tempfile::tempdir().unwrap();
        let start = || Catalog::start(store(data.path()), tempfile::tempfile().unwrap()).unwrap();
        let died = start();
        died.die().await;
        assert!(matches!(died.next_due().await, Err(CatalogError::Died)));
        let closed = start();
        closed.close();
        assert!(matches!(closed.next_due().await, Err(CatalogError::Closed)));
    }
}
