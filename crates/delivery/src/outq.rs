//! The one question that has no safe wrapper: how much of what was written is still on its way?
//!
//! `SIOCOUTQ` (tcp(7), unix(7); on Linux the same request as `TIOCOUTQ`) gives, for a stream socket, the bytes in the
//! send queue: unsent, or sent and not yet acknowledged. On a Unix socket: not yet read by the peer.
#![expect(unsafe_code, reason = "rustix has no safe call for SIOCOUTQ")]

use std::io;
use std::os::fd::BorrowedFd;

use rustix::ioctl::{self, Getter, Opcode};

const SIOCOUTQ: Opcode = 0x5411;

/// Bytes written to `socket` that its peer has not acknowledged, or on a Unix socket not read.
///
/// # Errors
///
/// Those of the call: `socket` is none, or is closed.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: SIOCOUTQ writes exactly one C int through the pointer it is given (Linux `sock_ioctl`, `tcp_ioctl`,
    // `unix_ioctl`) and reads nothing; `Getter<_, i32>` passes a pointer to one `i32` and reads it back on success.
    let bytes = unsafe { ioctl::ioctl(socket, Getter::<SIOCOUTQ, i32>::new()) }?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}
