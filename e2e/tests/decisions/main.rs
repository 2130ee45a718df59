//! What a request makes of a file, decided by who asks and how: one table, every row run against the binary.
//!
//! Three ask: the **owner** (by the uploader's address), an **other**, and somebody **unknown**: a client behind a proxy that is
//! trusted and has not said who it is. *Unknown* counts as an other for deletion, and is counted apart.
//!
//! After each row the file is in one of four states, seen from somebody else who comes next, and the receipts must say the
//! same.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

mod ends;
mod once;
mod rows;
mod stage;
mod times;

use stage::Who;

/// What somebody else finds who comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum After {
    /// The file, at once.
    Free,
    /// 423, and after the lease the file.
    Leased,
    /// 410, because somebody else has all of it, and there is a receipt.
    Delivered,
    /// 410, and nobody is said to have it.
    Ended,
    /// 410; whether somebody has it depends on the moment, and the row has looked.
    Over,
}

#[test]
fn of_the_owner() {
    rows::all(Who::Owner);
}

#[test]
fn of_another() {
    rows::all(Who::Other);
}

#[test]
fn of_somebody_unknown() {
    rows::all(Who::Unknown);
}
