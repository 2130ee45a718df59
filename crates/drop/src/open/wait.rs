//! Waiting for a future where there may be a runtime or none.
//!
//! Invariant: what is waited for runs on a thread that belongs to no runtime. So it may be asked for from anywhere, also
//! from inside a runtime whose threads are all busy waiting for this.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use tracing::dispatcher;

/// Does `work` on a thread of its own, and waits for it.
pub(crate) fn on_a_thread<F: Future>(work: impl FnOnce() -> F + Send) -> F::Output
where
    F::Output: Send,
{
    // Who listens to this thread listens to that one.
    let listener = dispatcher::get_default(Clone::clone);
    thread::scope(|scope| {
        let done = scope.spawn(|| dispatcher::with_default(&listener, || block_on(work())));
        done.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Arc::new(Sleeper(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            // A wake before this line makes it return at once.
            Poll::Pending => thread::park(),
        }
    }
}

struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_waits_inside_of_a_runtime_for_as_long_as_it_takes() {
        let said = on_a_thread(|| async {
            let mut said = 0;
            // More often than a runtime's task may go on without a pause.
            for n in 0..1000 {
                let (tell, told) = oneshot::channel();
                thread::spawn(move || tell.send(n));
                said += told.await.unwrap();
            }
            said
        });
        assert_eq!(said, 499_500);
    }

    #[test]
    #[should_panic(expected = "from over there")]
    fn a_panic_comes_through() {
        on_a_thread(|| async { panic!("from over there") });
    }
}
