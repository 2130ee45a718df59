//! `resolve` against the reference model of the library's own tests.
#![no_main]

#[path = "../../crates/address/tests/model/library.rs"]
mod library;
#[path = "../../crates/address/tests/model/reference.rs"]
mod reference;

use std::net::IpAddr;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use reference::Rules;

/// One request, small enough for the fuzzer to keep its bytes in view.
#[derive(Arbitrary, Debug)]
struct Request<'a> {
    forwarded: bool,
    unix: bool,
    strips_zones: bool,
    cross_check: bool,
    leftmost: bool,
    /// One bit for each error that the peer may stand in for.
    peer_on: u8,
    hops: u8,
    max_hops: u8,
    peer: PeerKind,
    /// Field lines, each led by a byte that says of which field.
    lines: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum PeerKind {
    Trusted,
    TrustedV6,
    Stranger(u32),
    Unix,
}

fuzz_target!(|request: Request<'_>| {
    let codes = ["missing-header", "malformed", "too-few-hops", "all-trusted"];
    let peer_on: Vec<_> = (0..4)
        .filter(|bit| request.peer_on >> bit & 1 == 1)
        .map(|bit| codes[bit])
        .collect();
    let hops = Some(usize::from(request.hops % 8)).filter(|&hops| hops > 0);
    let rules = Rules {
        forwarded: request.forwarded,
        trusted: library::networks(),
        trusts_unix: request.unix,
        hops,
        max_hops: Some(usize::from(request.max_hops % 64)).filter(|&max| max > 0),
        strips_zones: request.strips_zones,
        cross_check: request.cross_check,
        leftmost: request.leftmost && hops.is_none() && !peer_on.contains(&"all-trusted"),
        peer_on,
    };
    let peer: Option<IpAddr> = match request.peer {
        PeerKind::Trusted => Some([10, 0, 0, 1].into()),
        PeerKind::TrustedV6 => Some("2001:db8:8000::1".parse().unwrap()),
        PeerKind::Stranger(bits) => Some(bits.to_be_bytes().into()),
        PeerKind::Unix => None,
    };
    let headers: Vec<(&str, Vec<u8>)> = request
        .lines
        .split(|&b| b == b'\n')
        .map(|line| match line {
            [b'c', value @ ..] => ("Connection", value.to_vec()),
            [b'x', value @ ..] => ("X-Forwarded-For", value.to_vec()),
            [b'f', value @ ..] => ("Forwarded", value.to_vec()),
            value if request.forwarded => ("forwarded", value.to_vec()),
            value => ("x-forwarded-for", value.to_vec()),
        })
        .collect();
    assert_eq!(
        library::resolve(&rules, peer, &headers),
        reference::resolve(&rules, peer, &headers),
        "{rules:?} {peer:?} {:?}",
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.escape_ascii()))
            .collect::<Vec<_>>()
    );
});
