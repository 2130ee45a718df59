//! What a policy leaves open: settings that are valid, and that a person may regret.
//!
//! Invariant: a lint changes nothing and refuses nothing. Each says in one sentence what follows, and in one how to mend
//! it; what can only be wrong is a [`BadPolicy`](crate::BadPolicy) instead.

mod header;

use std::fmt;

use super::trust::{Meaning, Rule, Trust};
use super::{OnAllTrusted, OnDuplicate, Otherwise, Policy, Source, Walk};
use crate::date::Date;
use crate::network::sets::NamedSet;
use crate::network::{Network, Networks, Range};

/// What is known about the place where a policy is used. Nothing by default: then some lints stay silent.
#[derive(Clone, Copy, Debug, Default)]
pub struct LintContext {
    public_listener: bool,
    today: Option<Date>,
}

impl LintContext {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether hosts outside of one's own network can connect.
    pub fn public_listener(mut self, public: bool) -> Self {
        self.public_listener = public;
        self
    }

    /// The day, by which the age of snapshots is judged.
    pub fn today(mut self, today: Date) -> Self {
        self.today = Some(today);
        self
    }
}

/// One thing that a policy leaves open. `Display` tells all of it in one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lint {
    code: &'static str,
    consequence: String,
    mend: String,
}

impl Lint {
    fn new(code: &'static str, consequence: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            code,
            consequence: consequence.into(),
            mend: mend.into(),
        }
    }

    /// The lint's code, which stays the same when its words change; see [`Policy::lint`].
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What follows, in one sentence.
    pub fn consequence(&self) -> &str {
        &self.consequence
    }

    /// How to mend it, in one sentence.
    pub fn mend(&self) -> &str {
        &self.mend
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.code, self.consequence, self.mend)
    }
}

impl Policy {
    /// What this policy leaves open, as far as it can be said without knowing the place where it is used.
    ///
    /// | code | what it is about |
    /// |---|---|
    /// | `trusts-any` `hops-without-gate` | `trusted = "any"`; with a header, whoever connects writes the client |
    /// | `trusts-nobody` | an empty list: no claim is ever believed |
    /// | `wide-rule` | a rule that holds more than anybody's own network |
    /// | `host-bits` | `10.0.0.2/26` means `10.0.0.0/26` |
    /// | `repeated-rule` `overlapping-rule` | a rule that says what another one says already |
    /// | `unreachable-rule` | a rule of addresses that no peer can have |
    /// | `private-on-public` | every private network is trusted, and strangers can connect; [in context](Self::lint_in) |
    /// | `stale-set` | an old snapshot of a provider's networks; [in context](Self::lint_in) |
    /// | `header-appended` `header-passed-through` | a header that proxies do not set, so that a client can |
    /// | `header-of-a-provider` | a provider's header, believed from others |
    /// | `header-format` | a header whose spelling needs the key `format` |
    /// | `underscore-name` | a header name that many proxies drop, or read as another |
    /// | `duplicate-last` | `on_duplicate = "last"` |
    /// | `missing-is-peer` `malformed-is-peer` `too-few-is-peer` `all-trusted-is-peer` | the proxy may be taken for the client |
    /// | `all-trusted-is-leftmost` | a client inside of the trusted networks can write its address |
    /// | `never-answers` | `hops` above `max_hops` |
    /// | `never-used` | a knob that cannot matter |
    ///
    /// # Examples
    ///
    /// ```
    /// # use truehop::Policy;
    /// let policy = Policy::x_forwarded_for().trusted_any().hops(1).build()?;
    /// let lints = policy.lint();
    /// assert_eq!(lints[0].code(), "hops-without-gate");
    /// println!("{}", lints[0]);
    /// # Ok::<(), truehop::BadPolicy>(())
    /// ```
    pub fn lint(&self) -> Vec<Lint> {
        self.lint_in(&LintContext::default())
    }

    /// Like [`lint`](Self::lint), knowing where the policy is used.
    pub fn lint_in(&self, context: &LintContext) -> Vec<Lint> {
        let mut lints = Vec::new();
        if let Some(step) = &self.proxy_protocol {
            if step.trust.any {
                lints.push(Lint::new(
                    "trusts-any",
                    "Whoever can connect writes a PROXY header, and in it any client's address.",
                    "Write the addresses of your proxies into trusted, or make sure that nothing else can connect.",
                ));
            }
            trust(&step.trust, context, &mut lints);
        }
        if self.source == Source::Peer {
            return lints;
        }
        if self.trust.any {
            lints.push(self.header_from_anyone());
        }
        trust(&self.trust, context, &mut lints);
        match &self.source {
            Source::Peer => {}
            Source::Header {
                name,
                format,
                on_duplicate,
            } => {
                header::lint(name, *format, &self.trust, &mut lints);
                if *on_duplicate == OnDuplicate::Last {
                    lints.push(Lint::new(
                        "duplicate-last",
                        format!("A proxy that passes {name} on without adding a line hands out what the client wrote."),
                        "Let the proxy overwrite the header, and remove on_duplicate.",
                    ));
                }
            }
            Source::List { walk, max_hops, .. } => list(*walk, *max_hops, &mut lints),
        }
        self.fallbacks(&mut lints);
        lints
    }

    fn header_from_anyone(&self) -> Lint {
        let name = self.reads().unwrap_or_default();
        let who = match self.proxy_protocol {
            Some(_) => "Every client that a PROXY header names",
            None => "Whoever can connect",
        };
        match self.source {
            Source::List {
                walk: Walk::Count { hops, .. },
                ..
            } => Lint::new(
                "hops-without-gate",
                format!("{who} writes {name} of at least {hops} entries, and so chooses its own address."),
                "Write the addresses of your proxies into trusted beside hops.",
            ),
            _ => Lint::new(
                "trusts-any",
                format!("{who} writes {name}, and so chooses its own address."),
                "Write the addresses of your proxies into trusted, or make sure that nothing else can connect.",
            ),
        }
    }

    fn fallbacks(&self, lints: &mut Vec<Lint>) {
        if self.on_missing == Otherwise::Peer {
            lints.push(Lint::new(
                "missing-is-peer",
                "A request without the header takes the proxy's own address, with its permissions and its limits.",
                "Remove on_missing, unless only the proxy's own health checks lack the header.",
            ));
        }
        if self.on_malformed == Otherwise::Peer {
            lints.push(Lint::new(
                "malformed-is-peer",
                "An entry that is no address turns the client into the proxy, with its permissions and its limits.",
                "Remove on_malformed, and mend the proxy that writes such entries.",
            ));
        }
    }
}

fn list(walk: Walk, max_hops: Option<usize>, lints: &mut Vec<Lint>) {
    match walk {
        Walk::Count { hops, on_too_few } => {
            if max_hops.is_some_and(|max| max < hops) {
                lints.push(Lint::new(
                    "never-answers",
                    format!("A list is always too short for hops = {hops} or too long for max_hops."),
                    "Raise max_hops to hops at least.",
                ));
            }
            match on_too_few {
                Otherwise::Reject => {}
                Otherwise::Peer if hops == 1 => lints.push(Lint::new(
                    "never-used",
                    "A list without any entry counts as missing, so on_too_few does nothing beside hops = 1.",
                    "Remove on_too_few.",
                )),
                Otherwise::Peer => lints.push(Lint::new(
                    "too-few-is-peer",
                    "A request that comes round one of the proxies takes the last proxy's address, with its permissions \
                     and its limits.",
                    "Remove on_too_few, and let every request cross the same proxies.",
                )),
            }
        }
        Walk::Trust { on_all_trusted } => match on_all_trusted {
            OnAllTrusted::Reject => {}
            OnAllTrusted::Peer => lints.push(Lint::new(
                "all-trusted-is-peer",
                "All clients inside of the trusted networks look like the last proxy, and share its permissions and \
                 limits.",
                "Remove on_all_trusted, and trust the proxies' addresses instead of whole networks.",
            )),
            OnAllTrusted::Leftmost => lints.push(Lint::new(
                "all-trusted-is-leftmost",
                "A client inside of the trusted networks can write another trusted address to the left of its own, and \
                 be taken for it.",
                "Remove on_all_trusted, and trust the proxies' addresses instead of whole networks.",
            )),
        },
    }
}

/// What can be said about a list of rules.
fn trust(trust: &Trust, context: &LintContext, lints: &mut Vec<Lint>) {
    if !trust.any && trust.rules.is_empty() {
        lints.push(Lint::new(
            "trusts-nobody",
            "No claim is ever believed, so every client behind a proxy looks like the proxy.",
            "Write the addresses of your proxies into trusted, or from = \"peer\" if there are none.",
        ));
    }
    overlaps(&trust.rules, lints);
    for rule in &trust.rules {
        match &rule.meaning {
            Meaning::Unix => {}
            Meaning::Network(network) => lints.extend(alone(rule, network)),
            Meaning::Set(set) => {
                if let Some(today) = context.today {
                    lints.extend(stale(set, today));
                }
            }
        }
        if context.public_listener {
            lints.extend(private(rule));
        }
    }
}

/// What is odd about a network by itself.
fn alone(rule: &Rule, network: &Network) -> Option<Lint> {
    let shown = Shown(rule);
    if Networks::new(NO_PEERS.iter().filter_map(|text| text.parse().ok())).covers(network) {
        return Some(Lint::new(
            "unreachable-rule",
            format!("No peer and no hop ever has an address in {shown}, so the rule does nothing."),
            "Remove it, or write the network that you meant.",
        ));
    }
    let wide = match network.range() {
        Range::V4(..) => network.prefix() < 8,
        // fc00::/7 is meant for everybody's own networks.
        Range::V6(first, _) => network.prefix() < 16 && (network.prefix() < 7 || first >> 121 != 0xfc00 >> 9),
    };
    if wide {
        return Some(Lint::new(
            "wide-rule",
            format!(
                "{shown} holds more addresses than any one owner's network, so strangers in it can forge."
            ),
            "Write the networks of your proxies alone.",
        ));
    }
    // Host bits were masked off when the rule was read.
    let address = rule
        .written
        .split('/')
        .next()
        .and_then(|text| text.parse::<Network>().ok());
    let first = network.to_string();
    let first = first
        .split('/')
        .next()
        .and_then(|text| text.parse::<Network>().ok());
    (address != first).then(|| {
        Lint::new(
            "host-bits",
            format!("{shown} trusts the whole of {network}, not one address."),
            format!("Write {network}, or the one address without its prefix length."),
        )
    })
}

/// Networks that no packet comes from: "this" network, multicast, and what is reserved (RFC 6890, RFC 4291).
const NO_PEERS: [&str; 5] = ["0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8"];

fn overlaps(rules: &[Rule], lints: &mut Vec<Lint>) {
    for (at, rule) in rules.iter().enumerate() {
        let says_the_same = |other: &&Rule| match (&rule.meaning, &other.meaning) {
            (Meaning::Unix, Meaning::Unix) => true,
            _ => !rule.networks().is_empty() && rule.networks() == other.networks(),
        };
        if let Some(earlier) = rules[..at].iter().find(says_the_same) {
            let (shown, earlier) = (Shown(rule), Shown(earlier));
            lints.push(Lint::new(
                "repeated-rule",
                format!("{shown} says what {earlier} says already, so removing one of them changes nothing."),
                "Remove one of the two.",
            ));
            continue;
        }
        let wider = rules.iter().enumerate().find(|(other, wider)| {
            let networks = || Networks::new(wider.networks().iter().copied());
            *other != at
                && !rule.networks().is_empty()
                && rule.networks() != wider.networks()
                && rule.networks().iter().all(|network| networks().covers(network))
        });
        if let Some((_, wider)) = wider {
            let (shown, wider) = (Shown(rule), Shown(wider));
            lints.push(Lint::new(
                "overlapping-rule",
                format!(
                    "{shown} lies inside of {wider}, so it does nothing, and removing it takes away no trust."
                ),
                format!("Remove {shown}, or remove {wider} if only the narrower one was meant."),
            ));
        }
    }
}

fn stale(set: &NamedSet, today: Date) -> Option<Lint> {
    let age = set.age_in_days(today).filter(|_| set.is_stale(today))?;
    let (name, taken) = (set.name(), set.taken()?);
    Some(Lint::new(
        "stale-set",
        format!(
            "The networks of \"{name}\" were taken {age} days ago ({taken}): one that was given up since may be a \
             stranger's, and clients behind one that is new look like {name}."
        ),
        format!("Take a newer release, or name a file of {name}'s present networks."),
    ))
}

/// Every private network of a family, where strangers can connect.
fn private(rule: &Rule) -> Option<Lint> {
    let networks = Networks::new(rule.networks().iter().copied());
    let set = NamedSet::find("private")?;
    set.networks().iter().any(|block| networks.covers(block)).then(|| {
        let shown = Shown(rule);
        Lint::new(
            "private-on-public",
            format!(
                "{shown} trusts whatever stands in a private network beside the proxy: a neighbour, a container or a \
                 guest can forge."
            ),
            "Write the addresses of the proxies alone.",
        )
    })
}

/// A rule as it is written, and where if that is in a file.
struct Shown<'a>(&'a Rule);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = &self.0.written;
        match &self.0.place {
            None => write!(f, "\"{written}\""),
            Some((file, line)) => write!(f, "\"{written}\" ({file}:{line})"),
        }
    }
}

#[cfg(test)]
mod tests;
