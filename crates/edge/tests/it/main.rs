//! The edge as its clients see it, with a service that a test has made.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod parcels;
mod receipts;
mod support;
