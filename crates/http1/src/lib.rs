//! HTTP/1.1 on the wire, without I/O: what a request's head means for whoever stands between two sockets.
//!
//! * [`effective_host`]: which host a request is for, and when it says so twice.
//! * [`HopByHop`]: which fields end at this hop.
//!
//! Invariant: nothing is repaired. A head that two readers could take for two things is an error.

#![forbid(unsafe_code)]

mod hop_by_hop;
mod host;

pub use hop_by_hop::HopByHop;
pub use host::{BadHost, Host, effective_host};
