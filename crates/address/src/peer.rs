//! The other end of the socket.
//!
//! Invariant: a [`Peer`] comes from the kernel (or from a person who describes one), never from request bytes, and an
//! IPv4-mapped IPv6 address has already been folded to IPv4, so that one host has one spelling.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The other end of a TCP or Unix socket, as the kernel says.
///
/// Built from a [`SocketAddr`], or [`Peer::UNIX`]. Scope ids (zones) are dropped: they name an interface of this
/// machine, not another host.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Peer(Option<(IpAddr, u16)>);

impl Peer {
    /// The other end of a Unix socket: it has no address.
    pub const UNIX: Self = Self(None);

    /// The peer's address, IPv4-mapped IPv6 folded to IPv4; `None` for a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.map(|(ip, _)| ip)
    }

    /// The peer's port; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.0.map(|(_, port)| port)
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self(Some((address.ip().to_canonical(), address.port())))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((ip, port)) => write!(f, "{}", SocketAddr::new(ip, port)),
            None => f.write_str("unix"),
        }
    }
}

/// Reads `203.0.113.9:443`, `[2001:db8::1]:443`, `[fe80::1%2]:443`, `unix`, or an address without a port (port 0).
impl FromStr for Peer {
    type Err = ParsePeerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unix" {
            return Ok(Self::UNIX);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        let ip = match bare {
            Some(inside) => inside.parse::<Ipv6Addr>().map(IpAddr::V6),
            None => text.parse::<IpAddr>(),
        };
        ip.map(|ip| SocketAddr::new(ip, 0).into())
            .map_err(|_| ParsePeerError)
    }
}

/// A text that is no peer; see [`Peer`]'s `FromStr`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParsePeerError;

impl fmt::Display for ParsePeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a peer: write ip:port, [ipv6]:port, or unix")
    }
}

impl Error for ParsePeerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_folded() {
        for (text, shown) in [
            ("203.0.113.9:443", "203.0.113.9:443"),
            ("203.0.113.9", "203.0.113.9:0"),
            ("[::ffff:203.0.113.9]:1", "203.0.113.9:1"),
            ("[fe80::9%2]:1", "[fe80::9]:1"),
            ("[2001:db8::1]", "[2001:db8::1]:0"),
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("unix", "unix"),
        ] {
            assert_eq!(text.parse::<Peer>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "localhost:80",
            "203.0.113.9:",
            "203.0.113.9:65536",
            "010.0.0.1:1",
            "[::1",
        ] {
            assert_eq!(text.parse::<Peer>(), Err(ParsePeerError), "{text}");
        }
    }
}
