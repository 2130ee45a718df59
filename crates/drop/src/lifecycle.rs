//! What may become of a file, and when. Pure: the clock is an argument, the catalog writes down what is decided here.
//!
//! `receiving → ready ⇄ collecting → delivered → deleted`; also `expired`, `withdrawn` and `failed`, which lead to
//! `deleted` too.
//!
//! Invariant: once a file has come to an [`Ending`], nothing leads back to its bytes, except that within the grace the
//! same recipient may have them once more.

use std::time::Duration;

use crate::clock::Timestamp;

/// Where a file stands, as written in the catalog.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
    const WORDS: [(Self, &'static str); 8] = [
        (Self::Receiving, "receiving"),
        (Self::Ready, "ready"),
        (Self::Collecting, "collecting"),
        (Self::Delivered, "delivered"),
        (Self::Expired, "expired"),
        (Self::Withdrawn, "withdrawn"),
        (Self::Failed, "failed"),
        (Self::Deleted, "deleted"),
    ];

    pub(crate) fn word(self) -> &'static str {
        word_of(&Self::WORDS, self)
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        named(&Self::WORDS, word)
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
    const WORDS: [(Self, &'static str); 5] = [
        (Self::Delivered, "delivered"),
        (Self::Expired, "expired"),
        (Self::Withdrawn, "withdrawn"),
        (Self::Exhausted, "attempts"),
        (Self::Lost, "lost"),
    ];

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
        word_of(&Self::WORDS, self)
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        named(&Self::WORDS, word)
    }
}

fn word_of<T: Copy + PartialEq>(words: &[(T, &'static str)], value: T) -> &'static str {
    words
        .iter()
        .find(|(v, _)| *v == value)
        .map_or("", |(_, word)| word)
}

fn named<T: Copy>(words: &[(T, &'static str)], word: &str) -> Option<T> {
    words.iter().find(|(_, w)| *w == word).map(|(value, _)| *value)
}

/// The numbers of the config that decide here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) lease: Duration,
    pub(crate) grace: Duration,
    pub(crate) attempts: u32,
    pub(crate) receipts: Duration,
}

/// What the catalog knows about the course of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) state: State,
    pub(crate) expires_at: Timestamp,
    /// Until when the current collection keeps others out.
    pub(crate) lease_until: Timestamp,
    /// Collections so far; the number of the current one is its name.
    pub(crate) attempts: u32,
    /// Until when the same recipient may try once more; only while that second try is left.
    pub(crate) again_until: Option<Timestamp>,
}

/// Where a file stands at a moment, even when nobody has swept since.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Receiving,
    Ready,
    Collecting {
        until: Timestamp,
    },
    /// It has come to this end, and the catalog does not know yet.
    Due(Ending),
    Over,
}

/// The answer to a recipient who wants the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// Collection number `attempt` may begin and holds the lease.
    Lease {
        attempt: u32,
        until: Timestamp,
    },
    /// The second try within the grace.
    Again,
    /// Somebody else is collecting.
    Busy {
        until: Timestamp,
    },
    Gone,
}

/// What follows when a collection ends undelivered, or its lease by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Relapse {
    /// The next recipient may try.
    Ready,
    /// That was the last attempt, or the time is up.
    End(Ending),
    /// The collection is not the current one any more.
    Stale,
}

impl Life {
    pub(crate) fn phase(&self, terms: &Terms, now: Timestamp) -> Phase {
        match self.state {
            State::Receiving => Phase::Receiving,
            State::Collecting if now < self.lease_until => Phase::Collecting {
                until: self.lease_until,
            },
            State::Collecting if self.attempts >= terms.attempts => Phase::Due(Ending::Exhausted),
            State::Ready | State::Collecting if now >= self.expires_at => Phase::Due(Ending::Expired),
            State::Ready | State::Collecting => Phase::Ready,
            State::Delivered | State::Expired | State::Withdrawn | State::Failed | State::Deleted => {
                Phase::Over
            }
        }
    }

    /// Whether a recipient gets in. `same_recipient`: the one to whom the file was delivered.
    pub(crate) fn admit(&self, terms: &Terms, now: Timestamp, same_recipient: bool) -> Admission {
        match self.phase(terms, now) {
            Phase::Ready => Admission::Lease {
                attempt: self.attempts.saturating_add(1),
                until: now.plus(terms.lease),
            },
            Phase::Collecting { until } => Admission::Busy { until },
            Phase::Over if self.state == State::Delivered && same_recipient => match self.again_until {
                Some(until) if now < until => Admission::Again,
                _ => Admission::Gone,
            },
            Phase::Receiving | Phase::Due(_) | Phase::Over => Admission::Gone,
        }
    }

    /// Until when collection number `attempt` may go on after showing life; `None` when it may not.
    ///
    /// Past the expiry no lease is prolonged, so that a trickle cannot keep a file for ever.
    pub(crate) fn renew(&self, terms: &Terms, now: Timestamp, attempt: u32) -> Option<Timestamp> {
        let current = self.state == State::Collecting && self.attempts == attempt;
        (current && now < self.expires_at).then(|| now.plus(terms.lease))
    }

    /// Whether a delivery is still news. It is a fact whoever holds the lease by now: somebody else has the bytes.
    pub(crate) fn may_deliver(&self) -> bool {
        matches!(self.state, State::Ready | State::Collecting)
    }

    /// What follows when collection number `attempt` ended undelivered.
    pub(crate) fn undelivered(&self, terms: &Terms, now: Timestamp, attempt: u32) -> Relapse {
        if self.state != State::Collecting || self.attempts != attempt {
            return Relapse::Stale;
        }
        let ended = Self {
            lease_until: now,
            ..*self
        };
        match ended.phase(terms, now) {
            Phase::Due(ending) => Relapse::End(ending),
            _ => Relapse::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms = Terms {
        lease: Duration::from_millis(100),
        grace: Duration::from_millis(50),
        attempts: 2,
        receipts: Duration::from_millis(1000),
    };

    fn life(state: State) -> Life {
        Life {
            state,
            expires_at: Timestamp(1000),
            lease_until: Timestamp(200),
            attempts: 1,
            again_until: Some(Timestamp(300)),
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    #[test]
    fn a_ready_file_admits_one_and_then_keeps_others_out_until_the_lease_ends() {
        let lease = Admission::Lease {
            attempt: 2,
            until: at(250),
        };
        assert_eq!(life(State::Ready).admit(&TERMS, at(150), false), lease);
        let busy = Admission::Busy { until: at(200) };
        assert_eq!(life(State::Collecting).admit(&TERMS, at(199), false), busy);
        let next = Admission::Lease {
            attempt: 2,
            until: at(300),
        };
        assert_eq!(life(State::Collecting).admit(&TERMS, at(200), false), next);
    }

    #[test]
    fn time_up_is_gone_even_when_nobody_swept() {
        assert_eq!(life(State::Ready).phase(&TERMS, at(999)), Phase::Ready);
        assert_eq!(
            life(State::Ready).phase(&TERMS, at(1000)),
            Phase::Due(Ending::Expired)
        );
        assert_eq!(life(State::Ready).admit(&TERMS, at(1000), true), Admission::Gone);
        assert_eq!(
            life(State::Collecting).phase(&TERMS, at(1000)),
            Phase::Due(Ending::Expired)
        );
    }

    #[test]
    fn the_last_attempt_ends_the_file() {
        let last = Life {
            attempts: 2,
            ..life(State::Collecting)
        };
        assert_eq!(
            last.undelivered(&TERMS, at(150), 2),
            Relapse::End(Ending::Exhausted)
        );
        assert_eq!(last.undelivered(&TERMS, at(150), 1), Relapse::Stale);
        assert_eq!(last.phase(&TERMS, at(200)), Phase::Due(Ending::Exhausted));
        assert_eq!(
            life(State::Collecting).undelivered(&TERMS, at(150), 1),
            Relapse::Ready
        );
        assert_eq!(life(State::Ready).undelivered(&TERMS, at(150), 1), Relapse::Stale);
    }

    #[test]
    fn a_lease_is_prolonged_for_the_current_collection_until_the_file_expires() {
        assert_eq!(life(State::Collecting).renew(&TERMS, at(180), 1), Some(at(280)));
        assert_eq!(life(State::Collecting).renew(&TERMS, at(180), 2), None);
        assert_eq!(life(State::Collecting).renew(&TERMS, at(1000), 1), None);
        assert_eq!(life(State::Ready).renew(&TERMS, at(180), 1), None);
    }

    #[test]
    fn the_grace_is_for_the_same_recipient_only() {
        assert_eq!(
            life(State::Delivered).admit(&TERMS, at(299), true),
            Admission::Again
        );
        assert_eq!(
            life(State::Delivered).admit(&TERMS, at(299), false),
            Admission::Gone
        );
        assert_eq!(
            life(State::Delivered).admit(&TERMS, at(300), true),
            Admission::Gone
        );
        assert_eq!(life(State::Deleted).admit(&TERMS, at(250), true), Admission::Gone);
    }

    #[test]
    fn words_are_read_back() {
        for (state, word) in State::WORDS {
            assert_eq!((state.word(), State::parse(word)), (word, Some(state)));
        }
        for ending in Ending::ALL {
            assert_eq!(Ending::parse(ending.word()), Some(ending));
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_back_from_an_ending(
            state in prop::sample::select(vec![
                State::Delivered, State::Expired, State::Withdrawn, State::Failed, State::Deleted,
            ]),
            now in 0i64..2000,
            attempts in 0u32..4,
            attempt in 0u32..4,
        ) {
            let life = Life { attempts, ..life(state) };
            prop_assert_eq!(life.phase(&TERMS, at(now)), Phase::Over);
            prop_assert_eq!(life.admit(&TERMS, at(now), false), Admission::Gone);
            prop_assert_eq!(life.renew(&TERMS, at(now), attempt), None);
            prop_assert_eq!(life.undelivered(&TERMS, at(now), attempt), Relapse::Stale);
            prop_assert!(!life.may_deliver());
        }
    }
}
