//! Who decides whether the bytes of a region may leave.

use std::fmt;
use std::io;
use std::task::{Context, Poll};

/// So many bytes at the end of a guarded region leave by themselves, never together with what is before them.
pub const LAST_PIECE: u64 = 64 * 1024;

/// Watches over a region while it is sent.
///
/// Whoever holds back the last piece until something is durable knows that nobody has the whole region before.
pub trait Guard: fmt::Debug + Send + Sync {
    /// Whether the next piece may leave, of a region of which `left` bytes (never 0) have not left. `false` is final: no
    /// further byte leaves, and the response breaks off.
    ///
    /// A piece that begins before the last [`LAST_PIECE`] bytes ends there at the latest; so the guard that answers
    /// only for a `left` of that size or less holds back exactly the last piece. It is asked before each piece, and again
    /// whenever the server has had to wait, so the same question may come many times.
    ///
    /// Pending means "not yet": the guard wakes the task of `cx` when it knows. It must know in the end, whatever
    /// becomes of the recipient: a server keeps the connection, and counts no time against the recipient, until then.
    fn poll_piece(&self, left: u64, cx: &mut Context<'_>) -> Poll<bool>;

    /// So many more bytes of the region have left: for the kernel, or for the memory of the server, which sends them as
    /// soon as the recipient takes them.
    fn sent(&self, bytes: u64) {
        let _ = bytes;
    }

    /// It could not be read, so what follows is not the recipient's doing.
    fn cannot_read(&self, error: &io::Error);
}
