//! Whose claims are believed: the key `trusted`, from its words to a set of networks.
//!
//! Invariant: each rule was written by a person and means something. What is no rule, what would trust every address,
//! and a file that names nobody are a [`BadPolicy`] that says where; nothing is skipped.

use std::fmt;
use std::net::IpAddr;

use super::BadPolicy;
use crate::network::sets::NamedSet;
use crate::network::{Network, Networks};
use crate::peer::Peer;

/// The start of a rule that names a file of rules.
const FILE: &str = "file:";

/// Reads a file of networks for [`PolicyConfig::build_with`](super::PolicyConfig::build_with).
pub(crate) type Load<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Whose claims are believed: the key `trusted`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trusted {
    /// The word `any`: whoever can connect. Right only where nothing but the proxy can.
    Any,
    /// Each one of: a network in CIDR notation, a single address, the word `unix`, the name of a
    /// [set](crate::NamedSet), or `file:` and the name of a [file](super::PolicyConfig::build_with) of such rules.
    List(Vec<String>),
}

/// Whose claims are believed, ready to be asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    pub(crate) any: bool,
    pub(crate) unix: bool,
    pub(crate) networks: Networks,
    /// The rules in the order in which they are written, for people.
    pub(crate) rules: Vec<Rule>,
}

/// One rule of a list.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// As a person wrote it.
    pub(crate) written: String,
    /// The file that it stands in, and its line, from 1.
    pub(crate) place: Option<(String, usize)>,
    pub(crate) meaning: Meaning,
}

#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    Unix,
    Network(Network),
    Set(NamedSet),
}

impl Rule {
    /// The networks that it stands for; none for `unix`.
    pub(crate) fn networks(&self) -> &[Network] {
        match &self.meaning {
            Meaning::Unix => &[],
            Meaning::Network(network) => std::slice::from_ref(network),
            Meaning::Set(set) => set.networks(),
        }
    }
}

impl Trust {
    pub(crate) fn any() -> Self {
        Self {
            any: true,
            ..Self::default()
        }
    }

    /// Reads the words of a list.
    pub(crate) fn read(words: &[String], load: Load<'_>) -> Result<Self, BadPolicy> {
        let mut rules = Vec::new();
        for (index, word) in words.iter().enumerate() {
            let here = |fault: Fault| BadPolicy {
                index: Some(index),
                ..BadPolicy::new("trusted", fault.problem, fault.help.into())
            };
            match word.strip_prefix(FILE) {
                Some(name) => read_file(name, load, &mut rules).map_err(here)?,
                None => rules.push(Rule {
                    written: word.clone(),
                    place: None,
                    meaning: read_rule(word).map_err(here)?,
                }),
            }
        }
        let networks = rules.iter().flat_map(Rule::networks).copied();
        Ok(Self {
            any: false,
            unix: rules.iter().any(|rule| matches!(rule.meaning, Meaning::Unix)),
            networks: Networks::new(networks),
            rules,
        })
    }

    #[inline]
    pub(crate) fn believes(&self, peer: Peer) -> bool {
        match peer.ip() {
            Some(ip) => self.believes_ip(ip),
            None => self.any || self.unix,
        }
    }

    #[inline]
    pub(crate) fn believes_ip(&self, ip: IpAddr) -> bool {
        self.any || self.networks.contains(ip)
    }

    pub(crate) fn named_sets(&self) -> impl Iterator<Item = &NamedSet> {
        self.rules.iter().filter_map(|rule| match &rule.meaning {
            Meaning::Set(set) => Some(set),
            _ => None,
        })
    }
}

/// What is wrong with a rule, and the mend.
struct Fault {
    problem: String,
    help: &'static str,
}

const NO_NETWORK: &str = "write a CIDR (\"10.0.0.0/8\"), an address (\"10.0.0.1\"), \"unix\", or the name of a set: \
                          cloudflare, cloudfront, loopback, private";

fn read_rule(word: &str) -> Result<Meaning, Fault> {
    if word == "unix" {
        return Ok(Meaning::Unix);
    }
    if let Some(set) = NamedSet::find(word) {
        return Ok(Meaning::Set(set));
    }
    if word == "any" {
        return Err(Fault {
            problem: "\"any\" in a list trusts every address".into(),
            help: "name the networks of your proxies; if only the proxy can connect, write trusted = \"any\"",
        });
    }
    let network: Network = word.parse().map_err(|error| Fault {
        problem: format!("{word:?} is no network: {error}"),
        help: NO_NETWORK,
    })?;
    match network.prefix() {
        0 => Err(Fault {
            problem: format!("{word:?} trusts every address"),
            help: "name the networks of your proxies; if only the proxy can connect, write trusted = \"any\"",
        }),
        _ => Ok(Meaning::Network(network)),
    }
}

/// Reads a file of rules: one a line; what follows `#` is a comment.
fn read_file(name: &str, load: Load<'_>, rules: &mut Vec<Rule>) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault {
            problem: "\"file:\" names no file".into(),
            help: "write \"file:\" and the name of a file with one network a line",
        });
    }
    let text = load(name).map_err(|why| Fault {
        problem: format!("the networks in {name:?} cannot be read: {why}"),
        help: "name a file that is there, or write its networks into trusted",
    })?;
    let before = rules.len();
    for (line, number) in text.lines().zip(1..) {
        let word = line.split_once('#').map_or(line, |(rule, _)| rule).trim();
        if word.is_empty() {
            continue;
        }
        let here = |fault: Fault| Fault {
            problem: format!("{name}:{number}: {}", fault.problem),
            ..fault
        };
        if word.starts_with(FILE) {
            return Err(here(Fault {
                problem: format!("{word:?} stands in a file itself"),
                help: "name each file in trusted",
            }));
        }
        rules.push(Rule {
            written: word.to_owned(),
            place: Some((name.to_owned(), number)),
            meaning: read_rule(word).map_err(here)?,
        });
    }
    // Half of a file that is being written may be nothing at all.
    if rules.len() == before {
        return Err(Fault {
            problem: format!("{name:?} holds no network"),
            help: "write one network a line, or remove the file from trusted",
        });
    }
    Ok(())
}

/// The rules in one line; a file by its name.
impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.any {
            return f.write_str("any");
        }
        if self.rules.is_empty() {
            return f.write_str("nobody");
        }
        let mut separator = "";
        let mut file = None;
        for rule in &self.rules {
            let from = rule.place.as_ref().map(|(name, _)| name);
            if from.is_some() && from == file {
                continue;
            }
            file = from;
            f.write_str(separator)?;
            separator = ", ";
            match (from, &rule.meaning) {
                (Some(name), _) => write!(f, "{FILE}{name}")?,
                (None, Meaning::Network(network)) => write!(f, "{network}")?,
                (None, Meaning::Unix | Meaning::Set(_)) => f.write_str(&rule.written)?,
            }
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Trusted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        // By hand: an untagged enum would lose the reason and the place of an error.
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Trusted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of networks, addresses or \"unix\", or the word \"any\"")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Trusted, E> {
                match word {
                    "any" => Ok(Trusted::Any),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Trusted, A::Error> {
                let mut rules = Vec::new();
                while let Some(rule) = list.next_element()? {
                    rules.push(rule);
                }
                Ok(Trusted::List(rules))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, PolicyConfig};

    fn walking(rules: &[&str]) -> PolicyConfig {
        Policy::x_forwarded_for().trusted(rules.iter().copied())
    }

    /// `good.txt` and what the test gives as `bad.txt`.
    fn files(bad: &'static str) -> impl Fn(&str) -> Result<String, String> {
        move |name| match name {
            "good.txt" => {
                Ok("# Our proxies.\n\n10.0.0.1\r\n  2001:db8::/64 # the new rack\nunix\nloopback".into())
            }
            "bad.txt" => Ok(bad.into()),
            _ => Err("no such file".into()),
        }
    }

    fn trusts(policy: &Policy, peer: &str) -> bool {
        policy.trusts(peer.parse().unwrap())
    }

    #[test]
    fn a_set_is_trusted_by_its_name_only() {
        let policy = walking(&["cloudflare", "10.0.0.1"]).build().unwrap();
        for inside in ["104.16.0.1:1", "[2606:4700::1]:1", "10.0.0.1:1"] {
            assert!(trusts(&policy, inside), "{inside}");
        }
        for outside in ["104.28.0.1:1", "10.0.0.2:1", "127.0.0.1:1", "unix"] {
            assert!(!trusts(&policy, outside), "{outside}");
        }
        let error = walking(&["10.0.0.1", "cloudfare"]).build().unwrap_err();
        assert_eq!((error.key, error.index), ("trusted", Some(1)));
        assert!(
            NamedSet::names().all(|name| error.help.contains(name)),
            "{}",
            error.help
        );
    }

    #[test]
    fn the_sets_of_all_steps_are_named() {
        let steps = [
            Policy::proxy_protocol().trusted(["private"]),
            Policy::header("X-Real-IP").trusted(["10.0.0.1", "cloudfront", "loopback"]),
        ];
        let policy = PolicyConfig::build_steps(steps).unwrap();
        let names: Vec<_> = policy.named_sets().map(NamedSet::name).collect();
        assert_eq!(names, ["private", "cloudfront", "loopback"]);
        assert_eq!(Policy::peer().named_sets().count(), 0);
    }

    #[test]
    fn rules_are_shown_as_they_are_written_and_files_by_name() {
        let words = walking(&["unix", "10.0.0.2/8", "file:good.txt", "cloudflare"]);
        let policy = words.build_with(&files("")).unwrap();
        assert_eq!(
            policy.to_string(),
            "x-forwarded-for, trusted unix, 10.0.0.0/8, file:good.txt, cloudflare"
        );
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let policy = walking(&["file:good.txt"]).build_with(&files("")).unwrap();
        for inside in ["10.0.0.1:1", "[2001:db8::9]:1", "unix", "127.0.0.9:1"] {
            assert!(trusts(&policy, inside), "{inside}");
        }
        assert!(!trusts(&policy, "10.0.0.2:1"));
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line() {
        for (bad, told) in [
            (
                "10.0.0.1\n# x\n10.0.0.0/33\n",
                "bad.txt:3: \"10.0.0.0/33\" is no network",
            ),
            ("0.0.0.0/0", "bad.txt:1: \"0.0.0.0/0\" trusts every address"),
            ("\n::/0", "bad.txt:2: \"::/0\" trusts every address"),
            (
                "::ffff:0:0/96",
                "bad.txt:1: \"::ffff:0:0/96\" trusts every address",
            ),
            ("any", "bad.txt:1: \"any\" in a list trusts every address"),
            (
                "10.0.0.1\nfile:good.txt",
                "bad.txt:2: \"file:good.txt\" stands in a file itself",
            ),
            (
                "10.0.0.1 10.0.0.2",
                "bad.txt:1: \"10.0.0.1 10.0.0.2\" is no network",
            ),
            (
                "proxy.example.org",
                "bad.txt:1: \"proxy.example.org\" is no network",
            ),
            ("", "\"bad.txt\" holds no network"),
            ("# none yet\n\n", "\"bad.txt\" holds no network"),
        ] {
            let error = walking(&["10.0.0.1", "file:bad.txt"])
                .build_with(&files(bad))
                .unwrap_err();
            assert!(error.problem.starts_with(told), "{bad:?}: {}", error.problem);
            assert_eq!((error.key, error.index, error.step), ("trusted", Some(1), None));
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused() {
        let error = walking(&["file:gone.txt"]).build_with(&files("")).unwrap_err();
        assert_eq!(
            error.problem,
            "the networks in \"gone.txt\" cannot be read: no such file"
        );
        assert!(walking(&["file:"]).build_with(&files("")).is_err());
    }

    #[test]
    fn nothing_is_read_without_a_loader() {
        let error = walking(&["file:good.txt"]).build().unwrap_err();
        assert_eq!((error.key, error.index), ("trusted", Some(0)));
        assert!(error.problem.contains("build_with"), "{}", error.problem);
        assert!(PolicyConfig::build_steps([walking(&["file:good.txt"])]).is_err());
    }

    #[test]
    fn the_step_with_the_bad_file_is_named() {
        let steps = [
            Policy::proxy_protocol().trusted(["file:good.txt"]),
            walking(&["file:bad.txt"]),
        ];
        let error = PolicyConfig::build_steps_with(steps, &files("x")).unwrap_err();
        assert_eq!((error.step, error.key), (Some(1), "trusted"));
    }

    #[test]
    fn any_in_a_list_is_refused() {
        let error = walking(&["any"]).build().unwrap_err();
        assert_eq!((error.key, error.index), ("trusted", Some(0)));
    }
}
