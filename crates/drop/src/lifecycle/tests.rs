//! All lives that a file can come to, by brute force; and walks as long as a life, with a recipient who takes what may leave.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

const LEASE: Duration = Duration::from_millis(10);

const TERMS: Terms = Terms {
    lease: LEASE,
    grace: Duration::from_millis(5),
    attempts: 2,
    receipts: Duration::from_millis(100),
};

/// Two pieces and a half.
const SIZE: u64 = LAST_PIECE * 5 / 2;

fn asker(name: u8, shows: bool, has_range: bool, behind_proxy: bool) -> Asker {
    Asker {
        shown: shows.then_some(SecretHash([name; 32])),
        fresh: SecretHash([name; 32]),
        address: Some(AddressDigest::stored([name; 32])),
        behind_proxy,
        has_range,
        request: 1,
    }
}

fn ranges(size: u64) -> Vec<Range<u64>> {
    let mut ranges = vec![0..size, 0..size / 2, size / 2..size, 0..0];
    ranges.dedup();
    ranges
}

/// What distinguishes lives; secrets do not show themselves.
fn key(life: &Life) -> String {
    let names = life
        .hold
        .as_ref()
        .map(|hold| (hold.collection.0[0], hold.recipient.map(|it| it.bytes()[0])));
    format!("{life:?} {names:?}")
}

/// Every life that one transition leads to, whoever asks and whenever.
fn next(life: &Life) -> Vec<(&'static str, Life)> {
    let mut next = Vec::new();
    let mut put = |name, life: Option<Life>| next.extend(life.map(|life| (name, life)));
    let collection = SecretHash([1; 32]);
    for now in [0, 12, 30, 1000].map(Timestamp) {
        put("received", life.received(SIZE, Timestamp(20)));
        put("unlinked", life.unlinked());
        put("cleared", life.cleared());
        put("prolonged", life.prolonged(&TERMS, now));
        put("interrupted", life.interrupted(&TERMS, now));
        for ending in Ending::ALL
            .into_iter()
            .filter(|ending| *ending != Ending::Delivered)
        {
            put("ended", life.ended(ending, now));
        }
        for is_alive in [false, true] {
            put("lapsed", life.lapsed(&TERMS, now, is_alive));
            put("renewed", life.renewed(&TERMS, now, is_alive));
            put("rearmed", life.rearmed(&TERMS, now, is_alive));
            put(
                "extended",
                life.extended(&TERMS, now, is_alive, now.plus(LEASE * 2)),
            );
            for (name, shows, behind_proxy) in [(1, true, false), (1, false, true), (2, true, false)] {
                let asker = asker(name, shows, false, behind_proxy);
                for range in ranges(life.size) {
                    let admitted = life.admitted(&TERMS, now, is_alive, &asker, &range).ok();
                    put("admitted", admitted.map(|(life, _)| life));
                }
            }
        }
        for others in [false, true] {
            let (half, size) = (life.size / 2, life.size);
            for (granted, acknowledged, left) in [
                (0..size, None, 0),
                (0..size, None, size),
                (0..size, Some(size), size),
                (0..size, Some(half), half),
                (0..size, Some(half), size),
                (half..size, Some(size), size),
            ] {
                for (blame, is_part) in [
                    (Blame::Recipient, false),
                    (Blame::Server, false),
                    (Blame::Recipient, true),
                ] {
                    let how = Settlement {
                        request: 1,
                        granted: granted.clone(),
                        acknowledged,
                        left,
                        blame,
                        others,
                        is_part,
                    };
                    put("settled", life.settled(&TERMS, now, collection, &how));
                }
            }
        }
    }
    put("last_piece", life.last_piece(collection));
    next
}

/// Every life within so many transitions.
fn lives(depth: usize) -> Vec<Life> {
    let first = Life::new(Timestamp(0));
    let mut known: HashMap<String, Life> = HashMap::from([(key(&first), first.clone())]);
    let mut edge = vec![first];
    for _ in 0..depth {
        let mut beyond = Vec::new();
        for life in &edge {
            for (_, life) in next(life) {
                if known.insert(key(&life), life.clone()).is_none() {
                    beyond.push(life);
                }
            }
        }
        edge = beyond;
    }
    known.into_values().collect()
}

/// The rows of the table at the top of the module.
fn table() -> BTreeSet<(String, String, String)> {
    let rows = include_str!("../lifecycle.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .map(|row| {
            row.split('|')
                .map(|cell| cell.trim().to_owned())
                .collect::<Vec<_>>()
        });
    let rows = rows.filter(|cells| State::parse(&cells[0]).is_some());
    rows.map(|cells| (cells[0].clone(), cells[1].clone(), cells[2].clone()))
        .collect()
}

#[test]
fn the_table_is_all_that_may_happen() {
    let mut found = BTreeSet::new();
    for life in lives(4) {
        for (name, after) in next(&life) {
            found.insert((
                life.state.word().to_owned(),
                name.to_owned(),
                after.state.word().to_owned(),
            ));
        }
    }
    let table = table();
    let (missing, extra): (Vec<_>, Vec<_>) = (
        found.difference(&table).collect(),
        table.difference(&found).collect(),
    );
    assert!(
        missing.is_empty() && extra.is_empty(),
        "not in the table: {missing:#?}\nnever happens: {extra:#?}"
    );
}

#[test]
fn no_way_leads_back_from_an_ending_but_the_grace() {
    for life in lives(4).into_iter().filter(|life| life.ending.is_some()) {
        for (name, after) in next(&life) {
            let is_back = after.is_live() || after.state == State::Receiving;
            let may = name == "rearmed" && life.state == State::Delivered && life.again_until.is_some();
            assert!(!is_back || may, "{name}: {life:?}");
            let more = after.again_until > life.again_until;
            assert!(!more || name == "prolonged", "{name}: {life:?}");
        }
    }
}

#[test]
fn each_life_keeps_within_its_bounds() {
    for life in lives(4) {
        assert!(life.attempts <= TERMS.attempts, "{life:?}");
        assert_eq!(life.ending.is_some(), life.ended_at.is_some(), "{life:?}");
        assert_eq!(
            life.ending.is_some(),
            !life.is_live() && life.state != State::Receiving,
            "{life:?}"
        );
        assert!(life.state != State::Collecting || life.hold.is_some(), "{life:?}");
        if let Some(hold) = life.hold.as_ref().filter(|_| life.is_live()) {
            assert!(hold.charged <= life.attempts, "{life:?}");
            assert!(
                hold.asked <= life.size * u64::from(hold.charged) + life.size / 2,
                "{life:?}"
            );
            assert!(!hold.covered.is_whole(life.size) || life.size == 0, "{life:?}");
        }
        for now in [0, 5, 25, 1000].map(Timestamp) {
            for is_alive in [false, true] {
                match life.phase(&TERMS, now, is_alive) {
                    Phase::Collecting { until } => {
                        assert!(now < until && until <= now.plus(LEASE), "{life:?} at {now:?}");
                    }
                    Phase::Closing { until } => {
                        assert!(
                            now < until && until <= life.expires_at.plus(LEASE),
                            "{life:?} at {now:?}"
                        );
                    }
                    Phase::Due(ending) => assert!(life.ended(ending, now).is_some(), "{life:?} at {now:?}"),
                    _ => {}
                }
                if let Some(aged) = life.aged(&TERMS, now, is_alive) {
                    assert_eq!(
                        aged.aged(&TERMS, now, is_alive),
                        None,
                        "time has no more to say: {life:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_words_are_read_as_they_are_written() {
    for state in State::ALL {
        assert_eq!(State::parse(state.word()), Some(state));
    }
    for ending in Ending::ALL {
        assert_eq!(Ending::parse(ending.word()), Some(ending));
    }
    assert_eq!((State::parse("gone"), Ending::parse("")), (None, None));
}

/// What happens to a file, one after the other.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody asks for bytes, from one eighth of the file to another.
    Ask {
        who: u8,
        shows: bool,
        from: u64,
        to: u64,
    },
    /// A request (counted in those under way) asks whether its last piece may leave.
    Last(usize),
    /// A request ends: so many eighths of what may have left were acknowledged, and so many more had left.
    End {
        which: usize,
        eighths: u64,
        more: u64,
        blame: Blame,
    },
    Wait(i64),
    Crash,
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4u8, any::<bool>(), 0..8u64, 1..9u64).prop_map(|(who, shows, from, to)| Step::Ask {
            who,
            shows,
            from: from.min(to - 1),
            to,
        }),
        2 => any::<usize>().prop_map(Step::Last),
        4 => (any::<usize>(), 0..10u64, 0..6u64, any::<bool>()).prop_map(|(which, eighths, more, ours)| Step::End {
            which,
            eighths: eighths.min(8),
            more: more.min(8 - eighths.min(8)),
            blame: if ours { Blame::Server } else { Blame::Recipient },
        }),
        2 => (-20..20i64).prop_map(Step::Wait),
        1 => Just(Step::Crash),
        2 => Just(Step::Sweep),
    ]
}

#[derive(Clone, Debug)]
struct Request {
    number: u64,
    collection: SecretHash,
    /// Who it is in truth, whatever they show.
    who: u8,
    range: Range<u64>,
    is_gated: bool,
    is_released: bool,
}

impl Request {
    /// What may have left.
    fn left(&self) -> Range<u64> {
        match self.is_gated && !self.is_released {
            true => self.range.start..self.range.end - LAST_PIECE,
            false => self.range.clone(),
        }
    }
}

/// A file, its requests, and what each recipient has in truth: all that may have left, until the kernel says how much of it
/// did; after a crash nobody says.
struct Walk {
    life: Life,
    size: u64,
    now: Timestamp,
    asked: u64,
    alive: Vec<Request>,
    had: BTreeMap<u8, Coverage>,
    /// Whoever was told that the last piece may leave.
    closed: bool,
}

impl Walk {
    fn new(size: u64) -> Self {
        let life = Life::new(Timestamp(0)).received(size, Timestamp(10_000)).unwrap();
        Self {
            life,
            size,
            now: Timestamp(1000),
            asked: 0,
            alive: Vec::new(),
            had: BTreeMap::new(),
            closed: false,
        }
    }

    fn is_alive(&self, but: Option<usize>) -> bool {
        let collection = self.life.hold.as_ref().map(|hold| hold.collection);
        let others = self.alive.iter().enumerate().filter(|(at, _)| Some(*at) != but);
        others
            .into_iter()
            .any(|(_, request)| Some(request.collection) == collection)
    }

    fn go(&mut self, step: &Step) {
        match *step {
            Step::Ask { who, shows, from, to } => {
                let range = self.size * from / 8..self.size * to / 8;
                self.asked += 1;
                let asker = Asker {
                    request: self.asked,
                    ..asker(who, shows, from > 0, false)
                };
                let admitted = self
                    .life
                    .admitted(&TERMS, self.now, self.is_alive(None), &asker, &range);
                let Ok((life, is_gated)) = admitted else { return };
                let is_live = life.is_live();
                self.life = life;
                if let Some(hold) = self.life.hold.as_ref().filter(|_| is_live) {
                    self.closed |= hold.last_piece;
                    let collection = hold.collection;
                    self.alive.push(Request {
                        number: self.asked,
                        collection,
                        who,
                        range,
                        is_gated,
                        is_released: false,
                    });
                }
            }
            Step::Last(which) => {
                if self.alive.is_empty() {
                    return;
                }
                let at = which % self.alive.len();
                if let Some(life) = self.life.last_piece(self.alive[at].collection) {
                    self.life = life;
                    self.alive[at].is_released = true;
                    self.closed = true;
                }
            }
            Step::End {
                which,
                eighths,
                more,
                blame,
            } => {
                if self.alive.is_empty() {
                    return;
                }
                let at = which % self.alive.len();
                let others = self.is_alive(Some(at));
                let request = self.alive.remove(at);
                let could = request.left();
                let end = |eighths: u64| could.start + (could.end - could.start) * eighths / 8;
                let left = end(eighths + more);
                self.had.entry(request.who).or_default().widen(could.start..left);
                let how = Settlement {
                    request: request.number,
                    granted: request.range.clone(),
                    acknowledged: Some(end(eighths)),
                    left,
                    blame,
                    others,
                    is_part: false,
                };
                if let Some(life) = self.life.settled(&TERMS, self.now, request.collection, &how) {
                    self.life = life;
                }
            }
            Step::Wait(millis) => self.now.0 += millis,
            Step::Crash => {
                for request in std::mem::take(&mut self.alive) {
                    self.had.entry(request.who).or_default().widen(request.left());
                }
                if let Some(life) = self.life.interrupted(&TERMS, self.now) {
                    self.life = life;
                }
            }
            Step::Sweep => {
                if let Some(life) = self.life.aged(&TERMS, self.now, self.is_alive(None)) {
                    self.life = life;
                }
            }
        }
    }

    /// Recipients who may have every byte.
    fn whole(&self) -> Vec<u8> {
        let mut had = self.had.clone();
        for request in &self.alive {
            had.entry(request.who).or_default().widen(request.left());
        }
        let whole = had.iter().filter(|(_, had)| had.is_whole(self.size));
        whole.map(|(who, _)| *who).collect()
    }
}

/// A walk of these steps: what it comes to keeps others out.
fn keeps_others_out(steps: &[Step]) {
    let mut walk = Walk::new(SIZE);
    for step in steps {
        walk.go(step);
    }
    assert_eq!(walk.whole(), [1], "{:?}", walk.life);
    assert!(walk.closed);
    walk.go(&Step::Wait(100));
    walk.go(&Step::Sweep);
    assert_eq!(walk.life.phase(&TERMS, walk.now, false), Phase::Uncertain);
}

fn ask(who: u8, eighths: Range<u64>) -> Step {
    Step::Ask {
        who,
        shows: true,
        from: eighths.start,
        to: eighths.end,
    }
}

const ARRIVED: Step = Step::End {
    which: 0,
    eighths: 8,
    more: 0,
    blame: Blame::Recipient,
};

#[test]
fn who_comes_back_after_somebody_else_may_have_had_a_part_before() {
    keeps_others_out(&[
        ask(1, 0..4),
        ARRIVED,
        Step::Wait(100),
        Step::Sweep,
        ask(2, 0..1),
        Step::End {
            which: 0,
            eighths: 0,
            more: 0,
            blame: Blame::Server,
        },
        Step::Wait(100),
        Step::Sweep,
        ask(1, 4..8),
        Step::Last(0),
        ARRIVED,
    ]);
}

#[test]
fn who_was_met_by_a_crash_with_the_last_piece_may_have_it_whatever_they_ask_for_after() {
    keeps_others_out(&[ask(1, 0..8), Step::Last(0), Step::Crash, ask(1, 0..1), ARRIVED]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Three recipients, who may come back under other names, crashes, a clock that jumps: nobody has everything before
    /// that was written down, and nobody else has everything after.
    #[test]
    fn nobody_has_everything_unless_it_was_written_down_and_then_one(
        size in prop_oneof![Just(SIZE), Just(LAST_PIECE), Just(3)],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut walk = Walk::new(size);
        for (at, step) in steps.iter().enumerate() {
            walk.go(step);
            let whole = walk.whole();
            prop_assert!(whole.is_empty() || walk.closed, "after step {at}: {:?}", walk.life);
            prop_assert!(whole.len() <= 1, "{whole:?} after step {at}: {:?}", walk.life);
            prop_assert!(walk.life.attempts <= TERMS.attempts);
        }
    }
}

#[test]
fn what_follows_a_delivery_is_as_many_bytes_as_the_file_has_and_half_of_that() {
    let who = asker(1, true, true, true);
    let delivered = Life {
        state: State::Delivered,
        size: 100,
        expires_at: Timestamp(1000),
        again_until: Some(Timestamp(500)),
        hold: Some(Hold {
            collection: SecretHash([1; 32]),
            recipient: None,
            behind_proxy: true,
            until: Timestamp(500),
            covered: Coverage::default(),
            by_word: false,
            passages: Passages::default(),
            unsettled: Coverage::default(),
            asked: 0,
            charged: 0,
            last_piece: true,
        }),
        ending: Some(Ending::Delivered),
        ended_at: Some(Timestamp(0)),
        ..Life::new(Timestamp(0))
    };
    let mut handed_out = 0;
    for size in [1, 7, 49, 99] {
        let mut life = delivered.clone();
        let mut bytes = 0;
        while let Ok((next, _)) = life.admitted(&TERMS, Timestamp(1), false, &who, &(0..size)) {
            (life, bytes) = (next, bytes + size);
        }
        handed_out = handed_out.max(bytes);
        assert!(
            bytes >= 99 && life.again_until.is_none() == (bytes >= 100),
            "{size}: {bytes}"
        );
    }
    assert!(handed_out < 150, "{handed_out}");
}
