//! How clients' addresses are learnt: one method, what is trusted, what happens otherwise.
//!
//! Invariant: a [`Policy`] was built from words that a person wrote ([`PolicyConfig`]); it has no public fields, no
//! `Default`, and no way to trust everything but the word `any`.

mod config;

use std::fmt;

pub use config::{
    BadPolicy, Format, Method, OnAllTrusted, OnDuplicate, OnZone, Otherwise, PolicyConfig, Trusted,
};

use crate::network::{Network, Networks};
use crate::peer::Peer;

/// How clients' addresses are learnt. Built by [`PolicyConfig::build`]; used by [`resolve`](Self::resolve) and
/// [`explain`](Self::explain).
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) source: Source,
    pub(crate) trust: Trust,
    pub(crate) on_missing: Otherwise,
    pub(crate) on_malformed: Otherwise,
    pub(crate) on_zone: OnZone,
}

impl Policy {
    /// `from = "peer"`: the client is the peer, and no header is read.
    pub fn peer() -> Self {
        Self {
            source: Source::Peer,
            trust: Trust::default(),
            on_missing: Otherwise::Reject,
            on_malformed: Otherwise::Reject,
            on_zone: OnZone::Reject,
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

    /// Whether this policy believes what `peer` claims.
    pub fn trusts(&self, peer: Peer) -> bool {
        match &self.source {
            Source::Peer => false,
            _ => self.trust.believes(peer),
        }
    }

    /// The name of the one header that this policy reads, in lower case; `None` for `from = "peer"`.
    pub fn reads(&self) -> Option<&str> {
        match &self.source {
            Source::Peer => None,
            Source::Header { name, .. } => Some(name),
            Source::XForwardedFor { .. } => Some(X_FORWARDED_FOR),
        }
    }
}

/// One line for people: `x-forwarded-for, trusted 10.0.0.0/8, unix`.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Peer => return f.write_str("peer, no header is read"),
            Source::Header { name, .. } => write!(f, "header {name}")?,
            Source::XForwardedFor {
                walk: Walk::Count { hops, .. },
                ..
            } => {
                write!(f, "{X_FORWARDED_FOR}, hops {hops}")?;
            }
            Source::XForwardedFor {
                walk: Walk::Trust { .. },
                ..
            } => f.write_str(X_FORWARDED_FOR)?,
        }
        write!(f, ", trusted {}", self.trust)
    }
}

pub(crate) const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Where a policy's answer comes from, with the knobs that only this method has.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Peer,
    Header {
        name: String,
        format: Option<Format>,
        on_duplicate: OnDuplicate,
    },
    XForwardedFor {
        walk: Walk,
        max_hops: Option<usize>,
    },
}

/// How a list is walked from the right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Walk {
    /// The client is the Nth entry.
    Count { hops: usize, on_too_few: Otherwise },
    /// The client is the first entry that is not trusted.
    Trust { on_all_trusted: OnAllTrusted },
}

/// Whose claims are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    pub(crate) any: bool,
    pub(crate) unix: bool,
    pub(crate) networks: Networks,
    /// The rules as written, for people.
    pub(crate) rules: Vec<Network>,
}

impl Trust {
    pub(crate) fn believes(&self, peer: Peer) -> bool {
        self.any || peer.ip().map_or(self.unix, |ip| self.networks.contains(ip))
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.any {
            return f.write_str("any");
        }
        let mut separator = "";
        for rule in &self.rules {
            write!(f, "{separator}{rule}")?;
            separator = ", ";
        }
        match (self.unix, separator) {
            (true, _) => write!(f, "{separator}unix"),
            (false, "") => f.write_str("nobody"),
            (false, _) => Ok(()),
        }
    }
}
