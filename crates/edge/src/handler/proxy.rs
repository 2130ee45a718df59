//! A route to application servers: which they are, as the config file names them. What is done with a request stands in
//! [`forward`](crate::forward).

use std::fmt;
use std::net::IpAddr;

use crate::config::{BadConfig, Key, RouteConfig, TimeoutsConfig};
use crate::upstream::{Pool, Upstream};

#[derive(Debug)]
pub(crate) struct Proxy {
    upstreams: Vec<Upstream>,
    bind: Option<IpAddr>,
}

impl Proxy {
    pub(crate) fn new(config: &RouteConfig, texts: &[String], at: &[Key]) -> Result<Self, BadConfig> {
        if texts.is_empty() {
            return Err(BadConfig::new(
                at,
                "proxy names no upstream",
                "write proxy = [\"http://127.0.0.1:9000\"]",
            ));
        }
        let mut upstreams = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            upstreams.push(Upstream::parse(text).ok_or_else(|| {
                BadConfig::new(
                    &[at, &[Key::Index(index)]].concat(),
                    format!("{text:?} is no upstream"),
                    "write \"http://host:port\" or \"unix:/path\"",
                )
            })?);
        }
        Ok(Self {
            upstreams,
            bind: config.bind,
        })
    }

    /// The route's connections in one worker.
    pub(crate) fn pool(&self, timeouts: TimeoutsConfig) -> Pool {
        Pool::new(&self.upstreams, self.bind, timeouts.connect)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("proxy")?;
        self.upstreams
            .iter()
            .try_for_each(|upstream| write!(f, " {upstream}"))
    }
}
