//! Deliveries for which the kernel's word is awaited.
//!
//! Invariant: without a word that every byte was acknowledged, nothing is called delivered.

use std::time::Duration;

use tokio::task::JoinSet;
use truehop_delivery::{Courier, acknowledged};

use crate::stream::Stream;

/// How long the kernel may take to report a response acknowledged.
const LIMIT: Duration = Duration::from_secs(30);

/// The responses of one connection that have left and are not confirmed.
#[derive(Debug, Default)]
pub(super) struct Confirmations {
    tasks: Option<JoinSet<()>>,
}

impl Confirmations {
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.as_ref().is_none_or(JoinSet::is_empty)
    }

    /// The last byte has left for the kernel: from here on it is the kernel that knows.
    pub(super) fn await_word(&mut self, courier: Courier, stream: &Stream) {
        // Without a descriptor to ask, silence means undelivered.
        let Ok(socket) = stream.descriptor() else {
            return;
        };
        let forgets_unread = stream.forgets_unread();
        let failed = stream.failure();
        let tasks = self.tasks.get_or_insert_default();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(async move {
            match acknowledged(&socket, LIMIT).await {
                // Whoever read or wrote last may have taken the error that tells a reader who went away from one who
                // has read: what the socket says after that is not to be believed.
                Ok(()) if forgets_unread && failed.get() => {
                    tracing::debug!("a response was not delivered: its reader went away");
                }
                Ok(()) => courier.delivered(),
                Err(error) => tracing::debug!(%error, "a response was not delivered"),
            }
        });
    }

    pub(super) async fn all(&mut self) {
        if let Some(tasks) = &mut self.tasks {
            while tasks.join_next().await.is_some() {}
        }
    }
}
