//! Trusted networks: what a person writes, and a set that answers membership.
//!
//! Invariant: both sides of a comparison are folded. A rule inside `::ffff:0:0/96` becomes its IPv4 rule, and the
//! addresses that are looked up have been folded by [`Peer`](crate::Peer) and [`Hop`](crate::Hop). NAT64 and 6to4 are
//! other networks and stay IPv6.

pub(crate) mod sets;

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network in CIDR notation (RFC 4632); a single address is a network of full length.
///
/// Host bits are masked off: `10.0.0.2/26` is `10.0.0.0/26`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network's prefix length in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `ip`, folded, lies inside.
    pub fn contains(&self, ip: IpAddr) -> bool {
        Self::new(ip.to_canonical(), self.prefix).is_some_and(|network| network == *self)
    }

    /// The first and the last address.
    pub(crate) fn range(&self) -> Range {
        match self.first {
            IpAddr::V4(first) => {
                let first = u32::from(first);
                let hosts = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                Range::V4(first, first | hosts)
            }
            IpAddr::V6(first) => {
                let first = u128::from(first);
                let hosts = u128::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                Range::V6(first, first | hosts)
            }
        }
    }

    fn new(ip: IpAddr, prefix: u8) -> Option<Self> {
        match ip {
            IpAddr::V4(v4) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Some(Self {
                    first: Ipv4Addr::from(u32::from(v4) & mask).into(),
                    prefix,
                })
            }
            IpAddr::V6(v6) if prefix <= 128 => match v6.to_ipv4_mapped() {
                Some(v4) if prefix >= 96 => Self::new(v4.into(), prefix - 96),
                _ => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                    Some(Self {
                        first: Ipv6Addr::from(u128::from(v6) & mask).into(),
                        prefix,
                    })
                }
            },
            _ => None,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = if self.first.is_ipv4() { 32 } else { 128 };
        match self.prefix {
            prefix if prefix == full => write!(f, "{}", self.first),
            prefix => write!(f, "{}/{prefix}", self.first),
        }
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        if address.contains('%') {
            return Err(ParseNetworkError::Zone);
        }
        let ip: IpAddr = address.parse().map_err(|_| ParseNetworkError::Address)?;
        let prefix = match prefix {
            None if ip.is_ipv4() => 32,
            None => 128,
            // Digits only: u8::from_str would take a sign.
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| ParseNetworkError::Prefix)?
            }
            Some(_) => return Err(ParseNetworkError::Prefix),
        };
        Self::new(ip, prefix).ok_or(ParseNetworkError::Prefix)
    }
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ParseNetworkError {
    /// The part before `/` is no IPv4 or IPv6 address.
    Address,
    /// The prefix length is no number, or longer than the address.
    Prefix,
    /// A zone id (`%eth0`) names an interface, not a network.
    Zone,
}

impl fmt::Display for ParseNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "not an IP address",
            Self::Prefix => "the prefix length must be 0 to 32 for IPv4, 0 to 128 for IPv6",
            Self::Zone => "a network has no zone id",
        })
    }
}

impl Error for ParseNetworkError {}

/// Two inclusive ends, of one family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Range {
    V4(u32, u32),
    V6(u128, u128),
}

/// A set of networks as sorted, disjoint, inclusive ranges: membership is one binary search, or a glance at a few.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    pub(crate) fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.range() {
                Range::V4(first, last) => v4.push((first, last)),
                Range::V6(first, last) => v6.push((first, last)),
            }
        }
        Self {
            v4: disjoint(v4),
            v6: disjoint(v6),
        }
    }

    /// Whether `ip` lies in one of the networks. `ip` must be folded.
    #[inline]
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => spans(&self.v4, u32::from(ip), u32::from(ip)),
            IpAddr::V6(ip) => spans(&self.v6, u128::from(ip), u128::from(ip)),
        }
    }

    /// Whether the whole of `network` lies in one of the networks, or in several that overlap.
    pub(crate) fn covers(&self, network: &Network) -> bool {
        match network.range() {
            Range::V4(first, last) => spans(&self.v4, first, last),
            Range::V6(first, last) => spans(&self.v6, first, last),
        }
    }
}

fn disjoint<T: Copy + Ord>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(previous) if first <= previous.1 => previous.1 = previous.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// So many ranges are sooner looked at one by one than searched.
const FEW: usize = 8;

/// Whether one range holds everything from `from` to `to`.
#[inline]
fn spans<T: Copy + Ord>(ranges: &[(T, T)], from: T, to: T) -> bool {
    if ranges.len() <= FEW {
        return ranges.iter().any(|&(first, last)| first <= from && to <= last);
    }
    let after = ranges.partition_point(|&(first, _)| first <= from);
    after > 0 && to <= ranges[after - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_what_is_shown() {
        for (written, shown) in [
            ("10.0.0.2/26", "10.0.0.0/26"),
            ("10.0.0.2", "10.0.0.2"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.7", "10.0.0.7"),
            ("2a01:198:603:0::/65", "2a01:198:603::/65"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(written).to_string(), shown);
        }
    }

    #[test]
    fn a_bad_rule_is_refused_with_its_reason() {
        use ParseNetworkError::*;
        for (text, why) in [
            ("", Address),
            ("10.0.0.01", Address),
            ("10.0.300.1", Address),
            ("localhost", Address),
            ("10.0.0.0/33", Prefix),
            ("10.0.0.0/", Prefix),
            ("10.0.0.0/+8", Prefix),
            ("fe80::/129", Prefix),
            ("fe80::1%eth0/64", Zone),
        ] {
            assert_eq!(text.parse::<Network>(), Err(why), "{text}");
        }
    }

    #[test]
    fn overlapping_and_touching_networks_answer_as_their_union() {
        let networks =
            Networks::new(["10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8", "2001:db8::/32"].map(network));
        for inside in [
            "10.0.0.0",
            "10.1.2.3",
            "11.255.255.255",
            "2001:db8::",
            "2001:db8:ffff::1",
        ] {
            assert!(networks.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "9.255.255.255",
            "12.0.0.0",
            "2001:db7::1",
            "2001:db9::",
            "::ffff:a00:1",
        ] {
            assert!(!networks.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn a_network_is_covered_by_one_that_is_wider() {
        let networks = Networks::new(["10.0.0.0/8", "192.168.0.0/25", "2001:db8::/32"].map(network));
        for inside in ["10.0.0.0/8", "10.255.0.0/16", "192.168.0.127", "2001:db8:1::/48"] {
            assert!(networks.covers(&network(inside)), "{inside}");
        }
        for outside in [
            "10.0.0.0/7",
            "192.168.0.0/24",
            "11.0.0.0",
            "2001:db8::/31",
            "::/0",
        ] {
            assert!(!networks.covers(&network(outside)), "{outside}");
        }
    }

    #[test]
    fn everything_and_nothing() {
        assert!(network("0.0.0.0/0").contains("255.255.255.255".parse().unwrap()));
        assert!(network("::/0").contains("ffff::".parse().unwrap()));
        assert!(!network("::/0").contains("::ffff:1.2.3.4".parse().unwrap()));
        assert!(!Networks::default().contains("127.0.0.1".parse().unwrap()));
    }
}
