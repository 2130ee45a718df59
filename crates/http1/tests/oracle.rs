//! Connections as hyper reads them. Where the two differ, the difference is listed with its reason; one that is not listed
//! fails, and so does an entry of the list that no longer occurs.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use truehop_http1::Method;

#[path = "messages/generate.rs"]
mod generate;
#[path = "messages/told.rs"]
mod told;

use generate::{damaged, good_request, good_response, odd_request, odd_response};
use told::{End, Story, our_requests, our_response, their_requests, their_response};

/// What we refuse and hyper takes, or takes further, by our code; and why.
const WE_REFUSE: &[(&str, &str)] = &[
    (
        "asterisk-form",
        "`*` is for OPTIONS alone (RFC 9112 section 3.2.4)",
    ),
    (
        "authority-form",
        "CONNECT needs a host and a port (RFC 9110 section 9.3.6)",
    ),
    (
        "bad-authority",
        "an absolute form needs a host that is one; hyper finds it where the URI has it",
    ),
    (
        "bad-chunk-extension",
        "hyper skips all bytes up to CR; other readers may end the line elsewhere",
    ),
    (
        "bad-chunk-size",
        "hyper takes whitespace behind the size, which nothing may send",
    ),
    (
        "bad-content-length",
        "hyper does not read it beside Transfer-Encoding, and leaves a bad one out in responses",
    ),
    ("bad-host", "hyper leaves Host to its caller"),
    ("bad-scheme", "we speak http and https"),
    ("bad-status", "classes end with 5xx (RFC 9110 section 15)"),
    (
        "bad-status-line",
        "an empty line in front of a response is bytes that nobody asked for",
    ),
    (
        "bad-target",
        "hyper drops a fragment, and takes bytes from 0x80 on",
    ),
    ("bad-target-form", "hyper takes any URI for a target"),
    (
        "bad-transfer-encoding",
        "hyper looks only whether the last word is chunked, and reads a response up to its end",
    ),
    (
        "bare-lf",
        "hyper ends a line at LF alone; two readers then see different lines",
    ),
    ("chunk-size-too-large", "hyper counts no leading zeros"),
    (
        "content-length-too-large",
        "hyper does not read it beside Transfer-Encoding",
    ),
    (
        "empty-authority",
        "hyper takes an absolute form whose host is empty",
    ),
    (
        "empty-request-line",
        "one empty line is let through (RFC 9112 section 2.2), hyper skips any number",
    ),
    (
        "encoding-without-body",
        "1xx and 204 have no Transfer-Encoding (RFC 9112 section 6.1)",
    ),
    (
        "forbidden-trailer",
        "framing and routing are never in trailers (RFC 9110 section 6.5.1)",
    ),
    ("host-differs", "hyper leaves Host to its caller"),
    (
        "length-and-encoding",
        "RFC 9112 section 6.3 lets a server refuse; hyper takes the chunks",
    ),
    ("missing-host", "hyper leaves Host to its caller"),
    (
        "query-without-path",
        "its origin form does not stand in the buffer; hyper writes the slash",
    ),
    (
        "several-content-lengths",
        "RFC 9112 section 6.3 lets a recipient refuse; hyper takes equal ones",
    ),
    ("several-hosts", "hyper leaves Host to its caller"),
    (
        "several-transfer-encodings",
        "one coding, one line; hyper takes the last",
    ),
    (
        "transfer-encoding-in-http10",
        "hyper refuses it in requests, and in responses reads them up to their end",
    ),
    (
        "unknown-expectation",
        "RFC 9110 section 10.1.1 lets a server refuse; hyper ignores it",
    ),
    (
        "unknown-transfer-coding",
        "what we cannot decode we do not pass on as if it were decoded",
    ),
    ("userinfo", "RFC 9110 section 4.2.4: an attempt to hide the host"),
];

/// What hyper refuses and we take.
const THEY_REFUSE: &[Difference] = &[
    Difference {
        name: "later minor version",
        reason: "HTTP/1.2 is read as HTTP/1.1 (RFC 9110 section 2.5), and never sent on",
        is: |wire| (2..10).any(|minor| has(wire, format!("HTTP/1.{minor}").as_bytes())),
    },
    Difference {
        name: "bytes that a URI does not have",
        reason: "browsers send them; they are visible, end nothing, and the next reader judges its path itself",
        is: |wire| {
            let mut lines = wire
                .split(|&byte| byte == b'\n')
                .map(|line| line.split(|&byte| byte == b' '));
            lines.any(|mut words| {
                let (target, version) = (words.nth(1), words.next());
                version.is_some_and(|version| version.starts_with(b"HTTP/1."))
                    && target.is_some_and(|target| target.iter().any(|byte| b"\"<>\\^`{|}".contains(byte)))
            })
        },
    },
    Difference {
        name: "the two largest lengths",
        reason: "hyper keeps the two largest numbers for itself; no such body ends",
        is: |wire| has(wire, b"1844674407370955161"),
    },
];

/// A difference that is meant.
struct Difference {
    name: &'static str,
    /// Why ours is right, or why both are.
    reason: &'static str,
    /// Whether these bytes show it.
    is: fn(&[u8]) -> bool,
}

/// The listed difference between two stories of `wire`; `Ok(None)` when there is none.
///
/// Whoever gives up inside a body has told its head, and no body.
fn difference(wire: &[u8], ours: &Story, theirs: &Story) -> Result<Option<&'static str>, String> {
    let we_refuse = || match ours.end {
        End::Refused(code) => WE_REFUSE
            .iter()
            .map(|(listed, _)| *listed)
            .find(|listed| *listed == code),
        _ => None,
    };
    let they_refuse = || {
        let listed = THEY_REFUSE.iter().find(|difference| (difference.is)(wire));
        listed.map(|difference| difference.name)
    };
    let messages = ours.messages.iter().zip(&theirs.messages);
    let same = messages.take_while(|(one, other)| one == other).count();
    let name = match (ours.messages.get(same), theirs.messages.get(same)) {
        (None, None) if is_good(ours) == is_good(theirs) => return Ok(None),
        (None, None) if is_good(theirs) => we_refuse(),
        (None, None) | (Some(_), None) => they_refuse(),
        (None, Some(_)) => we_refuse(),
        (Some(one), Some(other)) if one.start == other.start && one.fields == other.fields => {
            if one.body.is_none() {
                we_refuse()
            } else {
                they_refuse()
            }
        }
        // Both take it, each otherwise: never.
        (Some(_), Some(_)) => None,
    };
    let unlisted = || format!("{}\nours {ours:?}\ntheirs {theirs:?}", wire.escape_ascii());
    name.map(Some).ok_or_else(unlisted)
}

fn is_good(story: &Story) -> bool {
    story.end == End::Clean
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => damaged(good_request()), 2 => odd_request(), 1 => damaged(odd_request())]
}

fn responses() -> impl Strategy<Value = (Vec<u8>, Method)> {
    let wire = prop_oneof![1 => damaged(good_response()), 2 => odd_response(), 1 => damaged(odd_response())];
    (wire, prop_oneof![4 => Just(Method::Get), 1 => Just(Method::Head)])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn every_difference_in_requests_is_listed(wire in requests()) {
        if let Err(unlisted) = between_requests(&wire) {
            prop_assert!(false, "{unlisted}");
        }
    }

    #[test]
    fn every_difference_in_responses_is_listed((wire, method) in responses()) {
        if let Err(unlisted) = between_responses(&wire, method) {
            prop_assert!(false, "{unlisted}");
        }
    }
}

#[test]
fn every_listed_difference_occurs() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut seen: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for _ in 0..10_000 {
        let wire = requests().new_tree(&mut runner).unwrap().current();
        *seen.entry(between_requests(&wire).unwrap()).or_default() += 1;
        let (wire, method) = responses().new_tree(&mut runner).unwrap().current();
        *seen.entry(between_responses(&wire, method).unwrap()).or_default() += 1;
    }
    let listed = THEY_REFUSE
        .iter()
        .map(|difference| (difference.name, difference.reason));
    for (name, reason) in WE_REFUSE.iter().copied().chain(listed) {
        assert!(
            seen.contains_key(&Some(name)),
            "{name} ({reason}) never occurred: {seen:#?}"
        );
    }
    // The list does not swallow everything.
    assert!(seen[&None] > 10_000, "{seen:#?}");
}

/// Smuggling by name: what each attack hides from one of two readers, and what we say. The second request of each is the
/// one that a careless pair would not agree on.
#[test]
fn attacks_are_refused_by_name() {
    const NEXT: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for (attack, fields, body, code) in [
        (
            "te_cl",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "5c\r\n",
            "length-and-encoding",
        ),
        (
            "cl_te",
            "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
            "0\r\n\r\n",
            "length-and-encoding",
        ),
        (
            "te_te",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
            "0\r\n\r\n",
            "several-transfer-encodings",
        ),
        (
            "te_space",
            "Transfer-Encoding : chunked\r\n",
            "0\r\n\r\n",
            "space-before-colon",
        ),
        (
            "te_tab",
            "Transfer-Encoding:\x0bchunked\r\n",
            "0\r\n\r\n",
            "bad-value",
        ),
        (
            "te_fold",
            "X: y\r\n Transfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
            "obs-fold",
        ),
        (
            "te_lf",
            "X: y\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
            "bare-lf",
        ),
        (
            "te_cr",
            "X: y\rTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
            "bare-cr",
        ),
        (
            "te_identity",
            "Transfer-Encoding: identity\r\n",
            "",
            "unknown-transfer-coding",
        ),
        (
            "te_quoted",
            "Transfer-Encoding: \"chunked\"\r\n",
            "0\r\n\r\n",
            "bad-transfer-encoding",
        ),
        (
            "te_last",
            "Transfer-Encoding: chunked, identity\r\n",
            "0\r\n\r\n",
            "bad-transfer-encoding",
        ),
        (
            "cl_cl",
            "Content-Length: 0\r\nContent-Length: 40\r\n",
            "",
            "several-content-lengths",
        ),
        ("cl_list", "Content-Length: 0, 40\r\n", "", "bad-content-length"),
        ("cl_sign", "Content-Length: +0\r\n", "", "bad-content-length"),
        (
            "cl_overflow",
            "Content-Length: 18446744073709551616\r\n",
            "",
            "content-length-too-large",
        ),
        (
            "chunk_overflow",
            "Transfer-Encoding: chunked\r\n",
            "10000000000000000\r\n",
            "chunk-size-too-large",
        ),
        ("chunk_lf", "Transfer-Encoding: chunked\r\n", "0\n\n", "bare-lf"),
        (
            "chunk_end",
            "Transfer-Encoding: chunked\r\n",
            "1\r\naXX0\r\n\r\n",
            "bad-chunk-end",
        ),
        (
            "chunk_extension_lf",
            "Transfer-Encoding: chunked\r\n",
            "0;a\nb\r\n\r\n",
            "bare-lf",
        ),
        (
            "trailer_cl",
            "Transfer-Encoding: chunked\r\n",
            "0\r\nContent-Length: 9\r\n\r\n",
            "forbidden-trailer",
        ),
        ("two_hosts", "Host: b\r\n", "", "several-hosts"),
    ] {
        let wire = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}{NEXT}");
        let story = our_requests(wire.as_bytes());
        assert_eq!(story.end, End::Refused(code), "{attack}");
        assert!(
            story.messages.iter().all(|message| message.body.is_none()),
            "{attack}: {story:?}"
        );
        between_requests(wire.as_bytes()).unwrap();
    }
}

fn between_requests(wire: &[u8]) -> Result<Option<&'static str>, String> {
    difference(wire, &our_requests(wire), &their_requests(wire))
}

fn between_responses(wire: &[u8], method: Method) -> Result<Option<&'static str>, String> {
    difference(wire, &our_response(wire, method), &their_response(wire, method))
}

fn has(wire: &[u8], part: &[u8]) -> bool {
    wire.windows(part.len()).any(|window| window == part)
}
