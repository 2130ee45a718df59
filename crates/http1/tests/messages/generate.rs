//! Messages for the tests: well-formed ones, ones that are nearly so, and damage.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A field line without its CRLF.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let name = "X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}|Accept|Cookie|Date|VIA|x-forwarded-for|User-Agent";
    let space = || "[ \t]{0,2}";
    let value = prop_oneof![
        3 => "[!-~]([ -~\t]{0,30}[!-~])?".prop_map(String::into_bytes),
        1 => prop::collection::vec(0x80..=0xff_u8, 0..4),
    ];
    (name, space(), value, space()).prop_map(|(name, before, value, after)| {
        [name.as_bytes(), b":", before.as_bytes(), &value, after.as_bytes()].concat()
    })
}

/// Lines that mean something to whoever forwards the message; most are fine in most heads.
fn meaningful(lines: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    select(lines).prop_map(|line| line.as_bytes().to_vec())
}

const OPTIONS: &[&str] = &[
    "Connection: close",
    "connection: keep-alive, X-A",
    "Connection: Upgrade",
    "Connection: x-a, x-b,, Host",
    "Upgrade: websocket",
    "TE: trailers",
    "X-A: 1",
    "x-b: 2",
    "Trailer: Digest",
];

/// A request head that every strict reader accepts, with the body that it announces.
pub(crate) fn good_request() -> impl Strategy<Value = Vec<u8>> {
    let method = select(
        &[
            "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PURGE", "get",
        ][..],
    );
    let target = prop_oneof![
        4 => "/[!-\"$-~]{0,20}",
        1 => Just("http://files.example.org/a?b".to_owned()),
        1 => Just("HTTPS://FILES.example.org".to_owned()),
    ];
    let version = select(&["1.1", "1.1", "1.0"][..]);
    let framing = prop_oneof![
        3 => Just((None, vec![])),
        1 => prop::collection::vec(any::<u8>(), 0..20)
            .prop_map(|body| (Some(format!("Content-Length: {}", body.len())), body)),
        1 => chunked_body().prop_map(|body| (Some("Transfer-Encoding: chunked".to_owned()), body)),
    ];
    let line = prop_oneof![3 => field(), 1 => meaningful(OPTIONS)];
    (
        method,
        target,
        version,
        prop::collection::vec(line, 0..8),
        framing,
        any::<[Index; 2]>(),
    )
        .prop_map(|(method, target, version, mut lines, (framing, body), places)| {
            let version = if framing.as_ref().is_some_and(|line| line.starts_with('T')) {
                "1.1"
            } else {
                version
            };
            let own = [Some("Host: files.example.org".to_owned()), framing];
            for (line, place) in own.into_iter().flatten().zip(places) {
                lines.insert(place.index(lines.len() + 1), line.into_bytes());
            }
            message(&format!("{method} {target} HTTP/{version}"), &lines, &body)
        })
}

/// A response head that every strict reader accepts, with the body that it announces.
pub(crate) fn good_response() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![3 => field(), 1 => meaningful(OPTIONS)];
    let framing = prop_oneof![
        1 => Just((None, vec![])),
        1 => prop::collection::vec(any::<u8>(), 0..20)
            .prop_map(|body| (Some(format!("Content-Length: {}", body.len())), body)),
        1 => chunked_body().prop_map(|body| (Some("Transfer-Encoding: chunked".to_owned()), body)),
    ];
    let status = select(&[200, 201, 206, 302, 404, 500, 599][..]);
    (
        status,
        "( [ -~]{0,10})?",
        prop::collection::vec(line, 0..8),
        framing,
    )
        .prop_map(|(status, reason, mut lines, (framing, body))| {
            lines.extend(framing.map(String::into_bytes));
            message(&format!("HTTP/1.1 {status}{reason}"), &lines, &body)
        })
}

/// A chunked body: sizes, extensions and trailers as the grammar has them.
pub(crate) fn chunked_body() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop::collection::vec(any::<u8>(), 1..20);
    (
        prop::collection::vec((chunk, extensions(), any::<bool>()), 0..4),
        extensions(),
        trailers(),
    )
        .prop_map(|(chunks, extensions, trailers)| {
            let mut body = Vec::new();
            for (data, extensions, large) in chunks {
                let size = if large {
                    format!("{:X}", data.len())
                } else {
                    format!("{:03x}", data.len())
                };
                body.extend([size.as_bytes(), extensions.as_bytes(), b"\r\n", &data, b"\r\n"].concat());
            }
            body.extend([b"0", extensions.as_bytes(), b"\r\n", trailers.as_bytes(), b"\r\n"].concat());
            body
        })
}

fn extensions() -> impl Strategy<Value = String> {
    select(&["", "", "", "", ";a", ";a=b;c", ";a=\"b;\\\"\tc\""][..]).prop_map(str::to_owned)
}

fn trailers() -> impl Strategy<Value = String> {
    select(&["", "", "", "Digest: a\r\n", "A:\r\nx-b: \tc \r\n"][..]).prop_map(str::to_owned)
}

/// What clients and attackers send: lines that are wrong, twice, or do not fit together.
pub(crate) fn odd_request() -> impl Strategy<Value = Vec<u8>> {
    const LINES: &[&str] = &[
        "GET / HTTP/1.1",
        "GET / HTTP/1.1",
        "POST / HTTP/1.1",
        "POST / HTTP/1.1",
        "POST /a HTTP/1.0",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "\r\nGET / HTTP/1.1",
        "\r\n\r\nGET / HTTP/1.1",
        "\nGET / HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a\"<>\\^`{|}b HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET http://a/ HTTP/1.1",
        "GET http://b/ HTTP/1.1",
        "GET http://a HTTP/1.1",
        "GET http://a?b HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET http:///b HTTP/1.1",
        "GET http://:80/ HTTP/1.1",
        "GET http://a:99999/ HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET * HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET a HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "CONNECT a HTTP/1.1",
        "CONNECT / HTTP/1.1",
    ];
    const FIELDS: &[&str] = &[
        "Content-Length: 3",
        "Content-Length: 3",
        "Content-Length: 03",
        "content-length: +3",
        "Content-Length: 3, 3",
        "Content-Length:",
        "Content-Length: 18446744073709551615",
        "Content-Length: 18446744073709551616",
        "Content-Length: 18446744073709551616\r\nTransfer-Encoding: chunked",
        "Content_Length: 3",
        "Content-Length : 3",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: CHUNKED",
        "transfer-encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding:\tchunked\t",
        "Host: a",
        "Host: b",
        "Host:",
        "Host: a/b",
        "Host: a:80",
        "Expect: 100-continue",
        "Expect: 200-ok",
        "Connection: close",
        "Connection: keep-alive",
        " folded: x",
        "\tfolded",
        "a b: c",
        ": d",
        "nothing",
        "a: b\rc",
        "a: b\nc: d",
        "a: \0",
        "a: \x7f",
        "a: \x1b",
    ];
    let hosts =
        prop_oneof![8 => Just(vec!["Host: a"]), 1 => Just(vec![]), 1 => Just(vec!["Host: a", "Host: a"])];
    let fields = prop::collection::vec(prop_oneof![1 => meaningful(FIELDS), 1 => field()], 0..3);
    (select(LINES), hosts, fields, odd_body()).prop_map(|(line, hosts, mut fields, body)| {
        fields.extend(hosts.iter().map(|host| host.as_bytes().to_vec()));
        message(line, &fields, &body)
    })
}

/// What may stand behind a head, wherever it ends; another request follows.
fn odd_body() -> impl Strategy<Value = Vec<u8>> {
    const BODIES: &[&str] = &[
        "",
        "abc",
        "0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3 ;a\r\nabc\r\n0\r\n\r\n",
        "3; a=b\r\nabc\r\n0\r\n\r\n",
        "3;\r\nabc\r\n0\r\n\r\n",
        "3;a=\"\n\"\r\nabc\r\n0\r\n\r\n",
        "3;\0\r\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "00000000000000003\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc",
        "0\r\nA: b\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA\r\n\r\n",
        "0\r\nContent-Length: 3\r\n\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0\r\n b\r\n\r\n",
        "0\r\n\n",
        "0\n\n",
    ];
    let next = prop_oneof![
        3 => Just(""),
        1 => Just("GET /next HTTP/1.1\r\nHost: a\r\n\r\n"),
        1 => Just("POST /next HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"),
    ];
    (
        prop_oneof![3 => select(BODIES).prop_map(|body| body.as_bytes().to_vec()), 1 => chunked_body()],
        next,
    )
        .prop_map(|(body, next)| [&body, next.as_bytes()].concat())
}

/// What upstreams and attackers send.
pub(crate) fn odd_response() -> impl Strategy<Value = Vec<u8>> {
    const LINES: &[&str] = &[
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200",
        "HTTP/1.1 200 ",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 999 OK",
        "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "http/1.1 200 OK",
        "\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 200 O\u{e9}",
        "HTTP/1.1 200 O\tK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 204 x",
        "HTTP/1.1 304 x",
        "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 103 x\r\na: b\r\n\r\nHTTP/1.1 204 OK",
    ];
    const FIELDS: &[&str] = &[
        "Content-Length: 3",
        "Content-Length: 3",
        "Content-Length: 0",
        "Content-Length: 3, 3",
        "content-length: x",
        "Content-Length: 18446744073709551615",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Connection: close",
        "Connection: keep-alive",
        " folded: x",
        "a : b",
        "a b: c",
        ": d",
        "nothing",
        "a: b\rc",
        "a: b\nc: d",
        "a: \0",
    ];
    let fields = prop::collection::vec(prop_oneof![2 => meaningful(FIELDS), 1 => field()], 0..3);
    let body = odd_body();
    (select(LINES), fields, body).prop_map(|(line, fields, body)| message(line, &fields, &body))
}

fn message(line: &str, fields: &[Vec<u8>], body: &[u8]) -> Vec<u8> {
    let mut message = [line.as_bytes(), b"\r\n"].concat();
    for field in fields {
        message.extend([field, &b"\r\n"[..]].concat());
    }
    message.extend([b"\r\n", body].concat());
    message
}

/// The same with a few bytes changed, put in or taken out, sometimes.
pub(crate) fn damaged(message: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![2 => select(b" \r\n\t\0:;,/3a-\x7f\x80".to_vec()), 1 => any::<u8>()];
    let damage = prop_oneof![
        1 => Just(vec![]),
        1 => prop::collection::vec((any::<Index>(), byte, 0..3_u8), 1..4),
    ];
    (message, damage).prop_map(|(mut message, damage)| {
        for (at, byte, how) in damage {
            let at = at.index(message.len().max(1));
            match how {
                0 if at < message.len() => message[at] = byte,
                1 if at < message.len() => drop(message.remove(at)),
                _ => message.insert(at, byte),
            }
        }
        message
    })
}
