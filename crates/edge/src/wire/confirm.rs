//! Deliveries for which the kernel's word is awaited.
//!
//! Invariants: without a word that every byte was acknowledged, nothing is called delivered; whatever becomes of a
//! response, its courier is told how much of the body arrived for certain, and how much may have, at the latest when this
//! is dropped; and what it is told is final, because what the kernel still holds is thrown away first.

use std::time::Duration;

use tokio::task::JoinSet;
use truehop_delivery::Courier;

use crate::stream::{Gone, Position, Stream, Witness};

/// A response's courier, and where its body begins. Without a place nobody can say how much of a part arrived.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) courier: Courier,
    pub(super) begin: Option<Position>,
}

impl Delivery {
    /// No more of the body will leave, and what has left is not waited for.
    pub(super) fn break_off(self, stream: &Stream) {
        let gone = stream.give_up(self.begin);
        self.cut_short(gone);
    }

    fn cut_short(self, gone: Option<Gone>) {
        tracing::debug!(?gone, "a delivery broke off");
        // Where nobody knows, the courier says so by saying nothing.
        if let Some(Gone { acknowledged, left }) = gone {
            self.courier.cut_short(acknowledged, left);
        }
    }
}

/// The responses of one connection that have left and are not confirmed.
#[derive(Debug, Default)]
pub(super) struct Confirmations {
    tasks: Option<JoinSet<()>>,
}

impl Confirmations {
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.as_ref().is_none_or(JoinSet::is_empty)
    }

    /// All that leaves of a response has left for the kernel: from here on it is the kernel that knows. `whole` tells
    /// whether those `bytes` were all of the body. A client that acknowledges nothing for `limit` is given up.
    pub(super) fn await_word(
        &mut self,
        delivery: Delivery,
        whole: bool,
        bytes: u64,
        limit: Duration,
        stream: &Stream,
    ) {
        let witness = match stream.witness() {
            Ok(witness) => witness,
            // Without a descriptor there is no asking later.
            Err(_) => return delivery.break_off(stream),
        };
        let awaited = Awaited {
            delivery: Some(delivery),
            whole,
            bytes,
            upto: stream.written(),
            witness,
        };
        let tasks = self.tasks.get_or_insert_default();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(awaited.word(limit));
    }

    pub(super) async fn all(&mut self) {
        if let Some(tasks) = &mut self.tasks {
            while tasks.join_next().await.is_some() {}
        }
    }
}

/// A delivery whose bytes are on their way.
struct Awaited {
    /// Until the courier is told.
    delivery: Option<Delivery>,
    whole: bool,
    /// Of the body. What follows on the connection is none of it.
    bytes: u64,
    /// The end of the response in the bytes that were written to the socket.
    upto: u64,
    witness: Witness,
}

impl Awaited {
    async fn word(self, limit: Duration) {
        let Some(Delivery { courier, .. }) = &self.delivery else {
            return;
        };
        tokio::select! {
            word = self.witness.acknowledged(self.upto, limit) => if let Err(error) = word {
                tracing::debug!(%error, "a response was not delivered");
            },
            () = courier.recalled() => tracing::debug!("a response was recalled"),
        }
    }
}

/// Tells the courier, when the kernel has said that all has arrived, and when nobody waits for that any more.
impl Drop for Awaited {
    fn drop(&mut self) {
        let Some(delivery) = self.delivery.take() else {
            return;
        };
        match (self.witness.has_arrived(self.upto), self.whole) {
            (true, true) => delivery.courier.delivered(),
            // All that has left has arrived, so there is nothing to throw away.
            (true, false) => {
                let gone = delivery.begin.map(|begin| self.witness.gone(begin));
                delivery.cut_short(gone.map(|gone| gone.within(self.bytes)));
            }
            (false, _) => {
                let gone = self.witness.give_up(delivery.begin);
                delivery.cut_short(gone.map(|gone| gone.within(self.bytes)));
            }
        }
    }
}
