//! The two ends of one question: how much of a body reached the recipient?

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{oneshot, watch};

/// Makes the two ends: the courier travels with the response, the receipt stays with the handler.
pub fn receipt() -> (Courier, Receipt) {
    let (tell, told) = oneshot::channel();
    let (recall, recalled) = watch::channel(false);
    let courier = Courier {
        tell: Arc::new(Mutex::new(Some(tell))),
        recalled,
    };
    (courier, Receipt { told, recall })
}

/// What a receipt says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// Every byte of the body was acknowledged.
    Whole,
    /// The body broke off.
    Part {
        /// The first so many bytes of it were acknowledged.
        acknowledged: u64,
        /// The first so many bytes of it have left: they may have reached the peer, or still will. Those behind never will.
        left: u64,
    },
    /// Nobody has said anything.
    Unknown,
}

/// Travels with a response, in its extensions, to whoever writes it to the socket.
///
/// Clones are one courier (extensions must be `Clone`), and the first word that one of them says is the receipt's. When
/// the last is dropped without a word, the receipt resolves to [`Arrival::Unknown`].
#[derive(Clone, Debug)]
pub struct Courier {
    tell: Arc<Mutex<Option<oneshot::Sender<Arrival>>>>,
    recalled: watch::Receiver<bool>,
}

impl Courier {
    /// Every byte of the body reached the peer.
    pub fn delivered(self) {
        self.tell(Arrival::Whole);
    }

    /// The body broke off, or nobody can say that all of it arrived: the first `acknowledged` bytes reached the peer for
    /// certain, and none behind the first `left` did or will.
    pub fn cut_short(self, acknowledged: u64, left: u64) {
        self.tell(Arrival::Part { acknowledged, left });
    }

    fn tell(self, arrival: Arrival) {
        let sender = self.tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody waits any more: then nobody needs to know.
            let _ = sender.send(arrival);
        }
    }

    /// Waits until the body is [recalled](Receipt::recall), for ever if it is not.
    pub async fn recalled(&self) {
        let mut recalled = self.recalled.clone();
        if recalled.wait_for(|&recalled| recalled).await.is_err() {
            pending().await
        }
    }
}

/// Resolves when it is known how much of the body reached the peer, or that nobody will know any more.
#[derive(Debug)]
pub struct Receipt {
    told: oneshot::Receiver<Arrival>,
    recall: watch::Sender<bool>,
}

impl Receipt {
    /// What has not reached the peer shall not any more. Whoever writes the body breaks off, and says how much had left.
    pub fn recall(&self) {
        self.recall.send_replace(true);
    }
}

impl Future for Receipt {
    type Output = Arrival;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Arrival> {
        let told = Pin::new(&mut self.told).poll(cx);
        told.map(|told| told.unwrap_or(Arrival::Unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_means_that_nothing_is_known() {
        let (courier, receipt) = receipt();
        drop(courier.clone());
        drop(courier);
        assert_eq!(receipt.await, Arrival::Unknown);
    }

    #[tokio::test]
    async fn any_clone_can_tell_and_the_first_word_counts() {
        let (courier, whole) = receipt();
        courier.clone().delivered();
        courier.cut_short(7, 9);
        assert_eq!(whole.await, Arrival::Whole);
        let (courier, part) = receipt();
        courier.clone().cut_short(7, 9);
        courier.delivered();
        let cut = Arrival::Part {
            acknowledged: 7,
            left: 9,
        };
        assert_eq!(part.await, cut);
    }

    #[tokio::test]
    async fn who_writes_learns_of_a_recall_whenever_it_came_and_can_still_tell() {
        let (courier, mut receipt) = receipt();
        let writer = courier.clone();
        let writes = tokio::spawn(async move {
            writer.recalled().await;
            writer.cut_short(1, 2);
        });
        receipt.recall();
        assert_eq!(
            (&mut receipt).await,
            Arrival::Part {
                acknowledged: 1,
                left: 2
            }
        );
        writes.await.unwrap();
        courier.recalled().await;
    }

    #[tokio::test]
    async fn a_receipt_that_is_gone_recalls_nothing() {
        let (courier, receipt) = receipt();
        drop(receipt);
        let recalled = courier.recalled();
        let at_once = std::pin::pin!(recalled).poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(at_once.is_pending());
    }
}
