//! A response body that is a region of a file, and the receipt for it.
//!
//! A handler that must know whether the other side really got its bytes makes a pair with [`receipt`], puts the
//! [`Courier`] into the response's extensions and waits for the [`Receipt`]. The server that writes the response takes
//! the courier out again and hands it in when the kernel says that the peer has acknowledged every byte
//! ([`acknowledged`]). [`range`] says which part of a file a request is for.
//!
//! Invariant: silence means *undelivered*. A courier that is dropped (the connection broke, the body failed, the
//! server does not know about couriers) tells the receipt so; only [`Courier::delivered`] says otherwise.

mod acknowledged;
mod file;
mod outq;
mod range;
mod receipt;

pub use acknowledged::{Unacknowledged, acknowledged};
pub use file::{FileBody, FileRegion, Guard};
pub use outq::unacknowledged;
pub use range::{Range, range};
pub use receipt::{Courier, Receipt, receipt};
