//! A response body that is a region of a file, and the receipt for it.
//!
//! A handler that must know what the other side really got makes a pair with [`receipt`], puts the [`Courier`] into the
//! response's extensions and waits for the [`Receipt`]. The server that writes the response takes the courier out again.
//! It hands it in as delivered when the kernel says that the peer has acknowledged every byte ([`acknowledged`]); when
//! the response breaks off, it says how much of the body the peer had acknowledged by then.
//!
//! Invariant: a receipt never says more than arrived. A courier that is dropped (the server does not know about
//! couriers, or is gone) tells the receipt that nothing is known to have arrived.

mod acknowledged;
mod file;
mod outq;
mod range;
mod receipt;

pub use acknowledged::{Unacknowledged, acknowledged};
pub use file::{FileBody, FileRegion, Guard};
pub use outq::unacknowledged;
pub use range::{Range, range};
pub use receipt::{Arrival, Courier, Receipt, receipt};
