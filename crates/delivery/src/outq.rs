//! The questions that have no safe wrapper: how much of what was written is still on its way, or has not even left?
//!
//! `SIOCOUTQ` (tcp(7), unix(7); on Linux the same request as `TIOCOUTQ`) gives, for a stream socket, the bytes in the
//! send queue: unsent, or sent and not yet acknowledged. On a Unix socket: not yet read by the peer. `SIOCOUTQNSD` gives
//! those of a TCP socket that were never sent.
#![expect(unsafe_code, reason = "rustix has no safe calls for SIOCOUTQ and SIOCOUTQNSD")]

use std::io;
use std::os::fd::BorrowedFd;

use rustix::ioctl::{self, Getter, Opcode};

const SIOCOUTQ: Opcode = 0x5411;
const SIOCOUTQNSD: Opcode = 0x894B;

/// Bytes written to `socket` that its peer has not acknowledged, or on a Unix socket not read.
///
/// # Errors
///
/// Those of the call: `socket` is none, or is closed.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<u64> {
    ask::<SIOCOUTQ>(socket)
}

/// Bytes written to the TCP socket `socket` that the kernel has not sent even once.
///
/// # Errors
///
/// Those of the call: `socket` is none of TCP, or is closed.
pub(crate) fn unsent(socket: BorrowedFd<'_>) -> io::Result<u64> {
    ask::<SIOCOUTQNSD>(socket)
}

/// `REQUEST` is one of the two above.
fn ask<const REQUEST: Opcode>(socket: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: each of the two writes exactly one C int through the pointer it is given (Linux `sock_ioctl`, `tcp_ioctl`,
    // `unix_ioctl`) and reads nothing; `Getter<_, i32>` passes a pointer to one `i32` and reads it back on success.
    let bytes = unsafe { ioctl::ioctl(socket, Getter::<REQUEST, i32>::new()) }?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}
