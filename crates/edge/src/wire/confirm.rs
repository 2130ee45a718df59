//! Deliveries for which the kernel's word is awaited.
//!
//! Invariants: without a word that every byte was acknowledged, nothing is called delivered; and whatever becomes of a
//! response, its courier is told how much of the body arrived for certain, at the latest when this is dropped.

use std::time::Duration;

use tokio::task::JoinSet;
use truehop_delivery::Courier;

use crate::stream::{Position, Stream, Witness};

/// How long the kernel may take to report a response acknowledged.
const LIMIT: Duration = Duration::from_secs(30);

/// A response's courier, and where its body begins. Without a place nobody can say how much of a part arrived.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) courier: Courier,
    pub(super) begin: Option<Position>,
}

impl Delivery {
    /// No more of the body will leave, and what has left is not waited for. It is thrown away where the kernel still
    /// holds it, so that what is told stays true.
    pub(super) fn break_off(self, stream: &Stream) {
        let arrived = self.begin.map_or(0, |begin| stream.arrived_behind(begin));
        stream.reset_when_dropped();
        tracing::debug!(arrived, "a delivery broke off");
        self.courier.cut_short(arrived);
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
    /// whether that was all of the body.
    pub(super) fn await_word(&mut self, delivery: Delivery, whole: bool, stream: &Stream) {
        let witness = match stream.witness() {
            Ok(witness) => witness,
            // Without a descriptor there is no asking later.
            Err(_) => return delivery.break_off(stream),
        };
        let awaited = Awaited {
            delivery: Some(delivery),
            whole,
            upto: stream.written(),
            witness,
        };
        let tasks = self.tasks.get_or_insert_default();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(awaited.word());
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
    /// The end of the response in the bytes that were written to the socket.
    upto: u64,
    witness: Witness,
}

impl Awaited {
    async fn word(mut self) {
        match self.witness.acknowledged(self.upto, LIMIT).await {
            Ok(()) if self.whole => {
                if let Some(delivery) = self.delivery.take() {
                    delivery.courier.delivered();
                }
            }
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "a response was not delivered"),
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(Delivery { courier, begin }) = self.delivery.take() {
            courier.cut_short(begin.map_or(0, |begin| self.witness.arrived_behind(begin)));
        }
    }
}
