//! What may become of a file, and when. Pure: the clock is an argument, the catalog writes down what is decided here.
//!
//! Each transition is a function of [`Life`] that gives the life after it. This is all of them:
//!
//! | from | transition | to |
//! |---|---|---|
//! | receiving | received | ready |
//! | ready | admitted | collecting |
//! | ready | extended | ready |
//! | ready | ended | expired |
//! | ready | ended | failed |
//! | ready | ended | withdrawn |
//! | collecting | admitted | collecting |
//! | collecting | ended | expired |
//! | collecting | ended | failed |
//! | collecting | ended | withdrawn |
//! | collecting | extended | collecting |
//! | collecting | interrupted | collecting |
//! | collecting | lapsed | failed |
//! | collecting | lapsed | ready |
//! | collecting | last_piece | collecting |
//! | collecting | rearmed | ready |
//! | collecting | renewed | collecting |
//! | collecting | settled | collecting |
//! | collecting | settled | delivered |
//! | delivered | admitted | delivered |
//! | delivered | cleared | delivered |
//! | delivered | prolonged | delivered |
//! | delivered | rearmed | ready |
//! | delivered | unlinked | deleted |
//! | deleted | settled | deleted |
//! | expired | settled | delivered |
//! | expired | unlinked | deleted |
//! | failed | settled | delivered |
//! | failed | unlinked | deleted |
//! | withdrawn | settled | delivered |
//! | withdrawn | unlinked | deleted |
//!
//! Invariant: once a file has come to an [`Ending`], nothing leads back to its bytes, except within the grace: the same
//! recipient may have them once more, and the owner may have them given to another. A recipient may have *all* bytes only
//! if `last_piece` was written down before; so after a crash it is known of which files that may be. What was granted is
//! written down with the grant, and counts as had until it is settled; so that holds for who resumes after a crash, too. And
//! a file that has left whole, and of which some was not acknowledged, goes to nobody else.

mod passages;
mod state;

use std::ops::Range;
use std::time::Duration;

use truehop_delivery::LAST_PIECE;

use crate::clock::Timestamp;
use crate::config::DropConfig;
use crate::coverage::Coverage;
pub(crate) use crate::lifecycle::passages::Passages;
pub(crate) use crate::lifecycle::state::{Ending, State};
use crate::owner::AddressDigest;
use crate::secret::SecretHash;

/// The numbers of the config that decide here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) lease: Duration,
    pub(crate) grace: Duration,
    pub(crate) attempts: u32,
    pub(crate) receipts: Duration,
}

impl Terms {
    pub(crate) fn of(config: &DropConfig) -> Self {
        Self {
            lease: config.lease,
            grace: config.grace,
            attempts: config.attempts,
            receipts: config.receipts,
        }
    }
}

/// What the catalog knows about the course of one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Life {
    pub(crate) state: State,
    pub(crate) size: u64,
    pub(crate) expires_at: Timestamp,
    /// Collections so far that count against the limit, with the current one.
    pub(crate) attempts: u32,
    /// Collections that the server broke off; they count for nothing.
    pub(crate) interrupted: u32,
    /// Who collects it; who did last, while nobody else has; to whom it was delivered, within the grace.
    pub(crate) hold: Option<Hold>,
    /// Until when the same recipient may have it again, although it was delivered.
    pub(crate) again_until: Option<Timestamp>,
    pub(crate) ending: Option<Ending>,
    pub(crate) ended_at: Option<Timestamp>,
}

/// A collection's hold on a file: its lease, and what it has of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hold {
    pub(crate) collection: SecretHash,
    /// The recipient's address, when it is known.
    pub(crate) recipient: Option<AddressDigest>,
    /// Whether a proxy stands between: its acknowledgement is not the recipient's.
    pub(crate) behind_proxy: bool,
    /// When the lease lapses if nothing is under way.
    pub(crate) until: Timestamp,
    /// What the recipient has: it has acknowledged it, or says so itself.
    pub(crate) covered: Coverage,
    /// Whether it was needed to take the recipient at its word.
    pub(crate) by_word: bool,
    /// What requests were granted.
    pub(crate) passages: Passages,
    /// What the recipient may have besides: it had left and was not acknowledged; it was granted to requests whose end nobody
    /// has seen, for the server has broken off; or to collections before this one, and nobody can say who is who.
    pub(crate) unsettled: Coverage,
    /// How many bytes have left, counting repeated ones each time, and those under way as if all had.
    pub(crate) asked: u64,
    /// How many attempts this collection was charged.
    pub(crate) charged: u32,
    /// The last piece may have left: the recipient may have everything.
    pub(crate) last_piece: bool,
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
    /// A recipient may have everything, and nobody knows. Nobody else gets it unless the owner says so.
    Uncertain,
    /// Its time is up. Who began before that may go on until `until`.
    Closing {
        until: Timestamp,
    },
    /// It has come to this end, and the catalog does not know yet.
    Due(Ending),
    Over,
}

/// Somebody other than the owner who asks for bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// The collection that they say they belong to.
    pub(crate) shown: Option<SecretHash>,
    /// The collection that begins if they get the lease and have shown none.
    pub(crate) fresh: SecretHash,
    /// Their address, when it is known.
    pub(crate) address: Option<AddressDigest>,
    pub(crate) behind_proxy: bool,
    /// They ask for a part: so does a tool that resumes, or that fetches several parts at a time.
    pub(crate) has_range: bool,
    /// The number of what they ask now. The catalog gives it; what a caller writes is not read.
    pub(crate) request: u64,
}

/// Why somebody does not get bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// Somebody else is collecting.
    Busy {
        until: Timestamp,
    },
    /// This collection has had so many bytes that no attempt is left.
    Spent,
    Gone,
}

/// Whose doing it is that a request ended undelivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Blame {
    /// The recipient's, or the network's: the attempt counts.
    Recipient,
    /// Ours: the server stopped, or could not read its disk. The attempt is given back.
    Server,
}

/// How a request of a collection ended, for one file.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    /// Its number. The catalog gives it; what a caller writes is not read.
    pub(crate) request: u64,
    /// What it was granted.
    pub(crate) granted: Range<u64>,
    /// The end of what the recipient has acknowledged of that; `None` when that is not even the head of the answer.
    pub(crate) acknowledged: Option<u64>,
    /// The end of what has left, and may have arrived.
    pub(crate) left: u64,
    pub(crate) blame: Blame,
    /// Whether other requests of the collection are still under way. The catalog knows; what a caller writes is not read.
    pub(crate) others: bool,
    /// Whether the file is a part of an archive that is not complete: then its bytes stay for a lease, so that the
    /// archive can be resumed.
    pub(crate) is_part: bool,
}

impl Life {
    /// A file whose first byte has not come.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            state: State::Receiving,
            size: 0,
            expires_at: now,
            attempts: 0,
            interrupted: 0,
            hold: None,
            again_until: None,
            ending: None,
            ended_at: None,
        }
    }

    /// `is_alive`: whether a request of its collection is under way.
    pub(crate) fn phase(&self, terms: &Terms, now: Timestamp, is_alive: bool) -> Phase {
        let in_time = now < self.expires_at;
        match (self.state, &self.hold) {
            (State::Receiving, _) => Phase::Receiving,
            (State::Ready, _) if in_time => Phase::Ready,
            (State::Collecting, Some(hold)) if in_time => match (is_alive, hold.last_piece) {
                (false, true) => Phase::Uncertain,
                (false, false) if hold.until <= now && self.attempts >= terms.attempts => {
                    Phase::Due(Ending::Exhausted)
                }
                (false, false) if hold.until <= now => Phase::Ready,
                // It has lasted longer than was thought, or the clock was set back: then nobody knows.
                _ => Phase::Collecting {
                    until: Some(hold.until)
                        .filter(|&until| now < until && until < now.plus(terms.lease))
                        .unwrap_or(now.plus(terms.lease)),
                },
            },
            (State::Collecting, Some(hold)) => {
                // A lease past the expiry and no longer, so that a trickle cannot keep a file for ever.
                let latest = self.expires_at.plus(terms.lease);
                let until = if is_alive { latest } else { hold.until.min(latest) };
                match now < until && (is_alive || !hold.last_piece) {
                    true => Phase::Closing { until },
                    false => Phase::Due(Ending::Expired),
                }
            }
            (State::Ready | State::Collecting, _) => Phase::Due(Ending::Expired),
            (State::Delivered | State::Expired | State::Withdrawn | State::Failed | State::Deleted, _) => {
                Phase::Over
            }
        }
    }

    /// Whether nothing has ended the file.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, State::Ready | State::Collecting)
    }

    /// Whether its bytes are still there for somebody: also within the grace.
    pub(crate) fn has_bytes(&self, now: Timestamp) -> bool {
        self.is_live()
            || (self.state == State::Delivered && self.again_until.is_some_and(|until| now < until))
    }

    /// All of it is here and durable.
    pub(crate) fn received(&self, size: u64, expires_at: Timestamp) -> Option<Self> {
        (self.state == State::Receiving).then(|| Self {
            state: State::Ready,
            size,
            expires_at,
            ..self.clone()
        })
    }

    /// Whether a recipient gets the bytes `range`, and what follows if so. And whether that is gated: the catalog must be
    /// asked before the last piece of it leaves, for with that they may have everything.
    pub(crate) fn admitted(
        &self,
        terms: &Terms,
        now: Timestamp,
        is_alive: bool,
        asker: &Asker,
        range: &Range<u64>,
    ) -> Result<(Self, bool), Refused> {
        let hold = self
            .hold
            .as_ref()
            .filter(|hold| hold.belongs(asker, is_alive, range));
        match (self.phase(terms, now, is_alive), hold) {
            (Phase::Ready, hold) => Ok(self.leased(terms, now, asker, hold, range).granted(asker, range)),
            (Phase::Collecting { .. } | Phase::Closing { .. } | Phase::Uncertain, Some(hold)) => {
                Ok(self.joined(terms, now, hold, range)?.granted(asker, range))
            }
            (Phase::Collecting { until }, None) => Err(Refused::Busy { until }),
            (Phase::Uncertain, None) => Err(Refused::Busy {
                until: self.expires_at,
            }),
            (Phase::Over, Some(_)) if self.state == State::Delivered && self.has_bytes(now) => {
                Ok((self.had_again(range)?, false))
            }
            (Phase::Receiving | Phase::Closing { .. } | Phase::Due(_) | Phase::Over, _) => Err(Refused::Gone),
        }
    }

    fn leased(
        &self,
        terms: &Terms,
        now: Timestamp,
        asker: &Asker,
        before: Option<&Hold>,
        range: &Range<u64>,
    ) -> Self {
        Self {
            state: State::Collecting,
            attempts: self.attempts.saturating_add(1),
            hold: Some(Hold {
                collection: match before {
                    Some(before) => before.collection,
                    None => asker.shown.unwrap_or(asker.fresh),
                },
                recipient: asker.address,
                behind_proxy: asker.behind_proxy,
                until: now.plus(terms.lease),
                // Nobody else has had it since.
                covered: before.map_or_else(Coverage::default, |before| before.covered.clone()),
                by_word: before.is_some_and(|before| before.by_word),
                passages: before.map_or_else(Passages::default, |before| before.passages.clone()),
                unsettled: match (before, &self.hold) {
                    (Some(before), _) => before.unsettled.clone(),
                    // Whoever had some of it may come back under any name.
                    (None, Some(other)) => other.reach(),
                    (None, None) => Coverage::default(),
                },
                asked: range.end - range.start,
                charged: 1,
                last_piece: false,
            }),
            ..self.clone()
        }
    }

    fn joined(
        &self,
        terms: &Terms,
        now: Timestamp,
        hold: &Hold,
        range: &Range<u64>,
    ) -> Result<Self, Refused> {
        let asked = hold.asked.saturating_add(range.end - range.start);
        let paid = self
            .size
            .saturating_mul(u64::from(hold.charged))
            .saturating_add(self.forgiven());
        let more = u32::from(asked > paid);
        if more > 0 && self.attempts >= terms.attempts {
            return Err(Refused::Spent);
        }
        Ok(Self {
            attempts: self.attempts.saturating_add(more),
            hold: Some(Hold {
                until: now.plus(terms.lease),
                asked,
                charged: hold.charged.saturating_add(more),
                ..hold.clone()
            }),
            ..self.clone()
        })
    }

    /// The bytes of `range` may leave: all at once if the recipient cannot come to have everything by that; or if that is
    /// little, or would need no last piece, and is written down here; or gated, all but the last piece.
    fn granted(mut self, asker: &Asker, range: &Range<u64>) -> (Self, bool) {
        let size = self.size;
        let Some(hold) = self.hold.as_mut() else {
            return (self, false);
        };
        for word in hold.passages.resumed_at(range.start, size) {
            hold.vouched(word);
        }
        // Of an empty file nothing can be had twice.
        if range.is_empty() {
            return (self, false);
        }
        let held_back = range.start..range.end.saturating_sub(LAST_PIECE).max(range.start);
        let is_whole_with = |range: &Range<u64>| {
            let mut reach = hold.reach();
            reach.widen(range.clone());
            reach.is_whole(size)
        };
        let may_complete = !hold.last_piece && is_whole_with(range);
        let is_gated = may_complete && !held_back.is_empty() && !is_whole_with(&held_back);
        hold.last_piece |= may_complete && !is_gated;
        if let Some(forgotten) = hold.passages.begin(asker.request, range.clone(), is_gated) {
            hold.unsettled.widen(forgotten);
        }
        (self, is_gated)
    }

    /// As many bytes as the file has are one more try, in one piece or in parts, and there is one.
    fn had_again(&self, range: &Range<u64>) -> Result<Self, Refused> {
        let mut again = self.clone();
        if let Some(hold) = &mut again.hold {
            hold.asked = hold.asked.saturating_add(range.end - range.start);
            if hold.asked > self.size.saturating_add(self.forgiven()) {
                return Err(Refused::Gone);
            }
            if hold.asked >= self.size && !range.is_empty() {
                again.again_until = None;
            }
        }
        Ok(again)
    }

    /// So many bytes are not paid for: who resumes asks again for what was lost on the way.
    fn forgiven(&self) -> u64 {
        self.size / 2
    }

    /// The last piece is about to leave: from here on the recipient may have everything.
    pub(crate) fn last_piece(&self, collection: SecretHash) -> Option<Self> {
        let hold = self.held_by(collection)?;
        Some(Self {
            hold: Some(Hold {
                last_piece: true,
                ..hold.clone()
            }),
            ..self.clone()
        })
    }

    /// A request of the collection has ended. `None` when nothing follows for this file.
    pub(crate) fn settled(
        &self,
        terms: &Terms,
        now: Timestamp,
        collection: SecretHash,
        how: &Settlement,
    ) -> Option<Self> {
        let Some(hold) = self.held_by(collection) else {
            return self.delivered_late(now, how);
        };
        let mut hold = hold.clone();
        let start = how.granted.start;
        let acknowledged = how.acknowledged.unwrap_or(start);
        // What has not left is not paid for.
        hold.asked = hold.asked.saturating_sub(how.granted.end - how.left);
        hold.has(start..acknowledged);
        hold.unsettled.widen(acknowledged..how.left);
        if let Some(word) = hold.passages.end(how.request, acknowledged, how.left, self.size) {
            hold.vouched(word);
        }
        // An empty file is whole always; so the head of an answer must have come.
        let is_empty_handed = self.size == 0 && how.acknowledged.is_none();
        if !is_empty_handed && hold.covered.is_whole(self.size) {
            return Some(self.delivered(terms, now, hold, how.is_part));
        }
        hold.until = now.plus(terms.lease);
        if !how.others {
            // All that was granted has been settled. Unless what had left was everything, with what the server had seen the
            // end of or not, nobody has the whole, and that is known.
            hold.passages.clear();
            hold.last_piece &= hold.reach().is_whole(self.size);
        }
        let settled = Self {
            hold: Some(hold),
            ..self.clone()
        };
        Some(match how.blame {
            Blame::Recipient => settled,
            Blame::Server => settled.given_back(),
        })
    }

    /// It had come to another end meanwhile, and its hold is forgotten. What is put right is the receipt.
    fn delivered_late(&self, now: Timestamp, how: &Settlement) -> Option<Self> {
        let is_whole = how
            .acknowledged
            .is_some_and(|acknowledged| how.granted.start == 0 && acknowledged >= self.size);
        let state = match self.state {
            State::Expired | State::Withdrawn | State::Failed => State::Delivered,
            State::Deleted if self.ending != Some(Ending::Delivered) => State::Deleted,
            _ => return None,
        };
        is_whole.then(|| Self {
            state,
            ending: Some(Ending::Delivered),
            ended_at: Some(now),
            ..self.clone()
        })
    }

    fn delivered(&self, terms: &Terms, now: Timestamp, hold: Hold, is_part: bool) -> Self {
        let again = match (is_part, hold.behind_proxy || hold.by_word) {
            (true, _) => Some(terms.lease.max(terms.grace)),
            (false, true) => Some(terms.grace),
            (false, false) => None,
        };
        Self {
            state: State::Delivered,
            hold: again.map(|_| Hold { asked: 0, ..hold }),
            again_until: again.map(|again| now.plus(again)),
            ending: Some(Ending::Delivered),
            ended_at: Some(now),
            ..self.clone()
        }
    }

    /// The lease has lapsed, if it has: the next recipient may try, or that was the last attempt.
    pub(crate) fn lapsed(&self, terms: &Terms, now: Timestamp, is_alive: bool) -> Option<Self> {
        if self.state != State::Collecting {
            return None;
        }
        match self.phase(terms, now, is_alive) {
            // The hold stays, for the case that the same recipient comes back before another.
            Phase::Ready => Some(Self {
                state: State::Ready,
                ..self.clone()
            }),
            Phase::Due(Ending::Exhausted) => self.ended(Ending::Exhausted, now),
            _ => None,
        }
    }

    /// What time alone has done to it, if anything.
    pub(crate) fn aged(&self, terms: &Terms, now: Timestamp, is_alive: bool) -> Option<Self> {
        if let Phase::Due(ending) = self.phase(terms, now, is_alive) {
            return self.ended(ending, now);
        }
        self.lapsed(terms, now, is_alive)
            .or_else(|| self.renewed(terms, now, is_alive))
    }

    /// Its lease is a whole one again, if it should not lapse yet, or cannot be as long as it seems: a request is under way,
    /// or the clock was set back.
    pub(crate) fn renewed(&self, terms: &Terms, now: Timestamp, is_alive: bool) -> Option<Self> {
        let hold = self.hold.as_ref().filter(|_| self.state == State::Collecting)?;
        let until = now.plus(terms.lease);
        ((is_alive && hold.until <= now) || until < hold.until).then(|| Self {
            hold: Some(Hold {
                until,
                ..hold.clone()
            }),
            ..self.clone()
        })
    }

    /// The server has broken off; no request has survived.
    pub(crate) fn interrupted(&self, terms: &Terms, now: Timestamp) -> Option<Self> {
        let hold = self.hold.as_ref().filter(|_| self.state == State::Collecting)?;
        let mut hold = hold.clone();
        hold.until = now.plus(terms.lease);
        for ungated in hold.passages.ungated() {
            hold.unsettled.widen(ungated);
        }
        if hold.last_piece {
            hold.unsettled.widen(0..self.size);
        }
        hold.passages.clear();
        let held = Self {
            hold: Some(hold),
            ..self.clone()
        };
        Some(held.given_back())
    }

    /// Only what was charged can be given back: several requests of a collection may break off at once, and the server
    /// may stop again before anybody has asked.
    fn given_back(mut self) -> Self {
        let Some(hold) = self.hold.as_mut().filter(|hold| hold.charged > 0) else {
            return self;
        };
        hold.charged -= 1;
        hold.asked = hold.asked.saturating_sub(self.size);
        self.attempts = self.attempts.saturating_sub(1);
        self.interrupted = self.interrupted.saturating_add(1);
        self
    }

    /// It comes to an end that is no delivery.
    pub(crate) fn ended(&self, ending: Ending, now: Timestamp) -> Option<Self> {
        self.is_live().then(|| Self {
            state: ending.state(),
            hold: None,
            again_until: None,
            ending: Some(ending),
            ended_at: Some(now),
            ..self.clone()
        })
    }

    /// The owner gives it another try: within the grace, or when nobody knows whether it has arrived.
    pub(crate) fn rearmed(&self, terms: &Terms, now: Timestamp, is_alive: bool) -> Option<Self> {
        let may = match self.phase(terms, now, is_alive) {
            Phase::Uncertain => true,
            Phase::Over => self.state == State::Delivered && self.has_bytes(now),
            _ => false,
        };
        (may && now < self.expires_at).then(|| Self {
            state: State::Ready,
            attempts: 0,
            hold: None,
            again_until: None,
            ending: None,
            ended_at: None,
            ..self.clone()
        })
    }

    /// The owner has it wait until another time. Not when its time is up already, even if nobody has written that down.
    pub(crate) fn extended(
        &self,
        terms: &Terms,
        now: Timestamp,
        is_alive: bool,
        expires_at: Timestamp,
    ) -> Option<Self> {
        let is_due = matches!(self.phase(terms, now, is_alive), Phase::Due(_));
        (self.is_live() && !is_due).then(|| Self {
            expires_at,
            ..self.clone()
        })
    }

    /// Its bytes stay for another lease, as parts of an archive that is still being collected; not longer than a lease past
    /// the expiry.
    pub(crate) fn prolonged(&self, terms: &Terms, now: Timestamp) -> Option<Self> {
        let again_until = self.again_until.filter(|_| self.state == State::Delivered)?;
        let until = now.min(self.expires_at).plus(terms.lease);
        (again_until < until).then(|| Self {
            again_until: Some(until),
            ..self.clone()
        })
    }

    /// Nobody may have it again: its grace is over, or the owner wants the bytes gone now.
    pub(crate) fn cleared(&self) -> Option<Self> {
        let has_grace = self.state == State::Delivered && (self.again_until.is_some() || self.hold.is_some());
        has_grace.then(|| Self {
            hold: None,
            again_until: None,
            ..self.clone()
        })
    }

    /// Whether something is still to be done with what the file is called and known by: not when it is over, and nobody may
    /// have it again.
    pub(crate) fn needs_name(&self) -> bool {
        self.state == State::Receiving || self.is_live() || self.again_until.is_some()
    }

    /// The bytes are gone, and with them what is known of people.
    pub(crate) fn unlinked(&self) -> Option<Self> {
        let over = matches!(
            self.state,
            State::Delivered | State::Expired | State::Withdrawn | State::Failed
        );
        over.then(|| Self {
            state: State::Deleted,
            hold: None,
            again_until: None,
            ..self.clone()
        })
    }

    fn held_by(&self, collection: SecretHash) -> Option<&Hold> {
        self.hold
            .as_ref()
            .filter(|hold| self.state == State::Collecting && hold.collection == collection)
    }
}

impl Hold {
    /// What the recipient may have.
    fn reach(&self) -> Coverage {
        let mut reach = self.unsettled.clone();
        reach.widen_by(&self.covered);
        for ungated in self.passages.ungated() {
            reach.widen(ungated);
        }
        reach
    }

    /// The recipient has these bytes.
    fn has(&mut self, range: Range<u64>) {
        if let Some(forgotten) = self.covered.add(range) {
            self.unsettled.widen(forgotten);
        }
    }

    /// The recipient says that it has these bytes, which it has not acknowledged.
    fn vouched(&mut self, range: Range<u64>) {
        self.by_word |= !self.covered.has(&range);
        self.has(range);
    }

    /// Whether who asks is the one who holds: by the name of the collection, or, for a tool that keeps no cookies, by the
    /// address. Others may share that: while a request is under way, whoever wants what was asked for already is another.
    pub(crate) fn belongs(&self, asker: &Asker, is_alive: bool, range: &Range<u64>) -> bool {
        match asker.shown {
            Some(shown) => shown == self.collection,
            None => {
                let same =
                    matches!((self.recipient, asker.address), (Some(one), Some(other)) if one.is(&other));
                let is_new = || !self.covered.meets(range) && !self.passages.meets(range);
                same && (!is_alive || (asker.has_range && is_new()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
