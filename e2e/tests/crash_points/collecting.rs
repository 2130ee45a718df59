//! Deaths during a collection: what the recipient may have decides who may have it afterwards.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use truehop_e2e::{
    Home, Link, Outcome, Pieces, Request, Truehop, Uploaded, Wire, archive, content, entries, eventually,
};

use crate::{
    ANOTHER, CONFIG, LARGE, SMALL, STRANGER, THIRD, UPLOADER, at, disk_holds, doomed, ends_soundly,
    resurrected, told,
};

/// How the recipient asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// One request for each of these files.
    Whole(&'static [u32]),
    /// One half after the other.
    Halves,
    /// Both halves at once.
    BothHalves,
    Zip,
    /// The first half of the archive, then the other.
    ZipHalves,
}

/// What must be true of a file after the death.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum After {
    /// It was not touched: anybody may have it at once.
    Ready,
    /// The recipient cannot have all of it: it goes on, or others get it after the lease.
    Again,
    /// The recipient may have all of it: nobody else gets it, unless the owner says so.
    Uncertain,
    /// The recipient has it, and whether the catalog knows depends on the moment: nobody else gets it.
    Had,
    /// The recipient has it, and the catalog knows.
    Gone,
}

use After::{Again, Gone, Had, Ready, Uncertain};

/// What is done after the death with a file that is not gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    /// The same recipient comes back and shows its collection.
    Returns,
    /// The same recipient comes back, with nothing but its address.
    ReturnsUnmarked,
    /// Somebody else comes.
    Another,
}

/// Sizes of the files, the way, and for each point what must be true of each file.
type Rows = (&'static [usize], Way, &'static [(&'static str, &'static [After])]);

const ROWS: &[Rows] = &[
    (
        &[SMALL],
        Way::Whole(&[1]),
        &[
            // What fits into the last piece is written down as "may have it" with the grant.
            ("admitted", &[Uncertain]),
            ("acknowledged", &[Uncertain]),
            ("delivered", &[Gone]),
            ("unlinked", &[Gone]),
            ("forgotten", &[Gone]),
        ],
    ),
    (
        &[LARGE],
        Way::Whole(&[1]),
        &[
            ("admitted", &[Again]),
            ("last-piece", &[Uncertain]),
            ("acknowledged", &[Uncertain]),
            ("delivered", &[Gone]),
            ("unlinked", &[Gone]),
            ("forgotten", &[Gone]),
        ],
    ),
    (
        &[SMALL],
        Way::Halves,
        &[
            ("admitted", &[Again]),
            ("admitted:2", &[Uncertain]),
            ("delivered", &[Gone]),
            ("unlinked", &[Gone]),
        ],
    ),
    (
        &[LARGE],
        Way::Halves,
        &[
            ("admitted", &[Again]),
            ("admitted:2", &[Again]),
            ("last-piece", &[Uncertain]),
            ("delivered", &[Gone]),
            ("unlinked", &[Gone]),
        ],
    ),
    (
        &[SMALL],
        Way::BothHalves,
        &[
            ("admitted", &[Again]),
            ("admitted:2", &[Uncertain]),
            ("delivered", &[Gone]),
        ],
    ),
    (
        &[LARGE],
        Way::BothHalves,
        &[
            ("admitted:2", &[Again]),
            ("last-piece", &[Uncertain]),
            ("delivered", &[Gone]),
        ],
    ),
    (
        &[LARGE, SMALL],
        Way::Whole(&[1]),
        &[
            ("admitted", &[Again, Ready]),
            ("last-piece", &[Uncertain, Ready]),
            ("delivered", &[Gone, Ready]),
            ("unlinked", &[Gone, Ready]),
        ],
    ),
    (
        &[SMALL, LARGE],
        Way::Whole(&[1, 2]),
        &[
            ("admitted:2", &[Gone, Again]),
            ("last-piece", &[Gone, Uncertain]),
            ("delivered:2", &[Gone, Gone]),
        ],
    ),
    (
        &[SMALL, SMALL],
        Way::Zip,
        &[
            ("admitted", &[Uncertain, Uncertain]),
            ("acknowledged", &[Uncertain, Uncertain]),
            ("delivered", &[Gone, Gone]),
            ("unlinked", &[Gone, Gone]),
            ("unlinked:2", &[Gone, Gone]),
            ("forgotten", &[Gone, Gone]),
        ],
    ),
    (
        &[SMALL, LARGE],
        Way::Zip,
        &[
            ("admitted", &[Uncertain, Again]),
            ("last-piece", &[Uncertain, Uncertain]),
            ("acknowledged", &[Uncertain, Uncertain]),
            ("delivered", &[Gone, Gone]),
            ("unlinked", &[Gone, Gone]),
            ("unlinked:2", &[Gone, Gone]),
            ("forgotten:2", &[Gone, Gone]),
        ],
    ),
    (
        &[LARGE, LARGE],
        Way::Zip,
        &[
            ("admitted", &[Again, Again]),
            ("last-piece", &[Uncertain, Again]),
            ("last-piece:2", &[Uncertain, Uncertain]),
            ("delivered", &[Gone, Gone]),
        ],
    ),
    (
        &[LARGE, LARGE],
        Way::ZipHalves,
        // The first half has all of the first file.
        &[("last-piece", &[Uncertain, Again]), ("admitted:2", &[Had, Again])],
    ),
];

#[test]
fn the_same_recipient_may_go_on_by_its_collection() {
    through_all(Then::Returns);
}

#[test]
fn the_same_recipient_may_go_on_by_its_address() {
    through_all(Then::ReturnsUnmarked);
}

#[test]
fn nobody_else_gets_what_the_recipient_may_have() {
    through_all(Then::Another);
}

fn through_all(then: Then) {
    // Most of the time is waiting for leases, so that several may wait at once.
    const LANES: usize = 4;
    let rows: Vec<_> = ROWS
        .iter()
        .flat_map(|(sizes, way, points)| {
            points
                .iter()
                .map(move |(point, after)| (*sizes, *way, *point, *after))
        })
        .collect();
    thread::scope(|scope| {
        for lane in 0..LANES {
            let rows = rows.iter().skip(lane).step_by(LANES);
            scope.spawn(move || {
                for (sizes, way, point, after) in rows {
                    // Whatever fails tells the name of its thread.
                    let row = format!("{sizes:?} {way:?} {point} -> {after:?}, {then:?}");
                    let run = thread::Builder::new()
                        .name(row)
                        .spawn_scoped(scope, move || run(sizes, *way, point, after, then));
                    if run.unwrap().join().unwrap().is_none() {
                        return;
                    }
                }
            });
        }
    });
    told("of collections");
}

fn run(sizes: &[usize], way: Way, point: &str, after: &[After], then: Then) -> Option<()> {
    let contents: Vec<Vec<u8>> = (1..)
        .zip(sizes)
        .map(|(seed, size)| content(seed, *size))
        .collect();
    let drop = doomed(point, Home::new())?;
    let uploaded = upload(&drop, &contents);
    let mut taken = Taken::new(&uploaded, &contents);
    taken.take(&drop, way);
    let drop = resurrected(drop);
    judge(drop, &taken, after, then);
    Some(())
}

#[track_caller]
fn upload(drop: &Truehop, contents: &[Vec<u8>]) -> Uploaded {
    match contents {
        [one] => at(UPLOADER, drop).put(one),
        several => {
            let several: Vec<&[u8]> = several.iter().map(Vec::as_slice).collect();
            at(UPLOADER, drop).put_all(&several)
        }
    }
}

/// What [`STRANGER`] has of the files of a drop.
struct Taken<'a> {
    link: Link,
    contents: &'a [Vec<u8>],
    has: Vec<Pieces>,
    /// By the number of the file: each request for a file alone may have a collection of its own.
    collections: BTreeMap<u32, String>,
}

impl<'a> Taken<'a> {
    fn new(uploaded: &Uploaded, contents: &'a [Vec<u8>]) -> Self {
        Self {
            link: uploaded.link.clone(),
            contents,
            has: vec![Pieces::default(); contents.len()],
            collections: BTreeMap::new(),
        }
    }

    fn has_whole(&self, number: u32) -> bool {
        let at = number as usize - 1;
        self.has[at].is_whole(self.contents[at].len())
    }

    /// Asks until the server is gone or there is nothing more to ask for.
    fn take(&mut self, drop: &Truehop, way: Way) {
        match way {
            Way::Whole(numbers) => {
                for number in numbers {
                    let outcome = at(STRANGER, drop).ask(&Request::new("GET", &self.link.bytes(*number)));
                    self.note(*number, 0, &outcome);
                    // The next one begins when this one is known to be delivered, or there is nobody to know.
                    let asked = || at(ANOTHER, drop).ask(&Request::new("GET", &self.link.bytes(*number)));
                    eventually("the delivery, or the death", || {
                        matches!(asked().status(), Some(410) | None).then_some(())
                    });
                }
            }
            Way::Halves => {
                for half in self.halves(self.contents[0].len()) {
                    let outcome = at(STRANGER, drop).ask(&self.part(&self.link.raw(), &half));
                    self.note(1, half.start, &outcome);
                }
            }
            Way::BothHalves => {
                let halves = self.halves(self.contents[0].len());
                // One after the other, so that the first gets its lease first; neither is read before both are sent.
                let mut wires: Vec<Wire> = Vec::new();
                for half in &halves {
                    let Ok(mut wire) = Wire::connect(STRANGER, drop.address()) else {
                        return;
                    };
                    let _ = wire.send(&self.part(&self.link.raw(), half));
                    let _ = wire.taste();
                    wires.push(wire);
                }
                for (wire, half) in wires.into_iter().zip(halves) {
                    let outcome = Outcome::of(wire);
                    self.note(1, half.start, &outcome);
                }
            }
            Way::Zip => {
                let outcome = at(STRANGER, drop).ask(&Request::new("GET", &self.link.zip()));
                self.note_archive(outcome.body(), &outcome);
            }
            Way::ZipHalves => {
                let head = at(STRANGER, drop).ask(&Request::new("HEAD", &self.link.zip()));
                let length = head
                    .response()
                    .and_then(|head| head.header("Content-Length")?.parse().ok());
                let mut bytes = Vec::new();
                for half in self.halves(length.unwrap()) {
                    let outcome = at(STRANGER, drop).ask(&self.part(&self.link.zip(), &half));
                    bytes.extend_from_slice(outcome.body());
                    self.note_archive(&bytes, &outcome);
                }
            }
        }
    }

    fn halves(&self, length: usize) -> [std::ops::Range<usize>; 2] {
        [0..length / 2, length / 2..length]
    }

    /// A request for a part, in the same collection.
    fn part(&self, path: &str, range: &std::ops::Range<usize>) -> Request {
        let request = Request::new("GET", path).header("Range", &truehop_e2e::range_of(range));
        match self.collections.get(&1) {
            Some(collection) => request.header("Truehop-Collection", collection),
            None => request,
        }
    }

    fn note(&mut self, number: u32, offset: usize, outcome: &Outcome) {
        let at = number as usize - 1;
        self.has[at]
            .add(&self.contents[at], offset, outcome.body())
            .unwrap();
        self.note_collection(number, outcome);
    }

    fn note_archive(&mut self, bytes: &[u8], outcome: &Outcome) {
        for (at, entry) in entries(bytes).unwrap().iter().enumerate() {
            assert_eq!(entry.size, self.contents[at].len(), "{}", entry.name);
            self.has[at].add(&self.contents[at], 0, &entry.bytes).unwrap();
        }
        if outcome.is_whole() {
            archive(bytes).unwrap();
        }
        for number in 1..=self.has.len() {
            self.note_collection(number as u32, outcome);
        }
    }

    fn note_collection(&mut self, number: u32, outcome: &Outcome) {
        if let Some(collection) = outcome.collection() {
            let before = self.collections.insert(number, collection.clone());
            assert!(
                before.is_none_or(|before| before == collection),
                "it became another collection"
            );
        }
    }
}

#[track_caller]
fn judge(drop: Truehop, taken: &Taken<'_>, after: &[After], then: Then) {
    // At once, because a lease soon lapses.
    for (number, after) in (1..).zip(after) {
        if matches!(after, Again | Uncertain) {
            let status = at(ANOTHER, &drop).status(&taken.link.bytes(number));
            assert_eq!(status, 423, "file {number}, which is to be {after:?}");
        }
    }
    for (number, after) in (1..).zip(after) {
        let content = &taken.contents[number as usize - 1];
        let path = taken.link.bytes(number);
        let another = || at(ANOTHER, &drop).get(&path);
        match after {
            Ready => {
                let got = another();
                assert_eq!(got.status, 200, "file {number} was not touched: {got:?}");
                assert!(got.body == *content, "file {number}: other bytes");
            }
            Again => {
                assert!(!taken.has_whole(number), "the recipient has file {number}");
                match then {
                    Then::Another => {
                        let got = eventually("the lease to lapse", || {
                            Some(another()).filter(|got| got.status != 423)
                        });
                        assert_eq!(got.status, 200, "file {number}: {got:?}");
                        assert!(got.body == *content, "file {number}: other bytes");
                    }
                    _ => returns(&drop, taken, number, then),
                }
            }
            Uncertain => match then {
                Then::Another => stays_locked_until_the_owner_says_so(&drop, &path, content),
                _ => returns(&drop, taken, number, then),
            },
            Had => {
                assert!(taken.has_whole(number), "else the test proves nothing");
                assert!(
                    matches!(another().status, 410 | 423),
                    "a second recipient has file {number}"
                );
                let got = at(STRANGER, &drop).get(&path);
                assert!(matches!(got.status, 200 | 410), "file {number}: {got:?}");
            }
            Gone => {
                assert!(taken.has_whole(number), "file {number} was deleted undelivered");
            }
        }
        // Now it is delivered, or was before.
        eventually(&format!("410 of file {number} for everybody"), || {
            let all = [STRANGER, ANOTHER, THIRD, UPLOADER].map(|host| at(host, &drop).status(&path));
            assert!(!all[1..3].contains(&200), "a second recipient has file {number}");
            (all == [410; 4]).then_some(())
        });
    }
    disk_holds(&drop, 0);
    ends_soundly(drop);
}

/// The same recipient takes what is missing, or all of it if nothing is.
#[track_caller]
fn returns(drop: &Truehop, taken: &Taken<'_>, number: u32, then: Then) {
    let content = &taken.contents[number as usize - 1];
    let mut has = taken.has[number as usize - 1].clone();
    let gap = has.gap(content.len());
    let gap = if gap.is_empty() { 0..content.len() } else { gap };
    let mut request =
        Request::new("GET", &taken.link.bytes(number)).header("Range", &truehop_e2e::range_of(&gap));
    // Who never saw an answer has no name to show.
    if let (Then::Returns, Some(collection)) = (then, taken.collections.get(&number)) {
        request = request.header("Truehop-Collection", collection);
    }
    let got = at(STRANGER, drop).ask(&request).answer();
    assert_eq!(got.status, 206, "file {number}: {got:?}");
    has.add(content, gap.start, &got.body).unwrap();
    assert!(has.is_whole(content.len()), "file {number}: {has:?}");
    // What came of it before this process began is known to it only in part, so that more may have to be asked for.
    let whole = Request::new("GET", &taken.link.bytes(number));
    eventually("410 or the rest", || {
        let got = at(STRANGER, drop).ask(&whole).answer();
        assert!(matches!(got.status, 200 | 410 | 423), "file {number}: {got:?}");
        (got.status == 410).then_some(())
    });
}

/// Past the lease (1 s) nobody gets it, and then the owner has it given away.
#[track_caller]
fn stays_locked_until_the_owner_says_so(drop: &Truehop, path: &str, content: &[u8]) {
    let past_the_lease = Instant::now() + Duration::from_millis(1500);
    eventually("the lease to pass", || {
        let status = at(ANOTHER, drop).status(path);
        assert_eq!(status, 423, "{CONFIG}: the recipient may have it");
        (Instant::now() > past_the_lease).then_some(())
    });
    let owner = at(UPLOADER, drop).get(path);
    assert!(
        owner.status == 200 && owner.body == content,
        "the owner may read it: {owner:?}"
    );
    let again = path.replace("/raw", "/again");
    let said = at(STRANGER, drop).ask(&Request::new("POST", &again)).answer();
    assert_eq!(said.status, 403, "{said:?}");
    assert_eq!(at(ANOTHER, drop).status(path), 423);
    let said = at(UPLOADER, drop).ask(&Request::new("POST", &again)).answer();
    assert!(matches!(said.status, 200 | 303), "{said:?}");
    let got = at(ANOTHER, drop).get(path);
    assert_eq!(got.status, 200, "{got:?}");
    assert!(got.body == content, "other bytes");
}
