//! How clients' addresses are learnt: one method, what is trusted, what happens otherwise.
//!
//! Invariant: a [`Policy`] was built from words that a person wrote ([`PolicyConfig`]); it has no public fields, no
//! `Default`, and no way to trust everything but the word `any`.

mod build;
mod config;
pub(crate) mod lint;
mod trust;
mod words;

use std::fmt;

pub use config::{BadPolicy, PolicyConfig};
pub(crate) use trust::Trust;
pub use trust::Trusted;
pub use words::{
    CrossCheck, Format, Method, OnAllTrusted, OnDuplicate, OnUntrusted, OnZone, OriginPart, Otherwise,
};

use crate::forwarded::FORWARDED;
use crate::network::sets::NamedSet;
use crate::peer::Peer;
use crate::proxy_protocol::Versions;

/// How clients' addresses are learnt. Built by [`PolicyConfig::build`]; used by [`resolve`](Self::resolve) and
/// [`explain`](Self::explain).
///
/// One step, or two: a PROXY header in front of the connection, then a header field, whose "peer" is whom the PROXY
/// header named.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    pub(crate) source: Source,
    pub(crate) trust: Trust,
    pub(crate) on_missing: Otherwise,
    pub(crate) on_malformed: Otherwise,
    pub(crate) on_zone: OnZone,
    pub(crate) origin: OriginParts,
}

impl Policy {
    /// `from = "peer"`: the client is the peer, and no header is read.
    pub fn peer() -> Self {
        Self {
            proxy_protocol: None,
            source: Source::Peer,
            trust: Trust::default(),
            on_missing: Otherwise::Reject,
            on_malformed: Otherwise::Reject,
            on_zone: OnZone::Reject,
            origin: OriginParts::default(),
        }
    }

    /// `from = "header"`: a single-value header that a trusted proxy sets, such as `X-Real-IP`.
    pub fn header(name: impl Into<String>) -> PolicyConfig {
        PolicyConfig::from(Method::Header).header(name)
    }

    /// `from = "x-forwarded-for"`: the list to which each proxy appends its peer.
    pub fn x_forwarded_for() -> PolicyConfig {
        PolicyConfig::from(Method::XForwardedFor)
    }

    /// `from = "forwarded"`: the list of RFC 7239, to which each proxy appends an element.
    pub fn forwarded() -> PolicyConfig {
        PolicyConfig::from(Method::Forwarded)
    }

    /// `from = "proxy-protocol"`: the header that a proxy below HTTP writes in front of the connection.
    pub fn proxy_protocol() -> PolicyConfig {
        PolicyConfig::from(Method::ProxyProtocol)
    }

    /// Whether this policy believes anything that `peer` claims.
    pub fn trusts(&self, peer: Peer) -> bool {
        match &self.proxy_protocol {
            Some(step) => step.trust.believes(peer),
            None => self.source != Source::Peer && self.trust.believes(peer),
        }
    }

    /// The named sets that are trusted, in the order in which they are written. Their age is worth showing: a network
    /// that its owner gave up may be anybody's tomorrow.
    pub fn named_sets(&self) -> impl Iterator<Item = &NamedSet> {
        let first = self
            .proxy_protocol
            .iter()
            .flat_map(|step| step.trust.named_sets());
        first.chain(self.trust.named_sets())
    }

    /// Whether connections begin with a PROXY header; see [`preface`](Self::preface).
    pub fn reads_proxy_protocol(&self) -> bool {
        self.proxy_protocol.is_some()
    }

    /// The name of the one header that this policy reads, in lower case; `None` when it reads none.
    pub fn reads(&self) -> Option<&str> {
        match &self.source {
            Source::Peer => None,
            Source::Header { name, .. } => Some(name),
            Source::List { list, .. } => Some(list.name()),
        }
    }
}

/// One line for people: `x-forwarded-for, trusted 10.0.0.0/8, unix`.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.proxy_protocol {
            write!(f, "proxy-protocol, trusted {}", step.trust)?;
            if self.source == Source::Peer {
                return Ok(());
            }
            f.write_str("; then ")?;
        }
        match &self.source {
            Source::Peer => return f.write_str("peer, no header is read"),
            Source::Header { name, .. } => write!(f, "header {name}")?,
            Source::List { list, walk, .. } => {
                f.write_str(list.name())?;
                if let Walk::Count { hops, .. } = walk {
                    write!(f, ", hops {hops}")?;
                }
            }
        }
        write!(f, ", trusted {}", self.trust)
    }
}

pub(crate) const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The step before any header field.
#[derive(Clone, Debug)]
pub(crate) struct ProxyProtocol {
    pub(crate) trust: Trust,
    pub(crate) versions: Versions,
    pub(crate) on_untrusted: OnUntrusted,
}

/// Where a policy's answer comes from, with the knobs that only this method has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    Peer,
    Header {
        name: String,
        format: Option<Format>,
        on_duplicate: OnDuplicate,
    },
    List {
        list: List,
        walk: Walk,
        max_hops: Option<usize>,
    },
}

/// Which list of hops is walked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum List {
    XForwardedFor,
    Forwarded { cross_check: Option<CrossCheck> },
}

impl List {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded { .. } => FORWARDED,
        }
    }
}

/// How a list is walked from the right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Walk {
    /// The client is the Nth entry.
    Count { hops: usize, on_too_few: Otherwise },
    /// The client is the first entry that is not trusted.
    Trust { on_all_trusted: OnAllTrusted },
}

/// Which claims about the request's target are believed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct OriginParts {
    pub(crate) proto: bool,
    pub(crate) host: bool,
    pub(crate) port: bool,
}
