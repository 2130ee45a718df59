//! What must hold for any list of hops, whatever its header.
//!
//! Used by the targets `forwarded` and `x_forwarded_for`.

use truehop::{OnAllTrusted, OnZone, OriginPart, Otherwise, Peer, PolicyConfig};

/// Places of policies in [`hold`].
const MAX_HOPS: usize = 1;
const LEFTMOST: usize = 2;

/// Resolves a header whose lines are the lines of `input` under several policies.
pub fn hold(name: &str, config: fn() -> PolicyConfig, input: &[u8]) {
    let peer: Peer = "10.0.0.1:4711".parse().unwrap();
    let stranger: Peer = "198.51.100.7:4711".parse().unwrap();
    let headers: Vec<(&str, &[u8])> = input.split(|&b| b == b'\n').map(|line| (name, line)).collect();
    let trusted = || {
        config()
            .trusted(["10.0.0.0/8", "2001:db8::/32"])
            .origin([OriginPart::Proto, OriginPart::Host])
    };
    let policies = [
        trusted(),
        trusted().on_zone(OnZone::Strip).max_hops(40),
        trusted()
            .on_all_trusted(OnAllTrusted::Leftmost)
            .on_malformed(Otherwise::Peer),
        trusted().hops(1),
        trusted().hops(3).on_too_few(Otherwise::Peer),
    ];
    for (index, policy) in policies.map(|config| config.build().unwrap()).iter().enumerate() {
        let untouched = policy.resolve(stranger, &headers[..]).unwrap();
        assert_eq!(untouched.client().ip(), stranger.ip().unwrap());
        let outcome = policy.resolve(peer, &headers[..]);
        let Ok(resolution) = outcome else {
            continue;
        };
        let hops: Vec<_> = policy.hops(&resolution, &headers[..]).collect();
        assert_eq!(hops.len(), resolution.depth());
        if let Some(last) = hops.last() {
            let last = last.expect("the client is an address");
            assert_eq!(
                (last.ip(), last.port()),
                (resolution.client().ip(), resolution.client().port())
            );
        }
        if let Ok(origin) = policy.origin(&resolution, &headers[..])
            && let Some(host) = origin.host
        {
            assert!(
                host.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~[]:".contains(&b))
            );
        }
        // What stands left of the client cannot matter. Only these two look further: at all, or to a count.
        let looks_further = index == LEFTMOST || index == MAX_HOPS;
        if resolution.depth() > 0 && !looks_further {
            let left = [(name, &b"for=6.6.6.6, 10.9.9.9, x"[..])];
            let more: Vec<_> = left.into_iter().chain(headers.iter().copied()).collect();
            assert_eq!(policy.resolve(peer, &more[..]), outcome);
        }
    }
}
