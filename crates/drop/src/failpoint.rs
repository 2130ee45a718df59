//! Places where a test has the process die: between every two steps whose order matters.
//!
//! With the cargo feature `failpoints` the process kills itself when it reaches the place that the environment variable
//! `TRUEHOP_FAILPOINT` names: `NAME`, or `NAME:3` for the third time that it is reached. Without the feature there is
//! nothing here.
//!
//! Invariant: what stands before a place has happened on disk, and what stands after it has not.

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn reached(_: &str) {}

#[cfg(feature = "failpoints")]
pub(crate) use armed::reached;

#[cfg(feature = "failpoints")]
mod armed {
    use std::env;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use rustix::process::{Signal, getpid, kill_process};

    /// Where, and how many times it is reached before.
    static WANTED: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let wanted = env::var("TRUEHOP_FAILPOINT").ok()?;
        let (name, times) = match wanted.split_once(':') {
            Some((name, times)) => (name.to_owned(), times.parse().ok()?),
            None => (wanted, 1),
        };
        Some((name, AtomicU64::new(times)))
    });

    pub(crate) fn reached(name: &str) {
        let Some((wanted, left)) = &*WANTED else {
            return;
        };
        if wanted == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Not a panic and not an exit: nothing may be tidied up.
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                thread::park();
            }
        }
    }
}
