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

use rusqlite::ErrorCode;
use tokio::sync::{mpsc, oneshot};

pub(crate) use record::Record;
pub(crate) use schema::{SchemaError, open};
pub(crate) use store::{Arrival, Recipient, Store, Swept};

use crate::clock::Timestamp;
use crate::id::FileId;
use crate::lifecycle::{Admission, Ending, Relapse};

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
        self.call(move |store| store.abandon(&id)).await
    }

    pub(crate) async fn find(&self, id: &FileId) -> Result<Option<Record>, CatalogError> {
        let id = id.clone();
        self.call(move |store| store.find(&id)).await
    }

    /// A recipient asks for the bytes; compare-and-set.
    pub(crate) async fn admit(
        &self,
        id: &FileId,
        recipient: Recipient,
        now: Timestamp,
    ) -> Result<Admission, CatalogError> {
        let id = id.clone();
        self.call(move |store| store.admit(&id, &recipient, now)).await
    }

    /// Collection number `attempt` shows life; whether it still holds its lease.
    pub(crate) async fn renew(
        &self,
        id: &FileId,
        attempt: u32,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let id = id.clone();
        self.call(move |store| store.renew(&id, attempt, now)).await
    }

    /// A recipient has every byte. Whether this was news.
    pub(crate) async fn delivered(
        &self,
        id: &FileId,
        recipient: Recipient,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let id = id.clone();
        self.call(move |store| store.delivered(&id, &recipient, now))
            .await
    }

    pub(crate) async fn undelivered(
        &self,
        id: &FileId,
        attempt: u32,
        now: Timestamp,
    ) -> Result<Relapse, CatalogError> {
        let id = id.clone();
        self.call(move |store| store.undelivered(&id, attempt, now)).await
    }

    /// Ends a file that is ready or being collected. Whether it was.
    pub(crate) async fn end(
        &self,
        id: &FileId,
        ending: Ending,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let id = id.clone();
        self.call(move |store| store.end(&id, ending, now)).await
    }

    /// Writes down what time has done, and tells what is to be unlinked.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<Swept, CatalogError> {
        self.call(move |store| store.sweep(now)).await
    }

    /// The bytes are gone.
    pub(crate) async fn unlinked(&self, id: &FileId) -> Result<(), CatalogError> {
        let id = id.clone();
        self.call(move |store| store.unlinked(&id)).await
    }

    /// The bytes could not be unlinked; try again at `due`.
    pub(crate) async fn postpone(&self, id: &FileId, due: Timestamp) -> Result<(), CatalogError> {
        let id = id.clone();
        self.call(move |store| store.postpone(&id, due)).await
    }

    /// When the next [`sweep`](Self::sweep) has something to do.
    pub(crate) async fn next_due(&self) -> Result<Option<Timestamp>, CatalogError> {
        self.call(|store| store.next_due()).await
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
        self.jobs.send(job).await.map_err(|_| CatalogError::Closed)?;
        answer
            .await
            .map_err(|_| CatalogError::Closed)?
            .map_err(CatalogError::from)
    }
}

/// Why the catalog does not answer.
#[derive(Debug)]
pub(crate) enum CatalogError {
    /// The drop is being closed.
    Closed,
    /// The disk is full.
    Full(rusqlite::Error),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error),
            _ => Self::Database(error),
        }
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the drop is closed"),
            Self::Full(_) => f.write_str("the disk is full"),
            Self::Database(error) => write!(f, "the catalog failed: {error}"),
        }
    }
}

impl Error for CatalogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed => None,
            Self::Full(error) | Self::Database(error) => Some(error),
        }
    }
}
