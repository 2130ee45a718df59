//! One entry of a header, alone and as the element of each list: read like the model, and its Display is read again.
#![no_main]

#[path = "../../crates/address/tests/model/reference.rs"]
#[expect(dead_code, reason = "only its reading of entries is asked")]
mod reference;

use libfuzzer_sys::fuzz_target;
use truehop::{Client, Format, OnZone, Peer, Policy, Unresolved};

fuzz_target!(|input: &[u8]| {
    let single = || Policy::header("X-Real-IP").trusted_any();
    let entry: Vec<u8> = input.iter().copied().filter(|&b| b != b',').collect();
    // The library trims what surrounds a value, the model's reader does not.
    let entry = entry.trim_ascii();
    for zone in [OnZone::Reject, OnZone::Strip] {
        let told = client(single().on_zone(zone), "X-Real-IP", entry);
        assert_eq!(
            told,
            client(
                Policy::x_forwarded_for().trusted_any().hops(1).on_zone(zone),
                "x-forwarded-for",
                entry
            )
        );
        let model = match entry {
            b"" => Err("missing-header"),
            _ => reference::node(entry, zone == OnZone::Strip),
        };
        assert_eq!(
            told.map(|client| (client.ip(), client.port()))
                .map_err(Unresolved::code),
            model
        );
        reads_again(told);

        let quoted = [b"for=\"", entry, b"\""].concat();
        let element = client(
            Policy::forwarded().trusted_any().hops(1).on_zone(zone),
            "Forwarded",
            &quoted,
        );
        reads_again(element);
        // RFC 7239 demands brackets around IPv6 and lets a port be hidden; for all else the two agree.
        let plain = !entry.iter().any(|b| b"\\\"_".contains(b));
        if let (Ok(element), true) = (element, plain) {
            assert_eq!(told, Ok(element));
        }
    }
    reads_again(client(
        single().format(Format::IpPortUnbracketed),
        "X-Real-IP",
        input,
    ));
});

fn client(config: truehop::PolicyConfig, name: &str, value: &[u8]) -> Result<Client, Unresolved> {
    let peer: Peer = "198.51.100.7:4711".parse().unwrap();
    config
        .build()
        .unwrap()
        .resolve(peer, &[(name, value)][..])
        .map(|resolution| resolution.client())
}

fn reads_again(told: Result<Client, Unresolved>) {
    let Ok(told) = told else {
        return;
    };
    assert!(!told.ip().is_unspecified());
    assert_eq!(told.ip(), told.ip().to_canonical());
    let again = client(
        Policy::header("X-Real-IP").trusted_any(),
        "X-Real-IP",
        told.to_string().as_bytes(),
    );
    assert_eq!(again, Ok(told));
}
