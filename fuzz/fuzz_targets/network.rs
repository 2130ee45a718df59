//! Rules: one a line, after the sixteen bytes of an address. What is read is shown and read again, and a set of them contains what its rules contain.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use truehop::{Network, Peer, Policy};

fuzz_target!(|input: ([u8; 16], &str)| {
    let (octets, text) = input;
    let ip = match octets {
        // Half of all inputs are about IPv4.
        [family, _, _, _, .., a, b, c, d] if family & 1 == 0 => IpAddr::from([a, b, c, d]),
        octets => IpAddr::from(octets),
    };
    let ip = ip.to_canonical();
    let mut networks = Vec::new();
    for line in text.lines() {
        let Ok(network) = line.parse::<Network>() else {
            continue;
        };
        let shown = network.to_string();
        assert_eq!(shown.parse(), Ok(network), "{line:?} is shown as {shown:?}");
        assert!(network.prefix() <= 128);
        networks.push(network);
    }

    let rules: Vec<_> = networks.iter().map(ToString::to_string).collect();
    let all = rules.iter().any(|rule| rule.ends_with("/0"));
    let built = Policy::header("X-Real-IP").trusted(rules.clone()).build();
    assert_eq!(built.is_err(), all);
    let Ok(policy) = built else {
        return;
    };
    let peer = Peer::from(std::net::SocketAddr::new(ip, 0));
    let mut beside = vec![ip];
    beside.extend(networks.iter().filter_map(|network| first(network)));
    for ip in beside {
        let peer = Peer::from(std::net::SocketAddr::new(ip, 0));
        assert_eq!(
            policy.trusts(peer),
            networks.iter().any(|network| naive(network, ip)),
            "{rules:?} {ip}"
        );
        assert_eq!(
            policy.trusts(peer),
            networks.iter().any(|network| network.contains(ip))
        );
    }
    assert!(!Policy::peer().trusts(peer));
});

/// Whether the first bits agree, bit for bit.
fn naive(network: &Network, ip: IpAddr) -> bool {
    let Some(first) = first(network) else {
        return false;
    };
    let bits = |ip: IpAddr| -> Vec<bool> {
        let octets = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        octets
            .iter()
            .flat_map(|octet| (0..8).map(move |bit| octet << bit & 0x80 != 0))
            .collect()
    };
    let prefix = usize::from(network.prefix());
    first.is_ipv4() == ip.is_ipv4() && bits(first)[..prefix] == bits(ip)[..prefix]
}

/// The first address, as shown.
fn first(network: &Network) -> Option<IpAddr> {
    let shown = network.to_string();
    shown.split('/').next()?.parse().ok()
}
