//! What is written, and what cannot be.

use std::fmt;

use super::*;
use crate::{Limits, RequestHead};

const SOURCE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nE: f\r\n\r\n";

fn source() -> RequestHead {
    let mut head = RequestHead::default();
    assert_eq!(head.parse(SOURCE, &Limits::default()), Ok(true));
    head
}

fn written(out: &Rewrite) -> String {
    let bytes: Vec<u8> = out.pieces(SOURCE).flatten().copied().collect();
    assert_eq!(bytes.len(), out.len());
    String::from_utf8(bytes).unwrap()
}

#[test]
fn neighbours_are_one_piece() {
    let head = source();
    let fields = head.view(SOURCE).fields();
    for (kept, pieces) in [
        (vec![0, 1, 2, 3], 1),
        (vec![0, 2, 3], 2),
        (vec![0, 2], 2),
        (vec![3, 0], 2),
        (vec![], 0),
    ] {
        let mut out = Rewrite::default();
        out.status_line(200, b"OK");
        let mut expected = "HTTP/1.1 200 OK\r\n".to_owned();
        for &nth in &kept {
            let field = fields.clone().nth(nth).unwrap();
            out.keep(field);
            expected += &format!("{}: {}\r\n", field.name, field.value.escape_ascii());
        }
        out.finish();
        assert_eq!(out.pieces(SOURCE).count(), pieces + 2, "{kept:?}");
        assert_eq!(written(&out), expected + "\r\n");
    }
}

#[test]
fn start_lines_stay_one_line() {
    let mut out = Rewrite::default();
    assert!(out.is_empty());
    out.add("A", b"b").unwrap();
    for (method, target, line) in [
        ("M-SEARCH", "*", "M-SEARCH * HTTP/1.1\r\n"),
        (
            "GET",
            "/a b\r\nX: y#\u{e9}",
            "GET /a%20b%0D%0AX:%20y%23%C3%A9 HTTP/1.1\r\n",
        ),
        ("G\0ET", "/", "G%00ET / HTTP/1.1\r\n"),
    ] {
        out.request_line(method, target);
        assert_eq!(written(&out), format!("{line}A: b\r\n"));
    }
    for (status, reason, line) in [
        (204, &b""[..], "HTTP/1.1 204 \r\n"),
        (599, b"a\tb", "HTTP/1.1 599 a\tb\r\n"),
        (200, b"a\r\nb\0", "HTTP/1.1 200 a  b \r\n"),
        (1007, b"", "HTTP/1.1 007 \r\n"),
    ] {
        out.status_line(status, reason);
        assert_eq!(written(&out), format!("{line}A: b\r\n"));
    }
}

#[test]
fn added_lines_stay_one_line() {
    let mut out = Rewrite::default();
    for value in [&b""[..], b"a", b"a\tb", b"\xff"] {
        assert_eq!(out.add("A", value), Ok(()));
    }
    let length = out.len();
    for value in ["\r", "\n", "a\r\nB: c", "\0", "\x7f", "12345678\x1f"] {
        assert_eq!(out.add("A", value.as_bytes()), Err(BadValue::Value), "{value:?}");
        assert_eq!(out.add_display("A", value), Err(BadValue::Value), "{value:?}");
    }
    for name in ["", "a b", "a:", "a\r\n", "é"] {
        assert_eq!(out.add(name, b"x"), Err(BadValue::Name), "{name:?}");
        assert_eq!(out.add_display(name, 1), Err(BadValue::Name), "{name:?}");
    }
    assert_eq!(out.add_display("A", Undisplayable), Err(BadValue::Value));
    assert_eq!(out.len(), length, "what is refused leaves nothing");
    assert_eq!(out.add_display("Content-Length", u64::MAX), Ok(()));
    assert!(written_ends(&out, b"Content-Length: 18446744073709551615\r\n"));
}

#[test]
fn nothing_follows_the_empty_line() {
    let mut out = Rewrite::default();
    out.status_line(200, b"");
    out.finish();
    out.finish();
    assert_eq!(out.add("A", b"b"), Err(BadValue::Finished));
    assert_eq!(out.add_display("A", 1), Err(BadValue::Finished));
    out.keep(source().view(SOURCE).fields().next().unwrap());
    assert_eq!(written(&out), "HTTP/1.1 200 \r\nHost: a\r\n\r\n");
    out.clear();
    assert_eq!((out.len(), out.pieces(SOURCE).count()), (0, 0));
    assert_eq!(out.add("A", b"b"), Ok(()));
}

fn written_ends(out: &Rewrite, end: &[u8]) -> bool {
    out.pieces(SOURCE)
        .last()
        .is_some_and(|piece| piece.ends_with(end))
}

struct Undisplayable;

impl fmt::Display for Undisplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        Err(fmt::Error)
    }
}
