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
    /// Until when the current collection was expected to last. A guess for those who wait: it ends when it ends.
    pub(crate) lease_until: Timestamp,
    /// Collections so far that count against the limit, with the current one.
    pub(crate) attempts: u32,
    /// Until when the same recipient may try once more; only while that second try is left.
    pub(crate) again_until: Option<Timestamp>,
}

/// Where a file stands at a moment, even when nobody has swept since.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Receiving,
    Ready,
    /// Somebody is collecting, and others may ask again at `until`.
    Collecting {
        until: Timestamp,
    },
    /// Its time is up. Who began before that may go on until `until`.
    Closing {
        until: Timestamp,
    },
    /// It has come to this end, and the catalog does not know yet.
    Due(Ending),
    Over,
}

/// The answer to a recipient who wants the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// Collection number `attempt` may begin and keeps others out, by guess until `until`.
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

/// What follows when a collection ends undelivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Relapse {
    /// The next recipient may try.
    Ready,
    /// That was the last attempt, or the time is up.
    End(Ending),
    /// The file was over already.
    Over,
}

/// Whose doing it is that a collection ended undelivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Blame {
    /// The recipient's, or the network's: the attempt counts.
    Recipient,
    /// Ours: the server stopped, or could not read its disk. The attempt is given back.
    Server,
}

impl Life {
    pub(crate) fn phase(&self, terms: &Terms, now: Timestamp) -> Phase {
        match self.state {
            State::Receiving => Phase::Receiving,
            State::Collecting if now < self.expires_at => {
                let latest = now.plus(terms.lease);
                Phase::Collecting {
                    // It has lasted longer than was thought, or the clock was set back: then nobody knows.
                    until: Some(self.lease_until)
                        .filter(|&until| now < until && until < latest)
                        .unwrap_or(latest),
                }
            }
            // A lease past the expiry and no longer, so that a trickle cannot keep a file for ever.
            State::Collecting if now < self.expires_at.plus(terms.lease) => Phase::Closing {
                until: self.expires_at.plus(terms.lease),
            },
            State::Ready if now < self.expires_at => Phase::Ready,
            State::Ready | State::Collecting => Phase::Due(Ending::Expired),
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
            Phase::Receiving | Phase::Closing { .. } | Phase::Due(_) | Phase::Over => Admission::Gone,
        }
    }

    /// Whether the bytes are there for a recipient: nothing has ended the file.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, State::Ready | State::Collecting)
    }

    /// What follows when the collection ended undelivered.
    pub(crate) fn undelivered(&self, terms: &Terms, now: Timestamp, blame: Blame) -> Relapse {
        if self.state != State::Collecting {
            return Relapse::Over;
        }
        if blame == Blame::Recipient && self.attempts >= terms.attempts {
            return Relapse::End(Ending::Exhausted);
        }
        match now < self.expires_at {
            true => Relapse::Ready,
            false => Relapse::End(Ending::Expired),
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
    fn a_ready_file_admits_one_and_keeps_others_out_however_long_that_takes() {
        let lease = Admission::Lease {
            attempt: 2,
            until: at(250),
        };
        assert_eq!(life(State::Ready).admit(&TERMS, at(150), false), lease);
        // The guess, while it is one; then another lease. A clock that was set back makes nobody wait longer.
        for (now, until) in [(199, 200), (200, 300), (999, 1099), (50, 150)] {
            let busy = Admission::Busy { until: at(until) };
            assert_eq!(life(State::Collecting).admit(&TERMS, at(now), false), busy);
        }
    }

    #[test]
    fn time_up_is_gone_even_when_nobody_swept() {
        assert_eq!(life(State::Ready).phase(&TERMS, at(999)), Phase::Ready);
        assert_eq!(
            life(State::Ready).phase(&TERMS, at(1000)),
            Phase::Due(Ending::Expired)
        );
        assert_eq!(life(State::Ready).admit(&TERMS, at(1000), true), Admission::Gone);
    }

    #[test]
    fn who_began_in_time_has_a_lease_more_and_nobody_else_gets_in() {
        let collecting = life(State::Collecting);
        let closing = Phase::Closing { until: at(1100) };
        assert_eq!(collecting.phase(&TERMS, at(1000)), closing);
        assert_eq!(collecting.phase(&TERMS, at(1099)), closing);
        assert_eq!(collecting.admit(&TERMS, at(1000), false), Admission::Gone);
        assert_eq!(collecting.phase(&TERMS, at(1100)), Phase::Due(Ending::Expired));
    }

    #[test]
    fn the_last_attempt_ends_the_file() {
        let last = Life {
            attempts: 2,
            ..life(State::Collecting)
        };
        let after = |life: Life, now, blame| life.undelivered(&TERMS, at(now), blame);
        let exhausted = Relapse::End(Ending::Exhausted);
        assert_eq!(after(last, 150, Blame::Recipient), exhausted);
        assert_eq!(after(last, 150, Blame::Server), Relapse::Ready);
        let first = life(State::Collecting);
        assert_eq!(after(first, 150, Blame::Recipient), Relapse::Ready);
        let expired = Relapse::End(Ending::Expired);
        assert_eq!(after(first, 1000, Blame::Recipient), expired);
        assert_eq!(after(last, 1000, Blame::Server), expired);
        assert_eq!(
            after(life(State::Withdrawn), 150, Blame::Recipient),
            Relapse::Over
        );
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
            blame in prop::sample::select(vec![Blame::Recipient, Blame::Server]),
        ) {
            let life = Life { attempts, ..life(state) };
            prop_assert_eq!(life.phase(&TERMS, at(now)), Phase::Over);
            prop_assert_eq!(life.admit(&TERMS, at(now), false), Admission::Gone);
            prop_assert_eq!(life.undelivered(&TERMS, at(now), blame), Relapse::Over);
            prop_assert!(!life.is_live());
        }
    }
}
