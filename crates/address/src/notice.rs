//! Notices the classic mistake: a proxy stands in front, and the policy does not know it.
//!
//! Then every client looks like the proxy, and nobody finds out until a decision goes wrong. Two signs are watched:
//! forwarding headers from peers that the policy does not trust, and many different requests that all resolve to one
//! loopback or private address.
//!
//! Invariant: a sign is no proof (anybody can send a header), so nothing is decided by it; it is told once, with the
//! lines to write, and counted.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::fields::Fields;
use crate::peer::Peer;
use crate::policy::Policy;
use crate::resolve::Resolution;

/// The headers by which proxies tell of clients, in lower case.
pub const FORWARDING_HEADERS: [&str; 7] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-real-ip",
];

/// So many requests in a row from one private address, by different user agents, are a sign.
const MANY: u64 = 200;

/// Signs that are remembered, and how many of them may be about public addresses.
const REMEMBERED: usize = 16;
const STRANGERS: usize = 4;

/// Watches resolved requests for signs of an unknown proxy. Shared by all workers; keeps counts and the first few
/// signs, and no addresses but theirs.
#[derive(Debug, Default)]
pub struct Detector {
    headers_from_untrusted: AtomicU64,
    told: Mutex<Vec<Suspicion>>,
    run: Mutex<Run>,
}

impl Detector {
    /// Looks at one resolved request. The first request that shows a sign gets the suspicion back, to be told.
    pub fn observe<F: Fields + ?Sized>(
        &self,
        policy: &Policy,
        resolution: &Resolution,
        fields: &F,
    ) -> Option<Suspicion> {
        if resolution.is_claimed() || resolution.peer_is_trusted() {
            return None;
        }
        let proxy = resolution.peer().ip()?;
        let header = ["x-forwarded-for", "x-real-ip", "forwarded"]
            .into_iter()
            .find(|name| fields.lines(name).next().is_some());
        if let Some(header) = header {
            self.headers_from_untrusted.fetch_add(1, Ordering::Relaxed);
            return self.tell(Suspicion::HeadersFromUntrusted {
                peer: proxy,
                header,
                policy: policy.to_string(),
            });
        }
        if !is_local(proxy) || !self.run_is_long(proxy, fields.lines("user-agent").next().unwrap_or_default())
        {
            return None;
        }
        self.tell(Suspicion::OneAddress { peer: proxy })
    }

    /// How many requests brought forwarding headers from peers that the policy does not trust.
    pub fn headers_from_untrusted(&self) -> u64 {
        self.headers_from_untrusted.load(Ordering::Relaxed)
    }

    /// The signs seen so far, the first of each kind from each peer. For operators: it names peers.
    pub fn suspicions(&self) -> Vec<Suspicion> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The signs that concern this very peer; nothing about others.
    pub fn suspicions_of(&self, peer: Peer) -> Vec<Suspicion> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter()
            .filter(|suspicion| Some(suspicion.peer()) == peer.ip())
            .cloned()
            .collect()
    }

    fn tell(&self, suspicion: Suspicion) -> Option<Suspicion> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            |earlier: &Suspicion| earlier.code() == suspicion.code() && earlier.peer() == suspicion.peer();
        let is_stranger = |suspicion: &Suspicion| !is_local(suspicion.peer());
        let strangers = told.iter().filter(|earlier| is_stranger(earlier)).count();
        // Anybody on the internet can send a header; the operator's own proxies must still find room.
        let full = told.len() >= REMEMBERED || (is_stranger(&suspicion) && strangers >= STRANGERS);
        if full || told.iter().any(same) {
            return None;
        }
        told.push(suspicion.clone());
        Some(suspicion)
    }

    fn run_is_long(&self, proxy: IpAddr, agent: &[u8]) -> bool {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        // FNV-1a: enough to tell two user agents apart.
        let agent = agent.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &b| {
            (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
        });
        if run.address != Some(proxy) {
            *run = Run {
                address: Some(proxy),
                first_agent: agent,
                agents_differ: false,
                length: 0,
            };
        }
        run.length += 1;
        run.agents_differ |= run.first_agent != agent;
        run.agents_differ && run.length >= MANY
    }
}

#[derive(Debug, Default)]
struct Run {
    address: Option<IpAddr>,
    first_agent: u64,
    agents_differ: bool,
    length: u64,
}

fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// A sign that a proxy stands in front which the policy does not know. `Display` tells it with the lines to write.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Suspicion {
    /// A peer that the policy does not trust sends forwarding headers.
    HeadersFromUntrusted {
        /// The peer that sent them first.
        peer: IpAddr,
        /// The header seen, in lower case.
        header: &'static str,
        /// The policy in one line.
        policy: String,
    },
    /// Many requests by different user agents all come from one loopback or private address.
    OneAddress {
        /// That address.
        peer: IpAddr,
    },
}

impl Suspicion {
    /// Every code, for metrics that must exist before they first count.
    pub const CODES: [&str; 2] = ["headers-from-untrusted", "one-address"];

    /// The peer that shows the sign.
    pub fn peer(&self) -> IpAddr {
        match self {
            Self::HeadersFromUntrusted { peer, .. } | Self::OneAddress { peer } => *peer,
        }
    }

    /// The sign's code, for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HeadersFromUntrusted { .. } => "headers-from-untrusted",
            Self::OneAddress { .. } => "one-address",
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (peer, method) = match self {
            Self::HeadersFromUntrusted { peer, header, policy } => {
                write!(
                    f,
                    "{peer} sends {header}, but the policy ({policy}) does not trust it, so every client behind it \
                     looks like {peer}"
                )?;
                (
                    peer,
                    if *header == "x-real-ip" {
                        "\"header\"\nheader  = \"X-Real-IP\""
                    } else {
                        "\"x-forwarded-for\""
                    },
                )
            }
            Self::OneAddress { peer } => {
                write!(
                    f,
                    "all requests come from {peer}, though by different programs: they look like one client"
                )?;
                (peer, "\"x-forwarded-for\"")
            }
        };
        write!(
            f,
            ".\nIf {peer} is your proxy, let it set that header and write in truehop.toml:\n\n[client]\n\
             from    = {method}\ntrusted = [\"{peer}\"]\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(policy: &Policy, peer: &str, headers: &[(&str, &str)]) -> Resolution {
        let peer: Peer = peer.parse().unwrap();
        policy.resolve(peer, headers).unwrap()
    }

    #[test]
    fn headers_from_an_untrusted_peer_are_told_once_and_counted() {
        let (detector, policy) = (Detector::default(), Policy::peer());
        let headers = [("X-Real-IP", "1.2.3.4")];
        let resolution = resolved(&policy, "127.0.0.1:1", &headers);
        let told = detector.observe(&policy, &resolution, &headers[..]).unwrap();
        assert!(
            told.to_string()
                .contains("from    = \"header\"\nheader  = \"X-Real-IP\"\ntrusted = [\"127.0.0.1\"]")
        );
        assert_eq!(detector.observe(&policy, &resolution, &headers[..]), None);
        assert_eq!(detector.headers_from_untrusted(), 2);
        assert_eq!(detector.suspicions(), [told]);
    }

    #[test]
    fn strangers_cannot_hide_the_operators_proxy_nor_see_others() {
        let (detector, policy) = (Detector::default(), Policy::peer());
        let headers = [("X-Forwarded-For", "1.2.3.4")];
        let observe =
            |peer: &str| detector.observe(&policy, &resolved(&policy, peer, &headers), &headers[..]);
        for n in 1..100 {
            observe(&format!("198.51.100.{n}:1"));
        }
        assert!(observe("10.0.0.9:1").is_some());
        assert_eq!(detector.suspicions().len(), STRANGERS + 1);
        let own = detector.suspicions_of("10.0.0.9:2".parse().unwrap());
        assert_eq!(
            own.iter().map(Suspicion::peer).collect::<Vec<_>>(),
            ["10.0.0.9".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(detector.suspicions_of(Peer::UNIX), []);
    }

    #[test]
    fn a_trusted_proxy_is_no_sign() {
        let policy = Policy::header("X-Real-IP")
            .trusted(["127.0.0.1"])
            .build()
            .unwrap();
        let detector = Detector::default();
        for _ in 0..2 * MANY {
            let headers = [("X-Real-IP", "10.0.0.9"), ("X-Forwarded-For", "10.0.0.9")];
            assert_eq!(
                detector.observe(&policy, &resolved(&policy, "127.0.0.1:1", &headers), &headers[..]),
                None
            );
        }
        assert_eq!(detector.suspicions(), []);
    }

    #[test]
    fn many_programs_at_one_private_address_are_a_sign_and_one_program_is_none() {
        let policy = Policy::peer();
        let observe = |detector: &Detector, peer: &str, agent: &str| {
            let headers = [("User-Agent", agent)];
            detector.observe(&policy, &resolved(&policy, peer, &headers), &headers[..])
        };
        let (one, many, two_peers) = (Detector::default(), Detector::default(), Detector::default());
        let mut told = Vec::new();
        for n in 0..2 * MANY {
            assert_eq!(observe(&one, "127.0.0.1:1", "curl"), None);
            assert_eq!(
                observe(
                    &two_peers,
                    if n % 2 == 0 { "10.0.0.1:1" } else { "10.0.0.2:1" },
                    "curl"
                ),
                None
            );
            told.extend(observe(
                &many,
                "127.0.0.1:1",
                if n % 3 == 0 { "curl" } else { "wget" },
            ));
        }
        assert_eq!(
            told.iter().map(Suspicion::code).collect::<Vec<_>>(),
            ["one-address"]
        );
    }
}
