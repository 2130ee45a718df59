//! `explain` tells what `resolve` says, in bytes that a terminal and a JSON reader can be shown.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use truehop::proxy_protocol::Progress;
use truehop::{Arrival, CrossCheck, Format, OnDuplicate, OnUntrusted, Peer, Policy, PolicyConfig};

#[derive(Arbitrary, Debug)]
struct Request<'a> {
    policy: u8,
    trusted_peer: bool,
    /// How many of the bytes arrive before the request, when a policy reads that.
    preface: u8,
    /// After those, field lines; the first byte of each is its name's place in [`NAMES`].
    bytes: &'a [u8],
}

const NAMES: [&str; 8] = [
    "X-Forwarded-For",
    "Forwarded",
    "X-Real-IP",
    "Connection",
    "forwarded",
    "CF-Connecting-IP",
    "X_Forwarded_For",
    "Via",
];

fuzz_target!(|request: Request<'_>| {
    let policy = policy(request.policy);
    let peer: Peer = if request.trusted_peer {
        "10.0.0.1:1"
    } else {
        "[2001:db8::7]:1"
    }
    .parse()
    .unwrap();
    let (wire, lines) = request
        .bytes
        .split_at(usize::from(request.preface).min(request.bytes.len()));
    let arrival = match policy.preface(peer) {
        Ok(Some(preface)) => match preface.feed(wire) {
            Ok(Progress::Done { arrival, .. }) => arrival,
            _ => peer.into(),
        },
        _ => Arrival::from(peer),
    };
    let lines = lines.split(|&b| b == b'\n').filter_map(|line| line.split_first());
    let named = |(name, value): (&u8, &[u8])| (NAMES[usize::from(*name) % NAMES.len()], value.to_vec());
    let headers: Vec<(&str, Vec<u8>)> = lines.map(named).collect();

    let explanation = policy.explain(arrival, &headers[..]);
    assert_eq!(explanation.outcome(), policy.resolve(arrival, &headers[..]));
    let ladder = explanation.to_string();
    assert!(
        ladder.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)),
        "{ladder:?}"
    );
    let json = serde_json::to_value(&explanation).unwrap();
    match explanation.outcome() {
        Ok(resolution) => assert_eq!(json["client"], resolution.client().ip().to_string()),
        Err(why) => assert_eq!(json["error"], why.code()),
    }
});

fn policy(choice: u8) -> Policy {
    let header = match choice & 7 {
        0 => Policy::x_forwarded_for(),
        1 => Policy::forwarded(),
        2 => Policy::forwarded().cross_check(CrossCheck::XForwardedFor),
        3 => Policy::header("X-Real-IP"),
        4 => Policy::header("X-Real-IP")
            .on_duplicate(OnDuplicate::Last)
            .format(Format::IpPortUnbracketed),
        5 => Policy::x_forwarded_for().hops(2),
        6 => Policy::forwarded().hops(1).max_hops(3),
        _ => return PolicyConfig::build_steps([preface()]).unwrap(),
    };
    let header = header.trusted(["10.0.0.0/8", "192.0.2.0/24"]);
    let steps = if choice & 8 == 0 {
        vec![header]
    } else {
        vec![preface(), header]
    };
    PolicyConfig::build_steps(steps).unwrap()
}

fn preface() -> PolicyConfig {
    Policy::proxy_protocol()
        .trusted(["10.0.0.0/8"])
        .on_untrusted(OnUntrusted::Plain)
}
