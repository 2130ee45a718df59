//! From a peer and its claims to the client.
//!
//! The walk, in order; the first rule that applies ends it:
//!
//! 1. `from = "peer"`: the client is the peer.
//! 2. A peer that is not trusted is the client; its headers have no effect at all.
//! 3. `Connection` names the policy's header (RFC 9110 section 7.6.1): some hop may have removed it, so whatever is
//!    there is not the proxy's word. An error.
//! 4. `from = "header"`: exactly one line, one address.
//! 5. `from = "x-forwarded-for"`: all lines are one list. With `hops` the client is the Nth entry from the right.
//!    Without, the walk goes left over trusted entries; the first one that is not trusted is the client.
//!
//! Invariant: what stands left of the client is never looked at, so it cannot change the answer; and nothing is
//! allocated. (Only `max_hops` counts further, to the number it names.)

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use crate::explain::{Step, Trace};
use crate::fields::{Fields, FromRight, trim_ows};
use crate::node::{self, Hop, NodeFault};
use crate::peer::Peer;
use crate::policy::{Format, OnAllTrusted, OnDuplicate, Otherwise, Policy, Source, Walk, X_FORWARDED_FOR};

impl Policy {
    /// Finds the client of a request that came from `peer` with these header fields.
    ///
    /// # Errors
    ///
    /// [`Unresolved`] when the policy does not give an answer: the request has no client, and no guess is made.
    pub fn resolve<F: Fields + ?Sized>(&self, peer: Peer, fields: &F) -> Result<Resolution, Unresolved> {
        self.walk(peer, fields, &mut ())
    }

    /// The hops that led to `resolution`, nearest first, the client last: the verified part of the chain, without the
    /// peer. `None` stands for an entry right of the client that only was counted and is no address.
    ///
    /// `fields` must be those that `resolution` was made of. Empty when the peer is the client.
    pub fn hops<'a, F: Fields + ?Sized>(
        &'a self,
        resolution: &Resolution,
        fields: &'a F,
    ) -> impl Iterator<Item = Option<Hop>> + 'a {
        let single = match self.source {
            Source::Header { .. } if resolution.depth > 0 => Some(Some(resolution.client.0)),
            _ => None,
        };
        let depth = if matches!(self.source, Source::XForwardedFor { .. }) {
            resolution.depth
        } else {
            0
        };
        let list = FromRight::new(fields.lines(X_FORWARDED_FOR));
        single.into_iter().chain(
            list.take(depth)
                .map(|entry| node::parse(entry, self.on_zone).ok()),
        )
    }

    pub(crate) fn walk<F: Fields + ?Sized>(
        &self,
        peer: Peer,
        fields: &F,
        trace: &mut impl Trace,
    ) -> Result<Resolution, Unresolved> {
        if matches!(self.source, Source::Peer) {
            trace.step(Step::PeerIsAsked);
            return self.peer_is_client(peer, None);
        }
        if !self.trust.believes(peer) {
            trace.step(Step::PeerIsNotTrusted);
            return self.peer_is_client(peer, None);
        }
        trace.step(Step::PeerIsTrusted);
        let answer = match &self.source {
            Source::Peer => return self.peer_is_client(peer, None),
            Source::Header {
                name,
                format,
                on_duplicate,
            } => {
                self.not_nominated(name, fields, trace)?;
                self.single(fields.lines(name), *format, *on_duplicate, trace)
            }
            Source::XForwardedFor { walk, max_hops } => {
                self.not_nominated(X_FORWARDED_FOR, fields, trace)?;
                let list = || FromRight::new(fields.lines(X_FORWARDED_FOR));
                match max_hops {
                    Some(max) if list().nth(*max).is_some() => Err(Unresolved::TooManyHops),
                    _ => self.list(list(), *walk, trace),
                }
            }
        };
        match answer {
            Ok(Answer::Hop(hop, depth)) => Ok(Resolution {
                client: Client(hop),
                peer,
                peer_is_trusted: true,
                depth,
                instead_of: None,
            }),
            Ok(Answer::Peer(reason)) => self.peer_is_client(peer, Some(reason)),
            Err(reason) => match self.otherwise(reason) {
                Otherwise::Reject => Err(reason),
                Otherwise::Peer => self.peer_is_client(peer, Some(reason)),
            },
        }
    }

    fn peer_is_client(&self, peer: Peer, instead_of: Option<Unresolved>) -> Result<Resolution, Unresolved> {
        let ip = peer.ip().ok_or(Unresolved::NoAddress)?;
        Ok(Resolution {
            client: Client(Hop::new(ip, None)),
            peer,
            peer_is_trusted: self.trusts(peer),
            depth: 0,
            instead_of,
        })
    }

    fn otherwise(&self, reason: Unresolved) -> Otherwise {
        match (reason, &self.source) {
            (Unresolved::MissingHeader, _) => self.on_missing,
            (Unresolved::Malformed, _) => self.on_malformed,
            (
                Unresolved::TooFewHops,
                Source::XForwardedFor {
                    walk: Walk::Count { on_too_few, .. },
                    ..
                },
            ) => *on_too_few,
            _ => Otherwise::Reject,
        }
    }

    fn not_nominated<F: Fields + ?Sized>(
        &self,
        name: &str,
        fields: &F,
        trace: &mut impl Trace,
    ) -> Result<(), Unresolved> {
        let nominated = fields.lines("connection").any(|line| {
            line.split(|&b| b == b',')
                .any(|option| trim_ows(option).eq_ignore_ascii_case(name.as_bytes()))
        });
        if nominated {
            trace.step(Step::Nominated);
            return Err(Unresolved::HopByHop);
        }
        Ok(())
    }

    fn single<'a>(
        &self,
        mut lines: impl DoubleEndedIterator<Item = &'a [u8]>,
        format: Option<Format>,
        on_duplicate: OnDuplicate,
        trace: &mut impl Trace,
    ) -> Result<Answer, Unresolved> {
        let last = lines.next_back().map(trim_ows).ok_or(Unresolved::MissingHeader)?;
        if on_duplicate == OnDuplicate::Reject && lines.next_back().is_some() {
            return Err(Unresolved::DuplicateHeader);
        }
        if last.is_empty() {
            return Err(Unresolved::MissingHeader);
        }
        let parsed = match format {
            Some(Format::IpPortUnbracketed) => node::parse_unbracketed(last),
            None => node::parse(last, self.on_zone),
        };
        match parsed {
            Ok(hop) => {
                trace.step(Step::Claimed(last, hop));
                Ok(Answer::Hop(hop, 1))
            }
            Err(fault) => Err(refused(last, fault, trace)),
        }
    }

    fn list<'a, I: DoubleEndedIterator<Item = &'a [u8]>>(
        &self,
        mut entries: FromRight<'a, I>,
        walk: Walk,
        trace: &mut impl Trace,
    ) -> Result<Answer, Unresolved> {
        let mut depth = 0;
        let mut leftmost = None;
        while let Some(entry) = entries.next() {
            depth += 1;
            if let Walk::Count { hops, .. } = walk
                && depth < hops
            {
                // Our own proxies wrote it; whatever it says, the client stands further left.
                trace.step(Step::Counted(entry, depth));
                continue;
            }
            let hop = node::parse(entry, self.on_zone).map_err(|fault| refused(entry, fault, trace))?;
            let passes = matches!(walk, Walk::Trust { .. }) && self.trust.networks.contains(hop.ip());
            if !passes {
                trace.step(match walk {
                    Walk::Count { .. } => Step::CountedClient(entry, hop, depth),
                    Walk::Trust { .. } => Step::NotTrusted(entry, hop),
                });
                let (rest, more) = entries.unread();
                trace.step(Step::Unread(rest, more));
                return Ok(Answer::Hop(hop, depth));
            }
            trace.step(Step::Trusted(entry));
            leftmost = Some(hop);
        }
        match (walk, leftmost) {
            _ if depth == 0 => Err(Unresolved::MissingHeader),
            (Walk::Count { .. }, _) => Err(Unresolved::TooFewHops),
            (
                Walk::Trust {
                    on_all_trusted: OnAllTrusted::Peer,
                },
                _,
            ) => Ok(Answer::Peer(Unresolved::AllTrusted)),
            (
                Walk::Trust {
                    on_all_trusted: OnAllTrusted::Leftmost,
                },
                Some(hop),
            ) => Ok(Answer::Hop(hop, depth)),
            (Walk::Trust { .. }, _) => Err(Unresolved::AllTrusted),
        }
    }
}

fn refused(entry: &[u8], fault: NodeFault, trace: &mut impl Trace) -> Unresolved {
    trace.step(Step::Refused(entry, fault));
    match fault {
        NodeFault::Malformed => Unresolved::Malformed,
        NodeFault::Unidentified => Unresolved::Unidentified,
    }
}

enum Answer {
    /// The client, and how many entries from the right it stands.
    Hop(Hop, usize),
    /// The policy says that the peer stands in, and why.
    Peer(Unresolved),
}

/// The address that a policy resolved; the only one that decisions may use. Only a resolution makes one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Client(Hop);

impl Client {
    /// The client's address, IPv4-mapped IPv6 folded to IPv4.
    pub fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// The client's port, when a claim told it.
    pub fn port(&self) -> Option<u16> {
        self.0.port()
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client and the evidence for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Resolution {
    client: Client,
    peer: Peer,
    peer_is_trusted: bool,
    depth: usize,
    instead_of: Option<Unresolved>,
}

impl Resolution {
    /// Who is really at the other end.
    pub fn client(&self) -> Client {
        self.client
    }

    /// The other end of the socket: the client itself, or the nearest proxy.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether the policy believes what the peer claims.
    pub fn peer_is_trusted(&self) -> bool {
        self.peer_is_trusted
    }

    /// How many entries from the right the client stood in the policy's header; 0 when the peer is the client.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Why the peer stands in for a client that the policy could not find (`on_missing = "peer"` and its kin). Such a
    /// client is a proxy of ours: decisions about identity must not rest on it.
    pub fn instead_of(&self) -> Option<Unresolved> {
        self.instead_of
    }
}

/// Why a request has no client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Unresolved {
    /// The peer is a Unix socket, which has no address, and no claim may stand in.
    NoAddress,
    /// A trusted peer did not send the policy's header, or sent an empty one.
    MissingHeader,
    /// An entry that had to be read is no address.
    Malformed,
    /// A single-value header stands on several lines.
    DuplicateHeader,
    /// The list is shorter than the policy's `hops`.
    TooFewHops,
    /// The list is longer than the policy's `max_hops`.
    TooManyHops,
    /// Every entry of the list is trusted: nobody is left to be the client.
    AllTrusted,
    /// The walk reached `unknown` or an obfuscated identifier.
    Unidentified,
    /// `Connection` names the policy's header, so a hop may have removed it.
    HopByHop,
}

impl Unresolved {
    /// Every reason, for metrics that must exist before they first count.
    pub const ALL: [Self; 9] = [
        Self::NoAddress,
        Self::MissingHeader,
        Self::Malformed,
        Self::DuplicateHeader,
        Self::TooFewHops,
        Self::TooManyHops,
        Self::AllTrusted,
        Self::Unidentified,
        Self::HopByHop,
    ];

    /// The reason's code; part of the interface.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoAddress => "no-address",
            Self::MissingHeader => "missing-header",
            Self::Malformed => "malformed",
            Self::DuplicateHeader => "duplicate-header",
            Self::TooFewHops => "too-few-hops",
            Self::TooManyHops => "too-many-hops",
            Self::AllTrusted => "all-trusted",
            Self::Unidentified => "unidentified",
            Self::HopByHop => "hop-by-hop",
        }
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAddress => "the peer is a unix socket, which has no address",
            Self::MissingHeader => "a trusted peer did not send the header that the policy reads",
            Self::Malformed => "an entry that had to be read is no address",
            Self::DuplicateHeader => "a header with a single value stands on several lines",
            Self::TooFewHops => "the list has fewer entries than the policy's hops",
            Self::TooManyHops => "the list has more entries than the policy's max_hops",
            Self::AllTrusted => "every entry of the list is a trusted proxy",
            Self::Unidentified => "a proxy hid the address",
            Self::HopByHop => "Connection names the header that the policy reads",
        })
    }
}

impl Error for Unresolved {}
