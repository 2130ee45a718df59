//! The whole story of one answer, hop by hop, for people.
//!
//! Invariant: an explanation is a trace of the very walk that [`Policy::resolve`] makes, so the two cannot disagree.

use std::fmt;

use crate::arrival::Arrival;
use crate::fields::Fields;
use crate::node::{Hop, NodeFault};
use crate::notice::FORWARDING_HEADERS;
use crate::peer::Peer;
use crate::policy::Policy;
use crate::resolve::{Resolution, Unresolved};

/// Longer entries are cut in explanations: what a stranger sends must not fill a screen.
const SHOWN: usize = 80;

impl Policy {
    /// Resolves like [`resolve`](Self::resolve) and tells each step of it.
    pub fn explain<F: Fields + ?Sized>(&self, arrival: impl Into<Arrival>, fields: &F) -> Explanation {
        let arrival = arrival.into();
        let peer = arrival.peer();
        let mut rungs = Rungs {
            peer,
            named: None,
            reads: self.reads().unwrap_or_default(),
            rungs: Vec::new(),
        };
        let outcome = self.walk(arrival, fields, &mut rungs);
        let ignored = FORWARDING_HEADERS
            .into_iter()
            .filter(|name| Some(*name) != self.reads() && fields.lines(name).next().is_some())
            .map(str::to_owned)
            .collect();
        Explanation {
            policy: self.to_string(),
            peer,
            rungs: rungs.rungs,
            ignored,
            outcome,
        }
    }
}

/// What a policy made of one request: each hop with the reason, and the outcome. `Display` draws it as a ladder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation {
    policy: String,
    peer: Peer,
    rungs: Vec<Rung>,
    ignored: Vec<String>,
    outcome: Result<Resolution, Unresolved>,
}

impl Explanation {
    /// The policy in one line.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// The steps of the walk: the peer first, then the entries from the right.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Forwarding headers that are there and that the policy does not read.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The answer, as `resolve` gives it.
    pub fn outcome(&self) -> Result<Resolution, Unresolved> {
        self.outcome
    }
}

/// One step of the walk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rung {
    /// What was looked at: the peer, or an entry's text (control bytes shown as escapes, long text cut).
    pub subject: String,
    /// What the policy made of it.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
}

/// What the policy made of a step's subject.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is the client.
    Client,
    /// It is trusted, so the walk goes on.
    Trusted,
    /// It cannot be used, so the walk ends without a client.
    Refused,
    /// It was not looked at.
    Unread,
}

impl Verdict {
    /// The verdict as a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Trusted => "trusted",
            Self::Refused => "refused",
            Self::Unread => "unread",
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "policy   {}", self.policy)?;
        let width = self
            .rungs
            .iter()
            .map(|rung| rung.subject.chars().count())
            .max()
            .unwrap_or_default();
        for rung in &self.rungs {
            let mark = match rung.verdict {
                Verdict::Client => "=>",
                Verdict::Trusted => "|",
                Verdict::Refused => "x",
                Verdict::Unread => ".",
            };
            writeln!(f, "{mark:>6}   {:width$}   {}", rung.subject, rung.reason)?;
        }
        for name in &self.ignored {
            writeln!(f, "     .   {name}: not read by this policy")?;
        }
        match self.outcome {
            Ok(resolution) => write!(f, "client   {}", resolution.client()),
            Err(reason) => write!(f, "error    {}: {reason}", reason.code()),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Explanation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("policy", &self.policy)?;
        map.serialize_entry("peer", &self.peer.to_string())?;
        match self.outcome {
            Ok(resolution) => {
                map.serialize_entry("client", &resolution.client().ip())?;
                if let Some(port) = resolution.client().port() {
                    map.serialize_entry("port", &port)?;
                }
                if let Some(reason) = resolution.instead_of() {
                    map.serialize_entry("instead_of", reason.code())?;
                }
            }
            Err(reason) => map.serialize_entry("error", reason.code())?,
        }
        map.serialize_entry("hops", &self.rungs)?;
        map.serialize_entry("ignored", &self.ignored)?;
        map.end()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Rung {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut rung = serializer.serialize_struct("Rung", 3)?;
        rung.serialize_field("hop", &self.subject)?;
        rung.serialize_field("verdict", self.verdict.word())?;
        rung.serialize_field("reason", &self.reason)?;
        rung.end()
    }
}

/// One step of the walk, as it happens.
pub(crate) enum Step<'a> {
    PeerIsAsked,
    PeerIsTrusted,
    PeerIsNotTrusted,
    /// The policy reads PROXY headers, and nobody looked for one.
    PrefaceIsUnread,
    Prefaced(Hop),
    NotPrefaced,
    /// The policy asks whom the PROXY header named.
    NamedIsAsked,
    Nominated,
    /// A `Forwarded` field whose quotes do not balance.
    Unbalanced,
    /// The element of `Forwarded` that another list contradicts.
    Conflict(&'a [u8]),
    Claimed(&'a [u8], Hop),
    Counted(&'a [u8], usize),
    CountedClient(&'a [u8], Hop, usize),
    Trusted(&'a [u8]),
    NotTrusted(&'a [u8], Hop),
    Refused(&'a [u8], NodeFault),
    /// What is left on the line, and whether lines stand before it.
    Unread(&'a [u8], bool),
}

/// Who listens to the walk: nobody in `resolve`, [`Rungs`] in `explain`.
pub(crate) trait Trace {
    fn step(&mut self, step: Step<'_>);

    /// Whether it is worth finding out what was not read.
    fn wants_unread(&self) -> bool;
}

impl Trace for () {
    #[inline(always)]
    fn step(&mut self, _: Step<'_>) {}

    #[inline(always)]
    fn wants_unread(&self) -> bool {
        false
    }
}

struct Rungs<'a> {
    peer: Peer,
    /// Whom the PROXY header named; from there on it stands for the peer.
    named: Option<Hop>,
    reads: &'a str,
    rungs: Vec<Rung>,
}

impl Trace for Rungs<'_> {
    fn wants_unread(&self) -> bool {
        true
    }

    fn step(&mut self, step: Step<'_>) {
        let peer = || match self.named {
            Some(hop) => format!("named {hop}"),
            None => format!("peer {}", self.peer),
        };
        let header = self.reads;
        let (subject, verdict, reason) = match step {
            Step::PeerIsAsked => (peer(), Verdict::Client, "the policy asks the socket only".into()),
            Step::PeerIsTrusted => (
                peer(),
                Verdict::Trusted,
                format!("trusted, so its {header} is read"),
            ),
            Step::PeerIsNotTrusted => (
                peer(),
                Verdict::Client,
                "not trusted, so its headers have no effect".into(),
            ),
            Step::PrefaceIsUnread => (
                peer(),
                Verdict::Refused,
                "its connection was not looked at for a PROXY header".into(),
            ),
            Step::Prefaced(hop) => {
                let rung = (
                    peer(),
                    Verdict::Trusted,
                    format!("trusted, and its PROXY header names {hop}"),
                );
                self.named = Some(hop);
                rung
            }
            Step::NotPrefaced => (
                peer(),
                Verdict::Trusted,
                "names nobody in front of its connection".into(),
            ),
            Step::NamedIsAsked => (
                peer(),
                Verdict::Client,
                "the policy asks the PROXY header only".into(),
            ),
            Step::Unbalanced => (
                header.to_owned(),
                Verdict::Refused,
                "has a quote that is never closed".into(),
            ),
            Step::Conflict(text) => (
                shown(text),
                Verdict::Refused,
                "x-forwarded-for says something else at this place".into(),
            ),
            Step::Nominated => (
                "Connection".into(),
                Verdict::Refused,
                format!("names {header}, so a hop may have removed it"),
            ),
            Step::Claimed(text, hop) => (shown(text), Verdict::Client, format!("{header} says {hop}")),
            Step::Counted(text, n) => (
                shown(text),
                Verdict::Trusted,
                format!("entry {n} from the right, counted"),
            ),
            Step::CountedClient(text, hop, n) => (
                shown(text),
                Verdict::Client,
                format!("entry {n} from the right: {hop}"),
            ),
            Step::Trusted(text) => (
                shown(text),
                Verdict::Trusted,
                "trusted, so the walk goes on".into(),
            ),
            Step::NotTrusted(text, hop) => (
                shown(text),
                Verdict::Client,
                format!("{} is not trusted", hop.ip()),
            ),
            Step::Refused(text, NodeFault::Malformed) => {
                (shown(text), Verdict::Refused, "not an address".into())
            }
            Step::Refused(text, NodeFault::Unidentified) => {
                (shown(text), Verdict::Refused, "hides the address".into())
            }
            Step::Refused(text, NodeFault::NoFor) => {
                (shown(text), Verdict::Refused, "does not say for whom".into())
            }
            Step::Unread(b"", false) => return,
            Step::Unread(text, more) => {
                let dots = if more { ", and lines before it" } else { "" };
                (
                    shown(text),
                    Verdict::Unread,
                    format!("left of the client{dots}: never looked at"),
                )
            }
        };
        self.rungs.push(Rung {
            subject,
            verdict,
            reason,
        });
    }
}

fn shown(text: &[u8]) -> String {
    let cut = text.get(..SHOWN).unwrap_or(text);
    let mut shown = cut.escape_ascii().to_string();
    if cut.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(policy: &Policy, headers: &[(&str, &str)]) -> Explanation {
        policy.explain("10.0.0.1:40000".parse::<Peer>().unwrap(), headers)
    }

    #[test]
    fn the_ladder_reads_from_the_peer_to_the_client() {
        let policy = Policy::x_forwarded_for().trusted(["10.0.0.0/8"]).build().unwrap();
        let headers = [
            ("X-Forwarded-For", "6.6.6.6, 1.2.3.4:99, 10.0.0.2"),
            ("X-Real-IP", "9.9.9.9"),
        ];
        assert_eq!(
            explain(&policy, &headers).to_string(),
            "policy   x-forwarded-for, trusted 10.0.0.0/8\n     \
             |   peer 10.0.0.1:40000   trusted, so its x-forwarded-for is read\n     \
             |   10.0.0.2              trusted, so the walk goes on\n    \
             =>   1.2.3.4:99            1.2.3.4 is not trusted\n     \
             .   6.6.6.6               left of the client: never looked at\n     \
             .   x-real-ip: not read by this policy\n\
             client   1.2.3.4:99"
        );
    }

    #[test]
    fn what_a_stranger_sends_is_escaped_and_cut() {
        let policy = Policy::header("X-Real-IP").trusted_any().build().unwrap();
        let long = format!("\x1b[31m{}", "a".repeat(500));
        let explanation = explain(&policy, &[("X-Real-IP", &long)]);
        let refused = &explanation.rungs()[1];
        assert_eq!(refused.verdict, Verdict::Refused);
        assert!(refused.subject.starts_with("\\x1b[31m") && refused.subject.ends_with("..."));
        assert!(refused.subject.len() < 100);
        assert_eq!(explanation.outcome(), Err(Unresolved::Malformed));
    }
}
