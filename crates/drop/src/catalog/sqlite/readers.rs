//! What is only read.
//!
//! A few connections of their own, used on the thread that asks: a look-up by key takes microseconds from the page cache,
//! less than a hop to another thread would, and it never waits for a commit. They are opened as they are needed.
//!
//! Invariant: each answer is one statement, so it is of one moment.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use super::values::FileKey;
use super::{rows, schema, statements as sql};
use crate::catalog::{CatalogError, DropRecord, FileRecord, Listed};
use crate::clock::Timestamp;
use crate::id::{BlobId, DropId};
use crate::lifecycle::{Life, State, Terms};

/// Connections that are kept open while nobody uses them.
const KEPT: usize = 16;

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    back: Condvar,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Connection>,
    in_use: usize,
    is_closed: bool,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            pool: Mutex::default(),
            back: Condvar::new(),
        }
    }

    pub(super) fn find(&self, id: &DropId, now: Timestamp) -> Result<Option<DropRecord>, CatalogError> {
        self.ask(|db| rows::find(db, id, now))
    }

    pub(crate) fn list(&self, after: Option<(DropId, u32)>, limit: u32) -> Result<Vec<Listed>, CatalogError> {
        let after = after.map_or(FileKey::LEAST, |(id, number)| FileKey::of(&id, number));
        self.ask(|db| {
            let mut found = db.prepare_cached(sql::LIST)?;
            let rows = found.query_map(params![after, limit], rows::named)?;
            rows.map(|row| {
                let (id, file) = row?;
                Ok(Listed {
                    id,
                    number: file.number,
                    state: file.life.state,
                    blob: file.blob,
                    size: file.life.size,
                    sha256: file.sha256,
                })
            })
            .collect()
        })
    }

    pub(crate) fn strays(&self, blobs: Vec<BlobId>, complete: bool) -> Result<Vec<BlobId>, CatalogError> {
        self.ask(|db| {
            let mut state = db.prepare_cached(sql::STATE_OF_BLOB)?;
            let mut strays = Vec::new();
            for blob in &blobs {
                let found: Option<State> = state.query_row([blob], |row| row.get(0)).optional()?;
                let belongs = match found {
                    None | Some(State::Deleted) => false,
                    Some(State::Receiving) => !complete,
                    Some(_) => complete,
                };
                if !belongs {
                    strays.push(blob.clone());
                }
            }
            Ok(strays)
        })
    }

    /// One file, without what memory knows of it.
    pub(crate) fn file(&self, id: &DropId, number: u32) -> Result<Option<FileRecord>, CatalogError> {
        self.ask(|db| rows::one(db, id, number))
    }

    /// Writes a copy of the whole database, as it stands now, to a file that is there and empty.
    pub(crate) fn copy(&self, to: &Path) -> Result<(), CatalogError> {
        let to = to
            .to_str()
            .ok_or_else(|| CatalogError::Broken("its path is no UTF-8".into()))?;
        self.ask(|db| db.execute("VACUUM INTO ?1", [to]).map(|_| ()))
    }

    pub(crate) fn census(&self) -> Result<Vec<(State, u64, u64)>, CatalogError> {
        self.ask(|db| {
            let mut census = db.prepare(sql::CENSUS)?;
            let rows = census.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        })
    }

    /// When the next sweep has something to do.
    pub(super) fn next_due(
        &self,
        terms: &Terms,
        now: Timestamp,
        is_alive: impl Fn(&DropId, u32, &Life) -> bool,
    ) -> Result<Option<Timestamp>, CatalogError> {
        self.ask(|db| {
            let mut due: Option<Timestamp> = None;
            let mut earlier = |time: Timestamp| due = Some(due.map_or(time, |due| due.min(time)));
            for (sql, later) in [
                (sql::NEXT_WAITING, None),
                (sql::NEXT_COLLECTING, Some(terms.lease)),
                (sql::NEXT_LEASE, None),
                (sql::NEXT_OUTBOX, None),
                (sql::NEXT_RECEIPT, Some(terms.receipts)),
            ] {
                let next: Option<Timestamp> = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
                if let Some(next) = next {
                    earlier(next.plus(later.unwrap_or_default()));
                }
            }
            let mut uncertain = db.prepare_cached(sql::DUE_UNCERTAIN)?;
            for row in uncertain.query_map([Timestamp(i64::MAX)], rows::named)? {
                let (id, file) = row?;
                if !is_alive(&id, file.number, &file.life) {
                    earlier(file.life.expires_at);
                    break;
                }
                // Nothing after this one is due now; by the next look, its request may have ended.
                if now < file.life.expires_at {
                    break;
                }
            }
            Ok(due)
        })
    }

    fn ask<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CatalogError> {
        let db = self.borrow()?;
        let lent = Lent {
            readers: self,
            db: Some(db),
        };
        match &lent.db {
            Some(db) => Ok(ask(db)?),
            None => Err(CatalogError::Closed),
        }
    }

    fn borrow(&self) -> Result<Connection, CatalogError> {
        let idle = {
            let mut pool = self.pool();
            if pool.is_closed {
                return Err(CatalogError::Closed);
            }
            pool.in_use += 1;
            pool.idle.pop()
        };
        match idle {
            Some(db) => Ok(db),
            None => schema::reader(&self.path).map_err(|error| {
                self.give_back(None);
                CatalogError::Broken(error.into())
            }),
        }
    }

    fn give_back(&self, db: Option<Connection>) {
        let mut pool = self.pool();
        pool.in_use -= 1;
        if let Some(db) = db.filter(|_| !pool.is_closed && pool.idle.len() < KEPT) {
            pool.idle.push(db);
        }
        if pool.is_closed {
            self.back.notify_all();
        }
    }

    /// Waits for those who read, which is short, and lets go of the database.
    pub(super) fn close(&self) {
        let mut pool = self.pool();
        pool.is_closed = true;
        pool.idle.clear();
        while pool.in_use > 0 {
            pool = self.back.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. It goes back even when its user panics.
struct Lent<'a> {
    readers: &'a Readers,
    db: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.readers.give_back(self.db.take());
    }
}
