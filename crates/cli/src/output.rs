//! What people read: standard output and standard error.
//!
//! Invariant: a closed pipe is no error (`truehop check | head -1`), and never a panic; a full disk is told.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints lines and flushes them, so that a reader waiting for `ready` sees it.
pub(crate) fn say(lines: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    quiet_when_closed(writeln!(stdout, "{lines}").and_then(|()| stdout.flush()))
}

/// Prints to standard error. Nobody is left to tell when that fails.
pub(crate) fn complain(lines: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{lines}");
}

/// Takes a closed pipe for success: the reader has what it wanted.
pub(crate) fn quiet_when_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
