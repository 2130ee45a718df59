//! How far the other side of a stream has acknowledged what was written to it.
//!
//! On a plain socket the kernel's word is the answer. With TLS it speaks of sealed records: a byte has arrived when the last
//! byte of its record has, and may have arrived when the first has left.
//!
//! Invariant: never more than what arrived; and of what is given up, never less than what may have.

use std::cell::RefCell;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use truehop_delivery::{Ledger, Unacknowledged};

use super::records::Records;

/// See the module. Shared by the stream and by whoever waits for what arrives.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) ledger: Ledger,
    /// With TLS, from when somebody wanted to know.
    records: RefCell<Option<Records>>,
}

/// A place in the stream of bytes that the other side reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Position(u64);

impl Position {
    /// So many bytes further.
    pub(crate) fn behind(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

impl Account {
    pub(super) fn new(forgets_unread: bool) -> Self {
        Self {
            ledger: Ledger::new(forgets_unread),
            records: RefCell::default(),
        }
    }

    /// The first `n` bytes of some TLS records have left for `socket`.
    pub(super) fn wrote_sealed(&self, socket: BorrowedFd<'_>, slices: &[IoSlice<'_>], n: usize) {
        let begin = self.ledger.written();
        self.ledger.wrote(n as u64);
        if let Some(records) = &mut *self.records.borrow_mut() {
            records.left(begin, slices, n);
            if records.are_many() {
                records.arrived(self.ledger.look(socket));
            }
        }
    }

    /// Where the next byte will stand, when all bytes before have left for the socket as they are.
    pub(super) fn position(&self) -> Position {
        Position(self.ledger.written())
    }

    /// Where the next byte will stand, when all bytes before have left in whole records.
    pub(super) fn position_sealed(&self, overhead: usize) -> Position {
        let mut records = self.records.borrow_mut();
        let records = records.get_or_insert_with(|| Records::new(overhead));
        Position(records.content())
    }

    /// How many bytes behind a position the other side has for certain. Asks the kernel.
    pub(super) fn arrived_behind(&self, socket: BorrowedFd<'_>, position: Position) -> u64 {
        let acknowledged = self.ledger.look(socket);
        let arrived = match &mut *self.records.borrow_mut() {
            Some(records) => records.arrived(acknowledged),
            None => acknowledged,
        };
        arrived.saturating_sub(position.0)
    }

    /// Has nothing more arrive. How many bytes behind a position have, if one is known.
    pub(super) fn give_up(&self, socket: BorrowedFd<'_>, position: Option<Position>) -> Option<Gone> {
        let left = self.ledger.give_up(socket);
        position.map(|position| self.gone(socket, position, left))
    }

    /// How much has gone behind a position, when no more than the first `left` bytes have.
    fn gone(&self, socket: BorrowedFd<'_>, position: Position, left: u64) -> Gone {
        let acknowledged = self.arrived_behind(socket, position);
        let left = match &*self.records.borrow() {
            Some(records) => records.begun_within(left),
            None => left,
        };
        Gone {
            acknowledged,
            left: left.saturating_sub(position.0),
        }
    }
}

/// How much of a body has gone, when no more of it will.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gone {
    /// The other side has so much for certain.
    pub(crate) acknowledged: u64,
    /// And not more than this.
    pub(crate) left: u64,
}

impl Gone {
    /// Of the first so many bytes.
    pub(crate) fn within(self, bytes: u64) -> Self {
        Self {
            acknowledged: self.acknowledged.min(bytes),
            left: self.left.min(bytes),
        }
    }
}

/// Asks about a stream that others go on using, or that is gone already.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(super) socket: OwnedFd,
    pub(super) account: Rc<Account>,
}

impl Witness {
    /// Waits until the other side has acknowledged the first `upto` bytes that were written to the socket.
    pub(crate) async fn acknowledged(&self, upto: u64, limit: Duration) -> Result<(), Unacknowledged> {
        self.account.ledger.acknowledged(&self.socket, upto, limit).await
    }

    /// Has nothing more arrive of what the kernel still holds. How many bytes behind a position have, if one is known.
    pub(crate) fn give_up(&self, position: Option<Position>) -> Option<Gone> {
        self.account.give_up(self.socket.as_fd(), position)
    }

    /// How many bytes behind a position have gone, when nothing more will leave by itself.
    pub(crate) fn gone(&self, position: Position) -> Gone {
        let left = self.account.ledger.written();
        self.account.gone(self.socket.as_fd(), position, left)
    }

    /// Whether the other side has acknowledged the first `upto` bytes that were written to the socket.
    pub(crate) fn has_arrived(&self, upto: u64) -> bool {
        self.account.ledger.look(self.socket.as_fd()) >= upto
    }
}
