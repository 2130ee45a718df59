//! What must hold for every request, by name.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proptest::prelude::*;
use truehop::proxy_protocol::Progress;
use truehop::{Arrival, Hop, OnUntrusted, Peer, Policy, PolicyConfig, Resolution, Unresolved};

const XFF: &str = "X-Forwarded-For";

/// A list of hops: in which header, and whether a PROXY header in front names the nearest.
#[derive(Clone, Copy, Debug)]
struct Way {
    forwarded: bool,
    prefaced: bool,
}

fn ways() -> impl Strategy<Value = Way> {
    any::<(bool, bool)>().prop_map(|(forwarded, prefaced)| Way { forwarded, prefaced })
}

impl Way {
    fn name(self) -> &'static str {
        if self.forwarded { "Forwarded" } else { XFF }
    }

    /// Walks over trusted entries, or counts.
    fn policy(self, hops: Option<u32>) -> Policy {
        let list = if self.forwarded {
            Policy::forwarded()
        } else {
            Policy::x_forwarded_for()
        };
        let list = list.trusted(["10.0.0.0/8"]);
        let list = if let Some(hops) = hops {
            list.hops(hops)
        } else {
            list
        };
        let preface = || {
            Policy::proxy_protocol()
                .trusted(["10.0.0.0/8"])
                .on_untrusted(OnUntrusted::Plain)
        };
        PolicyConfig::build_steps(self.prefaced.then(preface).into_iter().chain([list])).unwrap()
    }

    /// The connection on which `nearest` is the last hop before us, or before the proxy that names it.
    fn arrive(self, policy: &Policy, nearest: IpAddr) -> Arrival {
        let peer = |ip| Peer::from(SocketAddr::new(ip, 4711));
        if !self.prefaced {
            return peer(nearest).into();
        }
        let line = match nearest {
            IpAddr::V4(ip) => format!("PROXY TCP4 {ip} 192.0.2.1 4711 443\r\n"),
            IpAddr::V6(ip) => format!("PROXY TCP6 {ip} 2001:db8::1 4711 443\r\n"),
        };
        let balancer = peer([10, 255, 255, 1].into());
        match policy
            .preface(balancer)
            .unwrap()
            .unwrap()
            .feed(line.as_bytes())
            .unwrap()
        {
            Progress::Done { arrival, .. } => arrival,
            Progress::NeedMore(needed) => panic!("{needed}"),
        }
    }

    /// An entry as a proxy writes it; `more` fills another parameter where there is one.
    fn entry(self, hop: &str, more: &str) -> String {
        if self.forwarded {
            format!("proto=https;for=\"{hop}\";host={}", quoted(more))
        } else {
            hop.trim_matches(['[', ']']).to_owned()
        }
    }

    /// What a client may write: anything, but in `Forwarded` the quotes must balance.
    fn forged(self, text: &str) -> String {
        match self.forwarded {
            true if text.contains(['"', '\\']) => format!("for={}, x;;={}", quoted(text), quoted(text)),
            _ => text.to_owned(),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// An address as both lists may spell it: in brackets where one of them wants brackets.
fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// What an edge writes for the next server: the verified chain, then its own peer.
fn outward(way: Way, policy: &Policy, resolution: &Resolution, headers: &[(&str, String)]) -> String {
    let hops: Option<Vec<Hop>> = policy.hops(resolution, headers).collect();
    let mut chain: Vec<_> = hops
        .unwrap()
        .iter()
        .rev()
        .map(|hop| bracketed(hop.ip()))
        .collect();
    chain.extend(resolution.peer().ip().map(bracketed));
    let chain: Vec<_> = chain.iter().map(|hop| way.entry(hop, "")).collect();
    chain.join(", ")
}

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
    fn no_header_changes_the_answer_when_the_nearest_is_untrusted_in_any_list(
        way in ways(), nearest in strangers(), one in garbage(), two in garbage(), hops in prop::option::of(1u32..4),
    ) {
        let headers = [(way.name(), one.clone()), ("Connection", way.name().into()), (way.name(), two), ("X-Real-IP", one)];
        let policy = way.policy(hops);
        let resolution = policy.resolve(way.arrive(&policy, nearest), &headers[..]).unwrap();
        prop_assert_eq!(resolution.client().ip(), nearest);
        prop_assert_eq!(resolution.depth(), 0);
        // A stranger in front of a policy that reads PROXY headers must not send one, and is the client.
        let stranger = Peer::from(SocketAddr::new(nearest, 4711));
        if let Some(preface) = policy.preface(stranger).unwrap() {
            let Progress::Done { consumed: 0, arrival, .. } = preface.feed(b"GET / HTTP/1.1\r\n").unwrap() else {
                return Err(TestCaseError::fail("it is plain"));
            };
            prop_assert!(preface.feed(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n").is_err());
            prop_assert_eq!(policy.resolve(arrival, &headers[..]).unwrap().client().ip(), nearest);
        }
    }

    #[test]
    fn adding_entries_left_of_the_client_never_changes_it_in_any_list(
        way in ways(), client in strangers(), chain in prop::collection::vec(ours(), 0..40), nearest in ours(),
        left in garbage(), line in garbage(), on_its_own_line: bool, more in garbage(),
    ) {
        let entries = [bracketed(client)].into_iter().chain(chain.iter().map(ToString::to_string));
        let honest = list(entries.map(|hop| way.entry(&hop, &more)));
        let (left, line) = (way.forged(&left), way.forged(&line));
        let forged = match on_its_own_line {
            true => vec![(way.name(), line), (way.name(), left), (way.name(), honest)],
            false => vec![(way.name(), line), (way.name(), format!("{left},{honest}"))],
        };
        for policy in [way.policy(None), way.policy(Some(chain.len() as u32 + 1))] {
            let resolution = policy.resolve(way.arrive(&policy, nearest.into()), &forged[..]).unwrap();
            prop_assert_eq!(resolution.client().ip(), client);
        }
    }

    #[test]
    fn n_trusted_proxies_resolve_like_one_in_any_list(
        way in ways(), client in strangers(), chain in prop::collection::vec(ours(), 0..70), nearest in ours(),
        lines in prop::collection::vec(any::<bool>(), 71),
    ) {
        let policy = way.policy(None);
        let arrival = way.arrive(&policy, nearest.into());
        let one = policy.resolve(arrival, &[(way.name(), way.entry(&bracketed(client), ""))][..]).unwrap();
        let mut many: Vec<(&str, String)> = Vec::new();
        for (entry, on_its_own_line) in [bracketed(client)].into_iter().chain(chain.iter().map(ToString::to_string)).zip(lines) {
            let entry = way.entry(&entry, ",;");
            match many.last_mut() {
                Some((_, line)) if !on_its_own_line => *line = format!("{line}, {entry}"),
                _ => many.push((way.name(), entry)),
            }
        }
        let many = policy.resolve(arrival, &many[..]).unwrap();
        prop_assert_eq!(one.client(), many.client());
        prop_assert_eq!(many.depth(), chain.len() + 1);
    }

    #[test]
    fn explain_agrees_with_resolve_in_any_list(
        way in ways(), nearest in prop_oneof![strangers(), ours().prop_map(IpAddr::V4)], one in garbage(), two in garbage(),
        hops in prop::option::of(1u32..4), read: bool,
    ) {
        let headers = [(way.name(), way.forged(&one)), (XFF, two.clone()), ("Forwarded", two)];
        let policy = way.policy(hops);
        // A connection that nobody looked at is refused where somebody should have.
        let arrival = if read { way.arrive(&policy, nearest) } else { Peer::from(SocketAddr::new(nearest, 4711)).into() };
        let explanation = policy.explain(arrival, &headers[..]);
        prop_assert_eq!(explanation.outcome(), policy.resolve(arrival, &headers[..]));
        prop_assert!(read || !way.prefaced || explanation.outcome() == Err(Unresolved::BadProxyHeader));
        prop_assert!(explanation.to_string().bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
    }

    #[test]
    fn what_the_edge_writes_the_resolver_accepts(
        (inward, out) in (ways(), any::<bool>()), client in strangers(), chain in prop::collection::vec(ours(), 0..5),
        nearest in prop_oneof![1 => strangers(), 3 => ours().prop_map(IpAddr::V4)], left in garbage(), spoilt in garbage(), honest: bool,
    ) {
        let entries = [bracketed(client)].into_iter().chain(chain.iter().map(ToString::to_string));
        let honest_list = list(entries.map(|hop| inward.entry(&hop, "")));
        let text = if honest { format!("{},{honest_list}", inward.forged(&left)) } else { inward.forged(&spoilt) };
        let headers = [(inward.name(), text)];
        let policy = inward.policy(None);
        let Ok(resolution) = policy.resolve(inward.arrive(&policy, nearest), &headers[..]) else {
            prop_assert!(!honest);
            return Ok(());
        };
        // The next server sees the edge as its peer, reads either list, and finds the same client.
        let next = Way { forwarded: out, prefaced: false };
        let written = outward(next, &policy, &resolution, &headers);
        let edge = Peer::from(SocketAddr::new([10, 0, 0, 99].into(), 4711));
        let told = next.policy(None).resolve(edge, &[(next.name(), written.clone())][..]);
        prop_assert_eq!(told.map(|told| told.client().ip()), Ok(resolution.client().ip()), "{}", written);
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
