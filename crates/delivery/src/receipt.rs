//! The two ends of one question: did every byte reach the recipient?

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// Makes the two ends: the courier travels with the response, the receipt stays with the handler.
pub fn receipt() -> (Courier, Receipt) {
    let (sender, receiver) = oneshot::channel();
    (Courier(Arc::new(Mutex::new(Some(sender)))), Receipt(receiver))
}

/// Travels with a response, in its extensions, to whoever writes it to the socket.
///
/// Clones are one courier (extensions must be `Clone`). When the last is dropped without [`delivered`](Self::delivered),
/// the receipt resolves to `false`.
#[derive(Clone, Debug)]
pub struct Courier(Arc<Mutex<Option<oneshot::Sender<()>>>>);

impl Courier {
    /// Every byte of the response reached the peer.
    pub fn delivered(self) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody waits any more: then nobody needs to know.
            let _ = sender.send(());
        }
    }
}

/// Resolves to `true` once every byte reached the peer, to `false` when that can no longer happen.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<()>);

impl Future for Receipt {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_means_undelivered() {
        let (courier, receipt) = receipt();
        drop(courier.clone());
        drop(courier);
        assert!(!receipt.await);
    }

    #[tokio::test]
    async fn any_clone_can_tell() {
        let (courier, receipt) = receipt();
        courier.clone().delivered();
        drop(courier);
        assert!(receipt.await);
    }
}
