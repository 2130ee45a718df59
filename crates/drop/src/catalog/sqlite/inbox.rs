//! The calls that wait for the writer.
//!
//! Invariant: what was put in is run, or its caller is told; there is room for so many, and more wait for room.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::changes::Change;
use crate::catalog::CatalogError;

/// Calls that may wait for the writer. Each belongs to a request that waits for its answer.
const ROOM: usize = 1024;

/// What a call wants done. May be run several times, of which the last counts.
pub(super) trait Job: Send {
    /// Whether it may use the reserve: everything that leads to an end, and so to room.
    fn insists(&self) -> bool;

    fn run(&mut self, change: &mut Change<'_>) -> rusqlite::Result<()>;

    /// It came to nothing.
    fn fail(&mut self, error: rusqlite::Error);

    /// Tells the caller.
    fn answer(self: Box<Self>);
}

#[derive(Debug)]
pub(super) struct Inbox {
    room: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    state: Door,
    /// The writer waits for the bell, and nobody has rung it yet.
    is_asleep: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Door {
    #[default]
    Open,
    Closed,
    /// The writer has panicked.
    Dead,
}

/// What the writer finds.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Found {
    Jobs,
    /// Nothing until the deadline.
    Nothing,
    /// Nothing, and nothing will come.
    Closed,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ROOM)),
            waiting: Mutex::default(),
            bell: Condvar::new(),
        }
    }

    /// Has `ask` done in a transaction, and waits until that is durable.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        insists: bool,
        ask: impl Fn(&mut Change<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let room = Arc::clone(&self.room)
            .acquire_owned()
            .await
            .map_err(|_| self.silence())?;
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call {
            ask,
            insists,
            outcome: None,
            reply,
            _room: room,
        });
        let is_asleep = {
            let mut waiting = self.waiting();
            if waiting.state != Door::Open {
                drop(waiting);
                return Err(self.silence());
            }
            waiting.jobs.push_back(job);
            mem::take(&mut waiting.is_asleep)
        };
        if is_asleep {
            self.bell.notify_one();
        }
        answer.await.unwrap_or_else(|_| Err(self.silence()))
    }

    /// For the writer: moves what waits into `batch`, at most `most`; waits for something until `deadline`.
    pub(super) fn take(
        &self,
        batch: &mut Vec<Box<dyn Job>>,
        most: usize,
        deadline: Option<Instant>,
    ) -> Found {
        let mut waiting = self.waiting();
        loop {
            if !waiting.jobs.is_empty() {
                waiting.is_asleep = false;
                let some = waiting.jobs.len().min(most);
                batch.extend(waiting.jobs.drain(..some));
                return Found::Jobs;
            }
            if waiting.state != Door::Open {
                return Found::Closed;
            }
            waiting.is_asleep = true;
            waiting = match deadline {
                None => self.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Found::Nothing;
                    }
                    let woken = self.bell.wait_timeout(waiting, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// What waits is done; nothing more is taken.
    pub(super) fn close(&self) {
        self.shut(Door::Closed);
    }

    /// The writer is no more: nobody answers what waits.
    pub(super) fn die(&self) {
        self.shut(Door::Dead);
        let unanswered = mem::take(&mut self.waiting().jobs);
        drop(unanswered);
    }

    fn shut(&self, state: Door) {
        {
            let mut waiting = self.waiting();
            if waiting.state == Door::Open {
                waiting.state = state;
            }
        }
        self.room.close();
        self.bell.notify_all();
    }

    /// Why nobody answers.
    pub(super) fn silence(&self) -> CatalogError {
        match self.waiting().state {
            Door::Closed => CatalogError::Closed,
            Door::Open | Door::Dead => CatalogError::Died,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting")
            .field("jobs", &self.jobs.len())
            .field("state", &self.state)
            .finish()
    }
}

struct Call<F, T> {
    ask: F,
    insists: bool,
    outcome: Option<Result<T, CatalogError>>,
    reply: oneshot::Sender<Result<T, CatalogError>>,
    _room: OwnedSemaphorePermit,
}

impl<F, T> Job for Call<F, T>
where
    F: Fn(&mut Change<'_>) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn insists(&self) -> bool {
        self.insists
    }

    fn run(&mut self, change: &mut Change<'_>) -> rusqlite::Result<()> {
        self.outcome = Some(Ok((self.ask)(change)?));
        Ok(())
    }

    fn fail(&mut self, error: rusqlite::Error) {
        self.outcome = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // Nobody waits any more: the change is made all the same.
            let _ = self.reply.send(outcome);
        }
    }
}
