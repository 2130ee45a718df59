//! The table of routes: which rule answers for a host and a path.
//!
//! Invariant: the choice depends on the table alone, not on the order of its rules: an exact host is before a
//! wildcard, the longer wildcard before the shorter, any wildcard before no host; then the longest path prefix wins.
//! Two rules that would tie are refused when the table is built.

use std::fmt;

use crate::config::{BadConfig, Key, RouteConfig};
use crate::handler::Handler;

/// The compiled table. The rules are sorted: the first that matches is the one.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

/// One rule.
#[derive(Debug)]
pub(crate) struct Route {
    host: HostRule,
    pub(crate) prefix: String,
    pub(crate) handler: Handler,
    /// The rule's place in the config file, and in each worker's list of pools.
    pub(crate) index: usize,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum HostRule {
    Exact(String),
    /// Every name that ends in this text, which starts with a dot.
    Below(String),
    Any,
}

impl Routes {
    pub(crate) fn new(
        configs: Vec<RouteConfig>,
        mut handler: impl FnMut(&RouteConfig, usize) -> Result<Handler, BadConfig>,
    ) -> Result<Self, BadConfig> {
        let mut routes: Vec<Route> = Vec::with_capacity(configs.len());
        for (index, config) in configs.into_iter().enumerate() {
            let at = |key| [Key::Name("route"), Key::Index(index), Key::Name(key)];
            let host = HostRule::parse(config.host.as_deref()).ok_or_else(|| {
                let host = config.host.as_deref().unwrap_or_default();
                BadConfig::new(
                    &at("host"),
                    format!("{host:?} is no host"),
                    "write \"files.example.org\" or \"*.example.org\", without a port",
                )
            })?;
            let prefix = config.path.clone().unwrap_or_else(|| "/".into());
            if crate::target::normalised(&prefix).as_deref() != Some(prefix.as_bytes()) {
                return Err(BadConfig::new(
                    &at("path"),
                    format!("{prefix:?} is no path prefix"),
                    "start it with \"/\" and write it plainly, without escapes, \"//\" or \"..\"",
                ));
            }
            if let Some(twin) = routes
                .iter()
                .find(|route| route.host == host && route.prefix == prefix)
            {
                return Err(BadConfig::new(
                    &[Key::Name("route"), Key::Index(index)],
                    format!(
                        "this route answers for the same host and path as route {}",
                        twin.index + 1
                    ),
                    "remove one of them, or give one a host or a longer path",
                ));
            }
            let handler = handler(&config, index)?;
            routes.push(Route {
                host,
                prefix,
                handler,
                index,
            });
        }
        routes.sort_by(|a, b| {
            let by_host = (a.host.rank(), b.host.len()).cmp(&(b.host.rank(), a.host.len()));
            by_host.then(b.prefix.len().cmp(&a.prefix.len()))
        });
        Ok(Self(routes))
    }

    /// The rule for a host (in lower case, without port) and a [normalised](crate::target::normalised) path.
    pub(crate) fn find(&self, host: &str, path: &[u8]) -> Option<&Route> {
        self.0
            .iter()
            .find(|route| route.host.matches(host) && is_prefix(route.prefix.as_bytes(), path))
    }

    /// Whether paths of some route do not belong in a log.
    pub(crate) fn have_secrets(&self) -> bool {
        self.0.iter().any(|route| route.handler.paths_are_secret())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

/// `host/prefix -> target`, for people.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostRule::Any => {}
            HostRule::Exact(host) => f.write_str(host)?,
            HostRule::Below(suffix) => write!(f, "*{suffix}")?,
        }
        write!(f, "{} -> {}", self.prefix, self.handler)
    }
}

impl HostRule {
    fn parse(host: Option<&str>) -> Option<Self> {
        let Some(host) = host else {
            return Some(Self::Any);
        };
        let (below, name) = match host.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, host),
        };
        let parsed = truehop_http1::Host::parse(name.as_bytes())
            .ok()
            .filter(|host| host.port().is_none())?;
        Some(if below {
            Self::Below(format!(".{}", parsed.name()))
        } else {
            Self::Exact(parsed.name().into())
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Exact(_) => 0,
            Self::Below(_) => 1,
            Self::Any => 2,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Exact(name) | Self::Below(name) => name.len(),
            Self::Any => 0,
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == name,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Self::Any => true,
        }
    }
}

/// `/app` matches `/app` and `/app/x`, not `/apple`; `/app/` matches what is below it.
fn is_prefix(prefix: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.ends_with(b"/") || matches!(rest, [] | [b'/', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rules: &[(Option<&str>, &str)]) -> Result<Routes, BadConfig> {
        let configs = rules
            .iter()
            .map(|(host, path)| RouteConfig {
                host: host.map(Into::into),
                path: Some((*path).into()),
                ..RouteConfig::default()
            })
            .collect();
        Routes::new(configs, |_, _| Ok(Handler::WhoAmI))
    }

    #[test]
    fn the_closest_rule_wins_whatever_the_order() {
        let mut rules = vec![
            (None, "/"),
            (None, "/app"),
            (None, "/app/deep/"),
            (Some("*.example.org"), "/"),
            (Some("*.b.example.org"), "/"),
            (Some("Files.Example.org"), "/"),
        ];
        for _ in 0..rules.len() {
            rules.rotate_left(1);
            let routes = table(&rules).unwrap();
            let found = |host: &str, path: &str| routes.find(host, path.as_bytes()).unwrap().to_string();
            assert_eq!(found("x", "/"), "/ -> whoami");
            assert_eq!(found("x", "/apple"), "/ -> whoami");
            assert_eq!(found("x", "/app"), "/app -> whoami");
            assert_eq!(found("x", "/app/deep"), "/app -> whoami");
            assert_eq!(found("x", "/app/deep/er"), "/app/deep/ -> whoami");
            assert_eq!(found("files.example.org", "/app"), "files.example.org/ -> whoami");
            assert_eq!(found("a.example.org", "/app"), "*.example.org/ -> whoami");
            assert_eq!(found("a.b.example.org", "/"), "*.b.example.org/ -> whoami");
            assert_eq!(found("example.org", "/"), "/ -> whoami");
        }
    }

    #[test]
    fn a_request_may_match_no_rule() {
        let routes = table(&[(Some("a"), "/x")]).unwrap();
        assert!(routes.find("a", b"/").is_none());
        assert!(routes.find("b", b"/x").is_none());
    }

    #[test]
    fn rules_that_cannot_work_are_refused() {
        for rules in [
            &[(None, "/a"), (None, "/a")][..],
            &[(Some("a:80"), "/")],
            &[(Some("a b"), "/")],
            &[(None, "a")],
            &[(None, "/../a")],
            &[(None, "/%61")],
        ] {
            assert!(table(rules).is_err(), "{rules:?}");
        }
    }
}
