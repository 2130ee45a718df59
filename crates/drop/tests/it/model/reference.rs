//! What the words of the design come to, as simply as it can be said, with nothing of the service's own code: sets of bytes
//! are vectors of bools, and each rule is one function. Where the two differ, one of them is wrong.

use std::ops::Range;

use super::{ATTEMPTS, GRACE, HEADER, LEASE, PEOPLE, RECEIPTS};

#[derive(Clone, Debug, Default)]
pub(super) struct Hold {
    pub(super) name: String,
    pub(super) ip: &'static str,
    pub(super) proxy: bool,
    pub(super) until: u64,
    pub(super) has: Vec<bool>,
    /// What requests were granted that have not ended.
    pub(super) under_way: Vec<Range<usize>>,
    /// Of these nobody has seen whether they arrived.
    pub(super) unseen: Vec<bool>,
    /// Of requests that broke off: what was acknowledged up to, and the last byte that may be asked for next.
    pub(super) broken: Vec<(usize, usize)>,
    /// Some of what it has was never acknowledged.
    pub(super) vouched: bool,
    pub(super) asked: usize,
    pub(super) charged: u64,
    pub(super) may_have_all: bool,
}

#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) size: usize,
    pub(super) expires: u64,
    pub(super) attempts: u64,
    /// Whether somebody collects it; a hold without that is what is remembered of the last one.
    pub(super) collecting: bool,
    pub(super) hold: Option<Hold>,
    pub(super) ended: Option<u64>,
    pub(super) delivered: bool,
    pub(super) again: Option<u64>,
    /// Its receipt is gone, too.
    pub(super) swept: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
    pub(super) len: usize,
    pub(super) archive: bool,
    pub(super) cut: bool,
}

/// Bytes of a file in the body of an answer.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) file: usize,
    pub(super) bytes: Range<usize>,
    /// How much of the body is before them.
    pub(super) at: usize,
    /// A second try: nothing hangs on it.
    pub(super) again: bool,
    /// Where a later one has begun within it.
    pub(super) next: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) now: u64,
    pub(super) files: Vec<File>,
    pub(super) flights: Vec<Flight>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    Free,
    Held,
    /// Its time is up, and who holds it may go on.
    Closing,
    Gone,
}

/// Who asks: the collection they show, their address, whether for a part.
pub(super) struct Asks<'a> {
    pub(super) shown: Option<&'a str>,
    pub(super) who: usize,
    pub(super) part: bool,
}

impl Model {
    pub(super) fn alive(&self, f: usize) -> bool {
        let file = &self.files[f];
        let mine = |flight: &&Flight| flight.parts.iter().any(|part| part.file == f && !part.again);
        self.flights.iter().filter(mine).any(|flight| match &file.hold {
            Some(hold) if file.collecting => flight.name == hold.name,
            _ => true,
        })
    }

    fn standing(&self, f: usize) -> Standing {
        let (file, alive, now) = (&self.files[f], self.alive(f), self.now);
        let hold = file.hold.as_ref().filter(|_| file.collecting);
        match hold {
            _ if file.ended.is_some() => Standing::Gone,
            None if now < file.expires => Standing::Free,
            Some(hold) if now < file.expires => match alive || hold.may_have_all || now < hold.until {
                true => Standing::Held,
                false if file.attempts >= ATTEMPTS => Standing::Gone,
                false => Standing::Free,
            },
            Some(hold) => {
                let latest = file.expires + LEASE;
                let may = if alive {
                    now < latest
                } else {
                    !hold.may_have_all && now < latest.min(hold.until)
                };
                if may { Standing::Closing } else { Standing::Gone }
            }
            None => Standing::Gone,
        }
    }

    pub(super) fn belongs(&self, f: usize, asks: &Asks<'_>, range: &Range<usize>) -> bool {
        let Some(hold) = &self.files[f].hold else {
            return false;
        };
        let had = || union(&[&hold.has, &hold.on_their_way()])[range.clone()].contains(&true);
        match asks.shown {
            Some(name) => name == hold.name,
            None => hold.ip == PEOPLE[asks.who].0 && (!self.alive(f) || (asks.part && !had())),
        }
    }

    pub(super) fn forgotten(&self, f: usize) -> bool {
        let file = &self.files[f];
        file.swept || file.ended.is_some_and(|at| at + RECEIPTS <= self.now)
    }

    /// What becomes of the file if so many bytes of it are asked for; or the refusal.
    pub(super) fn admit(
        &self,
        f: usize,
        asks: &Asks<'_>,
        range: &Range<usize>,
        name: &str,
    ) -> Result<(File, bool), u16> {
        let mut file = self.files[f].clone();
        let belongs = self.belongs(f, asks, range);
        match self.standing(f) {
            Standing::Gone => {
                if !belongs || !file.delivered || file.again.is_none_or(|until| until <= self.now) {
                    return Err(410);
                }
                let hold = file.hold.as_mut().unwrap();
                hold.asked += range.len();
                if hold.asked > file.size + file.size / 2 {
                    return Err(410);
                }
                if !range.is_empty() && hold.asked >= file.size {
                    file.again = None;
                }
                return Ok((file, true));
            }
            Standing::Free => {
                let old = file.hold.take().unwrap_or_default();
                let none = vec![false; file.size];
                let set = |bytes: Vec<bool>| if bytes.is_empty() { none.clone() } else { bytes };
                let new = Hold {
                    name: if belongs {
                        old.name.clone()
                    } else {
                        name.to_owned()
                    },
                    ip: PEOPLE[asks.who].0,
                    proxy: PEOPLE[asks.who].1,
                    has: if belongs {
                        set(old.has.clone())
                    } else {
                        none.clone()
                    },
                    unseen: if belongs {
                        set(old.unseen.clone())
                    } else {
                        set(old.may_have())
                    },
                    broken: if belongs { old.broken.clone() } else { Vec::new() },
                    vouched: belongs && old.vouched,
                    charged: 1,
                    ..Hold::default()
                };
                file.hold = Some(new);
                file.collecting = true;
                file.attempts += 1;
            }
            Standing::Held | Standing::Closing if belongs => {
                let hold = file.hold.as_mut().unwrap();
                if hold.asked + range.len() > file.size * hold.charged as usize + file.size / 2 {
                    if file.attempts >= ATTEMPTS {
                        return Err(429);
                    }
                    file.attempts += 1;
                    hold.charged += 1;
                }
            }
            Standing::Held => return Err(423),
            Standing::Closing => return Err(410),
        }
        let hold = file.hold.as_mut().unwrap();
        if !range.is_empty() {
            // Who resumes has what is before.
            let start = range.start;
            for (from, last) in std::mem::take(&mut hold.broken) {
                match from < start && start <= last {
                    true => hold.vouch(from..start),
                    false => hold.broken.push((from, last)),
                }
            }
        }
        hold.asked += range.len();
        hold.until = self.now + LEASE;
        if !range.is_empty() {
            hold.under_way.push(range.clone());
            hold.may_have_all |= hold.may_have().iter().all(|byte| *byte);
        }
        Ok((file, false))
    }

    /// A request was granted these bytes; so the recipient has of those under way what is before.
    pub(super) fn fly(&mut self, flight: Flight) {
        for new in flight
            .parts
            .iter()
            .filter(|new| !new.again && !new.bytes.is_empty())
        {
            let others = self.flights.iter_mut().filter(|other| other.name == flight.name);
            let parts = others.flat_map(|other| &mut other.parts);
            for part in parts.filter(|part| part.file == new.file && !part.again) {
                let start = new.bytes.start;
                if part.bytes.start < start && start < part.bytes.end {
                    part.next.get_or_insert(start);
                }
            }
        }
        self.flights.push(flight);
    }

    pub(super) fn end(&mut self, request: usize, acknowledged: Option<usize>, more: usize) {
        let flight = self.flights.remove(request);
        let count = acknowledged.map(|count| count.min(flight.len));
        let whole = acknowledged == Some(usize::MAX);
        // The head of an answer that is known to have arrived; an empty answer arrives as a whole.
        let known = count.filter(|&count| whole || count > 0);
        // Of what nobody says anything, all has left: it was read.
        let gone = count.map_or(flight.len, |count| (count + more).min(flight.len));
        let gone = Some(gone).filter(|&gone| whole || gone > 0);
        for Part {
            file: f,
            bytes: range,
            at,
            again,
            next,
        } in &flight.parts
        {
            let (alive, now) = (self.alive(*f), self.now);
            let file = &mut self.files[*f];
            if *again {
                // What is a part of an archive stays as long as the rest may be asked for.
                if flight.parts.len() > 1 {
                    file.again = file.again.map(|until| until.max(now.min(file.expires) + LEASE));
                }
                continue;
            }
            let within = |count: usize| Some(range.start + count.checked_sub(*at)?.min(range.len()));
            let arrived = known.and_then(within).map(|end| range.start..end);
            let left = gone.and_then(within).unwrap_or(range.start);
            let hold = file
                .hold
                .as_mut()
                .filter(|hold| file.collecting && hold.name == flight.name);
            let Some(hold) = hold.filter(|_| file.ended.is_none()) else {
                let all = arrived.is_some_and(|arrived| arrived == (0..file.size));
                if file.ended.is_some() && !file.delivered && !file.swept && all {
                    (file.delivered, file.ended) = (true, Some(now));
                }
                continue;
            };
            let came = arrived.clone().unwrap_or(range.start..range.start);
            hold.asked = hold.asked.saturating_sub(range.end - left);
            hold.has[came.clone()].fill(true);
            hold.unseen[came.end..left].fill(true);
            if let Some(at) = hold.under_way.iter().position(|granted| granted == range) {
                hold.under_way.remove(at);
            }
            match next {
                Some(next) if came.end < *next && *next <= left => hold.vouch(came.end..*next),
                _ if range.is_empty() => {}
                _ => hold.broken.push((came.end, left.min(range.end - 1))),
            }
            let has_come = arrived.is_some() || file.size > 0;
            if has_come && hold.has.iter().all(|byte| *byte) {
                let part = flight.archive && !whole;
                file.again = match (part, hold.proxy || hold.vouched) {
                    (true, _) => Some(now + LEASE.max(GRACE)),
                    (false, true) => Some(now + GRACE),
                    (false, false) => None,
                };
                hold.asked = 0;
                (file.collecting, file.delivered, file.ended) = (false, true, Some(now));
                continue;
            }
            hold.until = now + LEASE;
            // Of one that is not alone, the others are asked when they end.
            let others = alive;
            if !others {
                hold.under_way.clear();
                hold.may_have_all &= hold.may_have().iter().all(|byte| *byte);
            }
            if flight.cut {
                file.give_back();
            }
        }
    }

    pub(super) fn sweep(&mut self) {
        for f in 0..self.files.len() {
            let (standing, now) = (self.standing(f), self.now);
            let forgotten = self.forgotten(f);
            let mut flights = self.flights.iter();
            let is_had = flights.any(|flight| flight.parts.iter().any(|part| part.file == f && part.again));
            let file = &mut self.files[f];
            file.swept = forgotten;
            if file.ended.is_some() {
                // A try that is under way when the grace ends is not the last thing that can be done.
                let longer = now.min(file.expires) + LEASE;
                file.again = match file.again {
                    Some(until) if until <= now => Some(longer).filter(|longer| is_had && until < *longer),
                    again => again,
                };
                continue;
            }
            match standing {
                Standing::Gone => self.over(f),
                Standing::Free => file.collecting = false,
                Standing::Held | Standing::Closing => {}
            }
        }
    }

    /// It ends, and nobody has it.
    pub(super) fn over(&mut self, f: usize) {
        let file = &mut self.files[f];
        (file.ended, file.collecting, file.hold, file.again) = (Some(self.now), false, None, None);
        for flight in &mut self.flights {
            flight.cut |= flight.parts.iter().any(|part| part.file == f);
        }
    }

    pub(super) fn restart(&mut self) {
        self.sweep();
        self.flights.clear();
        for file in self.files.iter_mut().filter(|file| file.collecting) {
            let hold = file.hold.as_mut().unwrap();
            hold.unseen = union(&[&hold.unseen, &hold.on_their_way()]);
            if hold.may_have_all {
                // What was written down before is all that is known.
                hold.unseen.fill(true);
            }
            hold.under_way.clear();
            hold.until = self.now + LEASE;
            file.give_back();
        }
        self.sweep();
    }

    pub(super) fn live(&self, f: usize) -> bool {
        self.standing(f) != Standing::Gone
    }
}

impl Hold {
    fn on_their_way(&self) -> Vec<bool> {
        let granted = |byte| self.under_way.iter().any(|range| range.contains(&byte));
        (0..self.has.len()).map(granted).collect()
    }

    fn may_have(&self) -> Vec<bool> {
        union(&[&self.has, &self.unseen, &self.on_their_way()])
    }

    fn vouch(&mut self, bytes: Range<usize>) {
        self.vouched |= self.has[bytes.clone()].contains(&false);
        self.has[bytes].fill(true);
    }
}

impl File {
    pub(super) fn give_back(&mut self) {
        if let Some(hold) = self.hold.as_mut().filter(|hold| hold.charged > 0) {
            hold.charged -= 1;
            hold.asked = hold.asked.saturating_sub(self.size);
            self.attempts -= 1;
        }
    }
}

fn union(sets: &[&Vec<bool>]) -> Vec<bool> {
    let len = sets.iter().map(|set| set.len()).max().unwrap_or(0);
    (0..len)
        .map(|n| sets.iter().any(|set| set.get(n).copied().unwrap_or(false)))
        .collect()
}

impl Model {
    /// What an archive of all would be made of, and the status.
    pub(super) fn archive(&self, who: usize, shown: Option<&str>) -> (Vec<Part>, u16) {
        let asks = Asks {
            shown,
            who,
            part: false,
        };
        let all = || 0..self.files.len();
        let mut held =
            all().filter(|&f| self.admit(f, &asks, &(0..0), "").is_ok() && self.belongs(f, &asks, &(0..0)));
        let name = held.next().and_then(|f| self.files[f].hold.as_ref());
        let name = name.map(|hold| hold.name.clone());
        let asks = Asks {
            shown: shown.or(name.as_deref()),
            who,
            part: false,
        };
        // What somebody else has is left out, and so is what was repeated too often; but when nothing is left, that is
        // why.
        let whole = |f: usize| self.admit(f, &asks, &(0..self.files[f].size), "");
        let (mut parts, mut at) = (Vec::new(), 0);
        for file in all().filter(|&f| whole(f).is_ok()) {
            at += HEADER;
            let bytes = 0..self.files[file].size;
            parts.push(Part {
                file,
                bytes: bytes.clone(),
                at,
                again: false,
                next: None,
            });
            at += bytes.len();
        }
        let refused = all().filter_map(|f| whole(f).err());
        let gravest = refused.max_by_key(|status| [410, 423, 429].iter().position(|one| one == status));
        let status = if parts.is_empty() {
            gravest.unwrap_or(410)
        } else {
            200
        };
        (parts, status)
    }
}
