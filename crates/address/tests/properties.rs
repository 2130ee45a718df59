//! What must hold for every request, by name.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proptest::prelude::*;
use truehop::{Peer, Policy, Resolution, Unresolved};

const XFF: &str = "X-Forwarded-For";

/// Proxies of ours live in 10.0.0.0/8.
fn ours() -> impl Strategy<Value = Ipv4Addr> {
    any::<[u8; 3]>().prop_map(|[b, c, d]| Ipv4Addr::new(10, b, c, d))
}

/// Anybody else.
fn strangers() -> impl Strategy<Value = IpAddr> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits)));
    let v6 = any::<u128>().prop_map(|bits| IpAddr::from(bits.to_be_bytes()));
    prop_oneof![v4, v6]
        .prop_map(|ip| ip.to_canonical())
        .prop_filter("ours or nobody", |ip| {
            !ip.is_unspecified() && !matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 10)
        })
}

/// What a client may write: any bytes that can stand in a field.
fn garbage() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-fA-F.:,\\[\\]%\" _-]{0,60}",
        "unknown|_hidden|10\\.0\\.0\\.[0-9]|,{1,9}",
        "\\PC{0,40}"
    ]
}

fn walking() -> Policy {
    Policy::x_forwarded_for().trusted(["10.0.0.0/8"]).build().unwrap()
}

fn counting(hops: u32) -> Policy {
    Policy::x_forwarded_for()
        .trusted(["10.0.0.0/8"])
        .hops(hops)
        .build()
        .unwrap()
}

fn resolve(policy: &Policy, peer: IpAddr, headers: &[(&str, String)]) -> Result<Resolution, Unresolved> {
    policy.resolve(Peer::from(SocketAddr::new(peer, 4711)), headers)
}

fn list(entries: impl IntoIterator<Item = impl ToString>) -> String {
    entries
        .into_iter()
        .map(|entry| entry.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_header_changes_the_answer_when_the_peer_is_untrusted(
        peer in strangers(), one in garbage(), two in garbage(), hops in 1u32..4,
    ) {
        let headers = [(XFF, one.clone()), ("X-Real-IP", two), ("Connection", XFF.into()), (XFF, one)];
        let header = Policy::header("X-Real-IP").trusted(["10.0.0.0/8"]).build().unwrap();
        for policy in [walking(), counting(hops), header, Policy::peer()] {
            let resolution = resolve(&policy, peer, &headers).unwrap();
            prop_assert_eq!(resolution.client().ip(), peer);
            prop_assert_eq!(resolution.depth(), 0);
        }
    }

    #[test]
    fn adding_entries_left_of_the_client_never_changes_it(
        client in strangers(), chain in prop::collection::vec(ours(), 0..4), peer in ours(),
        left in garbage(), line in garbage(), on_its_own_line: bool,
    ) {
        let honest = list([client.to_string()].into_iter().chain(chain.iter().map(ToString::to_string)));
        let forged = match on_its_own_line {
            true => vec![(XFF, line), (XFF, left), (XFF, honest)],
            false => vec![(XFF, line), (XFF, format!("{left},{honest}"))],
        };
        for policy in [walking(), counting(chain.len() as u32 + 1)] {
            prop_assert_eq!(resolve(&policy, peer.into(), &forged).unwrap().client().ip(), client);
        }
    }

    #[test]
    fn n_trusted_proxies_resolve_like_one(
        client in strangers(), chain in prop::collection::vec(ours(), 0..30), peer in ours(),
    ) {
        let one = resolve(&walking(), peer.into(), &[(XFF, client.to_string())]).unwrap();
        let entries = [client.to_string()].into_iter().chain(chain.iter().map(ToString::to_string));
        let many: Vec<_> = entries.map(|entry| (XFF, entry)).collect();
        let many = resolve(&walking(), peer.into(), &many).unwrap();
        prop_assert_eq!(one.client(), many.client());
        prop_assert_eq!(many.depth(), chain.len() + 1);
    }

    #[test]
    fn explain_agrees_with_resolve_and_nothing_panics(
        peer in prop_oneof![strangers(), ours().prop_map(IpAddr::V4)], one in garbage(), two in garbage(), hops in 1u32..4,
    ) {
        let headers = [(XFF, one), ("X-Real-IP", two.clone()), (XFF, two)];
        let header = Policy::header("X-Real-IP").trusted(["10.0.0.0/8"]).build().unwrap();
        for policy in [walking(), counting(hops), header, Policy::peer()] {
            let explanation = policy.explain(Peer::from(SocketAddr::new(peer, 4711)), &headers[..]);
            prop_assert_eq!(explanation.outcome(), resolve(&policy, peer, &headers));
            prop_assert!(explanation.to_string().bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
        }
    }

    #[test]
    fn the_verified_hops_end_at_the_client(
        client in strangers(), chain in prop::collection::vec(ours(), 0..4), peer in ours(), left in garbage(),
    ) {
        let headers = [(XFF, format!("{left},{}", list([client.to_string()].into_iter().chain(chain.iter().map(ToString::to_string)))))];
        let policy = walking();
        let resolution = resolve(&policy, peer.into(), &headers).unwrap();
        let hops: Vec<_> = policy.hops(&resolution, &headers[..]).map(|hop| hop.unwrap().ip()).collect();
        let expected: Vec<_> = chain.iter().rev().map(|&ip| IpAddr::V4(ip)).chain([client]).collect();
        prop_assert_eq!(hops, expected);
    }
}
