//! PROXY headers, in pieces of every size.
//!
//! The whole input at once and any beginning of it tell the same story: first "need more", then one answer for ever.
#![no_main]

use libfuzzer_sys::fuzz_target;
use truehop::proxy_protocol::{
    BadHeader, Header, MAX_V1, MAX_V2, Parsed, Progress, RefusedPreface, Tlv, Versions, parse,
};
use truehop::{OnUntrusted, Peer, Policy};

fuzz_target!(|input: (u8, u64, &[u8])| {
    let (flags, seed, wire) = input;
    let versions = Versions {
        v1: flags & 1 == 0,
        v2: flags & 2 == 0,
    };
    let whole = parse(wire, versions);
    if let Ok(Parsed::Done { consumed, header }) = &whole {
        assert!(*consumed <= wire.len());
        assert!(*consumed <= if header.version == 1 { MAX_V1 } else { MAX_V2 });
        tell(header);
    }
    if let Ok(Parsed::NeedMore(needed)) = whole {
        assert!(wire.len() < needed && needed <= MAX_V2);
    }

    // In pieces: their ends are at random, and every place is one when the input is short.
    let mut needed = 0;
    let mut random = seed;
    let mut have = 0;
    loop {
        let part = parse(&wire[..have], versions);
        match (&part, &whole) {
            (Ok(Parsed::NeedMore(more)), _) => {
                assert!(*more > have);
                needed = needed.max(*more);
            }
            (Ok(Parsed::Done { consumed, .. }), _) => {
                assert!(have >= needed, "what was said to be needed was not");
                assert!(*consumed <= have);
                assert_eq!(part, whole);
            }
            (Err(_), _) => assert_eq!(part, whole),
        }
        if have == wire.len() {
            break;
        }
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let step = if wire.len() <= 300 {
            1
        } else {
            1 + (random >> 33) as usize % 97
        };
        have = wire.len().min(have + step);
    }

    // Under a policy: the same where the header is required, and never taken where it is forbidden.
    let both = versions.v1 as u8 + versions.v2 as u8 * 2;
    let policy = Policy::proxy_protocol()
        .trusted(["10.0.0.0/8"])
        .versions(match both {
            1 => vec![1],
            2 => vec![2],
            _ => vec![1, 2],
        })
        .on_untrusted(OnUntrusted::Plain)
        .build()
        .unwrap();
    let ours: Peer = "10.0.0.1:4711".parse().unwrap();
    let preface = policy.preface(ours).unwrap().unwrap();
    let required = preface.feed(wire);
    if both != 0 {
        match (&required, &whole) {
            (
                Ok(Progress::Done {
                    consumed,
                    arrival,
                    header: Some(header),
                }),
                Ok(Parsed::Done {
                    consumed: all,
                    header: told,
                }),
            ) => {
                assert_eq!((consumed, header), (all, told));
                let resolution = policy
                    .resolve(*arrival, &[("X-Forwarded-For", "6.6.6.6")][..])
                    .unwrap();
                let source = told
                    .addresses
                    .map(|addresses| addresses.source.ip().to_canonical());
                assert_eq!(resolution.client().ip(), source.unwrap_or(ours.ip().unwrap()));
            }
            (Ok(Progress::NeedMore(a)), Ok(Parsed::NeedMore(b))) => assert_eq!(a, b),
            (Err(RefusedPreface::Bad(a)), Err(b)) => assert_eq!(a, b),
            other => panic!("{other:?}"),
        }
    }
    let stranger: Peer = "198.51.100.7:4711".parse().unwrap();
    match policy.preface(stranger).unwrap().unwrap().feed(wire) {
        Ok(Progress::Done {
            consumed,
            arrival,
            header,
        }) => {
            assert_eq!((consumed, header), (0, None));
            assert_eq!(arrival.peer(), stranger);
            assert_eq!(parse(wire, Versions::BOTH), Err(BadHeader::NoHeader));
        }
        Ok(Progress::NeedMore(_)) => assert!(wire.len() < 12),
        Err(why) => assert_eq!(why, RefusedPreface::UntrustedPeer),
    }
});

/// Everything that a header tells can be asked for.
fn tell(header: &Header<'_>) {
    let mut bytes = 0;
    for tlv in header.tlvs.iter() {
        bytes += match tlv {
            Tlv::Ssl(ssl) => ssl.values().map(|(_, value)| value.len()).sum(),
            Tlv::UniqueId(id) => {
                assert!(id.len() <= 128);
                id.len()
            }
            Tlv::Alpn(value) | Tlv::Authority(value) | Tlv::Netns(value) | Tlv::Other { value, .. } => {
                value.len()
            }
            _ => 0,
        };
    }
    assert!(bytes <= MAX_V2);
    assert!(!format!("{header:?}").is_empty());
}
