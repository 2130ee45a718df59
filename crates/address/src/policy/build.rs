//! From a policy's words to the policy.
//!
//! Invariant: what is accepted here means something. A knob that the chosen method does not have, a rule that is no
//! network, a count below one: each is a [`BadPolicy`] that names the key and the mend, never ignored.

use super::config::{BadPolicy, PolicyConfig};
use super::trust::{Load, Trust, Trusted};
use super::words::{Method, OriginPart};
use super::{List, OriginParts, Policy, ProxyProtocol, Source, Walk};
use crate::proxy_protocol::Versions;

impl PolicyConfig {
    /// Checks the words and makes the policy.
    ///
    /// # Errors
    ///
    /// [`BadPolicy`] names the first key that is missing, has no meaning here, or has no valid value. A rule `file:` is
    /// one of those: nothing is read in here.
    pub fn build(self) -> Result<Policy, BadPolicy> {
        self.build_with(&no_files)
    }

    /// Like [`build`](Self::build), and reads a rule such as `file:proxies.txt` by `load`, which gets the name and
    /// gives the text, or says why not.
    ///
    /// In the text each line is one rule of `trusted`; blank lines and what follows `#` mean nothing. A file cannot name
    /// another one, and must hold at least one rule.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); the problem names the file and the line.
    ///
    /// # Reloading
    ///
    /// A policy never changes. When a file may have changed, build a new policy of the same words, and put it in the
    /// place of the old one only if that worked: a bad file then never replaces a good one.
    ///
    /// ```
    /// use std::sync::{Arc, RwLock};
    /// use truehop::{BadPolicy, Policy, PolicyConfig};
    ///
    /// fn reload(
    ///     words: &PolicyConfig,
    ///     load: &dyn Fn(&str) -> Result<String, String>,
    ///     current: &RwLock<Arc<Policy>>,
    /// ) -> Result<(), BadPolicy> {
    ///     let fresh = Arc::new(words.clone().build_with(load)?);
    ///     *current.write().unwrap() = fresh;
    ///     Ok(())
    /// }
    ///
    /// let words = Policy::x_forwarded_for().trusted(["file:proxies.txt"]);
    /// let good = |_: &str| Ok("# our proxies\n10.0.0.1\n10.0.0.2  # the spare one\n".to_owned());
    /// let current = RwLock::new(Arc::new(words.clone().build_with(&good)?));
    ///
    /// let bad = |_: &str| Ok("10.0.0.1\n10.0.0.300\n".to_owned());
    /// let error = reload(&words, &bad, &current).unwrap_err();
    /// assert!(error.to_string().starts_with("proxies.txt:2: \"10.0.0.300\" is no network"));
    /// assert!(current.read().unwrap().trusts("10.0.0.2:40000".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// With real files, `load` is `|name| std::fs::read_to_string(directory.join(name)).map_err(|e| e.to_string())`.
    /// `LivePolicy` of the crate `truehop-tower` is such a place for its layer, and takes no lock to read it.
    ///
    /// Whoever can write such a file can forge every client's address: keep it as safe as the config file.
    pub fn build_with(self, load: &dyn Fn(&str) -> Result<String, String>) -> Result<Policy, BadPolicy> {
        self.refuse_foreign_keys()?;
        let source = match self.from {
            Method::Peer => return Ok(Policy::peer()),
            Method::ProxyProtocol => {
                let step = ProxyProtocol {
                    trust: self.trust(load)?,
                    versions: self.read_versions()?,
                    on_untrusted: self.on_untrusted.unwrap_or_default(),
                };
                return Ok(Policy {
                    proxy_protocol: Some(step),
                    ..Policy::peer()
                });
            }
            Method::Header => Source::Header {
                name: self.header_name()?,
                format: self.format,
                on_duplicate: self.on_duplicate.unwrap_or_default(),
            },
            Method::XForwardedFor => self.list(List::XForwardedFor)?,
            Method::Forwarded => self.list(List::Forwarded {
                cross_check: self.cross_check,
            })?,
        };
        let trust = self.trust(load)?;
        if trust.any
            && matches!(
                source,
                Source::List {
                    walk: Walk::Trust { .. },
                    ..
                }
            )
        {
            return Err(BadPolicy::new(
                "trusted",
                "trusted = \"any\" leaves nobody in the list to be the client".into(),
                "add hops = 1 if one proxy stands in front, or name the networks of your proxies".into(),
            ));
        }
        Ok(Policy {
            proxy_protocol: None,
            source,
            trust,
            on_missing: self.on_missing.unwrap_or_default(),
            on_malformed: self.on_malformed.unwrap_or_default(),
            on_zone: self.on_zone.unwrap_or_default(),
            origin: self.origin_parts()?,
        })
    }

    /// Makes one policy of steps in order: a step `from = "proxy-protocol"`, then one that reads a header. One step
    /// alone is that step.
    ///
    /// # Errors
    ///
    /// [`BadPolicy`], whose `step` says in which of them.
    pub fn build_steps(steps: impl IntoIterator<Item = Self>) -> Result<Policy, BadPolicy> {
        Self::build_steps_with(steps, &no_files)
    }

    /// Like [`build_steps`](Self::build_steps), with files as in [`build_with`](Self::build_with).
    ///
    /// # Errors
    ///
    /// [`BadPolicy`], whose `step` says in which of them.
    pub fn build_steps_with(
        steps: impl IntoIterator<Item = Self>,
        load: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Policy, BadPolicy> {
        let mut policy: Option<Policy> = None;
        for (index, config) in steps.into_iter().enumerate() {
            let from = config.from;
            let in_step = |error: BadPolicy| BadPolicy {
                step: Some(index),
                ..error
            };
            let step = config.build_with(load).map_err(in_step)?;
            policy = Some(match policy {
                None => step,
                Some(Policy {
                    proxy_protocol: Some(first),
                    source: Source::Peer,
                    ..
                }) if matches!(from, Method::Header | Method::XForwardedFor | Method::Forwarded) => Policy {
                    proxy_protocol: Some(first),
                    ..step
                },
                Some(_) => {
                    return Err(in_step(BadPolicy::new(
                        "from",
                        format!(
                            "from = \"{}\" cannot be step {} of a policy",
                            from.word(),
                            index + 1
                        ),
                        "steps are from = \"proxy-protocol\" and then one that reads a header".into(),
                    )));
                }
            });
        }
        policy.ok_or_else(|| {
            BadPolicy::new(
                "from",
                "a policy without steps says nothing".into(),
                "write from = \"peer\"".into(),
            )
        })
    }

    fn list(&self, list: List) -> Result<Source, BadPolicy> {
        let walk = match at_least_one("hops", self.hops)? {
            Some(hops) => Walk::Count {
                hops,
                on_too_few: self.on_too_few.unwrap_or_default(),
            },
            None => Walk::Trust {
                on_all_trusted: self.on_all_trusted.unwrap_or_default(),
            },
        };
        Ok(Source::List {
            list,
            walk,
            max_hops: at_least_one("max_hops", self.max_hops)?,
        })
    }

    fn read_versions(&self) -> Result<Versions, BadPolicy> {
        let Some(numbers) = &self.versions else {
            return Ok(Versions::BOTH);
        };
        let bad = |problem| {
            BadPolicy::new(
                "versions",
                problem,
                "write versions = [1, 2], or one of them".into(),
            )
        };
        if let Some(unknown) = numbers.iter().find(|number| !matches!(number, 1 | 2)) {
            return Err(bad(format!(
                "there is no version {unknown} of the PROXY protocol"
            )));
        }
        match (numbers.contains(&1), numbers.contains(&2)) {
            (false, false) => Err(bad("no version of the PROXY protocol is allowed".into())),
            (v1, v2) => Ok(Versions { v1, v2 }),
        }
    }

    fn origin_parts(&self) -> Result<OriginParts, BadPolicy> {
        let parts = self.origin.as_deref().unwrap_or_default();
        let origin = OriginParts {
            proto: parts.contains(&OriginPart::Proto),
            host: parts.contains(&OriginPart::Host),
            port: parts.contains(&OriginPart::Port),
        };
        if origin.port && self.from == Method::Forwarded {
            return Err(BadPolicy::new(
                "origin",
                "Forwarded has no parameter for the port".into(),
                "remove \"port\": it is part of host".into(),
            ));
        }
        Ok(origin)
    }

    fn refuse_foreign_keys(&self) -> Result<(), BadPolicy> {
        let in_list = matches!(self.from, Method::XForwardedFor | Method::Forwarded);
        let in_header = in_list || self.from == Method::Header;
        let in_proxy = self.from == Method::ProxyProtocol;
        let single = (self.from == Method::Header, "it belongs to from = \"header\"");
        let list = (in_list, "it belongs to a list of hops");
        let counted = (in_list && self.hops.is_some(), "it belongs beside hops");
        let walked = (
            in_list && self.hops.is_none(),
            "it belongs to a list walked without hops",
        );
        let header = (in_header, "it belongs to a policy that reads a header");
        let proxy = (in_proxy, "it belongs to from = \"proxy-protocol\"");
        let foreign = [
            ("header", self.header.is_some(), single),
            ("format", self.format.is_some(), single),
            ("on_duplicate", self.on_duplicate.is_some(), single),
            ("hops", self.hops.is_some(), list),
            ("max_hops", self.max_hops.is_some(), list),
            ("on_too_few", self.on_too_few.is_some(), counted),
            ("on_all_trusted", self.on_all_trusted.is_some(), walked),
            ("on_missing", self.on_missing.is_some(), header),
            ("on_malformed", self.on_malformed.is_some(), header),
            ("on_zone", self.on_zone.is_some(), header),
            ("origin", self.origin.is_some(), header),
            ("versions", self.versions.is_some(), proxy),
            ("on_untrusted", self.on_untrusted.is_some(), proxy),
            (
                "cross_check",
                self.cross_check.is_some(),
                (
                    self.from == Method::Forwarded,
                    "it belongs to from = \"forwarded\"",
                ),
            ),
            (
                "trusted",
                self.trusted.is_some(),
                (self.from != Method::Peer, "from = \"peer\" believes nobody"),
            ),
        ];
        match foreign
            .into_iter()
            .find(|&(_, written, (has_meaning, _))| written && !has_meaning)
        {
            None => Ok(()),
            Some((key, _, (_, why))) => Err(BadPolicy::new(
                key,
                format!("{key} has no meaning with from = \"{}\"", self.from.word()),
                format!("remove it: {why}"),
            )),
        }
    }

    fn header_name(&self) -> Result<String, BadPolicy> {
        let help = "write the header that your proxy sets, such as header = \"X-Real-IP\"";
        let Some(name) = &self.header else {
            return Err(BadPolicy::new(
                "header",
                "from = \"header\" needs the key header".into(),
                help.into(),
            ));
        };
        // RFC 9110 section 5.6.2: a field name is a token.
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(BadPolicy::new(
                "header",
                format!("{name:?} is not a header's name"),
                help.into(),
            ));
        }
        let name = name.to_ascii_lowercase();
        let list = match name.as_str() {
            "x-forwarded-for" => "from = \"x-forwarded-for\" reads it from the right",
            "forwarded" => "from = \"forwarded\" reads it",
            _ => return Ok(name),
        };
        Err(BadPolicy::new(
            "header",
            format!("{name} is a list, not a single address"),
            list.into(),
        ))
    }

    fn trust(&self, load: Load<'_>) -> Result<Trust, BadPolicy> {
        match &self.trusted {
            Some(Trusted::Any) => Ok(Trust::any()),
            Some(Trusted::List(words)) => Trust::read(words, load),
            None => Err(BadPolicy::new(
                "trusted",
                format!("from = \"{}\" needs the key trusted", self.from.word()),
                "write the addresses of your proxies, such as trusted = [\"192.168.0.0/24\"]".into(),
            )),
        }
    }
}

/// The loader of a program that reads no files.
fn no_files(_name: &str) -> Result<String, String> {
    Err("this program gives no way to read files (PolicyConfig::build_with)".into())
}

fn at_least_one(key: &'static str, value: Option<i64>) -> Result<Option<usize>, BadPolicy> {
    match value {
        None => Ok(None),
        Some(n) => match usize::try_from(n) {
            Ok(n) if n >= 1 => Ok(Some(n)),
            _ => Err(BadPolicy::new(
                key,
                format!("{key} is {n}, but must be at least 1"),
                "1 is the rightmost entry, which the nearest proxy wrote".into(),
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{OnAllTrusted, OnDuplicate, Otherwise};

    fn key_of(config: PolicyConfig) -> &'static str {
        config.build().unwrap_err().key
    }

    #[test]
    fn what_must_be_written_is_asked_for() {
        assert_eq!(key_of(Policy::x_forwarded_for()), "trusted");
        assert_eq!(key_of(PolicyConfig::from(Method::Header).trusted_any()), "header");
    }

    #[test]
    fn a_knob_of_another_method_is_refused() {
        let trusted = || Policy::x_forwarded_for().trusted(["10.0.0.1"]);
        assert_eq!(key_of(trusted().on_duplicate(OnDuplicate::Last)), "on_duplicate");
        assert_eq!(key_of(trusted().on_too_few(Otherwise::Peer)), "on_too_few");
        assert_eq!(
            key_of(trusted().hops(1).on_all_trusted(OnAllTrusted::Peer)),
            "on_all_trusted"
        );
        assert_eq!(key_of(Policy::header("X-Real-IP").trusted_any().hops(1)), "hops");
        assert_eq!(key_of(PolicyConfig::from(Method::Peer).trusted_any()), "trusted");
    }

    #[test]
    fn a_list_header_is_not_a_single_value() {
        assert_eq!(key_of(Policy::header("X-Forwarded-For").trusted_any()), "header");
        assert_eq!(key_of(Policy::header("X Real IP").trusted_any()), "header");
    }

    #[test]
    fn trusting_everything_takes_the_word_any() {
        for rule in ["0.0.0.0/0", "::/0", "::ffff:0:0/96"] {
            let error = Policy::x_forwarded_for()
                .trusted(["10.0.0.1", rule])
                .build()
                .unwrap_err();
            assert_eq!((error.key, error.index), ("trusted", Some(1)), "{rule}");
        }
        assert!(Policy::x_forwarded_for().trusted_any().hops(1).build().is_ok());
        assert_eq!(key_of(Policy::x_forwarded_for().trusted_any()), "trusted");
    }

    #[test]
    fn a_policy_shows_what_it_trusts() {
        let policy = Policy::x_forwarded_for()
            .trusted(["10.0.0.2/8", "unix"])
            .hops(2)
            .build()
            .unwrap();
        assert_eq!(
            policy.to_string(),
            "x-forwarded-for, hops 2, trusted 10.0.0.0/8, unix"
        );
        assert_eq!(Policy::peer().to_string(), "peer, no header is read");
        let nobody = Policy::header("X-Real-IP").trusted([""; 0]).build().unwrap();
        assert_eq!(nobody.to_string(), "header x-real-ip, trusted nobody");
    }
}
