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
    pub(crate) fn new(ip: IpAddr, port: Option<u16>) -> Self {
        Self {
            ip: ip.to_canonical(),
            port,
        }
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
pub(crate) fn parse(text: &[u8], zone: OnZone) -> Result<Hop, NodeFault> {
    // By far the most entries are this.
    if let Some(ip) = read_v4(text) {
        return specified(Some(ip.into()), None);
    }
    let text = str::from_utf8(text).map_err(|_| NodeFault::Malformed)?;
    if text.eq_ignore_ascii_case("unknown") || text.starts_with('_') {
        return Err(NodeFault::Unidentified);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, rest) = rest.split_once(']').ok_or(NodeFault::Malformed)?;
        let port = match rest {
            "" => None,
            _ => Some(
                rest.strip_prefix(':')
                    .and_then(|port| parse_port(port.as_bytes()))
                    .ok_or(NodeFault::Malformed)?,
            ),
        };
        return specified(parse_v6(inside, zone), port);
    }
    match text.split_once(':') {
        None => specified(parse_v4(text), None),
        Some((_, rest)) if rest.contains(':') => specified(parse_v6(text, zone), None),
        Some((address, port)) => specified(
            parse_v4(address),
            Some(parse_port(port.as_bytes()).ok_or(NodeFault::Malformed)?),
        ),
    }
}

/// Reads `192.0.2.1:80` or `2001:db8::1:80`: the port is mandatory and IPv6 stands without brackets.
pub(crate) fn parse_unbracketed(text: &[u8]) -> Result<Hop, NodeFault> {
    let text = str::from_utf8(text).map_err(|_| NodeFault::Malformed)?;
    let (address, port) = text.rsplit_once(':').ok_or(NodeFault::Malformed)?;
    let port = parse_port(port.as_bytes()).ok_or(NodeFault::Malformed)?;
    let ip = if address.contains(':') {
        parse_v6(address, OnZone::Reject)
    } else {
        parse_v4(address)
    };
    specified(ip, Some(port))
}

/// Reads a node of RFC 7239 section 6: `192.0.2.1`, `[2001:db8::1]`, `unknown` or `_hidden`, each perhaps with a port,
/// which may be obfuscated too. IPv6 never stands without its brackets.
pub(crate) fn parse_rfc7239(text: &[u8], zone: OnZone) -> Result<Hop, NodeFault> {
    let text = str::from_utf8(text).map_err(|_| NodeFault::Malformed)?;
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (_, after) = rest.split_once(']').ok_or(NodeFault::Malformed)?;
            let name = &text[..text.len() - after.len()];
            (
                name,
                if after.is_empty() {
                    None
                } else {
                    Some(after.strip_prefix(':').ok_or(NodeFault::Malformed)?)
                },
            )
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(hidden) if hidden.starts_with('_') => None,
        Some(digits) => Some(parse_port(digits.as_bytes()).ok_or(NodeFault::Malformed)?),
        None => None,
    };
    if name.eq_ignore_ascii_case("unknown") || name.starts_with('_') {
        return Err(NodeFault::Unidentified);
    }
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(inside) => specified(parse_v6(inside, zone), port),
        None => specified(parse_v4(name), port),
    }
}

fn specified(ip: Option<IpAddr>, port: Option<u16>) -> Result<Hop, NodeFault> {
    match ip.map(|ip| Hop::new(ip, port)) {
        Some(hop) if !hop.ip.is_unspecified() => Ok(hop),
        _ => Err(NodeFault::Malformed),
    }
}

fn parse_v4(text: &str) -> Option<IpAddr> {
    read_v4(text.as_bytes()).map(IpAddr::V4)
}

/// Four decimal numbers without leading zeros, a dot between each two: as strict as the standard library, and by hand
/// because every hop of every request passes here.
pub(crate) fn read_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut rest = text;
    for (n, octet) in octets.iter_mut().enumerate() {
        if n > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let mut number = 0_u16;
        let mut digits = 0;
        while let [digit @ b'0'..=b'9', after @ ..] = rest
            && digits < 3
        {
            number = number * 10 + u16::from(digit - b'0');
            digits += 1;
            rest = after;
        }
        let least = [1, 0, 10, 100][digits];
        *octet = u8::try_from(number)
            .ok()
            .filter(|_| digits > 0 && number >= least)?;
    }
    rest.is_empty().then(|| octets.into())
}

fn parse_v6(text: &str, zone: OnZone) -> Option<IpAddr> {
    let address = match text.split_once('%') {
        None => text,
        Some((address, id)) if zone == OnZone::Strip && !id.is_empty() => address,
        Some(_) => return None,
    };
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// A decimal port without sign or leading zero.
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
