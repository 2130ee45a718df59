//! PROXY headers as the crate `ppp` reads them. Where the two differ, the difference is listed with its reason;
//! one that is not listed fails, and so does an entry of the list that no longer occurs.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ppp::{HeaderResult, PartialResult, v1, v2};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use truehop::proxy_protocol::{Parsed, Tlv, Versions, parse};

/// What a reader makes of the bytes so far.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Story {
    NeedMore,
    Bad,
    Done {
        consumed: usize,
        ends: Option<(SocketAddr, SocketAddr)>,
        tlvs: Vec<(u8, Vec<u8>)>,
    },
}

use Story::{Bad, Done, NeedMore};

/// A difference that is meant.
struct Difference {
    name: &'static str,
    /// Why ours is right, or why both are.
    reason: &'static str,
    /// What the two say of these bytes.
    is: fn(&[u8], &Story, &Story) -> bool,
}

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

const DIFFERENCES: [Difference; 12] = [
    Difference {
        name: "signed port",
        reason: "a port is digits (section 2.1); ppp reads it with u16::from_str, which takes a sign",
        is: |wire, ours, theirs| (ours, is_done(theirs)) == (&Bad, true) && is_v1(wire) && has(wire, b" +"),
    },
    Difference {
        name: "UNKNOWN with data",
        reason: "all that follows UNKNOWN is to be ignored up to the line's end (section 2.1); ppp takes six words",
        is: |wire, ours, theirs| is_done(ours) && !is_done(theirs) && wire.starts_with(b"PROXY UNKNOWN "),
    },
    Difference {
        name: "unfinished line",
        reason: "we judge whole lines; ppp judges the words so far, and refuses an empty one that bytes would fill",
        is: |wire, ours, theirs| (ours, theirs) == (&NeedMore, &Bad) && is_v1(wire),
    },
    Difference {
        name: "a word that has ended",
        reason: "only a blank separates words, only CR LF ends the line, and a part of PROXY that has ended is not PROXY; \
                 ppp splits at CR too, and waits for the rest",
        is: |wire, ours, theirs| {
            let first = wire.split(|b| b" \r".contains(b)).next().unwrap_or_default();
            let is_part = first.len() < wire.len() && first.len() < 5 && b"PROXY".starts_with(first);
            let has_return = wire.starts_with(b"PROXY") && has(wire, b"\r");
            (ours, theirs) == (&Bad, &NeedMore) && (is_part || has_return)
        },
    },
    Difference {
        name: "line feed alone",
        reason: "a line feed without CR before it is refused at once (section 2.1); ppp looks for CR only",
        is: |wire, ours, theirs| {
            let line_feed = wire.iter().position(|&b| b == b'\n');
            let alone = line_feed.is_some_and(|at| !wire[..at].ends_with(b"\r"));
            ours == &Bad && theirs != &Bad && is_v1(wire) && alone
        },
    },
    Difference {
        name: "longer than 4096",
        reason: "our bound; no proxy writes so much, and the specification's 65,551 bytes are a gift to attackers",
        is: |wire, ours, theirs| {
            (ours, theirs != &Bad) == (&Bad, true) && announced(wire).is_some_and(|n| n > 4080)
        },
    },
    Difference {
        name: "LOCAL with too few bytes",
        reason: "what a LOCAL header carries is skipped unread (section 2.2)",
        is: |wire, ours, theirs| {
            ours != &Bad && theirs == &Bad && wire.get(12) == Some(&0x20) && !names_no_family(wire)
        },
    },
    Difference {
        name: "LOCAL of no known family",
        reason: "a LOCAL header is valid and its family is ignored (section 2.2); ppp refuses one that is unassigned",
        is: |wire, ours, theirs| {
            ours != &Bad && theirs == &Bad && wire.get(12) == Some(&0x20) && names_no_family(wire)
        },
    },
    Difference {
        name: "too short, and not yet there",
        reason: "the length cannot hold the addresses: ppp says so before the bytes are there, we when they are",
        is: |wire, ours, theirs| (ours, theirs) == (&NeedMore, &Bad) && wire.get(12) == Some(&0x21),
    },
    Difference {
        name: "wrong checksum",
        reason: "a checksum that is there must be verified (section 2.2.3); ppp does not",
        is: |wire, ours, theirs| {
            (ours, is_done(theirs)) == (&Bad, true)
                && tlvs_of(theirs).iter().any(|(kind, _)| *kind == 3)
                && !is_v1(wire)
        },
    },
    Difference {
        name: "values that do not fill the header",
        reason: "ppp finds out only when they are iterated, after it has told the address",
        is: |wire, ours, theirs| {
            (ours, is_done(theirs)) == (&Bad, true)
                && tlvs_of(theirs).iter().any(|tlv| tlv.0 == BROKEN)
                && !is_v1(wire)
        },
    },
    Difference {
        name: "a value of impossible length",
        reason: "a unique id has at most 128 bytes (2.2.5), an SSL value five and whole parts (2.2.6); ppp passes it on",
        is: |wire, ours, theirs| {
            let odd = |(kind, value): &(u8, Vec<u8>)| match kind {
                0x05 => value.len() > 128,
                0x20 => value.len() < 5 || !parts_fit(&value[5..]),
                _ => false,
            };
            (ours, is_done(theirs)) == (&Bad, true) && tlvs_of(theirs).iter().any(odd) && !is_v1(wire)
        },
    },
];

/// Stands in a story for the first value that could not be read.
const BROKEN: u8 = 0xff;

fn is_done(story: &Story) -> bool {
    matches!(story, Done { .. })
}

fn tlvs_of(story: &Story) -> &[(u8, Vec<u8>)] {
    match story {
        Done { tlvs, .. } => tlvs,
        _ => &[],
    }
}

fn is_v1(wire: &[u8]) -> bool {
    wire.starts_with(b"PROXY ")
}

fn has(wire: &[u8], part: &[u8]) -> bool {
    wire.windows(part.len()).any(|window| window == part)
}

/// The length that a header of version 2 announces.
fn announced(wire: &[u8]) -> Option<usize> {
    let whole = wire.starts_with(V2_SIGNATURE) && wire.len() >= 16;
    whole.then(|| usize::from(u16::from_be_bytes([wire[14], wire[15]])))
}

/// Whether the family or the transport of a header of version 2 is not assigned.
fn names_no_family(wire: &[u8]) -> bool {
    wire.get(13).is_some_and(|byte| byte >> 4 > 3 || byte & 0xf > 2)
}

fn parts_fit(mut parts: &[u8]) -> bool {
    while let [_, high, low, rest @ ..] = parts {
        let Some(rest) = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..) else {
            return false;
        };
        parts = rest;
    }
    parts.is_empty()
}

fn ours(wire: &[u8]) -> Story {
    match parse(wire, Versions::BOTH) {
        Err(_) => Bad,
        Ok(Parsed::NeedMore(_)) => NeedMore,
        Ok(Parsed::Done { consumed, header }) => Done {
            consumed,
            ends: header.addresses.map(|ends| (ends.source, ends.destination)),
            tlvs: header.tlvs.iter().map(raw).collect(),
        },
    }
}

/// Type and bytes again; the parts of SSL in their order.
fn raw(tlv: Tlv<'_>) -> (u8, Vec<u8>) {
    match tlv {
        Tlv::Alpn(value) => (0x01, value.to_vec()),
        Tlv::Authority(value) => (0x02, value.to_vec()),
        Tlv::Crc32c(checksum) => (0x03, checksum.to_be_bytes().to_vec()),
        Tlv::UniqueId(value) => (0x05, value.to_vec()),
        Tlv::Ssl(ssl) => {
            let client = u8::from(ssl.is_tls()) | u8::from(ssl.has_certificate()) << 1;
            let mut value = vec![client];
            value.extend(ssl.verify.to_be_bytes());
            for (kind, part) in ssl.values() {
                value.push(kind);
                value.extend((part.len() as u16).to_be_bytes());
                value.extend(part);
            }
            (0x20, value)
        }
        Tlv::Netns(value) => (0x30, value.to_vec()),
        Tlv::Other { kind, value } => (kind, value.to_vec()),
        other => panic!("{other:?} is new"),
    }
}

/// What `ppp` says, with the specification's rules that it leaves to its caller: LOCAL, UNSPEC, Unix sockets and
/// datagrams name nobody (section 2.2), and padding says nothing.
fn theirs(wire: &[u8]) -> Story {
    let result = HeaderResult::parse(wire);
    if result.is_incomplete() {
        return NeedMore;
    }
    match result {
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Bad,
        HeaderResult::V1(Ok(header)) => Done {
            consumed: header.header.len(),
            ends: match header.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(ip) => Some(ends(
                    (ip.source_address.into(), ip.source_port),
                    (ip.destination_address.into(), ip.destination_port),
                )),
                v1::Addresses::Tcp6(ip) => Some(ends(
                    (ip.source_address.into(), ip.source_port),
                    (ip.destination_address.into(), ip.destination_port),
                )),
            },
            tlvs: vec![],
        },
        HeaderResult::V2(Ok(header)) => {
            let speaks =
                header.command == v2::Command::Proxy && header.addresses != v2::Addresses::Unspecified;
            let mut tlvs = Vec::new();
            for tlv in header.tlvs().take_while(|_| speaks) {
                match tlv {
                    Ok(tlv) if tlv.kind == 4 => {}
                    // Only the two low bits of an SSL value's first byte are asked for.
                    Ok(tlv) => tlvs.push((tlv.kind, tlv.value.to_vec())),
                    Err(_) => tlvs.push((BROKEN, vec![])),
                }
            }
            for (kind, value) in &mut tlvs {
                if let (0x20, [first, ..]) = (*kind, &mut value[..]) {
                    *first &= 3;
                }
            }
            Done {
                consumed: header.len(),
                ends: match header.addresses {
                    _ if !speaks || header.protocol != v2::Protocol::Stream => None,
                    v2::Addresses::IPv4(ip) => Some(ends(
                        (ip.source_address.into(), ip.source_port),
                        (ip.destination_address.into(), ip.destination_port),
                    )),
                    v2::Addresses::IPv6(ip) => Some(ends(
                        (ip.source_address.into(), ip.source_port),
                        (ip.destination_address.into(), ip.destination_port),
                    )),
                    v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
                },
                tlvs,
            }
        }
    }
}

fn ends(source: (IpAddr, u16), destination: (IpAddr, u16)) -> (SocketAddr, SocketAddr) {
    (source.into(), destination.into())
}

/// The listed difference between the two stories of `wire`; `Ok(None)` when there is none.
fn difference(wire: &[u8]) -> Result<Option<&'static str>, String> {
    let (ours, theirs) = (ours(wire), theirs(wire));
    if ours == theirs {
        return Ok(None);
    }
    let listed = DIFFERENCES
        .iter()
        .find(|difference| (difference.is)(wire, &ours, &theirs));
    listed
        .map(|difference| Some(difference.name))
        .ok_or_else(|| format!("{}: ours {ours:?}, theirs {theirs:?}", wire.escape_ascii()))
}

fn v1_line() -> BoxedStrategy<Vec<u8>> {
    let port = prop_oneof![4 => any::<u16>().prop_map(|port| port.to_string()), 1 => "[+-]?0{0,2}[0-9]{1,6}"];
    let v4 = || any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes()).to_string());
    let v6 = || any::<u128>().prop_map(|bits| IpAddr::from((bits & (bits << 40)).to_be_bytes()).to_string());
    let tcp4 =
        (v4(), v4(), port.clone(), port.clone()).prop_map(|(s, d, sp, dp)| format!("TCP4 {s} {d} {sp} {dp}"));
    let tcp6 =
        (v6(), v6(), port.clone(), port.clone()).prop_map(|(s, d, sp, dp)| format!("TCP6 {s} {d} {sp} {dp}"));
    let wrong = (v4(), v6(), port.clone(), port).prop_map(|(s, d, sp, dp)| format!("TCP4 {s} {d} {sp} {dp}"));
    let unknown = "UNKNOWN( [ -~]{0,90})?|UNKNOWN[A-Z ]{0,9}";
    let line = prop_oneof![5 => tcp4, 5 => tcp6, 1 => wrong, 4 => unknown];
    let line = line.prop_map(String::into_bytes);
    // Text or not.
    let ignored =
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| [b"UNKNOWN ", &bytes[..]].concat());
    let line = prop_oneof![15 => line, 1 => ignored];
    let end = prop_oneof![12 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\n\r\n"), 1 => Just(" \r\n")];
    (line, end)
        .prop_map(|(line, end)| [b"PROXY ", &line[..], end.as_bytes()].concat())
        .boxed()
}

/// The checksum by its definition, a bit at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        if crc & 1 == 1 {
            crc >> 1 ^ 0x82f6_3b78
        } else {
            crc >> 1
        }
    };
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc))
    })
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat()
}

fn v2_header() -> BoxedStrategy<Vec<u8>> {
    let bytes = |range| prop::collection::vec(any::<u8>(), range);
    let part = (0x21..0x26_u8, bytes(0..9)).prop_map(|(kind, value)| tlv(kind, &value));
    let ssl =
        (any::<u8>(), any::<u32>(), prop::collection::vec(part, 0..3)).prop_map(|(client, verify, parts)| {
            tlv(
                0x20,
                &[&[client][..], &verify.to_be_bytes(), &parts.concat()].concat(),
            )
        });
    let value = prop_oneof![
        4 => (prop::sample::select(vec![1, 2, 4, 0x30, 0xea, 0xee]), bytes(0..20)).prop_map(|(kind, value)| tlv(kind, &value)),
        2 => ssl,
        1 => bytes(0..150).prop_map(|value| tlv(5, &value)),
        1 => bytes(0..9).prop_map(|value| tlv(0x20, &value)),
        1 => bytes(3..5).prop_map(|value| tlv(3, &value)),
    ];
    let values = prop_oneof![20 => prop::collection::vec(value, 0..4), 1 => bytes(4060..4120).prop_map(|value| vec![tlv(2, &value)])];
    let command = prop_oneof![8 => Just(0x21), 2 => Just(0x20), 1 => any::<u8>()];
    let family = prop_oneof![4 => Just(0x11), 4 => Just(0x21), 2 => prop::sample::select(vec![0, 1, 0x12, 0x22, 0x31, 0x32]), 1 => any::<u8>()];
    let trailer = prop_oneof![8 => Just(vec![]), 1 => bytes(1..5)];
    let addresses = prop_oneof![8 => Just(None), 1 => (0..40_usize).prop_map(Some)];
    (
        command,
        family,
        bytes(216..217),
        addresses,
        values,
        any::<[bool; 2]>(),
        trailer,
    )
        .prop_map(
            |(command, family, ends, length, values, [checked, late], trailer)| {
                let length = length.unwrap_or([0, 12, 36, 216][usize::from(family >> 4) % 4]);
                let mut values = values;
                if checked {
                    values.insert(if late { values.len() } else { 0 }, tlv(3, &[0; 4]));
                }
                let at: usize = values
                    .iter()
                    .take(if late { values.len().saturating_sub(1) } else { 0 })
                    .map(Vec::len)
                    .sum();
                let body = [&ends[..length], &values.concat(), &trailer].concat();
                let mut header = [
                    V2_SIGNATURE,
                    &[command, family],
                    &(body.len() as u16).to_be_bytes(),
                    &body,
                ]
                .concat();
                if checked {
                    let at = 16 + length + at + 3;
                    let checksum = crc32c(&header).to_be_bytes();
                    header[at..at + 4].copy_from_slice(&checksum);
                }
                header
            },
        )
        .boxed()
}

/// A header with what comes after it, cut anywhere, and sometimes damaged.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![v1_line(), v2_header()];
    let payload = prop_oneof![2 => Just(&b""[..]), 1 => Just(&b"GET / HTTP/1.1\r\n\r\n"[..]), 1 => Just(&b"\r\n\xff"[..])];
    let byte = prop_oneof![1 => prop::sample::select(b" \r\n+0:.P\x20\x21\x03".to_vec()), 1 => any::<u8>()];
    let damage = prop_oneof![
        1 => Just(vec![]),
        1 => prop::collection::vec((any::<prop::sample::Index>(), byte, 0..3_u8), 1..4),
    ];
    let cut = prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    (header, payload, damage, cut).prop_map(|(header, payload, damage, cut)| {
        let mut wire = [&header[..], payload].concat();
        for (at, byte, how) in damage {
            // Most of what matters stands at the start.
            let at = at.index(wire.len().min(120));
            match how {
                0 => wire[at] = byte,
                1 => wire.insert(at, byte),
                _ => drop(wire.remove(at)),
            }
        }
        if let Some(cut) = cut {
            wire.truncate(cut.index(wire.len()));
        }
        wire
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn every_difference_from_ppp_is_listed(wire in wire()) {
        if let Err(unlisted) = difference(&wire) {
            prop_assert!(false, "{unlisted}");
        }
    }
}

#[test]
fn every_listed_difference_occurs() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut seen: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for _ in 0..20_000 {
        let wire = wire().new_tree(&mut runner).unwrap().current();
        *seen.entry(difference(&wire).unwrap()).or_default() += 1;
    }
    for Difference { name, reason, .. } in &DIFFERENCES {
        assert!(
            seen.contains_key(&Some(*name)),
            "{name} ({reason}) never occurred: {seen:#?}"
        );
    }
    // The list does not swallow everything.
    assert!(seen[&None] > 10_000, "{seen:#?}");
}
