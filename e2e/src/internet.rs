//! The classic picture, with hosts that have addresses of their own: each is a network namespace.
//!
//! ```text
//!        203.0.113.0/24                        192.168.0.0/24
//!        2001:db8:203::/64                     fd00:168::/64
//!
//!   client        .95 ─┐                   ┌─ .20  second proxy
//!   other client  .96 ─┼─ .10  first  .10 ─┼─ .42  application server
//!   attacker      .66 ─┤       proxy       └─ .66  neighbour, nobody's friend
//!   stranger      .97 ─┘
//!      of 198.51.100.0/24, 2001:db8:198::/64
//! ```
//!
//! The hosts hang on two bridges in a namespace of their own, so nothing of it shows up outside. Nothing is routed
//! between outside and inside: only the first proxy stands in both. The stranger is outside too, at an address of
//! another network; the others outside share the first 64 bits of theirs in version 6, as the hosts of one home do.
//!
//! Invariants: names are unique to a process and an instance, so that tests may run at the same time; whatever was made
//! is removed with the value, also while a test panics; what a killed run left behind is removed by the next one.

mod machine;
mod namespace;

use std::fmt;
use std::net::IpAddr;

use rustix::process::geteuid;

pub use machine::{Loss, Machine};
use namespace::{Namespace, ip};

use crate::peers::find;
use crate::skipped;

/// A version of the Internet Protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// Version 4.
    V4,
    /// Version 6: the same picture once more, with the same last numbers.
    V6,
}

/// All of the picture's hosts.
#[derive(Debug)]
pub struct Internet {
    /// Somebody who wants something of the application.
    pub client: Machine,
    /// Somebody else.
    pub other_client: Machine,
    /// Somebody outside who would like to be somebody else.
    pub attacker: Machine,
    /// Somebody else whose address is of another network.
    pub stranger: Machine,
    /// The proxy that stands outside and inside.
    pub first: Machine,
    /// The proxy behind it.
    pub second: Machine,
    /// The application server.
    pub app: Machine,
    /// An attacker inside: nothing keeps it from talking to the second proxy and to the application server.
    pub neighbour: Machine,
    /// Last, so that it is removed last.
    _wires: Namespace,
}

/// A network: which bridge, and how addresses begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Network {
    Outside,
    /// On the bridge of those outside.
    Elsewhere,
    Inside,
}

impl Internet {
    /// Builds one. `None`, told as skipped, where that is impossible.
    ///
    /// # Panics
    /// When it is impossible and `CI=true`, or when it fails half-way.
    #[track_caller]
    pub fn build() -> Option<Self> {
        if find("ip").is_none() {
            skipped("ip (iproute2) is missing");
            return None;
        }
        if !geteuid().is_root() {
            skipped("network namespaces need root");
            return None;
        }
        namespace::remove_leftovers();
        let instance = namespace::next_instance();
        let wires = match Namespace::add(&instance, "wires") {
            Ok(wires) => wires,
            Err(why) => {
                skipped(&format!("network namespaces cannot be made: {why}"));
                return None;
            }
        };
        for bridge in [Network::Outside.name(), Network::Inside.name()] {
            // Nothing that waits: no spanning tree, no learning of who wants multicast.
            let bridge = format!(
                "link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
                 link set {bridge} up\n"
            );
            ip(Some(wires.name()), &bridge).unwrap();
        }
        let machine = |role: &str, number: u8, networks: &[Network]| {
            let namespace = Namespace::add(&instance, role).unwrap();
            Machine::plug_in(namespace, &wires, role, number, networks)
        };
        Some(Self {
            client: machine("client", 95, &[Network::Outside]),
            other_client: machine("other", 96, &[Network::Outside]),
            attacker: machine("attacker", 66, &[Network::Outside]),
            stranger: machine("stranger", 97, &[Network::Elsewhere]),
            first: machine("first", 10, &[Network::Outside, Network::Inside]),
            second: machine("second", 20, &[Network::Inside]),
            app: machine("app", 42, &[Network::Inside]),
            neighbour: machine("neighbour", 66, &[Network::Inside]),
            _wires: wires,
        })
    }
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Network {
    fn name(self) -> &'static str {
        match self {
            Self::Outside | Self::Elsewhere => "outside",
            Self::Inside => "inside",
        }
    }

    /// The network that is reached on the same wire, without a router.
    fn beside(self) -> Option<Self> {
        match self {
            Self::Outside => Some(Self::Elsewhere),
            Self::Elsewhere => Some(Self::Outside),
            Self::Inside => None,
        }
    }

    /// The address with this last number. In version 6 it reads the same: `.95` and `::95`.
    fn address(self, number: u8, family: Family) -> IpAddr {
        let text = match (self, family) {
            (Self::Outside, Family::V4) => format!("203.0.113.{number}"),
            (Self::Outside, Family::V6) => format!("2001:db8:203::{number}"),
            (Self::Elsewhere, Family::V4) => format!("198.51.100.{number}"),
            (Self::Elsewhere, Family::V6) => format!("2001:db8:198::{number}"),
            (Self::Inside, Family::V4) => format!("192.168.0.{number}"),
            (Self::Inside, Family::V6) => format!("fd00:168::{number}"),
        };
        text.parse().unwrap()
    }
}
