//! A response body of memory and regions of files, and the receipt for it.
//!
//! A service that has files to send makes a [`Parcel`] of them, with whatever stands before, between and behind them. It
//! puts it into the response's extensions, for a server that has the kernel send files, and gives a [`ParcelBody`] of
//! the same parcel as the response's body, for any other. A region may have a [`Guard`], which is asked before each piece
//! and may let the last one wait. [`range`] says which slice of a parcel a request is for.
//!
//! A handler that must know what the other side really got makes a pair with [`receipt`], puts the [`Courier`] into the
//! response's extensions and waits for the [`Receipt`]. The server that writes the response takes the courier out again,
//! and keeps a [`Ledger`] of the connection. It hands the courier in as delivered when the kernel says that the peer has
//! acknowledged every byte; when the response breaks off, it says how much of the body was acknowledged by then.
//!
//! Invariant: a receipt never says more than arrived. A courier that is dropped (the server does not know about
//! couriers, or is gone) tells the receipt that nothing is known to have arrived.

mod body;
mod guard;
mod ledger;
mod outq;
mod parcel;
mod range;
mod receipt;
mod region;
#[cfg(test)]
mod testing;

pub use body::ParcelBody;
pub use guard::{Guard, LAST_PIECE};
pub use ledger::{Ledger, Unacknowledged};
pub use outq::unacknowledged;
pub use parcel::{Parcel, Part};
pub use range::{Range, range};
pub use receipt::{Arrival, Courier, Receipt, receipt};
pub use region::{FileRegion, Piece};
