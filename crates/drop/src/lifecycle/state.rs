//! Where a file stands, and the ends that it can come to, with the words for them in catalog, log and metrics.
//!
//! Invariant: every word is read as what it was written for, and no other is read.

/// Where a file stands, as written in the catalog.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum State {
    Receiving,
    Ready,
    Collecting,
    Delivered,
    Expired,
    Withdrawn,
    Failed,
    Deleted,
}

impl State {
    pub(crate) const ALL: [Self; 8] = [
        Self::Receiving,
        Self::Ready,
        Self::Collecting,
        Self::Delivered,
        Self::Expired,
        Self::Withdrawn,
        Self::Failed,
        Self::Deleted,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Ready => "ready",
            Self::Collecting => "collecting",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Why a file is gone.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Ending {
    /// A recipient has every byte.
    Delivered,
    /// Its time was up.
    Expired,
    /// The owner took it back.
    Withdrawn,
    /// Too many collections stopped before the end.
    Exhausted,
    /// The bytes were not found, or not all of them.
    Lost,
}

impl Ending {
    pub(crate) const ALL: [Self; 5] = [
        Self::Delivered,
        Self::Expired,
        Self::Withdrawn,
        Self::Exhausted,
        Self::Lost,
    ];

    /// The state that this ending leads to, until the bytes are unlinked.
    pub(crate) fn state(self) -> State {
        match self {
            Self::Delivered => State::Delivered,
            Self::Expired => State::Expired,
            Self::Withdrawn => State::Withdrawn,
            Self::Exhausted | Self::Lost => State::Failed,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Exhausted => "attempts",
            Self::Lost => "lost",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.word() == word)
    }
}
