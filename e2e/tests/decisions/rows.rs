//! The table.

use std::thread;

use truehop_e2e::{Host, Outcome, Request, range_of};

use crate::After::{self, Delivered, Ended, Free, Leased, Over};
use crate::ends::{a_full_disk, a_kill, a_stop, a_withdrawal, the_expiry, the_expiry_and_no_end};
use crate::once::{a_second_claim, a_second_claim_of_the_same};
use crate::stage::{SIZE, Stage, Who};
use crate::times::{back_after_a_break, far_forward, forward};

/// What is done, and what is true afterwards of owner, other, unknown.
type Row = (&'static str, fn(Who) -> Option<Stage>, [After; 3]);

const ROWS: &[Row] = &[
    ("GET", whole, [Free, Delivered, Delivered]),
    ("GET of an empty file", empty, [Free, Delivered, Delivered]),
    ("POST and its redirect", post, [Free, Delivered, Delivered]),
    ("ranges that are all of it", ranges, [Free, Delivered, Delivered]),
    (
        "ranges that overlap, from the end",
        backwards,
        [Free, Delivered, Delivered],
    ),
    (
        "parallel ranges that are all of it",
        parallel_ranges,
        [Free, Delivered, Delivered],
    ),
    (
        "several ranges in one request",
        multi_range,
        [Free, Delivered, Delivered],
    ),
    (
        "If-Range that does not hold",
        stale_if_range,
        [Free, Delivered, Delivered],
    ),
    ("ranges with a gap", gap, [Free, Leased, Leased]),
    ("all but the last byte", all_but_the_last, [Free, Leased, Leased]),
    (
        "all but the first byte",
        all_but_the_first,
        [Free, Leased, Leased],
    ),
    ("HEAD", head, [Free, Free, Free]),
    ("OPTIONS", options, [Free, Free, Free]),
    ("304", not_modified, [Free, Free, Free]),
    ("416", unsatisfiable, [Free, Free, Free]),
    ("leaving at the head", leave_at_the_head, [Free, Leased, Leased]),
    ("leaving at a half", leave_at_a_half, [Free, Leased, Leased]),
    ("leaving near the end", leave_near_the_end, [Free, Leased, Leased]),
    ("leaving too often", leave_too_often, [Free, Ended, Ended]),
    ("prefetch", prefetch, [Free, Free, Free]),
    ("a bot that makes previews", bot, [Free, Free, Free]),
    ("looking at the page", page, [Free, Free, Free]),
    ("a page of another site", cross_site, [Free, Free, Free]),
    ("2 to 10 at once", at_once, [Free, Delivered, Delivered]),
    (
        "a second claim during the lease",
        a_second_claim,
        [Free, Delivered, Delivered],
    ),
    (
        "a second claim of the same",
        a_second_claim_of_the_same,
        [Free, Delivered, Delivered],
    ),
    ("a kill in the middle", a_kill, [Free, Leased, Leased]),
    ("a stop in the middle", a_stop, [Free, Leased, Leased]),
    (
        "the expiry in the middle",
        the_expiry,
        [Ended, Delivered, Delivered],
    ),
    (
        "the expiry in the middle, and no end",
        the_expiry_and_no_end,
        [Ended, Ended, Ended],
    ),
    ("a withdrawal in the middle", a_withdrawal, [Ended, Ended, Ended]),
    ("a full disk", a_full_disk, [Free, Delivered, Delivered]),
    ("the clock an hour forward", forward, [Free, Delivered, Delivered]),
    ("the clock past the expiry", far_forward, [Ended, Over, Over]),
    (
        "the clock back after a break",
        back_after_a_break,
        [Free, Leased, Leased],
    ),
];

pub(crate) fn all(who: Who) {
    let column = match who {
        Who::Owner => 0,
        Who::Other => 1,
        Who::Unknown => 2,
    };
    // Most of the time is waiting for leases, so that several may wait at once.
    const LANES: usize = 4;
    let run = |(what, does, after): &Row| {
        // Each row by itself, so that one that fails does not hide the others.
        let (does, after) = (*does, after[column]);
        let row = thread::Builder::new().name(format!("{what}, of {who:?}"));
        let row = row.spawn(move || {
            if let Some(stage) = does(who) {
                stage.is(after);
            }
        });
        row.unwrap().join().is_err().then_some(*what)
    };
    let failed: Vec<&str> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                scope.spawn(move || {
                    ROWS.iter()
                        .skip(lane)
                        .step_by(LANES)
                        .filter_map(run)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "of {who:?}: {failed:#?}");
}

fn whole(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    stage.is_all(&stage.ask(&stage.request()));
    Some(stage)
}

fn empty(who: Who) -> Option<Stage> {
    let stage = Stage::with(who, 0, truehop_e2e::Truehop::start(crate::stage::CONFIG), &[]);
    stage.is_all(&stage.ask(&stage.request()));
    Some(stage)
}

/// The button of the page: the browser follows to where the bytes are.
fn post(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    let answer = stage.ask(&Request::new("POST", stage.file.link.page())).answer();
    assert_eq!(answer.status, 303, "{answer:?}");
    let to = answer.header("Location").unwrap();
    let (path, query) = to.split_once('?').unwrap_or((to, ""));
    assert_eq!(path, stage.file.link.bytes(1));
    assert!(who == Who::Owner || query.starts_with("collection="), "{to}");
    let cookie = answer
        .lines("Set-Cookie")
        .find(|cookie| cookie.starts_with("collection="));
    assert!(who == Who::Owner || cookie.is_some(), "{answer:?}");
    stage.is_all(&stage.ask(&Request::new("GET", to)));
    Some(stage)
}

/// Asks for parts, one after the other, in one collection.
#[track_caller]
fn parts(stage: &Stage, parts: &[std::ops::Range<usize>]) {
    let mut collection: Option<String> = None;
    for part in parts {
        let mut request = stage.request().header("Range", &range_of(part));
        if let Some(collection) = &collection {
            request = request.header("Truehop-Collection", collection);
        }
        let outcome = stage.ask(&request);
        assert_eq!(outcome.status(), Some(206), "{outcome:?}");
        assert!(
            outcome.body() == &stage.content[part.clone()],
            "{part:?}: other bytes"
        );
        assert_eq!(
            outcome.collection().is_some(),
            stage.who != Who::Owner,
            "{outcome:?}"
        );
        collection = outcome.collection();
    }
}

fn ranges(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    parts(&stage, &[0..SIZE / 3, SIZE / 3..SIZE / 2, SIZE / 2..SIZE]);
    Some(stage)
}

fn backwards(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    parts(&stage, &[SIZE - 10..SIZE, SIZE / 2..SIZE - 5, 0..SIZE / 2 + 1]);
    Some(stage)
}

/// As tools do that fetch several parts at a time: the same name in each.
fn parallel_ranges(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    let first = stage.ask(&stage.request().header("Range", "bytes=0-0"));
    let collection = first.collection().unwrap_or_default();
    thread::scope(|scope| {
        let parts = [0..SIZE / 4, SIZE / 4..SIZE / 2, SIZE / 2..SIZE];
        for part in parts {
            let request = stage.request().header("Range", &range_of(&part));
            let request = request.header("Truehop-Collection", &collection);
            let stage = &stage;
            scope.spawn(move || {
                let outcome = stage.ask(&request);
                assert_eq!(outcome.status(), Some(206), "{outcome:?}");
                assert!(outcome.body() == &stage.content[part], "other bytes");
            });
        }
    });
    Some(stage)
}

/// Which is answered with all of it.
fn multi_range(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    stage.is_all(&stage.ask(&stage.request().header("Range", "bytes=0-1,4-5")));
    Some(stage)
}

fn stale_if_range(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    let request = stage
        .request()
        .header("Range", "bytes=5-")
        .header("If-Range", "\"another\"");
    stage.is_all(&stage.ask(&request));
    Some(stage)
}

fn gap(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    parts(&stage, &[0..SIZE / 3, SIZE / 2..SIZE]);
    Some(stage)
}

fn all_but_the_last(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    parts(&stage, std::slice::from_ref(&(0..SIZE - 1)));
    Some(stage)
}

fn all_but_the_first(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    parts(&stage, std::slice::from_ref(&(1..SIZE)));
    Some(stage)
}

fn head(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    let answer = stage.ask(&Request::new("HEAD", &stage.path())).answer();
    assert_eq!(
        (answer.status, answer.header("Content-Length")),
        (200, Some(SIZE.to_string().as_str()))
    );
    for set in ["Truehop-Collection", "Set-Cookie"] {
        assert_eq!(answer.header(set), None, "{answer:?}");
    }
    Some(stage)
}

fn options(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    let answer = stage.ask(&Request::new("OPTIONS", &stage.path())).answer();
    assert!(matches!(answer.status, 200 | 204 | 405), "{answer:?}");
    Some(stage)
}

/// Who has it already needs nothing.
fn not_modified(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    let head = stage.ask(&Request::new("HEAD", &stage.path())).answer();
    let etag = head.header("ETag").unwrap();
    let answer = stage.ask(&stage.request().header("If-None-Match", etag)).answer();
    assert_eq!(answer.status, 304, "{answer:?}");
    Some(stage)
}

fn unsatisfiable(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    let answer = stage
        .ask(&stage.request().header("Range", &format!("bytes={SIZE}-")))
        .answer();
    assert_eq!(answer.status, 416, "{answer:?}");
    Some(stage)
}

#[track_caller]
fn leave(who: Who, bytes: usize) -> Option<Stage> {
    let stage = Stage::new(who);
    let outcome = stage.visitor().ask_some(&stage.request(), bytes);
    assert!(
        matches!(&outcome, Outcome::Broken(answer) if answer.status == 200),
        "{outcome:?}"
    );
    Some(stage)
}

fn leave_at_the_head(who: Who) -> Option<Stage> {
    leave(who, 0)
}

fn leave_at_a_half(who: Who) -> Option<Stage> {
    leave(who, SIZE / 2)
}

/// As near as a kernel lets us: what lies there unread counts as taken.
fn leave_near_the_end(who: Who) -> Option<Stage> {
    leave(who, SIZE - (128 << 10))
}

/// Stopping early is no free copy.
fn leave_too_often(who: Who) -> Option<Stage> {
    const ATTEMPTS: usize = 5;
    let stage = Stage::new(who);
    for attempt in 0..2 * ATTEMPTS {
        let outcome = truehop_e2e::eventually("the lease to lapse", || {
            let outcome = stage.visitor().ask_some(&stage.request(), SIZE - (128 << 10));
            // 429: this lease has had its bytes.
            (!matches!(outcome.status(), Some(423 | 429))).then_some(outcome)
        });
        let is_over = outcome.status() == Some(410);
        assert!(is_over || outcome.status() == Some(200), "{outcome:?}");
        assert!(!is_over || attempt >= ATTEMPTS, "attempt {attempt} was refused");
        assert!(
            is_over || who == Who::Owner || attempt < ATTEMPTS + 1,
            "attempt {attempt} was granted"
        );
        if is_over {
            break;
        }
    }
    Some(stage)
}

/// They get the page, if anything.
#[track_caller]
fn gets_no_bytes(who: Who, name: &str, value: &str) -> Option<Stage> {
    let stage = Stage::new(who);
    let outcome = stage.ask(&stage.request().header(name, value));
    assert!(outcome.body() != stage.content, "{name}: {value} got the bytes");
    Some(stage)
}

fn prefetch(who: Who) -> Option<Stage> {
    for (name, value) in [
        ("Purpose", "prefetch"),
        ("X-Moz", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
    ] {
        gets_no_bytes(who, name, value)?.is(Free);
    }
    gets_no_bytes(who, "Sec-Purpose", "prefetch")
}

fn bot(who: Who) -> Option<Stage> {
    for agent in [
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "WhatsApp/2.23.20.0",
    ] {
        gets_no_bytes(who, "User-Agent", agent)?.is(Free);
    }
    gets_no_bytes(who, "User-Agent", "facebookexternalhit/1.1")
}

fn page(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    for accept in ["text/html", "*/*"] {
        let answer = stage
            .ask(&Request::new("GET", stage.file.link.page()).header("Accept", accept))
            .answer();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    Some(stage)
}

/// The button of the page, pressed by a page that is not ours.
fn cross_site(who: Who) -> Option<Stage> {
    let stage = Stage::new(who);
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "https://evil.example"),
    ] {
        let answer = stage
            .ask(&Request::new("POST", stage.file.link.page()).header(name, value))
            .answer();
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    Some(stage)
}

/// All of them from one place; of those who are no owner, one gets it.
fn at_once(who: Who) -> Option<Stage> {
    let mut last = None;
    for count in 2..=10 {
        let stage = Stage::new(who);
        let whole = thread::scope(|scope| {
            let asked: Vec<_> = (0..count)
                .map(|_| scope.spawn(|| stage.ask(&stage.request())))
                .collect();
            let outcomes = asked.into_iter().map(|asked| asked.join().unwrap());
            outcomes
                .inspect(|outcome| assert!(matches!(outcome.status(), Some(200 | 410 | 423)), "{outcome:?}"))
                .filter(|outcome| outcome.body() == stage.content)
                .count()
        });
        // Behind a proxy the one who has it may have it once more within the grace, if it shows its collection; nobody does.
        assert_eq!(
            whole,
            if who == Who::Owner { count } else { 1 },
            "of {count} at once"
        );
        if let Some(before) = last.replace(stage) {
            let before: Stage = before;
            before.is(if who == Who::Owner { Free } else { Delivered });
        }
    }
    last
}

/// Whom nobody of these tests is.
pub(crate) const NOBODY: Host = Host::at(127, 0, 0, 77);
