//! `resolve` against a reference model, on headers that are generated to reach deep and then damaged.
//!
//! The model is `model/reference.rs`, and `model/library.rs` asks the library the same. That the generated requests do
//! reach every kind of answer is itself tested: [`the_requests_reach_every_answer`].
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "model/library.rs"]
mod library;
#[path = "model/reference.rs"]
mod reference;

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use reference::{Answer, Rules};

type Header = (&'static str, Vec<u8>);

/// One request and the policy that it meets.
#[derive(Clone, Debug)]
struct Request {
    rules: Rules,
    peer: Option<IpAddr>,
    headers: Vec<Header>,
}

fn by_the_library(request: &Request) -> Answer {
    library::resolve(&request.rules, request.peer, &request.headers)
}

fn by_the_model(request: &Request) -> Answer {
    reference::resolve(&request.rules, request.peer, &request.headers)
}

/// Addresses of our proxies, in the spellings that proxies use.
fn ours() -> BoxedStrategy<IpAddr> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::from((0x0a00_0000 | (bits & 0x007f_ffff)).to_be_bytes()));
    let v6 = any::<u64>()
        .prop_map(|low| IpAddr::from((0x2001_0db8_8000_u128 << 80 | u128::from(low)).to_be_bytes()));
    let mapped = Just("::ffff:172.17.0.9".parse().unwrap());
    prop_oneof![6 => v4, 2 => v6, 1 => Just("192.0.2.7".parse().unwrap()), 1 => mapped].boxed()
}

/// Anybody: strangers, those who live next to our networks, and addresses that are nobody's.
fn anybody() -> BoxedStrategy<IpAddr> {
    let near = [
        "10.128.0.0",
        "9.255.255.255",
        "192.0.2.6",
        "192.0.2.8",
        "2001:db8:7fff:ffff::",
        "172.32.0.0",
    ];
    let odd = [
        "0.0.0.0",
        "::",
        "::1",
        "::ffff:0.0.0.0",
        "64:ff9b::a00:1",
        "255.255.255.255",
    ];
    prop_oneof![
        4 => any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        2 => any::<u128>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        2 => prop::sample::select(near.to_vec()).prop_map(|ip| ip.parse().unwrap()),
        1 => prop::sample::select(odd.to_vec()).prop_map(|ip| ip.parse().unwrap()),
    ]
    .boxed()
}

/// What stands after an address: mostly nothing, or a port, good or bad.
fn after() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        2 => any::<u16>().prop_map(|port| format!(":{port}")),
        1 => prop::sample::select(vec![":", ":+80", ":080", ":65536", ":_p", "%eth0", "%", "/8"]).prop_map(str::to_owned),
    ]
}

/// An address as `X-Forwarded-For` or a quoted `for` would hold it.
fn spelled(ip: BoxedStrategy<IpAddr>) -> BoxedStrategy<String> {
    let form = |(ip, after, brackets): (IpAddr, String, bool)| match ip {
        IpAddr::V6(v6) if after.starts_with('%') => format!("[{v6}{after}]"),
        IpAddr::V6(v6) if brackets || !after.is_empty() => format!("[{v6}]{after}"),
        ip => format!("{ip}{after}"),
    };
    (ip, after(), any::<bool>()).prop_map(form).boxed()
}

fn node() -> BoxedStrategy<String> {
    let hidden = [
        "unknown",
        "UnKnown",
        "_hidden",
        "_",
        "unknown:80",
        "_h:_p",
        "unknown:+1",
    ];
    let wrong = [
        "",
        "localhost",
        "1.2.3",
        "01.2.3.4",
        "[1.2.3.4]",
        "[::1",
        "fe80::1%eth0",
        "1.2.3.4:5:6",
        "\u{212a}",
    ];
    prop_oneof![
        10 => spelled(ours()),
        5 => spelled(anybody()),
        2 => prop::sample::select(hidden.to_vec()).prop_map(str::to_owned),
        2 => prop::sample::select(wrong.to_vec()).prop_map(str::to_owned),
    ]
    .boxed()
}

/// A quoted string that means `text`, with more escapes than it needs.
fn quoted(text: &str, escapes: u64) -> String {
    let mut quoted = String::from("\"");
    for (at, letter) in text.chars().enumerate() {
        if matches!(letter, '"' | '\\') || (letter.is_ascii() && escapes >> (at % 64) & 1 == 1) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

/// One element of `Forwarded`: `for` and others, quoted where it must be and often where it need not.
fn element() -> BoxedStrategy<String> {
    let escapes = prop_oneof![3 => Just(0), 1 => any::<u64>()];
    let for_ = (node(), any::<bool>(), escapes, "for|For|FOR").prop_map(|(node, quotes, escapes, name)| {
        let plain = !quotes && !node.contains([':', '[', '%', '/']) && !node.is_empty();
        format!("{name}={}", if plain { node } else { quoted(&node, escapes) })
    });
    let value = prop_oneof![
        "[a-z0-9._-]{1,8}",
        "[a-z:,;=\\\\\" \t]{0,8}".prop_map(|text| quoted(&text, 5))
    ];
    let other = ("by|host|proto|secret|ext", value).prop_map(|(name, value)| format!("{name}={value}"));
    let broken = "for|=x|for =1\\.2\\.3\\.4|for= 1\\.2\\.3\\.4|for='1\\.2\\.3\\.4'|for=\\[::1\\]|for=1\\.2\\.3\\.4:80|a=\"b\"c|host=a:80";
    let pairs = (
        prop_oneof![20 => for_.prop_map(Some), 1 => Just(None)],
        prop::collection::vec(prop_oneof![8 => other, 1 => broken], 0..3),
        any::<prop::sample::Index>(),
        ";{1,2}| ; |; ",
    );
    pairs
        .prop_map(|(for_, mut pairs, at, separator)| {
            if let Some(for_) = for_ {
                pairs.insert(at.index(pairs.len() + 1), for_);
            }
            pairs.join(&separator)
        })
        .boxed()
}

/// Entries on one or several lines, between them commas as proxies and others write them.
fn lines(name: &'static str, entry: BoxedStrategy<String>) -> BoxedStrategy<Vec<Header>> {
    let separator =
        prop_oneof![6 => Just(", "), 2 => Just(","), 1 => Just(" ,\t, "), 1 => Just("\n"), 1 => Just(",\n")];
    let lengths = prop_oneof![8 => 0..6_usize, 1 => 30..70_usize];
    let entries = lengths
        .prop_flat_map(move |length| prop::collection::vec((entry.clone(), separator.clone()), length));
    entries
        .prop_map(move |entries| {
            let text: String = entries
                .into_iter()
                .flat_map(|(entry, separator)| [entry, separator.into()])
                .collect();
            let lines = text.trim_end_matches([',', ' ']).split('\n');
            lines
                .filter(|line| !text.is_empty() || !line.is_empty())
                .map(|line| (name, line.into()))
                .collect()
        })
        .boxed()
}

/// A chain as it should be: strangers to the left, our proxies to the right.
fn honest(forwarded: bool) -> BoxedStrategy<Vec<Header>> {
    let chain = (
        prop::collection::vec(anybody(), 0..3),
        prop::collection::vec(ours(), 0..40),
    );
    chain
        .prop_map(move |(strangers, ours)| {
            let entry = |ip: &IpAddr| match ip {
                _ if !forwarded => ip.to_string(),
                IpAddr::V4(ip) => format!("for={ip};by=_us"),
                IpAddr::V6(ip) => format!("for=\"[{ip}]\";proto=https"),
            };
            let chain: Vec<_> = strangers.iter().chain(&ours).map(entry).collect();
            let name = if forwarded { "Forwarded" } else { "X-Forwarded-For" };
            vec![(name, chain.join(", ").into_bytes())]
        })
        .boxed()
}

fn headers(forwarded: bool) -> BoxedStrategy<Vec<Header>> {
    let list = |forwarded| match forwarded {
        true => prop_oneof![1 => honest(true), 3 => lines("forwarded", element())],
        false => prop_oneof![1 => honest(false), 3 => lines("x-Forwarded-for", node())],
    };
    let connection = prop_oneof![
        30 => Just(None),
        1 => Just(Some(("Connection", b"close, X-FORWARDED-FOR".to_vec()))),
        1 => Just(Some(("connection", b"forwarded\t,keep-alive".to_vec()))),
        1 => Just(Some(("connection", b"x-forwarded-for-x forwarded".to_vec()))),
    ];
    (
        list(forwarded),
        prop_oneof![2 => Just(vec![]), 1 => list(!forwarded)],
        connection,
    )
        .prop_map(|(read, other, connection)| other.into_iter().chain(connection).chain(read).collect())
        .boxed()
}

fn rules() -> impl Strategy<Value = Rules> {
    let codes = vec!["missing-header", "malformed", "too-few-hops", "all-trusted"];
    let hops = prop_oneof![3 => Just(None), 1 => (1..4_usize).prop_map(Some)];
    let max_hops = prop_oneof![4 => Just(None), 1 => (1..6_usize).prop_map(Some)];
    let flags = any::<[bool; 4]>();
    (
        any::<bool>(),
        hops,
        max_hops,
        flags,
        prop::sample::subsequence(codes, 0..=4),
    )
        .prop_map(
            |(forwarded, hops, max_hops, [unix, strips_zones, cross_check, leftmost], peer_on)| Rules {
                forwarded,
                trusted: library::networks(),
                trusts_unix: unix,
                hops,
                max_hops,
                strips_zones,
                cross_check,
                // One knob has both words.
                leftmost: leftmost && !peer_on.contains(&"all-trusted") && hops.is_none(),
                peer_on,
            },
        )
}

fn request() -> impl Strategy<Value = Request> {
    let peer = prop_oneof![12 => ours().prop_map(Some), 2 => anybody().prop_map(Some), 1 => Just(None)];
    (rules(), peer).prop_flat_map(|(rules, peer)| {
        headers(rules.forwarded).prop_map(move |headers| Request {
            rules: rules.clone(),
            peer,
            headers,
        })
    })
}

/// Bytes that mean something somewhere, each put in, over, or in place of another. Control bytes too: whoever reads HTTP
/// should have refused them (RFC 9110 section 5.5), and the answer must not hang on that.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, prop::sample::Index, u8, u8)>> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"\",;=\\:[]%_. \t0".to_vec()),
        1 => any::<u8>(),
    ];
    prop::collection::vec(
        (
            any::<prop::sample::Index>(),
            any::<prop::sample::Index>(),
            byte,
            0..3_u8,
        ),
        1..6,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn the_model_and_the_library_agree(request in request()) {
        prop_assert_eq!(by_the_library(&request), by_the_model(&request));
    }

    #[test]
    fn they_agree_on_damaged_headers(mut request in request(), damage in damage()) {
        for (line, at, byte, how) in damage {
            let mut lines: Vec<_> = request.headers.iter_mut().filter(|(_, value)| !value.is_empty()).collect();
            if lines.is_empty() {
                break;
            }
            let (_, value) = line.get_mut(&mut lines);
            let at = at.index(value.len());
            match how {
                0 => value[at] = byte,
                1 => value.insert(at, byte),
                _ => drop(value.remove(at)),
            }
        }
        prop_assert_eq!(by_the_library(&request), by_the_model(&request));
    }
}

#[test]
fn the_requests_reach_every_answer() {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..4000 {
        let request = request().new_tree(&mut runner).unwrap().current();
        let kind = match by_the_model(&request) {
            Ok((_, _, 0, None)) => "peer".to_owned(),
            Ok((_, _, 0, Some(code))) => format!("peer instead of {code}"),
            Ok((_, port, depth, _)) => format!(
                "{}, depth {}{}",
                if request.rules.forwarded {
                    "forwarded"
                } else {
                    "x-forwarded-for"
                },
                match depth {
                    1..4 => "under 4",
                    4..33 => "under 33",
                    _ => "33 and more",
                },
                if port.is_some() { ", port" } else { "" },
            ),
            Err(code) => code.to_owned(),
        };
        *seen.entry(kind).or_default() += 1;
    }
    let expected = [
        "all-trusted",
        "conflict",
        "hop-by-hop",
        "malformed",
        "missing-header",
        "no-address",
        "no-for",
        "too-few-hops",
        "too-many-hops",
        "unidentified",
        "peer",
        "peer instead of all-trusted",
        "peer instead of malformed",
        "peer instead of missing-header",
        "peer instead of too-few-hops",
        "forwarded, depth under 4",
        "forwarded, depth under 4, port",
        "forwarded, depth under 33",
        "forwarded, depth 33 and more",
        "x-forwarded-for, depth under 4",
        "x-forwarded-for, depth under 4, port",
        "x-forwarded-for, depth under 33",
        "x-forwarded-for, depth 33 and more",
    ];
    for kind in expected {
        assert!(
            seen.get(kind).is_some_and(|&times| times >= 5),
            "{kind}: {seen:#?}"
        );
    }
}
