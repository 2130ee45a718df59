//! What people read: standard output and standard error.
//!
//! Invariant: a closed pipe is no error (`truehop check | head -1`), and never a panic; a full disk is told.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a reader of standard output is waited for when there is something else to do.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints lines and flushes them, so that a reader waiting for `ready` sees it.
pub(crate) fn say(lines: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    quiet_when_closed(writeln!(stdout, "{lines}").and_then(|()| stdout.flush()))
}

/// As [`say`], but goes on after a moment when nobody reads standard output: that must not keep a server from stopping.
pub(crate) fn say_without_waiting(lines: &'static str) {
    let (told, heard) = mpsc::sync_channel(1);
    // Without a thread there is nothing to wait for either.
    let _ = thread::Builder::new().name("say".to_owned()).spawn(move || {
        let _ = say(lines);
        let _ = told.send(());
    });
    let _ = heard.recv_timeout(PATIENCE);
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
