//! The one thread that writes.
//!
//! 1. It takes all calls that wait. While it makes one transaction durable the next calls gather, so the busier it is, the
//!    more of them share a commit.
//! 2. Each runs in a savepoint of one transaction, so that one that fails is undone alone.
//! 3. One commit makes them durable; then what follows in memory is done, and all are answered.
//! 4. When the transaction as a whole fails, each call is run again in one of its own. One that finds the disk full, or a
//!    quota used up, and leads to an end is run once more with the room of the reserve.
//!
//! What was erased still stands in the log until that is emptied. That happens when there is nothing to do for a moment,
//! and after some seconds in any case; after the start, too, for a crash may have come before it.
//!
//! Invariant: nothing is answered, and nothing in memory follows, before the commit. The directory stays locked until the
//! database is closed.

use std::fs::File;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};

use super::changes::{Change, Effects, is_full};
use super::inbox::{Found, Inbox, Job};
use super::schema::PATIENCE;
use crate::catalog::live::Live;
use crate::clock::Clock;
use crate::lifecycle::Terms;
use crate::reserve::Reserve;

/// Calls that share a transaction, at most: the first should not wait for too many others.
const BATCH: usize = 128;

/// How long what was erased may stand in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// While there is nothing to do.
    pub(super) idle: Duration,
    /// In any case.
    pub(super) latest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            idle: Duration::from_millis(250),
            latest: Duration::from_secs(5),
        }
    }
}

/// How long the writer waits for readers who still need the log.
const BRIEFLY: Duration = Duration::from_millis(50);

pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) terms: Terms,
    pub(super) clock: Clock,
    pub(super) live: Arc<RwLock<Live>>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) reserve: Reserve,
    pub(super) pace: Pace,
    pub(super) next_request: u64,
    /// Since when something erased stands in the log, and since when there has been nothing to do.
    pub(super) erased: Option<Erased>,
    /// Locks the data directory.
    pub(super) lock: Option<Arc<File>>,
}

pub(super) struct Erased {
    since: Instant,
    due: Instant,
}

impl Erased {
    pub(super) fn now(pace: Pace) -> Self {
        let since = Instant::now();
        let due = since + pace.idle;
        Self { since, due }
    }
}

/// Tells those who wait that nobody answers any more, also when the thread panics.
struct Attendance(Arc<Inbox>);

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.die();
    }
}

impl Writer {
    /// Works until the inbox is closed and empty.
    pub(super) fn run(mut self) {
        let attendance = Attendance(Arc::clone(&self.inbox));
        let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH);
        loop {
            if self
                .erased
                .as_ref()
                .is_some_and(|erased| erased.since + self.pace.latest <= Instant::now())
            {
                self.empty_log();
            }
            let deadline = self.erased.as_ref().map(|erased| erased.due);
            let inbox = Arc::clone(&self.inbox);
            match inbox.take(&mut batch, BATCH, deadline) {
                Found::Jobs => self.work(&mut batch),
                Found::Nothing => self.empty_log(),
                Found::Closed => break,
            }
        }
        self.empty_log();
        let Self { db, lock, .. } = self;
        if let Err((_, error)) = db.close() {
            tracing::error!(%error, "the catalog could not be closed in order; the next start repairs it");
        }
        drop(lock);
        drop(attendance);
    }

    fn work(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        if let Err(error) = self.transaction(batch) {
            match batch.as_mut_slice() {
                [only] => self.once_more(only, error),
                several => {
                    for job in several {
                        if let Err(error) = self.transaction(std::slice::from_mut(job)) {
                            self.once_more(job, error);
                        }
                    }
                }
            }
        }
        for job in batch.drain(..) {
            job.answer();
        }
        if let Some(erased) = &mut self.erased {
            erased.due = Instant::now() + self.pace.idle;
        }
    }

    /// A job that failed alone is run again if it leads to an end, and room can be made for it.
    fn once_more(&mut self, job: &mut Box<dyn Job>, error: rusqlite::Error) {
        let failed = match may_be_full(&error) && job.insists() && self.reserve.release() {
            true => self.transaction(std::slice::from_mut(job)).err(),
            false => Some(error),
        };
        if let Some(error) = failed {
            job.fail(error);
        }
    }

    /// Runs all jobs and commits. With an error nothing has happened; otherwise each job knows what it came to.
    fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        let mut effects = Effects::default();
        let done = self
            .attempt(jobs, &mut effects)
            .and_then(|()| self.tell("COMMIT"));
        if done.is_err() {
            self.undo(&mut effects, &Mark::default());
            // Some errors have rolled it back already.
            if !self.db.is_autocommit() {
                self.tell("ROLLBACK")?;
            }
            return done;
        }
        self.follow(effects);
        Ok(())
    }

    fn attempt(&mut self, jobs: &mut [Box<dyn Job>], effects: &mut Effects) -> rusqlite::Result<()> {
        self.tell("BEGIN IMMEDIATE")?;
        let is_alone = jobs.len() == 1;
        for job in jobs {
            let mark = Mark::of(effects);
            if !is_alone {
                self.tell("SAVEPOINT job")?;
            }
            let mut change = Change {
                db: &self.db,
                terms: &self.terms,
                now: self.clock.now(),
                live: &self.live,
                effects,
                is_short: self.reserve.is_short(),
                next_request: &mut self.next_request,
            };
            match job.run(&mut change) {
                Ok(()) if is_alone => {}
                Ok(()) => self.tell("RELEASE job")?,
                // It is run again by itself; and if it was the whole transaction that failed, so are the others.
                Err(error) if is_alone || may_be_full(&error) || self.db.is_autocommit() => {
                    return Err(error);
                }
                Err(error) => {
                    self.tell("ROLLBACK TO job")?;
                    self.tell("RELEASE job")?;
                    self.undo(effects, &mark);
                    job.fail(error);
                }
            }
        }
        Ok(())
    }

    fn tell(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// What a job did in memory goes with what it did to the rows.
    fn undo(&self, effects: &mut Effects, mark: &Mark) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        for (drop, request) in effects.begun.drain(mark.begun..) {
            live.end(&drop, request);
        }
        effects.ended.truncate(mark.ended);
        effects.cut.truncate(mark.cut);
    }

    /// What follows from a commit.
    fn follow(&mut self, effects: Effects) {
        if !effects.ended.is_empty() || !effects.cut.is_empty() {
            let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
            for (drop, number) in &effects.cut {
                live.cut(drop, *number);
            }
            for (drop, request) in &effects.ended {
                live.end(drop, *request);
            }
        }
        if effects.has_freed {
            self.reserve.restore();
        }
        if effects.has_erased && self.erased.is_none() {
            self.erased = Some(Erased::now(self.pace));
        }
    }

    /// Writes the log's content into the database and makes the log empty. Readers may hinder it: then later.
    fn empty_log(&mut self) {
        let emptied = self.db.busy_timeout(BRIEFLY).and_then(|()| {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            self.db.query_row(sql, [], |row| row.get::<_, bool>(0))
        });
        if let Err(error) = self.db.busy_timeout(PATIENCE) {
            tracing::error!(%error, "the catalog takes no settings any more");
        }
        self.erased = match emptied {
            Ok(false) => None,
            outcome => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "the catalog's log could not be emptied; it will be tried again");
                }
                let now = Instant::now();
                Some(Erased {
                    since: now,
                    due: now + self.pace.latest,
                })
            }
        };
    }
}

/// Whether room may help: SQLite tells a quota that is used up from no other error of writing.
fn may_be_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    is_full(error) || matches!(code, Some(ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_FSYNC))
}

/// How much had been done in memory at a moment.
#[derive(Default)]
struct Mark {
    begun: usize,
    ended: usize,
    cut: usize,
}

impl Mark {
    fn of(effects: &Effects) -> Self {
        Self {
            begun: effects.begun.len(),
            ended: effects.ended.len(),
            cut: effects.cut.len(),
        }
    }
}
