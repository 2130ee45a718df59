//! Watches over the bytes of a file on their way to a recipient.
//!
//! Invariant: no byte leaves once the leash is cut, and the last piece of a gated range does not leave before the catalog
//! has durably written that it may: so nobody has a whole file of whom a crash would not tell.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use truehop_delivery::{Guard, LAST_PIECE};

use crate::catalog::{Grant, Granted};
use crate::failpoint;
use crate::file_drop::Shared;
use crate::id::DropId;
use crate::leash::Leash;
use crate::secret::SecretHash;

#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    id: DropId,
    number: u32,
    collection: SecretHash,
    leash: Leash,
    gate: Mutex<Gate>,
}

#[derive(Debug)]
enum Gate {
    Shut,
    /// The catalog is being asked.
    Asked(oneshot::Receiver<bool>),
    /// What it has said; or it need not be asked.
    Known(bool),
}

impl Watch {
    pub(super) fn new(shared: Arc<Shared>, grant: &Grant, granted: &Granted, leash: Leash) -> Self {
        Self {
            shared,
            id: grant.id.clone(),
            number: granted.number,
            collection: grant.collection,
            leash,
            gate: Mutex::new(if granted.is_gated {
                Gate::Shut
            } else {
                Gate::Known(true)
            }),
        }
    }

    fn ask(&self) -> oneshot::Receiver<bool> {
        let (reply, answer) = oneshot::channel();
        let (shared, id, leash) = (Arc::clone(&self.shared), self.id.clone(), self.leash.clone());
        let (number, collection) = (self.number, self.collection);
        tokio::spawn(async move {
            let may = match shared.catalog.last_piece(&id, number, collection).await {
                Ok(may) => may,
                Err(error) => {
                    let drop = id.tag();
                    tracing::error!(drop, number, %error, "a last piece could not be written down; it does not leave");
                    leash.fail();
                    false
                }
            };
            failpoint::reached("last-piece");
            // Nobody waits: the connection is gone.
            let _ = reply.send(may);
        });
        answer
    }
}

impl Guard for Watch {
    fn poll_piece(&self, left: u64, cx: &mut Context<'_>) -> Poll<bool> {
        if self.leash.is_cut() {
            return Poll::Ready(false);
        }
        if left > LAST_PIECE {
            return Poll::Ready(true);
        }
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Gate::Shut = *gate {
            *gate = Gate::Asked(self.ask());
        }
        let may = match &mut *gate {
            // The task that asks is gone only with its runtime.
            Gate::Asked(answer) => ready!(answer.poll_unpin(cx)).unwrap_or(false),
            Gate::Known(may) => *may,
            Gate::Shut => false,
        };
        *gate = Gate::Known(may);
        Poll::Ready(may && !self.leash.is_cut())
    }

    fn sent(&self, bytes: u64) {
        self.leash.sent(bytes);
    }

    fn cannot_read(&self, error: &io::Error) {
        let drop = self.id.tag();
        tracing::error!(drop, number = self.number, %error, "a file could not be read while it was sent");
        self.leash.fail();
    }
}
