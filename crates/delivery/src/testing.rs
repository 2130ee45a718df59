//! What the tests of this crate share.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::guard::Guard;

pub(crate) fn file_of(bytes: &[u8]) -> Arc<File> {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    Arc::new(file)
}

/// A guard that keeps a book: it lets so many pieces pass, and holds back those of which a test says so.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    passes: u64,
    hold_from: u64,
    waiting: Option<Waker>,
    asked: Vec<u64>,
    sent: u64,
    unreadable: usize,
}

impl Gate {
    pub(crate) fn new(passes: u64) -> Self {
        let gate = Self::default();
        gate.0.lock().unwrap().passes = passes;
        gate
    }

    /// From now on, a piece of which no more than `left` bytes are left must wait.
    pub(crate) fn hold_from(&self, left: u64) {
        self.0.lock().unwrap().hold_from = left;
    }

    pub(crate) fn release(&self) {
        let mut state = self.0.lock().unwrap();
        state.hold_from = 0;
        if let Some(waiting) = state.waiting.take() {
            waiting.wake();
        }
    }

    pub(crate) fn refuse(&self) {
        self.0.lock().unwrap().passes = 0;
        self.release();
    }

    pub(crate) fn asked(&self) -> Vec<u64> {
        self.0.lock().unwrap().asked.clone()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.0.lock().unwrap().sent
    }

    pub(crate) fn unreadable(&self) -> usize {
        self.0.lock().unwrap().unreadable
    }
}

impl Guard for Gate {
    fn poll_piece(&self, left: u64, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.0.lock().unwrap();
        state.asked.push(left);
        if left <= state.hold_from {
            state.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let passes = state.passes > 0;
        state.passes = state.passes.saturating_sub(1);
        Poll::Ready(passes)
    }

    fn sent(&self, bytes: u64) {
        self.0.lock().unwrap().sent += bytes;
    }

    fn cannot_read(&self, _: &io::Error) {
        self.0.lock().unwrap().unreadable += 1;
    }
}
