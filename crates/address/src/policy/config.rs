//! The words of a policy as a person wrote them: the same in TOML, JSON and Rust.
//!
//! Invariant: nothing is decided here. What is not written is `None`; what is, waits for [`build`](PolicyConfig::build),
//! which says what is wrong by a [`BadPolicy`].

use std::error::Error;
use std::fmt;

use super::trust::Trusted;
use super::words::{
    CrossCheck, Format, Method, OnAllTrusted, OnDuplicate, OnUntrusted, OnZone, OriginPart, Otherwise,
};
#[cfg(doc)]
use crate::policy::Policy;

/// The words of a policy, before they are checked by [`build`](Self::build).
///
/// In TOML: `from = "x-forwarded-for"` and `trusted = ["192.168.0.0/24"]`. In Rust: start with [`Policy::header`] or
/// [`Policy::x_forwarded_for`] and chain the keys as methods.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(deny_unknown_fields))]
pub struct PolicyConfig {
    pub(super) from: Method,
    pub(super) header: Option<String>,
    pub(super) trusted: Option<Trusted>,
    pub(super) hops: Option<i64>,
    pub(super) max_hops: Option<i64>,
    pub(super) on_missing: Option<Otherwise>,
    pub(super) on_malformed: Option<Otherwise>,
    pub(super) on_too_few: Option<Otherwise>,
    pub(super) on_all_trusted: Option<OnAllTrusted>,
    pub(super) on_duplicate: Option<OnDuplicate>,
    pub(super) on_zone: Option<OnZone>,
    pub(super) on_untrusted: Option<OnUntrusted>,
    pub(super) versions: Option<Vec<i64>>,
    pub(super) format: Option<Format>,
    pub(super) cross_check: Option<CrossCheck>,
    pub(super) origin: Option<Vec<OriginPart>>,
}

impl From<Method> for PolicyConfig {
    fn from(from: Method) -> Self {
        Self {
            from,
            header: None,
            trusted: None,
            hops: None,
            max_hops: None,
            on_missing: None,
            on_malformed: None,
            on_too_few: None,
            on_all_trusted: None,
            on_duplicate: None,
            on_zone: None,
            on_untrusted: None,
            versions: None,
            format: None,
            cross_check: None,
            origin: None,
        }
    }
}

impl PolicyConfig {
    /// The name of the header that `from = "header"` reads.
    pub fn header(mut self, name: impl Into<String>) -> Self {
        self.header = Some(name.into());
        self
    }

    /// Trusts these networks (CIDR), single addresses, `unix`, [named sets](crate::NamedSet), or files
    /// ([`build_with`](Self::build_with)).
    pub fn trusted<S: Into<String>>(mut self, rules: impl IntoIterator<Item = S>) -> Self {
        self.trusted = Some(Trusted::List(rules.into_iter().map(Into::into).collect()));
        self
    }

    /// Trusts whoever can connect.
    pub fn trusted_any(mut self) -> Self {
        self.trusted = Some(Trusted::Any);
        self
    }

    /// The client is the `hops`th entry from the right; 1 is the rightmost.
    pub fn hops(mut self, hops: u32) -> Self {
        self.hops = Some(hops.into());
        self
    }

    /// Refuses a list of more than `max_hops` entries.
    pub fn max_hops(mut self, max_hops: u32) -> Self {
        self.max_hops = Some(max_hops.into());
        self
    }

    /// What happens when a trusted peer does not send the header.
    pub fn on_missing(mut self, otherwise: Otherwise) -> Self {
        self.on_missing = Some(otherwise);
        self
    }

    /// What happens when the walked part holds an entry that is no address.
    pub fn on_malformed(mut self, otherwise: Otherwise) -> Self {
        self.on_malformed = Some(otherwise);
        self
    }

    /// What happens when the list is shorter than `hops`.
    pub fn on_too_few(mut self, otherwise: Otherwise) -> Self {
        self.on_too_few = Some(otherwise);
        self
    }

    /// What happens when every entry of the list is trusted.
    pub fn on_all_trusted(mut self, choice: OnAllTrusted) -> Self {
        self.on_all_trusted = Some(choice);
        self
    }

    /// What happens when a single-value header stands on several lines.
    pub fn on_duplicate(mut self, choice: OnDuplicate) -> Self {
        self.on_duplicate = Some(choice);
        self
    }

    /// What happens to a zone id in the header.
    pub fn on_zone(mut self, choice: OnZone) -> Self {
        self.on_zone = Some(choice);
        self
    }

    /// Reads the header in a proxy's own spelling.
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// What happens to a peer from which no PROXY header is believed.
    pub fn on_untrusted(mut self, choice: OnUntrusted) -> Self {
        self.on_untrusted = Some(choice);
        self
    }

    /// The versions of the PROXY protocol that are read: 1, 2, or both.
    pub fn versions(mut self, versions: impl IntoIterator<Item = u8>) -> Self {
        self.versions = Some(versions.into_iter().map(i64::from).collect());
        self
    }

    /// Demands that a second list tells the same story.
    pub fn cross_check(mut self, other: CrossCheck) -> Self {
        self.cross_check = Some(other);
        self
    }

    /// Believes claims about what the client asked for; see [`Policy::origin`].
    pub fn origin(mut self, parts: impl IntoIterator<Item = OriginPart>) -> Self {
        self.origin = Some(parts.into_iter().collect());
        self
    }
}

/// Why the words make no policy: which key, what is wrong, and the mend.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BadPolicy {
    /// The step, from 0, when the policy has several.
    pub step: Option<usize>,
    /// The key that is wrong or missing.
    pub key: &'static str,
    /// The place in the key's list, from 0, when the key holds one.
    pub index: Option<usize>,
    /// What is wrong, for people.
    pub problem: String,
    /// What to write instead.
    pub help: String,
}

impl BadPolicy {
    pub(super) fn new(key: &'static str, problem: String, help: String) -> Self {
        Self {
            step: None,
            key,
            index: None,
            problem,
            help,
        }
    }

    /// The error's code, `bad-policy`.
    pub fn code(&self) -> &'static str {
        "bad-policy"
    }
}

impl fmt::Display for BadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.help)
    }
}

impl Error for BadPolicy {}
