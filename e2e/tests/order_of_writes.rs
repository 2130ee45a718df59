//! In what order bytes, names and rows come to the disk, and answers to clients: as the kernel is asked for it (strace).
//!
//! A crash test can only meet the orders that happen to be; a power cut would meet those that are allowed. So what must be
//! durable before something else leaves is looked for here, call by call.

#![expect(clippy::expect_used, reason = "what a test sets up must work")]

use std::path::{Path, PathBuf};

use truehop_e2e::{
    Call, Host, Request, Trace, Traced, Truehop, Visitor, content, eventually, form_of, missing,
};

const UPLOADER: Host = Host::at(127, 0, 0, 1);
const STRANGER: Host = Host::at(127, 0, 0, 2);
const ANOTHER: Host = Host::at(127, 0, 0, 3);

const CONFIG: &str = "workers = 1\n[client]\nfrom = \"peer\"\n";

const SMALL: usize = 4 << 10;
const LARGE: usize = 3 << 20;
/// What leaves only when it is written down that the recipient may have everything.
const LAST_PIECE: i64 = 64 << 10;

#[test]
fn an_upload_of_one_file() {
    for size in [SMALL, LARGE] {
        println!("{size} bytes");
        let Some(drop) = traced() else { return };
        let data = drop.truehop().data().to_owned();
        let upload = Request::new("PUT", "/file.bin").body(&content(1, size));
        assert_eq!(at(UPLOADER, &drop).ask(&upload).answer().status, 201);
        upload_is_in_order(&drop.stop(), &data, "PUT /file.bin ", 1);
    }
}

#[test]
fn an_upload_of_two_files() {
    for sizes in [[SMALL, SMALL], [LARGE, SMALL], [SMALL, LARGE]] {
        println!("{sizes:?} bytes");
        let Some(drop) = traced() else { return };
        let data = drop.truehop().data().to_owned();
        let upload = form_of(&[&content(1, sizes[0]), &content(2, sizes[1])]);
        assert_eq!(at(UPLOADER, &drop).ask(&upload).answer().status, 201);
        upload_is_in_order(&drop.stop(), &data, "POST / ", 2);
    }
}

#[test]
fn a_collection_of_one_file() {
    for size in [SMALL, LARGE] {
        println!("{size} bytes");
        collection_is_in_order(&[size], |link| link.raw());
    }
}

#[test]
fn a_collection_of_two_files() {
    for sizes in [[SMALL, SMALL], [LARGE, SMALL], [SMALL, LARGE]] {
        println!("{sizes:?} bytes");
        collection_is_in_order(&sizes, |link| link.zip());
    }
}

/// The second part makes it whole, and is held to the same.
#[test]
fn a_collection_by_parts() {
    for size in [SMALL, LARGE] {
        println!("{size} bytes");
        let Some(drop) = traced() else { return };
        let data = drop.truehop().data().to_owned();
        let link = at(UPLOADER, &drop).put(&content(1, size)).link;
        let first = Request::new("GET", &link.raw()).header("Range", &format!("bytes={}-", size / 2));
        let first = at(STRANGER, &drop).ask(&first);
        let collection = first.collection().unwrap_or_default();
        assert_eq!(first.answer().status, 206);
        let second = Request::new("GET", &link.raw()).header("Truehop-Collection", &collection);
        let second = second
            .header("X-Second", "1")
            .header("Range", &format!("bytes=0-{}", size / 2 - 1));
        assert_eq!(at(STRANGER, &drop).ask(&second).answer().status, 206);
        is_over(&drop, &link.raw(), 1);
        let trace = drop.stop();
        let second = answer_to(&trace, "GET ", 1);
        delivery_is_in_order(&trace, &data, &second, size > SMALL, 1);
    }
}

#[test]
fn a_withdrawal() {
    let Some(drop) = traced() else { return };
    let data = drop.truehop().data().to_owned();
    let link = at(UPLOADER, &drop).put(&content(1, SMALL)).link;
    let said = at(UPLOADER, &drop)
        .ask(&Request::new("DELETE", link.page()))
        .answer();
    assert!(matches!(said.status, 200 | 303), "{said:?}");
    is_over(&drop, &link.raw(), 1);
    let trace = drop.stop();
    let answer = answer_to(&trace, "DELETE ", 0);
    let ended = commits(&trace, &data)
        .into_iter()
        .find(|commit| commit.begun > answer.asked);
    let ended = ended.expect("nothing was written down");
    assert!(
        ended.ended < answer.first().begun,
        "it was answered before it was durable"
    );
    unlinked_after(&trace, &data, ended.ended, 1);
}

fn traced() -> Option<Traced> {
    (!missing(&["strace"])).then(|| Traced::start(CONFIG))
}

fn at(host: Host, drop: &Traced) -> Visitor {
    Visitor::new(host, drop.truehop().address())
}

/// Waits until nobody gets it, and so many files are done with: whoever is stopped before leaves that to the next start.
#[track_caller]
fn is_over(drop: &Traced, path: &str, files: usize) {
    eventually("410", || (at(ANOTHER, drop).status(path) == 410).then_some(()));
    let data = drop.truehop().data();
    eventually("the rows to say that the bytes are gone", || {
        (truehop_e2e::deleted_in(data) == files).then_some(())
    });
}

/// One commit: the log was written, and is durable.
#[derive(Clone, Copy, Debug)]
struct Commit {
    /// When its first write began.
    begun: usize,
    /// When it was durable.
    ended: usize,
}

fn commits(trace: &Trace, data: &Path) -> Vec<Commit> {
    let log = data.join("catalog.sqlite-wal");
    let mut commits = Vec::new();
    let mut begun = None;
    for call in trace.calls().filter(|call| call.is_on(&log)) {
        match begun {
            None if call.is_write() => begun = Some(call.begun),
            Some(first) if call.is_sync() => {
                commits.push(Commit {
                    begun: first,
                    ended: call.ended,
                });
                begun = None;
            }
            _ => {}
        }
    }
    assert!(!commits.is_empty(), "the catalog keeps no log that is synced");
    commits
}

/// An answer, as it left.
struct Answer<'a> {
    /// When its request was read.
    asked: usize,
    /// By which calls.
    sends: Vec<&'a Call>,
}

impl Answer<'_> {
    fn first(&self) -> &Call {
        self.sends[0]
    }

    fn last(&self) -> &Call {
        self.sends[self.sends.len() - 1]
    }

    /// The first call by which some of the last `bytes` bytes left.
    fn first_of_the_last(&self, bytes: i64) -> &Call {
        let total: i64 = self.sends.iter().map(|call| call.result).sum();
        let mut sent = 0;
        let found = self.sends.iter().find(|call| {
            sent += call.result;
            sent > total - bytes
        });
        found.expect("there are that many")
    }
}

/// The answer to the request number `nth` that begins so; each is on a connection of its own.
#[track_caller]
fn answer_to<'a>(trace: &'a Trace, beginning: &str, nth: usize) -> Answer<'a> {
    let beginning = format!("\"{beginning}");
    let is_it = |call: &&Call| call.is_read() && is_socket(call) && call.arguments.contains(&beginning);
    let asked = trace.calls().filter(is_it).nth(nth);
    let asked = asked.unwrap_or_else(|| panic!("no request {beginning}"));
    let socket = asked.subject().expect("a socket");
    // What is spliced goes to the socket as its second file descriptor.
    let is_send =
        |call: &&Call| call.is_write() && call.begun > asked.begun && call.arguments.contains(socket);
    let is_interim = |call: &&Call| call.arguments.contains("\"HTTP/1.1 100");
    let sends = trace.calls().filter(is_send).filter(|call| !is_interim(call));
    let answer = Answer {
        asked: asked.ended,
        sends: sends.collect(),
    };
    assert!(!answer.sends.is_empty(), "no answer to {beginning}");
    answer
}

fn is_socket(call: &Call) -> bool {
    call.subject().is_some_and(|subject| subject.starts_with("TCP:["))
}

#[track_caller]
fn upload_is_in_order(trace: &Trace, data: &Path, request: &str, files: usize) {
    let answer = answer_to(trace, request, 0);
    let commits: Vec<Commit> = commits(trace, data)
        .into_iter()
        .filter(|commit| commit.begun > answer.asked && commit.ended < answer.first().begun)
        .collect();
    let ready = commits
        .last()
        .expect("it was answered before anything was durable");
    assert!(answer.first().arguments.contains("201"), "{:?}", answer.first());
    let renames: Vec<&Call> = trace
        .calls()
        .filter(|call| call.name.starts_with("rename") && call.paths()[0].starts_with(data.join("incoming")))
        .collect();
    assert_eq!(renames.len(), files, "{renames:?}");
    for rename in renames {
        let [from, to] = <[PathBuf; 2]>::try_from(rename.paths()).expect("two paths");
        assert!(to.starts_with(data.join("files")), "{rename:?}");

        let made = trace.first("file that is made", |call| {
            call.name == "openat" && call.arguments.contains("O_CREAT") && call.paths() == [from.clone()]
        });
        let announced = commits.iter().any(|commit| commit.ended < made.begun);
        assert!(announced, "no row names {from:?} before it is there: {made:?}");

        let mut writes = trace
            .calls()
            .filter(|call| call.is_write() && (call.is_on(&from) || call.is_on(&to)));
        let last = writes
            .next_back()
            .unwrap_or_else(|| panic!("nothing is written to {from:?}"));
        let synced = trace.first("sync of the file", |call| {
            call.is_sync() && call.is_on(&from) && call.begun > last.ended
        });
        assert!(synced.ended < rename.begun, "{rename:?} before {synced:?}");

        // The new name, and each directory that was made for it.
        let mut names = vec![(rename, to.clone())];
        names.extend(
            trace
                .calls()
                .filter(|call| call.name.starts_with("mkdir"))
                .filter_map(|call| {
                    let path = call.paths().pop()?;
                    (to.starts_with(&path) && path.starts_with(data.join("files"))).then_some((call, path))
                }),
        );
        for (call, path) in names {
            let parent = path.parent().expect("it lies in a directory");
            let durable = trace.calls().any(|sync| {
                sync.is_sync() && sync.is_on(parent) && sync.begun > call.ended && sync.ended < ready.begun
            });
            assert!(durable, "{path:?} is not durable in {parent:?} before the commit");
        }
    }
}

fn collection_is_in_order(sizes: &[usize], path: impl Fn(&truehop_e2e::Link) -> String) {
    let Some(drop) = traced() else { return };
    let data = drop.truehop().data().to_owned();
    let contents: Vec<Vec<u8>> = (1..)
        .zip(sizes)
        .map(|(seed, size)| content(seed, *size))
        .collect();
    let link = match contents.as_slice() {
        [one] => at(UPLOADER, &drop).put(one).link,
        several => {
            at(UPLOADER, &drop)
                .put_all(&several.iter().map(Vec::as_slice).collect::<Vec<_>>())
                .link
        }
    };
    let path = path(&link);
    let got = at(STRANGER, &drop).get(&path);
    assert_eq!(got.status, 200, "{got:?}");
    is_over(&drop, &path, sizes.len());
    let trace = drop.stop();
    let answer = answer_to(&trace, "GET ", 0);
    assert!(
        answer.first().arguments.contains("200 OK"),
        "{:?}",
        answer.first()
    );
    delivery_is_in_order(&trace, &data, &answer, sizes.contains(&LARGE), sizes.len());
}

/// `has_last_piece`: whether some of it leaves before it is written down that the recipient may have everything.
#[track_caller]
fn delivery_is_in_order(trace: &Trace, data: &Path, answer: &Answer<'_>, has_last_piece: bool, files: usize) {
    let commits: Vec<Commit> = commits(trace, data)
        .into_iter()
        .filter(|commit| commit.begun > answer.asked)
        .collect();
    let by = |call: &Call| commits.iter().filter(|commit| commit.ended < call.begun).count();
    assert!(
        by(answer.first()) >= 1,
        "bytes leave before the lease is durable: {:?}",
        answer.first()
    );
    if has_last_piece {
        let last = answer.first_of_the_last(LAST_PIECE);
        assert!(
            by(last) >= 2,
            "the last piece leaves before that is durable: {last:?}"
        );
    }
    let last = answer.last();
    let ended = commits.iter().find(|commit| commit.begun > last.begun);
    let ended = ended.expect("nothing is written down after the last byte");
    let gone = trace.calls().filter(|call| call.is_write() && is_socket(call));
    for gone in gone.filter(|call| call.arguments.contains("\"HTTP/1.1 410")) {
        assert!(
            ended.ended < gone.begun,
            "410 before the end is durable: {gone:?}"
        );
    }
    unlinked_after(trace, data, ended.ended, files);
}

/// So many files are unlinked, all of them after this moment, and their directories are synced.
#[track_caller]
fn unlinked_after(trace: &Trace, data: &Path, moment: usize, files: usize) {
    let is_unlink = |call: &&Call| {
        call.name.starts_with("unlink")
            && call
                .paths()
                .iter()
                .any(|path| path.starts_with(data.join("files")))
    };
    let unlinks: Vec<&Call> = trace.calls().filter(is_unlink).collect();
    assert_eq!(unlinks.len(), files, "{unlinks:?}");
    for unlink in unlinks {
        assert!(
            moment < unlink.begun,
            "bytes go before their end is durable: {unlink:?}"
        );
        let path = &unlink.paths()[0];
        let parent = path.parent().expect("it lies in a directory");
        let synced = trace
            .calls()
            .find(|call| call.is_sync() && call.is_on(parent) && call.begun > unlink.ended);
        let synced = synced.unwrap_or_else(|| panic!("{parent:?} is not synced after {unlink:?}"));
        let told = commits(trace, data)
            .into_iter()
            .any(|commit| commit.begun > synced.ended);
        assert!(told, "no row tells that {path:?} is gone");
    }
}

/// The same binary, so that what is traced is what runs.
#[test]
fn a_trace_has_what_happened() {
    let Some(drop) = traced() else { return };
    let upload = at(UPLOADER, &drop).put(b"traced");
    let truehop: &Truehop = drop.truehop();
    assert_eq!(truehop_e2e::blobs_in(truehop.data()).len(), 1);
    let trace = drop.stop();
    trace.first("request", |call| {
        call.is_read() && call.arguments.contains("\"PUT /file.bin")
    });
    trace.first("answer", |call| {
        call.is_write() && call.arguments.contains("\"HTTP/1.1 201")
    });
    assert!(!upload.link.id().is_empty());
}
