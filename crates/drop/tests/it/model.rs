//! The service beside a model of it.
//!
//! Random visits of an owner and three recipients are made to both. Statuses and bytes must agree, and after each visit
//! what is written down of attempts and ends.

mod reference;

use std::cell::RefCell;
use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use truehop_drop::DropConfig;

use self::reference::{Asks, File, Flight, Hold, Model, Part};
use crate::support::*;

const LEASE: u64 = 100;
const GRACE: u64 = 60;
const ATTEMPTS: u64 = 3;
const EXPIRES: u64 = 1000;
const RECEIPTS: u64 = 700;
const SIZES: [usize; 6] = [0, 1, 10, 10, 10, 1000];
/// What stands before a file's bytes in an archive, with a name of one letter.
const HEADER: usize = 31;

/// Recipients: two that are the peer, and one whom a proxy has named.
const PEOPLE: [(&str, bool); 3] = [(AWAY, false), (STRANGER, false), ("192.0.2.77", true)];

#[derive(Clone, Copy, Debug)]
enum Span {
    /// From somewhere on, so many bytes.
    Some(usize, usize),
    /// From somewhere on, all.
    To(usize),
    /// From the first byte on that is missing to who collects it.
    Rest,
}

#[derive(Clone, Debug)]
enum Op {
    Get {
        who: usize,
        file: usize,
        range: Option<Span>,
        shows: bool,
    },
    Zip {
        who: usize,
        shows: bool,
    },
    Head {
        who: usize,
        file: usize,
        shows: bool,
    },
    Page {
        who: usize,
        shows: bool,
    },
    Own {
        file: usize,
    },
    /// A request under way comes to its end: with all of it acknowledged, a part, or nothing known; so much more had left.
    End {
        request: usize,
        acknowledged: Option<usize>,
        more: usize,
    },
    Delete {
        file: usize,
    },
    DeleteAll,
    Extend {
        secs: u64,
    },
    Again {
        file: usize,
    },
    Advance {
        secs: u64,
    },
    Sweep,
    Restart,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Mostly the same one, who mostly says so: what takes many steps shall happen.
    let who = prop_oneof![3 => Just(0), 1 => Just(1), 2 => Just(2)];
    let (file, shows) = (0..3usize, prop::bool::weighted(0.7));
    let range = prop::option::weighted(
        0.6,
        prop_oneof![
            2 => (0..1000usize, 0..1000usize).prop_map(|(from, len)| Span::Some(from, len)),
            2 => (0..1000usize).prop_map(Span::To),
            3 => Just(Span::Rest),
        ],
    );
    let acknowledged =
        prop_oneof![3 => Just(Some(usize::MAX)), 3 => (0..1100usize).prop_map(Some), 1 => Just(None)];
    let op = prop_oneof![
        12 => (who.clone(), file.clone(), range, shows)
            .prop_map(|(who, file, range, shows)| Op::Get { who, file, range, shows }),
        3 => (who.clone(), shows).prop_map(|(who, shows)| Op::Zip { who, shows }),
        2 => (who.clone(), file.clone(), shows).prop_map(|(who, file, shows)| Op::Head { who, file, shows }),
        2 => (who, shows).prop_map(|(who, shows)| Op::Page { who, shows }),
        1 => file.clone().prop_map(|file| Op::Own { file }),
        12 => (0..4usize, acknowledged, prop_oneof![Just(0), 0..1100usize])
            .prop_map(|(request, acknowledged, more)| Op::End { request, acknowledged, more }),
        2 => file.clone().prop_map(|file| Op::Delete { file }),
        1 => Just(Op::DeleteAll),
        2 => (1..EXPIRES).prop_map(|secs| Op::Extend { secs }),
        2 => file.prop_map(|file| Op::Again { file }),
        6 => prop_oneof![3 => 1..LEASE, 3 => Just(LEASE), 1 => 1..EXPIRES / 2].prop_map(|secs| Op::Advance { secs }),
        2 => Just(Op::Sweep),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..50)
}

struct Both {
    site: Site,
    model: Model,
    file: Uploaded,
    contents: Vec<Vec<u8>>,
    /// The collection that each of the people was told last.
    told: Vec<Option<String>>,
    answers: Vec<Answer>,
}

impl Both {
    async fn new(site: Site, sizes: &[usize]) -> Self {
        let contents: Vec<Vec<u8>> = sizes
            .iter()
            .map(|&size| (0..size).map(|n| b'a' + (n % 26) as u8).collect())
            .collect();
        let names = ["x", "y", "z"];
        let files: Vec<(&str, &str)> = names
            .iter()
            .zip(&contents)
            .map(|(name, content)| (*name, std::str::from_utf8(content).unwrap()))
            .collect();
        let file = site.upload_all(&files).await;
        let fresh = |&size: &usize| File {
            size,
            expires: EXPIRES,
            attempts: 0,
            collecting: false,
            hold: None,
            ended: None,
            delivered: false,
            again: None,
            swept: false,
        };
        let model = Model {
            files: sizes.iter().map(fresh).collect(),
            ..Model::default()
        };
        let told = vec![None; PEOPLE.len()];
        Self {
            site,
            model,
            file,
            contents,
            told,
            answers: Vec::new(),
        }
    }

    fn request(&self, method: &str, path: &str, who: usize, shown: Option<&str>) -> Ask {
        let (ip, proxy) = PEOPLE[who];
        let ask = ask(method, &format!("{}{path}", self.file.path));
        let ask = ask.resolved(if proxy { behind_proxy(ip) } else { direct(ip) });
        match shown {
            Some(name) => ask.collection(name),
            None => ask,
        }
    }

    async fn act(mut self, op: &Op) -> Result<Self, TestCaseError> {
        let count = self.model.files.len();
        match *op {
            Op::Get {
                who,
                file,
                range,
                shows,
            } => {
                let f = file % count;
                let size = self.model.files[f].size;
                let has = |hold: &Hold| hold.has.iter().position(|byte| !byte);
                let missing = self.model.files[f].hold.as_ref().and_then(has).unwrap_or(0);
                let bytes = match range.filter(|_| size > 0) {
                    Some(Span::Some(from, len)) => from % size..from % size + 1 + len % (size - from % size),
                    Some(Span::To(from)) => from % size..size,
                    Some(Span::Rest) => missing..size,
                    None => 0..size,
                };
                let shown = self.told[who].clone().filter(|_| shows);
                let asks = Asks {
                    shown: shown.as_deref(),
                    who,
                    part: range.is_some(),
                };
                let mut ask = self.request("GET", &format!("/{}/raw", f + 1), who, shown.as_deref());
                if range.is_some() {
                    ask = ask.range(&format!("{}-{}", bytes.start, bytes.end.max(bytes.start + 1) - 1));
                }
                let expected = match self.model.forgotten(f) {
                    true => Err(404),
                    false => {
                        let looked = self.model.admit(f, &asks, &(0..0), "");
                        looked.and_then(|_| self.model.admit(f, &asks, &bytes, ""))
                    }
                };
                let answer = self.site.send(ask).await;
                let status = match (&expected, range) {
                    (Err(status), _) => *status,
                    (Ok(_), None) => 200,
                    // All of nothing is no part.
                    (Ok(_), Some(_)) if size == 0 => 200,
                    (Ok(_), Some(_)) => 206,
                };
                prop_assert_eq!(answer.status.as_u16(), status, "{:?}", self.model);
                if expected.is_ok() {
                    let name = self.named(who, &answer, shown.as_deref(), &[f]);
                    let (after, again) = self.model.admit(f, &asks, &bytes, &name).unwrap();
                    self.model.files[f] = after;
                    self.model.fly(Flight {
                        name,
                        len: bytes.len(),
                        parts: vec![Part {
                            file: f,
                            bytes: bytes.clone(),
                            at: 0,
                            again,
                            next: None,
                        }],
                        archive: false,
                        cut: false,
                    });
                    let expected = self.contents[f][bytes].to_vec();
                    self.begun(answer, &expected).await?;
                }
            }
            Op::Zip { who, shows } => {
                // Who has some of it within the grace is a matter of its own.
                let special = |file: &File| file.again.is_some();
                if count == 1
                    || self.model.files.iter().any(special)
                    || (0..count).any(|f| self.model.forgotten(f))
                {
                    return Ok(self);
                }
                let shown = self.told[who].clone().filter(|_| shows);
                let (parts, status) = self.model.archive(who, shown.as_deref());
                let answer = self
                    .site
                    .send(self.request("GET", "/zip", who, shown.as_deref()))
                    .await;
                prop_assert_eq!(answer.status.as_u16(), status, "{:?}", self.model);
                if status == 200 {
                    let members: Vec<usize> = parts.iter().map(|part| part.file).collect();
                    let name = self.named(who, &answer, shown.as_deref(), &members);
                    let asks = Asks {
                        shown: Some(&name),
                        who,
                        part: false,
                    };
                    for Part { file: f, bytes, .. } in &parts {
                        let (after, _) = self.model.admit(*f, &asks, bytes, &name).unwrap();
                        self.model.files[*f] = after;
                    }
                    let len = answer.header("content-length").parse().unwrap();
                    self.model.fly(Flight {
                        name,
                        parts: parts.clone(),
                        len,
                        archive: true,
                        cut: false,
                    });
                    let mut answer = answer;
                    let body = answer.read(len).await;
                    for Part { file, bytes, at, .. } in parts {
                        prop_assert_eq!(&body[at..at + bytes.len()], &self.contents[file][..]);
                    }
                    self.answers.push(answer);
                }
            }
            Op::Head { who, file, shows } => {
                let f = file % count;
                let shown = self.told[who].clone().filter(|_| shows);
                let asks = Asks {
                    shown: shown.as_deref(),
                    who,
                    part: false,
                };
                let would = self.model.admit(f, &asks, &(0..self.model.files[f].size), "");
                let status = if self.model.forgotten(f) {
                    404
                } else {
                    would.map_or_else(|status| status, |_| 200)
                };
                let head = self
                    .site
                    .send(self.request("HEAD", &format!("/{}/raw", f + 1), who, shown.as_deref()))
                    .await;
                prop_assert_eq!(head.status.as_u16(), status, "{:?}", self.model);
            }
            Op::Page { who, shows } => {
                let shown = self.told[who].clone().filter(|_| shows);
                let asks = Asks {
                    shown: shown.as_deref(),
                    who,
                    part: false,
                };
                let known: Vec<usize> = (0..count).filter(|&f| !self.model.forgotten(f)).collect();
                let there = |&&f: &&usize| {
                    let would = self.model.admit(f, &asks, &(0..self.model.files[f].size), "");
                    !matches!(would, Err(410))
                };
                let status = match known.iter().find(there) {
                    Some(_) => 200,
                    None if known.is_empty() => 404,
                    None => 410,
                };
                let page = self
                    .site
                    .send(self.request("GET", "", who, shown.as_deref()))
                    .await;
                prop_assert_eq!(page.status.as_u16(), status, "{:?}", self.model);
                let own = self.site.send(self.own("GET", "")).await;
                let status = match (0..count).any(|f| self.model.live(f)) {
                    true => 200,
                    false if known.is_empty() => 404,
                    false => 410,
                };
                prop_assert_eq!(own.status.as_u16(), status, "{:?}", self.model);
            }
            Op::Own { file } => {
                let f = file % count;
                let own = self.site.send(self.own("GET", &format!("/{}/raw", f + 1))).await;
                let status = if self.model.live(f) {
                    200
                } else if self.model.forgotten(f) {
                    404
                } else {
                    410
                };
                prop_assert_eq!(own.status.as_u16(), status, "{:?}", self.model);
                if status == 200 {
                    prop_assert_eq!(own.bytes().await, self.contents[f].clone());
                }
            }
            Op::End {
                request,
                acknowledged,
                more,
            } => {
                if self.answers.is_empty() {
                    return Ok(self);
                }
                let request = request % self.answers.len();
                let answer = self.answers.remove(request);
                // More than there is cannot be acknowledged without being all.
                let len = self.model.flights[request].len;
                let acknowledged = acknowledged.map(|count| {
                    if count == usize::MAX {
                        count
                    } else {
                        count % (len + 1)
                    }
                });
                let acknowledged = acknowledged.map(|count| {
                    if count == len && len > 0 {
                        usize::MAX
                    } else {
                        count
                    }
                });
                match acknowledged {
                    Some(usize::MAX) => answer.courier.unwrap().delivered(),
                    Some(count) => answer.vanish(count as u64, (count + more).min(len) as u64),
                    None => drop(answer),
                }
                self.site.until_under_way(self.answers.len()).await;
                self.model.end(request, acknowledged, more);
            }
            Op::Delete { file } => {
                self = self
                    .delete(&[file % count], format!("/{}", file % count + 1))
                    .await?
            }
            Op::DeleteAll => {
                self = self
                    .delete(&(0..count).collect::<Vec<_>>(), String::new())
                    .await?
            }
            Op::Extend { secs } => {
                let any = (0..count).any(|f| self.model.live(f));
                let known = (0..count).any(|f| !self.model.forgotten(f));
                let told = self
                    .site
                    .send(self.own("POST", &format!("/expires?expires={secs}s")))
                    .await;
                prop_assert_eq!(
                    told.status.as_u16(),
                    if any {
                        200
                    } else if known {
                        410
                    } else {
                        404
                    }
                );
                for f in 0..count {
                    if self.model.live(f) {
                        self.model.files[f].expires = self.model.now + secs;
                    }
                }
            }
            Op::Again { file } => {
                let f = file % count;
                let (alive, now) = (self.model.alive(f), self.model.now);
                let is = &self.model.files[f];
                let doubt = is.collecting && !alive && is.hold.as_ref().is_some_and(|hold| hold.may_have_all);
                let grace = is.delivered && is.again.is_some_and(|until| now < until);
                let may = now < is.expires && (doubt || grace) && (is.ended.is_none() || grace);
                let told = self
                    .site
                    .send(self.own("POST", &format!("/{}/again", f + 1)))
                    .await;
                let status = if may {
                    200
                } else if self.model.forgotten(f) {
                    404
                } else {
                    409
                };
                prop_assert_eq!(told.status.as_u16(), status, "{:?}", self.model);
                if may {
                    let (size, expires) = (is.size, is.expires);
                    self.model.files[f] = File {
                        size,
                        expires,
                        attempts: 0,
                        collecting: false,
                        hold: None,
                        ended: None,
                        delivered: false,
                        again: None,
                        swept: false,
                    };
                }
            }
            Op::Advance { secs } => {
                self.model.now += secs;
                self.site.advance(Duration::from_secs(secs));
            }
            Op::Sweep => {
                self.site.drop.sweep().await;
                self.model.sweep();
            }
            Op::Restart => {
                self.site.drop.sweep().await;
                self.site = self.site.restart(|_, _| ());
                self.answers.clear();
                self.model.restart();
            }
        }
        Ok(self)
    }

    /// What the catalog has written down, looked at from the side.
    fn compare(&self, rows: &rusqlite::Connection) -> Result<(), TestCaseError> {
        let sql = "SELECT number, attempts, ending FROM files WHERE drop_id = ?1";
        let mut rows = rows.prepare_cached(sql).unwrap();
        let found = rows.query_map([&self.file.path[3..]], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
        for row in found.unwrap() {
            let (number, attempts, ending): (usize, u64, Option<String>) = row.unwrap();
            let file = &self.model.files[number - 1];
            let is = (file.attempts, file.ended.is_some(), file.delivered);
            let delivered = ending.as_deref() == Some("delivered");
            prop_assert_eq!(
                (attempts, ending.is_some(), delivered),
                is,
                "{} {:?}",
                number,
                self.model
            );
        }
        Ok(())
    }

    /// The collection that an answer belongs to: that which it names, or, for who is known by the address, the file's.
    fn named(&mut self, who: usize, answer: &Answer, shown: Option<&str>, files: &[usize]) -> String {
        let told = answer.collection();
        if !told.is_empty() {
            self.told[who] = Some(told.clone());
            return told;
        }
        assert_eq!(shown, None, "who shows a name is told it");
        let holds = files.iter().filter_map(|&f| self.model.files[f].hold.as_ref());
        let mut mine = holds.filter(|hold| hold.ip == PEOPLE[who].0);
        mine.next().unwrap().name.clone()
    }

    async fn begun(&mut self, mut answer: Answer, expected: &[u8]) -> Result<(), TestCaseError> {
        prop_assert_eq!(answer.read(expected.len()).await, expected);
        self.answers.push(answer);
        Ok(())
    }

    fn own(&self, method: &str, path: &str) -> Ask {
        ask(method, &format!("{}{path}", self.file.path))
            .from("192.0.2.250")
            .token(&self.file.token)
    }

    async fn delete(mut self, files: &[usize], path: String) -> Result<Self, TestCaseError> {
        // What a file within its grace shares with an archive is a matter of its own.
        let is_over = |f: &usize| self.model.files[*f].ended.is_some();
        let in_archive = |f: &usize| {
            let mut archives = self.model.flights.iter().filter(|flight| flight.archive);
            archives.any(|flight| flight.parts.iter().any(|part| part.file == *f))
        };
        if files.iter().any(|f| is_over(f) && in_archive(f)) {
            return Ok(self);
        }
        let live: Vec<usize> = files
            .iter()
            .copied()
            .filter(|&f| self.model.files[f].ended.is_none())
            .collect();
        let told = self.site.send(self.own("DELETE", &path)).await;
        if !live.is_empty() {
            prop_assert_eq!(told.status, StatusCode::OK, "{:?}", self.model);
        }
        for &f in files {
            match live.contains(&f) {
                true => self.model.over(f),
                // Within its grace it loses that.
                false => self.model.files[f].again = None,
            }
        }
        Ok(self)
    }
}

fn of_the_model(config: &mut DropConfig) {
    config.lease = Duration::from_secs(LEASE);
    config.grace = Duration::from_secs(GRACE);
    config.attempts = ATTEMPTS as u32;
    config.expires = Some(Duration::from_secs(EXPIRES));
    config.receipts = Duration::from_secs(RECEIPTS);
}

/// What goes wrong once is done again, step by step.
async fn the_model_agrees(sizes: &[usize], ops: &[Op]) -> Both {
    let mut both = Both::new(Site::quick(of_the_model), sizes).await;
    let rows = both.site.db();
    for op in ops {
        both = both.act(op).await.unwrap();
        both.compare(&rows).unwrap();
    }
    both
}

fn get(who: usize, range: Option<Span>, shows: bool) -> Op {
    Op::Get {
        who,
        file: 0,
        range,
        shows,
    }
}

/// The one with this number, in the order in which they began, of those that are under way.
fn end(request: usize, acknowledged: Option<usize>, more: usize) -> Op {
    Op::End {
        request,
        acknowledged,
        more,
    }
}

/// A range that broke off is not under way any more: who fetches in parts may ask for bytes of it beside another part.
#[tokio::test]
async fn a_part_of_what_broke_off_is_not_somebody_elses() {
    let ops = [
        get(0, None, false),
        get(0, Some(Span::Some(8, 0)), true),
        end(0, Some(0), 0),
        get(0, Some(Span::Some(9, 0)), false),
    ];
    let both = the_model_agrees(&[10], &ops).await;
    assert_eq!(both.answers.len(), 2);
}

/// Both are asked for all; the second breaks off where the first was resumed.
#[tokio::test]
async fn a_word_for_one_request_is_none_for_another_like_it() {
    let all = Some(usize::MAX);
    let ops = [
        get(0, None, false),
        get(0, Some(Span::To(7)), true),
        get(0, Some(Span::To(0)), true),
        get(0, Some(Span::To(9)), true),
        end(3, all, 0),
        end(2, Some(0), 7),
        end(1, all, 0),
    ];
    let both = the_model_agrees(&[10], &ops).await;
    assert!(!both.model.files[0].delivered);
}

/// A receipt that was forgotten is not put right.
#[tokio::test]
async fn what_arrives_after_its_receipt_was_forgotten_changes_nothing() {
    let ops = [
        get(0, None, false),
        Op::Delete { file: 0 },
        Op::Advance { secs: RECEIPTS - 1 },
        Op::Sweep,
        Op::Advance { secs: 1 },
        Op::Sweep,
        end(0, Some(usize::MAX), 0),
        get(0, None, false),
    ];
    the_model_agrees(&[0], &ops).await;
}

#[test]
fn whatever_is_done_the_service_answers_as_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let new = || Site::quick(of_the_model);
    // One for all cases: opening takes longer than most of them. One that has failed is not used again.
    let site = RefCell::new(None);
    let config = Config {
        // More if `PROPTEST_CASES` says so.
        cases: Config::default().cases.max(300),
        failure_persistence: None,
        ..Config::default()
    };
    let sizes = prop::sample::select(SIZES.to_vec());
    let sizes = prop_oneof![
        prop::collection::vec(sizes.clone(), 1),
        prop::collection::vec(sizes, 2..4)
    ];
    let outcome = TestRunner::new(config).run(&(sizes, ops()), |(sizes, ops)| {
        runtime.block_on(async {
            let mut both = Both::new(site.take().unwrap_or_else(new), &sizes).await;
            let mut rows = both.site.db();
            for op in &ops {
                both = both.act(op).await?;
                if let Op::Restart = op {
                    rows = both.site.db();
                }
                both.compare(&rows)?;
            }
            site.replace(Some(both.site));
            Ok(())
        })
    });
    outcome.unwrap();
}
