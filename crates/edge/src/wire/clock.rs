//! The end of every wait.
//!
//! Invariant: winding the clock costs nothing while what is waited for comes at once, and almost nothing else: the
//! timer is moved only when it would ring too late, or has rung too early.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Times one wait after another. It holds a timer from the first wait that was not over at once.
#[derive(Default)]
pub(crate) struct Clock(Option<Pin<Box<Sleep>>>);

/// The time for something was over first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Late;

impl Clock {
    /// Waits for `what`, at most `limit` from now.
    pub(crate) async fn limit<F: Future>(&mut self, limit: Duration, what: F) -> Result<F::Output, Late> {
        let mut what = pin!(what);
        let mut deadline = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = what.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let deadline = *deadline.get_or_insert_with(|| far(Instant::now(), limit));
            self.poll_until(cx, deadline).map(|()| Err(Late))
        })
        .await
    }

    /// Waits for `what` until `deadline`.
    pub(crate) async fn until<F: Future>(&mut self, deadline: Instant, what: F) -> Result<F::Output, Late> {
        let mut what = pin!(what);
        poll_fn(|cx| {
            if let Poll::Ready(output) = what.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll_until(cx, deadline).map(|()| Err(Late))
        })
        .await
    }

    /// Ready at `deadline`.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

/// So much later, however absurdly much that is.
pub(crate) fn far(now: Instant, limit: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 86400);
    now + limit.min(YEAR)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock")
            .field(&self.0.as_ref().map(|timer| timer.deadline()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_end() {
        let mut clock = Clock::default();
        assert_eq!(clock.limit(Duration::ZERO, ready(1)).await, Ok(1));
        assert!(clock.0.is_none(), "nothing was waited for");
        for seconds in [60, 10, 100, 10] {
            let begin = Instant::now();
            let limit = Duration::from_secs(seconds);
            assert_eq!(clock.limit(limit, pending::<()>()).await, Err(Late));
            let took = begin.elapsed();
            assert!(
                took >= limit && took < limit + Duration::from_millis(5),
                "{took:?}"
            );
            assert_eq!(clock.limit(limit, sleep(Duration::from_secs(3))).await, Ok(()));
        }
    }
}
