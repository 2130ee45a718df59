//! From a peer and its claims to the client.
//!
//! The walk, in order; the first rule that applies ends it:
//!
//! 1. A PROXY header in front of the connection, when the policy has that step: whom it names stands for the peer in
//!    all that follows. It must have been looked for ([`Preface`](crate::proxy_protocol::Preface)).
//! 2. `from = "peer"`: the client is the peer.
//! 3. A peer that is not trusted is the client; its headers have no effect at all.
//! 4. `Connection` names the policy's header (RFC 9110 section 7.6.1): some hop may have removed it, so whatever is
//!    there is not the proxy's word. An error.
//! 5. `from = "header"`: exactly one line, one address.
//! 6. `from = "x-forwarded-for"` or `"forwarded"`: all lines are one list. With `hops` the client is the Nth entry from
//!    the right. Without, the walk goes left over trusted entries; the first one that is not trusted is the client.
//!
//! Invariant: what stands left of the client is never looked at, so it cannot change the answer; and nothing is
//! allocated. (`max_hops` counts further, to the number it names, and all quotes of a `Forwarded` field must balance.)

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use crate::arrival::Arrival;
use crate::explain::{Step, Trace};
use crate::fields::{Elements, Fields, FromRight, trim_ows};
use crate::forwarded::{self, Quoting};
use crate::node::{self, Hop, NodeFault};
use crate::peer::Peer;
use crate::policy::{
    CrossCheck, Format, List, OnAllTrusted, OnDuplicate, Otherwise, Policy, Source, Walk, X_FORWARDED_FOR,
};

impl Policy {
    /// Finds the client of a request with these header fields.
    ///
    /// `arrival` is the [`Peer`], or what a [`Preface`](crate::proxy_protocol::Preface) made of the connection's start
    /// when the policy reads PROXY headers.
    ///
    /// # Errors
    ///
    /// [`Unresolved`] when the policy does not give an answer: the request has no client, and no guess is made.
    #[inline]
    pub fn resolve<F: Fields + ?Sized>(
        &self,
        arrival: impl Into<Arrival>,
        fields: &F,
    ) -> Result<Resolution, Unresolved> {
        self.walk(arrival.into(), fields, &mut ())
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
        let depth = |wanted: bool| if wanted { resolution.depth } else { 0 };
        let (mut single, mut plain, mut forwarded) = (None, 0, 0);
        match self.source {
            Source::Peer => {}
            Source::Header { .. } => single = (resolution.depth > 0).then_some(Some(resolution.client.0)),
            Source::List {
                list: List::XForwardedFor,
                ..
            } => plain = depth(true),
            Source::List {
                list: List::Forwarded { .. },
                ..
            } => forwarded = depth(true),
        }
        let zone = self.on_zone;
        let plain = FromRight::new(fields.lines(X_FORWARDED_FOR)).take(plain);
        let forwarded = forwarded::FromRight::new(fields.lines(forwarded::FORWARDED)).take(forwarded);
        let named = resolution.named.map(Some);
        named
            .into_iter()
            .chain(single)
            .chain(plain.map(move |entry| node::parse(entry, zone).ok()))
            .chain(forwarded.map(move |element| forwarded::parse(element, zone).ok()))
    }

    pub(crate) fn walk<F: Fields + ?Sized>(
        &self,
        arrival: Arrival,
        fields: &F,
        trace: &mut impl Trace,
    ) -> Result<Resolution, Unresolved> {
        let peer = arrival.peer();
        let mut at = Standing {
            peer,
            named: None,
            trusted: false,
        };
        if let Some(step) = &self.proxy_protocol {
            if !arrival.was_read() {
                trace.step(Step::PrefaceIsUnread);
                return Err(Unresolved::BadProxyHeader);
            }
            at.named = arrival.claim();
            at.trusted = step.trust.believes(peer);
            trace.step(match at.named {
                Some(hop) => Step::Prefaced(hop),
                None => Step::NotPrefaced,
            });
        }
        if matches!(self.source, Source::Peer) {
            trace.step(if at.named.is_some() {
                Step::NamedIsAsked
            } else {
                Step::PeerIsAsked
            });
            return at.is_client(None);
        }
        let is_trusted = match at.named {
            None => self.trust.believes(peer),
            Some(named) => self.trust.believes_ip(named.ip()),
        };
        if !is_trusted {
            trace.step(Step::PeerIsNotTrusted);
            return at.is_client(None);
        }
        at.trusted = true;
        trace.step(Step::PeerIsTrusted);
        match self.claimed(fields, trace) {
            Ok(Answer::Hop(hop, depth)) => Ok(at.resolution(hop, depth, None)),
            Ok(Answer::Peer(reason)) => at.is_client(reason),
            Err(reason) => match self.otherwise(reason) {
                Otherwise::Reject => Err(reason),
                Otherwise::Peer => at.is_client(Some(reason)),
            },
        }
    }

    /// Whom the header names that a trusted peer sent.
    // Apart, so that a request whose headers do not matter pays nothing for it.
    #[inline(never)]
    fn claimed<F: Fields + ?Sized>(&self, fields: &F, trace: &mut impl Trace) -> Result<Answer, Unresolved> {
        let (list, walk, max_hops) = match &self.source {
            // Nobody is asked.
            Source::Peer => return Ok(Answer::Peer(None)),
            Source::Header {
                name,
                format,
                on_duplicate,
            } => {
                not_nominated(name, fields, trace)?;
                return self.single(fields.lines(name), *format, *on_duplicate, trace);
            }
            Source::List { list, walk, max_hops } => (*list, *walk, *max_hops),
        };
        not_nominated(list.name(), fields, trace)?;
        let lines = || fields.lines(list.name());
        let plain = || FromRight::new(lines());
        match list {
            List::XForwardedFor => self.list(plain, node::parse, walk, max_hops, trace),
            List::Forwarded { cross_check } => {
                let answer = match forwarded::quotes(lines()) {
                    // Then every comma separates.
                    Quoting::None => self.list(plain, forwarded::parse, walk, max_hops, trace),
                    Quoting::Balanced => {
                        let elements = || forwarded::FromRight::new(lines());
                        self.list(elements, forwarded::parse, walk, max_hops, trace)
                    }
                    Quoting::Unbalanced => {
                        trace.step(Step::Unbalanced);
                        Err(Unresolved::Malformed)
                    }
                };
                self.agree(answer?, cross_check, fields, trace)
            }
        }
    }

    fn otherwise(&self, reason: Unresolved) -> Otherwise {
        match (reason, &self.source) {
            (Unresolved::MissingHeader, _) => self.on_missing,
            (Unresolved::Malformed, _) => self.on_malformed,
            (
                Unresolved::TooFewHops,
                Source::List {
                    walk: Walk::Count { on_too_few, .. },
                    ..
                },
            ) => *on_too_few,
            _ => Otherwise::Reject,
        }
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

    fn list<'a, E: Elements<'a>>(
        &self,
        entries: impl Fn() -> E,
        parse: impl Fn(&[u8], crate::policy::OnZone) -> Result<Hop, NodeFault>,
        walk: Walk,
        max_hops: Option<usize>,
        trace: &mut impl Trace,
    ) -> Result<Answer, Unresolved> {
        if max_hops.is_some_and(|max| entries().nth(max).is_some()) {
            return Err(Unresolved::TooManyHops);
        }
        let mut walked = entries();
        let mut depth = 0;
        while let Some(entry) = walked.next() {
            depth += 1;
            if let Walk::Count { hops, .. } = walk
                && depth < hops
            {
                // Our own proxies wrote it; whatever it says, the client stands further left.
                trace.step(Step::Counted(entry, depth));
                continue;
            }
            let hop = parse(entry, self.on_zone).map_err(|fault| refused(entry, fault, trace))?;
            let passes = matches!(walk, Walk::Trust { .. }) && self.trust.networks.contains(hop.ip());
            if !passes {
                trace.step(match walk {
                    Walk::Count { .. } => Step::CountedClient(entry, hop, depth),
                    Walk::Trust { .. } => Step::NotTrusted(entry, hop),
                });
                if trace.wants_unread() {
                    let (rest, more) = walked.unread();
                    trace.step(Step::Unread(rest, more));
                }
                return Ok(Answer::Hop(hop, depth));
            }
            trace.step(Step::Trusted(entry));
        }
        let on_all_trusted = match walk {
            _ if depth == 0 => return Err(Unresolved::MissingHeader),
            Walk::Count { .. } => return Err(Unresolved::TooFewHops),
            Walk::Trust { on_all_trusted } => on_all_trusted,
        };
        match on_all_trusted {
            OnAllTrusted::Reject => Err(Unresolved::AllTrusted),
            OnAllTrusted::Peer => Ok(Answer::Peer(Some(Unresolved::AllTrusted))),
            // Found again rather than kept: nearly no walk ends here.
            OnAllTrusted::Leftmost => {
                let leftmost = entries()
                    .nth(depth - 1)
                    .and_then(|entry| parse(entry, self.on_zone).ok());
                let hop = leftmost.ok_or(Unresolved::AllTrusted)?;
                Ok(Answer::Hop(hop, depth))
            }
        }
    }

    /// Compares what was walked of `Forwarded` with as many entries of the other list, if that is there at all.
    fn agree<F: Fields + ?Sized>(
        &self,
        answer: Answer,
        cross_check: Option<CrossCheck>,
        fields: &F,
        trace: &mut impl Trace,
    ) -> Result<Answer, Unresolved> {
        let (Some(CrossCheck::XForwardedFor), Answer::Hop(_, depth)) = (cross_check, &answer) else {
            return Ok(answer);
        };
        let mut entries = FromRight::new(fields.lines(X_FORWARDED_FOR)).peekable();
        if entries.peek().is_none() {
            return Ok(answer);
        }
        let address = |parsed: Result<Hop, NodeFault>| parsed.ok().map(|hop| hop.ip());
        let elements = forwarded::FromRight::new(fields.lines(forwarded::FORWARDED)).take(*depth);
        for element in elements {
            let other = entries
                .next()
                .map(|entry| address(node::parse(entry, self.on_zone)));
            if other != Some(address(forwarded::parse(element, self.on_zone))) {
                trace.step(Step::Conflict(element));
                return Err(Unresolved::Conflict);
            }
        }
        Ok(answer)
    }
}

fn not_nominated<F: Fields + ?Sized>(
    name: &str,
    fields: &F,
    trace: &mut impl Trace,
) -> Result<(), Unresolved> {
    if is_nominated(name, fields) {
        trace.step(Step::Nominated);
        return Err(Unresolved::HopByHop);
    }
    Ok(())
}

/// Whether `Connection` names this field (RFC 9110 section 7.6.1).
pub(crate) fn is_nominated<F: Fields + ?Sized>(name: &str, fields: &F) -> bool {
    fields.lines("connection").any(|line| {
        // Mostly it is `close` or `keep-alive`, which have no room for a name.
        line.len() >= name.len()
            && line
                .split(|&b| b == b',')
                .any(|option| trim_ows(option).eq_ignore_ascii_case(name.as_bytes()))
    })
}

fn refused(entry: &[u8], fault: NodeFault, trace: &mut impl Trace) -> Unresolved {
    trace.step(Step::Refused(entry, fault));
    match fault {
        NodeFault::Malformed => Unresolved::Malformed,
        NodeFault::Unidentified => Unresolved::Unidentified,
        NodeFault::NoFor => Unresolved::NoFor,
    }
}

enum Answer {
    /// The client, and how many entries from the right it stands.
    Hop(Hop, usize),
    /// The policy says that the peer stands in, and for which error.
    Peer(Option<Unresolved>),
}

/// What is known of a connection before its headers are read.
struct Standing {
    peer: Peer,
    /// Whom the PROXY header named.
    named: Option<Hop>,
    /// Whether anything that the peer claims is believed.
    trusted: bool,
}

impl Standing {
    fn resolution(&self, client: Hop, depth: usize, instead_of: Option<Unresolved>) -> Resolution {
        Resolution {
            client: Client(client),
            peer: self.peer,
            named: self.named,
            peer_is_trusted: self.trusted,
            depth,
            instead_of,
        }
    }

    /// Whom the PROXY header named is the client, or the peer itself.
    fn is_client(&self, instead_of: Option<Unresolved>) -> Result<Resolution, Unresolved> {
        let client = match (self.named, self.peer.ip()) {
            (Some(named), _) => named,
            (None, Some(ip)) => Hop::folded(ip),
            (None, None) => return Err(Unresolved::NoAddress),
        };
        Ok(self.resolution(client, 0, instead_of))
    }
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
    named: Option<Hop>,
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

    /// How many entries from the right the client stood in the policy's header; 0 when no header led to it.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Whom the PROXY header in front of the connection named.
    pub fn named_by_proxy_protocol(&self) -> Option<Hop> {
        self.named
    }

    /// Whether anybody's claim led to the client: then the peer is a proxy, and not the client itself.
    pub fn is_claimed(&self) -> bool {
        self.depth > 0 || self.named.is_some()
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
    /// An element of `Forwarded` that had to be read does not say for whom the request was forwarded.
    NoFor,
    /// Two lists that must tell the same story do not.
    Conflict,
    /// `Connection` names the policy's header, so a hop may have removed it.
    HopByHop,
    /// The PROXY header that the policy requires is missing or wrong.
    BadProxyHeader,
    /// The policy refuses connections from peers whose PROXY header it does not believe.
    UntrustedPeer,
}

impl Unresolved {
    /// Every reason, for metrics that must exist before they first count.
    pub const ALL: [Self; 13] = [
        Self::NoAddress,
        Self::MissingHeader,
        Self::Malformed,
        Self::DuplicateHeader,
        Self::TooFewHops,
        Self::TooManyHops,
        Self::AllTrusted,
        Self::Unidentified,
        Self::NoFor,
        Self::Conflict,
        Self::HopByHop,
        Self::BadProxyHeader,
        Self::UntrustedPeer,
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
            Self::NoFor => "no-for",
            Self::Conflict => "conflict",
            Self::HopByHop => "hop-by-hop",
            Self::BadProxyHeader => "bad-proxy-header",
            Self::UntrustedPeer => "untrusted-peer",
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
            Self::NoFor => "an element of Forwarded that had to be read has no for",
            Self::Conflict => "Forwarded and X-Forwarded-For tell different stories",
            Self::HopByHop => "Connection names the header that the policy reads",
            Self::BadProxyHeader => "the PROXY header is missing or wrong",
            Self::UntrustedPeer => "the peer is not one whose PROXY header is believed",
        })
    }
}

impl Error for Unresolved {}
