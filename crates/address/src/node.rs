//! One entry of a forwarding header, read strictly.
//!
//! Invariant: a [`Hop`] is a folded, specified address. Loose spellings that other parsers accept (octal and hex
//! octets, integers, signs, netmasks, quotes) are refused: two readers that disagree about an entry are a hole.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

use crate::policy::OnZone;

/// One address in the forwarding chain, with the port when the entry told one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Hop {
    ip: IpAddr,
    port: Option<u16>,
}

impl Hop {
    #[inline]
    pub(crate) fn new(ip: IpAddr, port: Option<u16>) -> Self {
        Self {
            ip: ip.to_canonical(),
            port,
        }
    }

    /// Of an address that is folded already.
    #[inline]
    pub(crate) fn folded(ip: IpAddr) -> Self {
        Self { ip, port: None }
    }

    /// The address, IPv4-mapped IPv6 folded to IPv4.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The port, when the entry told one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", SocketAddr::new(self.ip, port)),
            None => write!(f, "{}", self.ip),
        }
    }
}

/// Why an entry is no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NodeFault {
    /// Not an address in one of the forms below, or the unspecified address.
    Malformed,
    /// `unknown` or `_obfuscated` (RFC 7239 sections 6.2 and 6.3): the proxy hides the address.
    Unidentified,
    /// An element of `Forwarded` without `for`: the proxy did not disclose the address.
    NoFor,
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`, without surrounding blanks.
#[inline(always)]
pub(crate) fn parse(text: &[u8], zone: OnZone) -> Result<Hop, NodeFault> {
    // By far the most entries are this.
    match v4(text) {
        Some((Ipv4Addr::UNSPECIFIED, [])) => Err(NodeFault::Malformed),
        Some((ip, [])) => Ok(Hop::folded(ip.into())),
        Some((ip, [b':', port @ ..])) => with_port(Some(ip.into()), port),
        _ => parse_other(text, zone),
    }
}

/// What does not begin with an IPv4 address.
fn parse_other(text: &[u8], zone: OnZone) -> Result<Hop, NodeFault> {
    if hides(text) {
        return Err(NodeFault::Unidentified);
    }
    match split_brackets(text) {
        None => specified(read_v6(text, zone), None),
        Some((inside, [])) => specified(read_v6(inside, zone), None),
        Some((inside, [b':', port @ ..])) => with_port(read_v6(inside, zone), port),
        Some(_) => Err(NodeFault::Malformed),
    }
}

/// Reads `192.0.2.1:80` or `2001:db8::1:80`: the port is mandatory and IPv6 stands without brackets.
pub(crate) fn parse_unbracketed(text: &[u8]) -> Result<Hop, NodeFault> {
    let colon = text
        .iter()
        .rposition(|&b| b == b':')
        .ok_or(NodeFault::Malformed)?;
    let (address, port) = (&text[..colon], &text[colon + 1..]);
    let ip = read_v4(address).map(IpAddr::V4);
    with_port(ip.or_else(|| read_v6(address, OnZone::Reject)), port)
}

/// Reads a node of RFC 7239 section 6: `192.0.2.1`, `[2001:db8::1]`, `unknown` or `_hidden`, each perhaps with a port,
/// which may be obfuscated too. IPv6 never stands without its brackets.
#[inline]
pub(crate) fn parse_rfc7239(text: &[u8], zone: OnZone) -> Result<Hop, NodeFault> {
    if let Some((ip, [])) = v4(text) {
        return specified(Some(ip.into()), None);
    }
    parse_rfc7239_other(text, zone)
}

/// What is more than an IPv4 address.
fn parse_rfc7239_other(text: &[u8], zone: OnZone) -> Result<Hop, NodeFault> {
    let brackets = split_brackets(text);
    let (name, after) = match brackets {
        Some((inside, after)) => (inside, after),
        None => text.split_at(text.iter().position(|&b| b == b':').unwrap_or(text.len())),
    };
    let port = match after {
        [] => None,
        // An obfuscated port is text like a name.
        [b':', b'_', hidden @ ..] if str::from_utf8(hidden).is_ok() => None,
        [b':', port @ ..] => Some(parse_port(port).ok_or(NodeFault::Malformed)?),
        _ => return Err(NodeFault::Malformed),
    };
    match brackets {
        Some(_) => specified(read_v6(name, zone), port),
        None if hides(name) => Err(NodeFault::Unidentified),
        None => specified(read_v4(name).map(IpAddr::V4), port),
    }
}

/// Whether it is `unknown` or `_obfuscated`; that may be any text.
fn hides(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"unknown") || (name.starts_with(b"_") && str::from_utf8(name).is_ok())
}

/// What stands between `[` and the first `]`, and what follows.
fn split_brackets(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = text.strip_prefix(b"[")?;
    let end = rest.iter().position(|&b| b == b']')?;
    Some((&rest[..end], &rest[end + 1..]))
}

fn with_port(ip: Option<IpAddr>, port: &[u8]) -> Result<Hop, NodeFault> {
    specified(ip, Some(parse_port(port).ok_or(NodeFault::Malformed)?))
}

#[inline]
fn specified(ip: Option<IpAddr>, port: Option<u16>) -> Result<Hop, NodeFault> {
    match ip.map(|ip| Hop::new(ip, port)) {
        Some(hop) if !hop.ip.is_unspecified() => Ok(hop),
        _ => Err(NodeFault::Malformed),
    }
}

/// Reads `192.0.2.1`, as strictly as the standard library.
#[inline]
pub(crate) fn read_v4(text: &[u8]) -> Option<Ipv4Addr> {
    match v4(text) {
        Some((ip, [])) => Some(ip),
        _ => None,
    }
}

/// Four decimal numbers without leading zeros, a dot between each two, and what follows. By hand, because every hop of
/// every request passes here.
#[inline]
pub(crate) fn v4(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (a, rest) = octet(text)?;
    let (b, rest) = octet(rest.strip_prefix(b".")?)?;
    let (c, rest) = octet(rest.strip_prefix(b".")?)?;
    let (d, rest) = octet(rest.strip_prefix(b".")?)?;
    Some((Ipv4Addr::new(a, b, c, d), rest))
}

/// One to three digits that are 255 at most, the first of several no zero, and what follows.
#[inline]
fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |at: usize| text.get(at).map(|b| b.wrapping_sub(b'0')).filter(|&d| d < 10);
    let first = digit(0)?;
    let Some(second) = digit(1) else {
        return Some((first, &text[1..]));
    };
    let two = first * 10 + second;
    let (number, rest) = match digit(2) {
        None => (two, &text[2..]),
        Some(third) => (two.checked_mul(10)?.checked_add(third)?, &text[3..]),
    };
    // A fourth digit is no dot and no end.
    (first != 0).then_some((number, rest))
}

fn read_v6(text: &[u8], zone: OnZone) -> Option<IpAddr> {
    let address = match text.iter().position(|&b| b == b'%') {
        None => text,
        // What is cut off must be text, too.
        Some(at) if zone == OnZone::Strip && at + 1 < text.len() => {
            str::from_utf8(&text[at + 1..]).ok()?;
            &text[..at]
        }
        Some(_) => return None,
    };
    let ip: Ipv6Addr = str::from_utf8(address).ok()?.parse().ok()?;
    Some(ip.into())
}

/// A decimal port without sign or leading zero.
#[inline]
pub(crate) fn parse_port(text: &[u8]) -> Option<u16> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 5 => {
            let mut port = 0_u32;
            for digit in text {
                port = port * 10 + u32::from(digit.checked_sub(b'0').filter(|&digit| digit < 10)?);
            }
            u16::try_from(port).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms_are_read_and_folded() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:9", "192.0.2.1:9"),
        ] {
            assert_eq!(parse(text.as_bytes(), OnZone::Reject).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn loose_spellings_are_refused() {
        for text in [
            "",
            " 1.2.3.4",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "0x7f.1.1.1",
            "2130706433",
            "1.2.3.4:",
            "1.2.3.4:+80",
            "1.2.3.4:080",
            "1.2.3.4:65536",
            "[1.2.3.4]",
            "[::1",
            "::1]",
            "[::1]80",
            "[::1]:",
            "\"1.2.3.4\"",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "fe80::1%eth0",
            "1.2.3.4%eth0",
            "1.2.3.4/32",
            "1.2.3.4\n",
        ] {
            assert_eq!(
                parse(text.as_bytes(), OnZone::Reject),
                Err(NodeFault::Malformed),
                "{text:?}"
            );
        }
        assert_eq!(parse(b"\xff", OnZone::Reject), Err(NodeFault::Malformed));
        assert_eq!(parse(b"fe80::1%", OnZone::Strip), Err(NodeFault::Malformed));
    }

    #[test]
    fn ipv4_is_read_as_the_standard_library_reads_it() {
        let numbers = [
            "", "0", "00", "1", "01", "9", "10", "99", "100", "001", "255", "256", "999", "1000", "+1", "a",
        ];
        for a in numbers {
            for b in numbers {
                for text in [
                    format!("{a}.{b}.0.7"),
                    format!("7.0.{a}.{b}"),
                    format!("{a}.1.{b}"),
                    format!("1.2.3.{a}.{b}"),
                ] {
                    assert_eq!(read_v4(text.as_bytes()), text.parse().ok(), "{text}");
                }
            }
        }
        for text in [
            "1.2.3.4.",
            ".1.2.3.4",
            "1..2.3",
            "1.2.3.4 ",
            " 1.2.3.4",
            "1.2.3.4\n",
            "1.2.3.",
            "1.2.3.4:5",
        ] {
            assert_eq!(read_v4(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_port_is_digits_without_a_leading_zero() {
        for port in [0, 1, 9, 10, 80, 443, 9999, 10_000, 65_535_u32] {
            assert_eq!(parse_port(port.to_string().as_bytes()).map(u32::from), Some(port));
        }
        for text in [
            "", "00", "080", "+80", "-1", "8 0", "80 ", "65536", "99999", "100000", "1a", "1:", "1/",
            "\u{661}",
        ] {
            assert_eq!(parse_port(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn hidden_nodes_are_told_from_nonsense() {
        for text in ["unknown", "UNKNOWN", "_hidden", "_"] {
            assert_eq!(
                parse(text.as_bytes(), OnZone::Reject),
                Err(NodeFault::Unidentified),
                "{text}"
            );
        }
    }
}
