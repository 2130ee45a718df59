//! Networks with a name: what a person may write in `trusted` instead of a list of CIDRs.
//!
//! The data stands in `sets/*.txt`, one network a line. The first line says where it is from: `# taken DATE from …` for
//! a list that its owner changes, `# fixed by …` for one that an RFC settled.
//!
//! Invariant: no network is in here that its owner or an RFC did not publish; and no name is believed unless a person
//! wrote it into a policy.

use super::Network;
use crate::date::Date;

const FILES: [(&str, &str); 4] = [
    ("cloudflare", include_str!("sets/cloudflare.txt")),
    ("cloudfront", include_str!("sets/cloudfront.txt")),
    ("loopback", include_str!("sets/loopback.txt")),
    ("private", include_str!("sets/private.txt")),
];

/// A set of networks that has a name in `trusted`.
///
/// | name | networks | from |
/// |---|---|---|
/// | `cloudflare` | Cloudflare's | a snapshot of its published lists |
/// | `cloudfront` | Amazon CloudFront's, all of them, so more than those that connect to origins | a snapshot of AWS's published list |
/// | `loopback` | `127.0.0.0/8`, `::1` | RFC 1122, RFC 4291 |
/// | `private` | `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`, `fc00::/7` | RFC 1918, RFC 4193 |
///
/// `private` holds what somebody chose for a network of their own, and nothing else:
///
/// * Not `100.64.0.0/10` (RFC 6598): a carrier shares it among its customers, and some overlay networks use it. The
///   neighbours in it are strangers.
/// * Not link-local `169.254.0.0/16` and `fe80::/10`: nobody assigned those addresses, so any device on the wire can
///   take one, and clouds answer in there themselves. Write them out if a proxy really has one.
/// * Not loopback: another machine and another process on this one are different questions.
///
/// A provider's set says that a *provider's* machine connects, not that *your* account with it sent it: each of its
/// customers can point a site of theirs at your server. Let the provider prove itself as well (a client certificate,
/// or a secret in a header), as [the recipes](crate::manual::recipes) say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedSet {
    name: &'static str,
    taken: Option<Date>,
    source: &'static str,
    networks: Vec<Network>,
}

impl NamedSet {
    /// A snapshot that is older than this many days is called stale.
    pub const STALE_AFTER_DAYS: i64 = 180;

    /// The names of all sets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.into_iter().map(|(name, _)| name)
    }

    /// The set of this name; `None` when there is none.
    pub fn find(name: &str) -> Option<Self> {
        let (name, text) = FILES.into_iter().find(|(known, _)| *known == name)?;
        // A file that cannot be read is no set: the policy is refused. A test reads them all.
        Self::parse(name, text)
    }

    /// The name, as it is written in `trusted`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The day on which the snapshot was taken; `None` for a set that an RFC fixed.
    pub fn taken(&self) -> Option<Date> {
        self.taken
    }

    /// What the networks were taken from, or which RFC fixed them.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// The networks.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// How many days before `today` the snapshot was taken; `None` for a set that an RFC fixed.
    ///
    /// ```
    /// # use truehop::{Date, NamedSet};
    /// let set = NamedSet::find("cloudflare").unwrap();
    /// let taken = set.taken().unwrap();
    /// assert_eq!(set.age_in_days(taken), Some(0));
    ///
    /// let today = Date::from(std::time::SystemTime::now());
    /// println!("{}: {} networks, {:?} days old", set.name(), set.networks().len(), set.age_in_days(today));
    /// ```
    pub fn age_in_days(&self, today: Date) -> Option<i64> {
        self.taken.map(|taken| today.days_since(taken))
    }

    /// Whether the snapshot is older than [`STALE_AFTER_DAYS`](Self::STALE_AFTER_DAYS).
    pub fn is_stale(&self, today: Date) -> bool {
        self.age_in_days(today)
            .is_some_and(|age| age > Self::STALE_AFTER_DAYS)
    }

    fn parse(name: &'static str, text: &'static str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let (taken, source) = match first.strip_prefix("# taken ") {
            Some(origin) => {
                let (date, source) = origin.split_once(" from ")?;
                (Some(date.parse().ok()?), source)
            }
            None => (None, first.strip_prefix("# fixed by ")?),
        };
        let networks = rest
            .lines()
            .map(|line| line.parse().ok())
            .collect::<Option<_>>()?;
        Some(Self {
            name,
            taken,
            source,
            networks,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::network::Networks;

    #[test]
    fn every_set_is_read_whole_and_holds_each_network_once() {
        for (name, text) in FILES {
            let set = NamedSet::find(name).unwrap();
            assert_eq!(set.name(), name);
            assert_eq!(set.networks().len(), text.lines().count() - 1, "{name}");
            assert!(!set.networks().is_empty() && !set.source().is_empty(), "{name}");
            for (at, network) in set.networks().iter().enumerate() {
                // What is written has no host bits, and is nothing that a policy would refuse.
                assert_eq!(
                    text.lines().nth(at + 1).map(written_out),
                    Some(network.to_string())
                );
                assert!(network.prefix() > 0);
                let others = set
                    .networks()
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != at);
                let others = Networks::new(others.map(|(_, other)| *other));
                assert!(!others.covers(network), "{name}: {network} stands in it twice");
            }
        }
        assert_eq!(NamedSet::find("Private"), None);
        assert_eq!(NamedSet::names().count(), FILES.len());
    }

    /// A single address is shown without its length.
    fn written_out(line: &str) -> String {
        let full = if line.contains(':') { "/128" } else { "/32" };
        line.strip_suffix(full).unwrap_or(line).to_owned()
    }

    fn holds(name: &str, ip: &str) -> bool {
        let ip: IpAddr = ip.parse().unwrap();
        NamedSet::find(name)
            .unwrap()
            .networks()
            .iter()
            .any(|network| network.contains(ip))
    }

    #[test]
    fn private_is_what_somebody_chose_for_a_network_of_their_own() {
        for inside in [
            "10.0.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(holds("private", inside), "{inside}");
        }
        for outside in [
            "100.64.0.1",
            "169.254.1.1",
            "fe80::1",
            "127.0.0.1",
            "::1",
            "172.32.0.0",
            "8.8.8.8",
        ] {
            assert!(!holds("private", outside), "{outside}");
        }
        assert!(holds("loopback", "127.1.2.3") && holds("loopback", "::1") && !holds("loopback", "::2"));
    }

    #[test]
    fn providers_sets_hold_no_private_address_and_have_an_age() {
        let private = Networks::new(NamedSet::find("private").unwrap().networks().iter().copied());
        for name in ["cloudflare", "cloudfront"] {
            let set = NamedSet::find(name).unwrap();
            assert!(set.networks().iter().all(|network| !private.covers(network)));
            let taken = set.taken().unwrap();
            assert_eq!(set.age_in_days(taken), Some(0));
            assert!(taken >= "2026-06-07".parse().unwrap());
        }
        assert!(holds("cloudflare", "104.16.0.1") && !holds("cloudflare", "104.28.0.1"));
        assert!(holds("cloudfront", "13.32.0.1"));
    }

    #[test]
    fn a_snapshot_grows_stale_and_what_an_rfc_fixed_does_not() {
        let set = NamedSet::find("cloudflare").unwrap();
        let later: Date = "2030-01-01".parse().unwrap();
        assert!(set.is_stale(later) && !set.is_stale(set.taken().unwrap()));
        let private = NamedSet::find("private").unwrap();
        assert_eq!(
            (private.age_in_days(later), private.is_stale(later)),
            (None, false)
        );
    }
}
