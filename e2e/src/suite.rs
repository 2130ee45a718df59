//! Suites of attacks as data: each case goes, byte for byte, through the edge to every real server, and is judged by
//! what the server saw and by what the client got.
//!
//! Every case is followed by one more request on the same connection. After a legal case it must be answered: the
//! edge saw the end of the case where its author meant it. After a refused one it must not be: whoever sent it may
//! have meant it for somebody else.
//!
//! In the bytes of a case, `{target}` is the target that carries its mark, `{smuggled}` a whole request that nobody may
//! take for one, `{smuggled.hex}` its length as a chunk size, and `{rest}` the number of bytes behind the first empty
//! line, `{4000}` and `{40000}` so many bytes. `U+0080` to `U+00FF` are one byte each.

use std::fmt::Write as _;
use std::time::Instant;

use crate::answers::answers;
use crate::http::{Connection, Request};
use crate::recorder::{Kind, Part, Recorder, Seen};
use crate::stage::Stage;
use crate::{DEADLINE, Response};

/// One thing to send, and what must come of it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    what: &'static str,
    bytes: &'static str,
    must: Must,
}

#[derive(Clone, Copy, Debug)]
enum Must {
    /// One of these statuses, the end of the connection, and no trace behind the edge.
    BeRefused(&'static [u16]),
    /// One of these statuses, and no trace behind the edge; the connection may go on, because its end is not in doubt.
    BeDeclined(&'static [u16]),
    /// The server sees one request with this body.
    Pass(&'static str),
    /// One or the other: the standard allows both, and neither can be misunderstood.
    BeRefusedOrPass(&'static str),
}

/// A case that must be refused with 400.
pub const fn refused(what: &'static str, bytes: &'static str) -> Case {
    refused_with(&[400], what, bytes)
}

/// A case that must be refused with one of these.
pub const fn refused_with(statuses: &'static [u16], what: &'static str, bytes: &'static str) -> Case {
    let must = Must::BeRefused(statuses);
    Case { what, bytes, must }
}

/// A case that says what it means, and must be declined with one of these: what follows it may be served.
pub const fn declined(statuses: &'static [u16], what: &'static str, bytes: &'static str) -> Case {
    let must = Must::BeDeclined(statuses);
    Case { what, bytes, must }
}

/// A legal case, which must reach the server with this body.
pub const fn passed(what: &'static str, bytes: &'static str, body: &'static str) -> Case {
    let must = Must::Pass(body);
    Case { what, bytes, must }
}

/// A case that may be refused, or reach the server with this body.
pub const fn either(what: &'static str, bytes: &'static str, body: &'static str) -> Case {
    let must = Must::BeRefusedOrPass(body);
    Case { what, bytes, must }
}

/// Sends all cases to all servers, and then judges them.
///
/// # Panics
/// When something did not go as the cases say; all that did not is listed.
#[track_caller]
pub fn suite(name: &str, cases: &[Case]) {
    run(name, cases, usize::MAX);
}

/// As [`suite`], but every byte is sent by itself, so that a read may end anywhere.
#[track_caller]
pub fn suite_byte_by_byte(name: &str, cases: &[Case]) {
    run(name, cases, 1);
}

#[track_caller]
fn run(name: &str, cases: &[Case], piece: usize) {
    let has_control = cases.iter().any(|case| matches!(case.must, Must::Pass(_)));
    assert!(
        has_control,
        "a suite without a legal case cannot tell an edge that refuses from one that is broken"
    );
    let Some(stage) = Stage::shared() else {
        return;
    };
    let mut sent = Vec::new();
    for upstream in stage.upstreams() {
        for (n, case) in cases.iter().enumerate() {
            let mark = format!("{name}-{n:02}");
            let target = format!("/{}/{mark}", upstream.kind().name());
            let mut connection = Stage::CLIENT.connect(stage.edge().address());
            // Who is refused may be cut off while still sending.
            let bytes = bytes_of(case, &target);
            let _ = bytes
                .chunks(piece)
                .try_for_each(|piece| connection.try_write(piece));
            sent.push(Sent {
                case,
                upstream,
                mark,
                target,
                connection,
                got: Err("nothing".into()),
            });
        }
    }
    let end = Instant::now() + DEADLINE;
    for sent in &mut sent {
        sent.got = sent.judge_answers(end);
    }
    let mut failures = String::new();
    // The connections to the servers must have stayed sound, and whatever was still on its way to them has arrived.
    for upstream in stage.upstreams() {
        let target = format!("/{}/{name}-end", upstream.kind().name());
        let last = Stage::CLIENT.send(stage.edge().address(), &Request::new("GET", &target));
        if !is_answer_to(&last, &target) {
            let _ = writeln!(failures, "the last request, {target}, got {last:?}");
        }
    }
    for sent in &sent {
        let seen = sent.judge_traces();
        if sent.got.is_err() || seen.is_err() {
            let (kind, what) = (sent.upstream.kind().name(), sent.case.what);
            let (got, seen) = (told(&sent.got), told(&seen));
            let _ = writeln!(
                failures,
                "{} to {kind}, {what}: the client got {got}; the server saw {seen}",
                sent.mark
            );
        }
    }
    assert!(failures.is_empty(), "{name}:\n{failures}");
}

/// A case on its way to one server.
struct Sent<'a> {
    case: &'a Case,
    upstream: &'a Recorder,
    mark: String,
    target: String,
    connection: Connection,
    got: Result<(), String>,
}

impl Sent<'_> {
    fn judge_answers(&mut self, end: Instant) -> Result<(), String> {
        let (bytes, closed) = self.connection.read_until_closed(end);
        let answers = answers(&bytes)?;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        let after = format!("{}/after", self.target);
        let has_passed = match statuses.as_slice() {
            [200] if self.case.bytes.contains(" HTTP/1.0\r\n") => true,
            [200, 200] => is_answer_to(&answers[1], &after),
            _ => false,
        } && is_answer_to(&answers[0], &self.target);
        let is_refused = |allowed: &[u16]| matches!(statuses.as_slice(), [one] if allowed.contains(one));
        let is_right = match self.case.must {
            Must::BeRefused(allowed) => is_refused(allowed),
            Must::BeDeclined(allowed) => {
                let goes_on = statuses.get(1) == Some(&200) && is_answer_to(&answers[1], &after);
                is_refused(allowed) || (goes_on && statuses.len() == 2 && allowed.contains(&statuses[0]))
            }
            Must::Pass(_) => has_passed,
            Must::BeRefusedOrPass(_) => has_passed || is_refused(&[400, 501]),
        };
        match (is_right, closed) {
            (true, true) => Ok(()),
            (_, true) => Err(format!("{statuses:?}")),
            (_, false) => Err(format!("{statuses:?} on a connection that stays open")),
        }
    }

    fn judge_traces(&self) -> Result<(), String> {
        let mut seen = self.upstream.seen(&self.mark);
        let all = format!("{seen:?}");
        let may_go_on = !matches!(self.case.must, Must::BeRefused(_));
        seen.retain(|seen| !(may_go_on && seen.target == format!("{}/after", self.target)));
        let is_right = match self.case.must {
            Must::BeRefused(_) | Must::BeDeclined(_) => seen.is_empty(),
            Must::BeRefusedOrPass(body) => seen.is_empty() || self.is_one_request(&seen, body),
            Must::Pass(body) => self.is_one_request(&seen, body),
        };
        match is_right {
            true => Ok(()),
            false => Err(all),
        }
    }

    fn is_one_request(&self, seen: &[Seen], body: &str) -> bool {
        // nginx tells of a request when it is over, the others when its head came and again when it is whole.
        let times = if self.upstream.kind() == Kind::Nginx { 1 } else { 2 };
        let path = |seen: &Seen| seen.target.split('?').next() == Some(&self.target);
        let last = seen.last();
        seen.len() == times
            && seen.iter().all(path)
            && last.is_some_and(|seen| seen.part == Part::Whole && seen.body == body)
    }
}

fn told(judged: &Result<(), String>) -> &str {
    judged.as_ref().map_or_else(String::as_str, |()| "what it should")
}

/// Whether it is the servers' answer to a request for this target.
fn is_answer_to(answer: &Response, target: &str) -> bool {
    answer.status == 200 && answer.text().split([' ', '?']).next() == Some(target)
}

fn bytes_of(case: &Case, target: &str) -> Vec<u8> {
    let smuggled = format!("GET {target}/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let text = case
        .bytes
        .replace("{target}", target)
        .replace("{smuggled}", &smuggled)
        .replace("{smuggled.hex}", &format!("{:x}", smuggled.len()))
        .replace("{4000}", &"x".repeat(4000))
        .replace("{40000}", &"x".repeat(40_000));
    let rest = text.split_once("\r\n\r\n").map_or(0, |(_, rest)| rest.len());
    let text = text.replace("{rest}", &rest.to_string());
    let after = format!("GET {target}/after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let latin1 = text.chars().map(|c| u8::try_from(c).expect("one byte each"));
    latin1.chain(after.into_bytes()).collect()
}
