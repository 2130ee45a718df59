//! The two ends of one question: how much of a body reached the recipient?

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

/// What a receipt says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// Every byte of the body was acknowledged.
    Whole,
    /// The first so many bytes of the body were acknowledged, perhaps more of them; 0 when nobody knows.
    Part(u64),
}

/// Travels with a response, in its extensions, to whoever writes it to the socket.
///
/// Clones are one courier (extensions must be `Clone`), and the first word that one of them says is the receipt's. When
/// the last is dropped without a word, the receipt resolves to `Part(0)`.
#[derive(Clone, Debug)]
pub struct Courier(Arc<Mutex<Option<oneshot::Sender<Arrival>>>>);

impl Courier {
    /// Every byte of the body reached the peer.
    pub fn delivered(self) {
        self.tell(Arrival::Whole);
    }

    /// The response broke off, or nobody can say that all of it arrived: the first `acknowledged` bytes of the body
    /// reached the peer for certain.
    pub fn cut_short(self, acknowledged: u64) {
        self.tell(Arrival::Part(acknowledged));
    }

    fn tell(self, arrival: Arrival) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody waits any more: then nobody needs to know.
            let _ = sender.send(arrival);
        }
    }
}

/// Resolves when it is known how much of the body reached the peer, or that nobody will know any more.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Arrival>);

impl Future for Receipt {
    type Output = Arrival;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Arrival> {
        let told = Pin::new(&mut self.0).poll(cx);
        told.map(|told| told.unwrap_or(Arrival::Part(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_means_that_nothing_is_known_to_have_arrived() {
        let (courier, receipt) = receipt();
        drop(courier.clone());
        drop(courier);
        assert_eq!(receipt.await, Arrival::Part(0));
    }

    #[tokio::test]
    async fn any_clone_can_tell_and_the_first_word_counts() {
        let (courier, whole) = receipt();
        courier.clone().delivered();
        courier.cut_short(7);
        assert_eq!(whole.await, Arrival::Whole);
        let (courier, part) = receipt();
        courier.clone().cut_short(7);
        courier.delivered();
        assert_eq!(part.await, Arrival::Part(7));
    }
}
