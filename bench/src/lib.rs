//! What the benchmarks share: processes on cores of their own, what they cost, the wire, and how results are written down.
//!
//! Each benchmark is a binary beside this; `cargo xtask bench` builds and runs them.

pub mod cost;
pub mod message;
pub mod poll;
pub mod process;
pub mod program;
pub mod results;
pub mod socket;
pub mod spread;
pub mod tally;
pub mod text;
