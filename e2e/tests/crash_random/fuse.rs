//! What decides when a process dies.

use std::sync::atomic::{AtomicI64, Ordering};

use rustix::process::{Pid, Signal, kill_process};

/// Burns down by one with each event, and ends the process at its end.
#[derive(Debug)]
pub(crate) struct Fuse {
    left: AtomicI64,
    process: Pid,
    signal: Signal,
}

impl Fuse {
    pub(crate) fn new(process: u32, signal: Signal, events: u64) -> Self {
        let process = i32::try_from(process).ok().and_then(Pid::from_raw);
        Self {
            left: AtomicI64::new(i64::try_from(events).expect("few events")),
            process: process.expect("a process"),
            signal,
        }
    }

    /// Something has happened.
    pub(crate) fn event(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            kill_process(self.process, self.signal).expect("it lives until now");
        }
    }

    /// Whether the process is dead, or is about to be.
    pub(crate) fn is_blown(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }
}
