//! The words of the edge's part of the config file.
//!
//! Invariant: a value of these types has the right shape; whether it makes sense (the directory exists, one target a
//! route) is checked by [`Edge::new`](crate::Edge::new), which names the key and the mend.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use truehop::Policy;

/// All that the edge needs to know.
#[derive(Debug)]
pub struct EdgeConfig {
    /// Where to listen: the key `listen`.
    pub listen: Vec<ListenConfig>,
    /// Worker threads; 0 means one per core.
    pub workers: usize,
    /// How clients' addresses are learnt: the table `client`.
    pub client: Policy,
    /// The table of routes: `[[route]]`.
    pub routes: Vec<RouteConfig>,
    /// The table `timeouts`.
    pub timeouts: TimeoutsConfig,
    /// The table `limits`.
    pub limits: LimitsConfig,
    /// Whether upstreams get `Forwarded` (RFC 7239) beside the `X-Forwarded-*` headers.
    pub forwarded: bool,
    /// Whether each request writes a line to standard output.
    pub access_log: bool,
    /// The table `admin`; nothing listens without it.
    pub admin: Option<AdminConfig>,
}

/// One listener: `"127.0.0.1:8080"`, `"unix:/run/truehop.sock"`, or a table with `address` and `tls`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenConfig {
    /// Where to listen.
    pub address: ListenAddress,
    /// TLS, when the listener speaks it.
    pub tls: Option<TlsConfig>,
}

/// An address to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddress {
    /// An IP address and port; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Files of a TLS listener, in PEM.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// One rule of the table of routes. Exactly one of `to`, `files`, `proxy` and `reply` is its target.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// An exact host, or `*.example.org` for every name below it. Without it the rule is for every host.
    pub host: Option<String>,
    /// The path prefix; `/` by default. `/app` matches `/app` and `/app/x`, not `/apple`.
    pub path: Option<String>,
    /// A service that is built in: `drop` or `whoami`.
    pub to: Option<String>,
    /// A directory to serve; what follows the prefix is looked up in it.
    pub files: Option<PathBuf>,
    /// The file that answers for a directory; `index.html` by default. Belongs to `files`.
    pub index: Option<String>,
    /// Whether names that start with a dot are served; no by default. Belongs to `files`.
    pub dot_files: Option<bool>,
    /// Application servers, `http://host:port` or `unix:/path`, asked in turn.
    pub proxy: Option<Vec<String>>,
    /// The local address from which upstreams are connected to. Belongs to `proxy`.
    pub bind: Option<IpAddr>,
    /// A fixed answer.
    pub reply: Option<ReplyConfig>,
}

/// A fixed answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyConfig {
    /// The status code, 200 to 599; 200 by default, 302 with `location`.
    pub status: Option<u16>,
    /// The body, sent as `text/plain`.
    pub body: Option<String>,
    /// Where to redirect.
    pub location: Option<String>,
}

/// How long the edge waits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// For a request's whole head, from its first byte.
    #[serde(deserialize_with = "duration")]
    pub header: Duration,
    /// For the next piece of a request's body.
    #[serde(deserialize_with = "duration")]
    pub body: Duration,
    /// For the next request on a connection.
    #[serde(deserialize_with = "duration")]
    pub idle: Duration,
    /// For a client to take the next piece of a response, and to acknowledge more of one that is a delivery.
    #[serde(deserialize_with = "duration")]
    pub write: Duration,
    /// For a connection to an upstream.
    #[serde(deserialize_with = "duration")]
    pub connect: Duration,
    /// For the head of an upstream's response, and then for each next piece of its body.
    #[serde(deserialize_with = "duration")]
    pub response: Duration,
    /// For the next byte through a WebSocket, either way.
    #[serde(deserialize_with = "duration")]
    pub tunnel: Duration,
    /// For requests that are under way when the edge is told to stop.
    #[serde(deserialize_with = "duration")]
    pub shutdown: Duration,
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(60),
            connect: Duration::from_secs(5),
            response: Duration::from_secs(60),
            tunnel: Duration::from_secs(3600),
            shutdown: Duration::from_secs(10),
        }
    }
}

/// How much the edge takes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// A request's head, and an upstream's response head.
    #[serde(deserialize_with = "size")]
    pub head: ByteSize,
    /// A request's body on its way to an upstream. The drop has its own limit.
    #[serde(deserialize_with = "size")]
    pub body: ByteSize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            head: ByteSize::kib(32),
            body: ByteSize::gib(1),
        }
    }
}

impl LimitsConfig {
    /// The least that a head may be allowed: browsers send as much.
    pub(crate) const LEAST_HEAD: ByteSize = ByteSize::kib(8);

    pub(crate) fn head_bytes(&self) -> usize {
        usize::try_from(self.head.as_u64()).unwrap_or(usize::MAX)
    }
}

/// The listener for operators: `/metrics`, `/live`, `/ready`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Where to listen; nobody but the operator should reach it.
    pub listen: SocketAddr,
}

impl ListenConfig {
    /// A listener without TLS from the text of the key `listen`.
    ///
    /// # Errors
    ///
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let address = match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => ListenAddress::Unix(path.into()),
            Some(_) => return Err(format!("{text:?} needs an absolute path: \"unix:/run/truehop.sock\"")),
            None => ListenAddress::Tcp(text.parse().map_err(|_| {
                format!("{text:?} is no address to listen on: write \"127.0.0.1:8080\", \"[::]:443\" or \"unix:/path\"")
            })?),
        };
        Ok(Self { address, tls: None })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for ListenConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            address: String,
            tls: Option<TlsConfig>,
        }

        struct ListenVisitor;

        // By hand: an untagged enum would lose the reason and the place of an error.
        impl<'de> Visitor<'de> for ListenVisitor {
            type Value = ListenConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as \"127.0.0.1:8080\", or a table with address and tls")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ListenConfig, E> {
                ListenConfig::parse(text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ListenConfig, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                let listen = ListenConfig::parse(&table.address).map_err(de::Error::custom)?;
                Ok(ListenConfig {
                    tls: table.tls,
                    ..listen
                })
            }
        }

        deserializer.deserialize_any(ListenVisitor)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match humantime::parse_duration(&text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(de::Error::custom(format!(
            "{text:?} is no duration: write a number with a unit, such as \"30s\""
        ))),
    }
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        de::Error::custom(format!(
            "{text:?} is no size: write a number with a unit, such as \"64KiB\""
        ))
    })
}

/// A part of the configuration that cannot work: where it stands, what is wrong, and the mend.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BadConfig {
    /// The way to the value, from the top of the file.
    pub path: Vec<Key>,
    /// What is wrong, for people.
    pub problem: String,
    /// What to write instead.
    pub help: String,
}

/// One step of a [`BadConfig`]'s path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    /// A key of a table.
    Name(&'static str),
    /// A place in a list, from 0.
    Index(usize),
}

impl BadConfig {
    pub(crate) fn new(path: &[Key], problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            path: path.to_vec(),
            problem: problem.into(),
            help: help.into(),
        }
    }
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, key) in self.path.iter().enumerate() {
            match key {
                Key::Name(name) if n == 0 => f.write_str(name)?,
                Key::Name(name) => write!(f, ".{name}")?,
                Key::Index(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, ": {}; {}", self.problem, self.help)
    }
}

impl Error for BadConfig {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_apart_by_their_spelling() {
        assert!(matches!(
            ListenConfig::parse("[::1]:80").unwrap().address,
            ListenAddress::Tcp(_)
        ));
        assert!(matches!(
            ListenConfig::parse("unix:/run/a").unwrap().address,
            ListenAddress::Unix(_)
        ));
        for text in ["", "8080", ":8080", "localhost:80", "unix:a"] {
            assert!(ListenConfig::parse(text).is_err(), "{text}");
        }
    }
}
