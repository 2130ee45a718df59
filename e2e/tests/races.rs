//! Many ask for the same file at the same moment: one gets it.
//!
//! Every round is a drop of its own, asked for by 2 to 64 hosts that wait for each other before they ask; with the owner
//! among them, with a withdrawal or the expiry in between. Of each file one recipient has all bytes at the end and no
//! second one; the others were told to come later (423) or that it is over (410); and who asked after somebody was told
//! that it is over, got nothing.

#![expect(clippy::expect_used, reason = "what a test sets up must work")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use truehop_e2e::{
    Dice, Host, Link, Outcome, Request, Truehop, Uploaded, Visitor, Wire, archive, content, eventually,
    form_of, tell,
};

const UPLOADER: Host = Host::at(127, 0, 0, 1);
/// Comes when the round is over.
const LATE: Host = Host::at(127, 0, 0, 2);

const CONFIG: &str = "[client]\nfrom = \"peer\"\n[drop]\nlease = \"2s\"\n";

static ROUNDS: AtomicUsize = AtomicUsize::new(0);

/// Who asks for what.
#[derive(Clone, Debug)]
struct Asking {
    host: Host,
    request: Request,
    what: What,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    /// Bytes of this file.
    File(u32),
    /// An archive of what is there.
    Archive,
    /// The end of it.
    Withdrawal,
}

/// What came of it.
#[derive(Clone, Debug)]
struct Asked {
    host: Host,
    what: What,
    sent: Instant,
    answered: Instant,
    /// `None` for who was cut off by a withdrawal before anything was said.
    status: Option<u16>,
    /// The files of which all bytes came.
    whole: Vec<u32>,
}

/// A drop that is raced for.
#[derive(Debug)]
struct Prize {
    link: Link,
    owner: String,
    contents: Vec<Vec<u8>>,
}

impl Prize {
    fn upload(drop: &Truehop, seed: u64, sizes: &[usize], expires: Option<&str>) -> Self {
        let contents: Vec<Vec<u8>> = (seed * 8..)
            .zip(sizes)
            .map(|(seed, size)| content(seed, *size))
            .collect();
        let request = match contents.as_slice() {
            [one] => Request::new("PUT", "/file.bin").body(one),
            several => form_of(&several.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        };
        let request = match expires {
            Some(expires) => request.header("Truehop-Expires", expires),
            None => request,
        };
        let Uploaded { link, owner } =
            Uploaded::read(&Visitor::new(UPLOADER, drop.address()).ask(&request).answer());
        Self {
            link,
            owner,
            contents,
        }
    }

    fn file(&self, host: Host, number: u32) -> Asking {
        let request = Request::new("GET", &self.link.bytes(number));
        let what = What::File(number);
        Asking { host, request, what }
    }

    /// As tools do that fetch several parts at a time, and here begin with all of it.
    fn ranged(&self, host: Host, number: u32) -> Asking {
        let Asking { request, what, .. } = self.file(host, number);
        let request = request.header("Range", "bytes=0-");
        Asking { host, request, what }
    }

    fn zip(&self, host: Host) -> Asking {
        let request = Request::new("GET", &self.link.zip());
        let what = What::Archive;
        Asking { host, request, what }
    }

    fn withdrawal(&self) -> Asking {
        let request = Request::new("DELETE", self.link.page()).header("Truehop-Owner", &self.owner);
        let (host, what) = (UPLOADER, What::Withdrawal);
        Asking { host, request, what }
    }

    /// All ask at once. What came of it, in the order of the answers.
    fn race(&self, drop: &Truehop, all: &[Asking]) -> Vec<Asked> {
        let start = Barrier::new(all.len());
        let mut asked: Vec<Asked> = thread::scope(|scope| {
            let running: Vec<_> = all
                .iter()
                .map(|asking| scope.spawn(|| self.ask(drop, asking, || drop_wait(&start))))
                .collect();
            running
                .into_iter()
                .map(|asked| asked.join().expect("an answer"))
                .collect()
        });
        asked.sort_by_key(|asked| asked.answered);
        asked
    }

    fn ask(&self, drop: &Truehop, asking: &Asking, ready: impl FnOnce()) -> Asked {
        let mut wire = Wire::connect(asking.host, drop.address()).expect("it listens");
        ready();
        let sent = Instant::now();
        wire.send(&asking.request).expect("it reads");
        let outcome = Outcome::of(wire);
        let answered = Instant::now();
        let is_whole = |number: &u32, bytes: &[u8]| bytes == self.contents[*number as usize - 1];
        let whole = match (asking.what, &outcome) {
            (What::File(number), Outcome::Answered(response)) if matches!(response.status, 200 | 206) => {
                assert!(is_whole(&number, &response.body), "{asking:?}: other bytes");
                vec![number]
            }
            (What::Archive, Outcome::Answered(response)) if response.status == 200 => {
                let entries = archive(&response.body).unwrap_or_else(|error| panic!("{asking:?}: {error}"));
                let number = |name: &str| name.strip_suffix(".bin").and_then(|number| number.parse().ok());
                let numbers = entries
                    .iter()
                    .map(|entry| (number(&entry.name).expect("our name"), entry));
                numbers
                    .inspect(|(number, entry)| {
                        assert!(is_whole(number, &entry.bytes), "{asking:?}: other bytes")
                    })
                    .map(|(number, _)| number)
                    .collect()
            }
            _ => Vec::new(),
        };
        if outcome.status() == Some(423) {
            let later = outcome
                .response()
                .and_then(|response| response.header("Retry-After"));
            assert!(later.is_some(), "{outcome:?}");
        }
        Asked {
            host: asking.host,
            what: asking.what,
            sent,
            answered,
            status: outcome.status(),
            whole,
        }
    }
}

fn drop_wait(start: &Barrier) {
    start.wait();
}

/// What must hold of every round. The recipients that have all of file `number`.
#[track_caller]
fn judge(asked: &[Asked], number: u32) -> Vec<Host> {
    let told = || format!("{asked:#?}");
    let recipients = asked.iter().filter(|asked| asked.host != UPLOADER);
    let has_withdrawal = asked.iter().any(|asked| asked.what == What::Withdrawal);
    for one in recipients.clone() {
        let is_known = match one.status {
            Some(status) => matches!(status, 200 | 206 | 410 | 423),
            None => has_withdrawal,
        };
        assert!(is_known, "{}", told());
    }
    let is_over = |asked: &&Asked| asked.status == Some(410) && asked.what == What::File(number);
    let over = asked.iter().filter(is_over).map(|asked| asked.answered).min();
    for one in asked.iter().filter(|asked| asked.whole.contains(&number)) {
        assert!(
            over.is_none_or(|over| one.sent <= over),
            "{} asked when file {number} was over: {}",
            one.host,
            told()
        );
    }
    let whole: Vec<Host> = recipients
        .filter(|asked| asked.whole.contains(&number))
        .map(|asked| asked.host)
        .collect();
    assert!(whole.len() <= 1, "file {number} went to {whole:?}: {}", told());
    whole
}

fn host(n: usize) -> Host {
    Host::at(127, 0, 9, u8::try_from(n).expect("few hosts"))
}

/// As many as come to one file: mostly few, sometimes 64.
fn crowd(round: usize, dice: &mut Dice) -> usize {
    match round % 40 {
        0 => 64,
        1..6 => 9 + dice.below(16) as usize,
        _ => 2 + dice.below(7) as usize,
    }
}

fn told(rounds: usize, what: &str, begun: Instant) {
    let all = ROUNDS.fetch_add(rounds, Ordering::Relaxed) + rounds;
    let seconds = begun.elapsed().as_secs_f64();
    tell(&format!(
        "races: {rounds} rounds {what} in {seconds:.0} s, {all} in all"
    ));
}

#[test]
fn of_many_recipients_one_gets_the_file() {
    const COUNT: usize = 1000;
    let begun = Instant::now();
    let drop = Truehop::start(CONFIG);
    let mut dice = Dice::new(1);
    let mut over = Vec::new();
    for round in 0..COUNT {
        // What fits into one piece, and what does not.
        let size = match round % 4 {
            0 => 100_000 + dice.below(200_000) as usize,
            _ => 1 + dice.below(10_000) as usize,
        };
        let prize = Prize::upload(&drop, round as u64, &[size], None);
        let mut all: Vec<Asking> = (1..=crowd(round, &mut dice))
            .map(|n| match round % 3 {
                0 => prize.ranged(host(n), 1),
                _ => prize.file(host(n), 1),
            })
            .collect();
        let has_owner = round % 2 == 0;
        if has_owner {
            all.push(prize.file(UPLOADER, 1));
        }
        let asked = prize.race(&drop, &all);
        let whole = judge(&asked, 1);
        assert_eq!(whole.len(), 1, "nobody got it: {asked:#?}");
        for owner in asked.iter().filter(|asked| asked.host == UPLOADER) {
            assert!(
                matches!(owner.status, Some(200 | 410)),
                "the owner may always read: {asked:#?}"
            );
        }
        over.push(prize);
    }
    for prize in &over {
        eventually("410", || {
            let late = prize.ask(&drop, &prize.file(LATE, 1), || {});
            assert!(late.whole.is_empty(), "a second recipient: {late:?}");
            (late.status == Some(410)).then_some(())
        });
    }
    told(COUNT, "of recipients", begun);
}

#[test]
fn a_withdrawal_among_them_stands() {
    const COUNT: usize = 250;
    let begun = Instant::now();
    let drop = Truehop::start(CONFIG);
    let mut dice = Dice::new(2);
    for round in 0..COUNT {
        let size = if round % 3 == 0 { 150_000 } else { 2000 };
        let prize = Prize::upload(&drop, round as u64, &[size], None);
        let mut all: Vec<Asking> = (1..=crowd(round + 7, &mut dice))
            .map(|n| prize.file(host(n), 1))
            .collect();
        all.insert(dice.below(all.len() as u64) as usize, prize.withdrawal());
        let asked = prize.race(&drop, &all);
        judge(&asked, 1);
        let withdrawn = asked
            .iter()
            .find(|asked| asked.what == What::Withdrawal)
            .expect("it was asked for");
        assert!(matches!(withdrawn.status, Some(200 | 303 | 410)), "{asked:#?}");
        let late = prize.ask(&drop, &prize.file(LATE, 1), || {});
        assert_eq!(late.status, Some(410), "it was withdrawn: {asked:#?}");
    }
    told(COUNT, "with a withdrawal", begun);
}

#[test]
fn an_archive_and_its_files_go_to_one_each() {
    const COUNT: usize = 250;
    let begun = Instant::now();
    let drop = Truehop::start(CONFIG);
    let mut dice = Dice::new(3);
    for round in 0..COUNT {
        let sizes = [2000, if round % 3 == 0 { 150_000 } else { 500 }];
        let prize = Prize::upload(&drop, round as u64, &sizes, None);
        let count = crowd(round + 7, &mut dice);
        let all: Vec<Asking> = (1..=count)
            .map(|n| match dice.below(4) {
                0 => prize.file(host(n), 1),
                1 => prize.file(host(n), 2),
                _ => prize.zip(host(n)),
            })
            .collect();
        let asked = prize.race(&drop, &all);
        for number in [1, 2] {
            let had = judge(&asked, number);
            eventually("its end", || {
                let late = prize.ask(&drop, &prize.file(LATE, number), || {});
                assert!(
                    late.whole.is_empty() || had.is_empty(),
                    "a second recipient: {asked:#?}, {late:?}"
                );
                (late.status == Some(410)).then_some(())
            });
        }
        let got: usize = asked.iter().map(|asked| asked.whole.len()).sum();
        assert!(got > 0, "nobody got anything: {asked:#?}");
    }
    told(COUNT, "of archives", begun);
}

#[test]
fn the_expiry_among_them_stands() {
    const COUNT: usize = 150;
    let begun = Instant::now();
    let drop = Truehop::start(CONFIG);
    let mut dice = Dice::new(4);
    let prizes: Vec<(Prize, Instant)> = (0..COUNT)
        .map(|round| {
            let size = if round % 3 == 0 { 150_000 } else { 2000 };
            let prize = Prize::upload(&drop, round as u64, &[size], Some("1s"));
            (prize, Instant::now())
        })
        .collect();
    thread::scope(|scope| {
        for (prize, uploaded) in &prizes {
            // About the moment of the expiry; when it is exactly, nothing here depends on.
            let moment = *uploaded + Duration::from_millis(980 + dice.below(40));
            let drop = &drop;
            scope.spawn(move || {
                while let Some(left) = moment
                    .checked_duration_since(Instant::now())
                    .filter(|left| !left.is_zero())
                {
                    thread::park_timeout(left);
                }
                let all: Vec<Asking> = (1..=3).map(|n| prize.file(host(n), 1)).collect();
                let asked = prize.race(drop, &all);
                judge(&asked, 1);
            });
        }
    });
    for (prize, _) in &prizes {
        eventually("410", || {
            let late = prize.ask(&drop, &prize.file(LATE, 1), || {});
            assert!(late.whole.is_empty(), "its time is up: {late:?}");
            (late.status == Some(410)).then_some(())
        });
    }
    told(COUNT, "at the expiry", begun);
}
