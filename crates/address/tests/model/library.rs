//! The library, asked in the model's words.
//!
//! Used by the tests beside it and by a fuzz target.

use std::net::{IpAddr, SocketAddr};

use truehop::{CrossCheck, OnAllTrusted, OnZone, Otherwise, Peer, Policy, Resolution, Unresolved};

use crate::reference::{Answer, Rules};

/// Whom every generated policy trusts: networks that end inside a byte, and a single address.
pub(crate) const TRUSTED: [&str; 4] = [
    "10.0.0.0/9",
    "192.0.2.7",
    "2001:db8:8000::/33",
    "::ffff:172.16.0.0/108",
];

/// The same for the model, folded by hand.
pub(crate) fn networks() -> Vec<(IpAddr, u8)> {
    let ips = [
        ("10.0.0.0", 9),
        ("192.0.2.7", 32),
        ("2001:db8:8000::", 33),
        ("172.16.0.0", 12),
    ];
    ips.map(|(first, prefix)| (first.parse().unwrap(), prefix))
        .to_vec()
}

pub(crate) fn resolve(rules: &Rules, peer: Option<IpAddr>, headers: &[(&str, Vec<u8>)]) -> Answer {
    let peer = peer.map_or(Peer::UNIX, |ip| SocketAddr::new(ip, 4711).into());
    answer(policy(rules).resolve(peer, headers))
}

pub(crate) fn policy(rules: &Rules) -> Policy {
    let config = if rules.forwarded {
        Policy::forwarded()
    } else {
        Policy::x_forwarded_for()
    };
    let unix = rules.trusts_unix.then_some("unix");
    let mut config = config.trusted(TRUSTED.into_iter().chain(unix));
    let otherwise = |code| match rules.peer_on.contains(&code) {
        true => Otherwise::Peer,
        false => Otherwise::Reject,
    };
    config = config
        .on_missing(otherwise("missing-header"))
        .on_malformed(otherwise("malformed"));
    config = match rules.hops {
        Some(hops) => config.hops(hops as u32).on_too_few(otherwise("too-few-hops")),
        None => config.on_all_trusted(match otherwise("all-trusted") {
            _ if rules.leftmost => OnAllTrusted::Leftmost,
            Otherwise::Peer => OnAllTrusted::Peer,
            Otherwise::Reject => OnAllTrusted::Reject,
        }),
    };
    if let Some(max) = rules.max_hops {
        config = config.max_hops(max as u32);
    }
    if rules.strips_zones {
        config = config.on_zone(OnZone::Strip);
    }
    if rules.cross_check && rules.forwarded {
        config = config.cross_check(CrossCheck::XForwardedFor);
    }
    config.build().unwrap()
}

fn answer(outcome: Result<Resolution, Unresolved>) -> Answer {
    let told = |resolution: Resolution| {
        let client = resolution.client();
        let instead_of = resolution.instead_of().map(Unresolved::code);
        (client.ip(), client.port(), resolution.depth(), instead_of)
    };
    outcome.map(told).map_err(Unresolved::code)
}
