//! Application servers behind the edge, and the connections kept open to them.
//!
//! Each worker has its own pool: nothing is shared, nothing is locked. Connections are taken last in, first out, so
//! that few stay warm and the rest can go.
//!
//! Invariant: a connection is in the pool only after the response on it was read to its end, and leaves it only when
//! it is ready for a request.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::config::TimeoutsConfig;
use crate::wire::UpstreamConnection;

/// Idle connections older than this are not used: many servers close theirs after 60 to 75 seconds, gunicorn after 2.
const KEEP: Duration = Duration::from_secs(55);
const KEEP_AT_MOST: usize = 256;

/// Where an application server listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Upstream {
    /// `host:port`; a name is looked up for each new connection.
    Tcp(String),
    Unix(PathBuf),
}

impl Upstream {
    /// Reads `http://host:port` or `unix:/path`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        let authority = text.strip_prefix("http://")?;
        let host =
            truehop_http1::Host::parse(authority.strip_suffix('/').unwrap_or(authority).as_bytes()).ok()?;
        Some(Self::Tcp(format!(
            "{}:{}",
            host.name(),
            host.port().unwrap_or(80)
        )))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => write!(f, "http://{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The upstreams of one route, as one worker sees them.
#[derive(Debug)]
pub(crate) struct Pool {
    upstreams: Vec<(Upstream, Idle)>,
    bind: Option<IpAddr>,
    timeouts: TimeoutsConfig,
    head_limit: usize,
    next: Cell<usize>,
}

/// Behind a lock that is never contended: a response's body, which gives the connection back, must be `Send`.
type Idle = Arc<Mutex<Vec<(UpstreamConnection, Instant)>>>;

impl Pool {
    pub(crate) fn new(
        upstreams: &[Upstream],
        bind: Option<IpAddr>,
        timeouts: TimeoutsConfig,
        head_limit: usize,
    ) -> Self {
        let upstreams = upstreams
            .iter()
            .map(|upstream| (upstream.clone(), Idle::default()))
            .collect();
        Self {
            upstreams,
            bind,
            timeouts,
            head_limit,
            next: Cell::default(),
        }
    }

    /// A connection to the upstream whose turn it is, or to the next one that can be reached.
    pub(crate) async fn take(&self) -> Result<Lent, Unreachable> {
        let first = self.next.get();
        self.next.set(first.wrapping_add(1));
        let mut failure = None;
        for n in 0..self.upstreams.len() {
            let (upstream, idle) = &self.upstreams[first.wrapping_add(n) % self.upstreams.len()];
            if let Some(connection) = take_ready(idle) {
                return Ok(Lent {
                    connection,
                    reused: true,
                    idle: Arc::clone(idle),
                });
            }
            match self.connect(upstream).await {
                Ok(connection) => {
                    return Ok(Lent {
                        connection,
                        reused: false,
                        idle: Arc::clone(idle),
                    });
                }
                Err(error) => {
                    tracing::warn!(%upstream, %error, "cannot connect to an upstream");
                    failure = Some(error);
                }
            }
        }
        Err(failure.unwrap_or(Unreachable::TimedOut))
    }

    /// A connection over which nothing went before, to the upstream of `failed`: for the one retry that a request gets.
    pub(crate) async fn take_fresh(&self, failed: Lent) -> Result<Lent, Unreachable> {
        let idle = failed.idle;
        drop(failed.connection);
        let found = self
            .upstreams
            .iter()
            .find(|(_, theirs)| Arc::ptr_eq(theirs, &idle));
        let (upstream, _) = found.ok_or(Unreachable::TimedOut)?;
        Ok(Lent {
            connection: self.connect(upstream).await?,
            reused: false,
            idle,
        })
    }

    async fn connect(&self, upstream: &Upstream) -> Result<UpstreamConnection, Unreachable> {
        let connecting = async {
            match upstream {
                Upstream::Tcp(authority) => {
                    let stream = connect_tcp(authority, self.bind).await?;
                    stream.set_nodelay(true)?;
                    UpstreamConnection::start(stream, self.head_limit, self.timeouts.response).await
                }
                Upstream::Unix(path) => {
                    UpstreamConnection::start(
                        UnixStream::connect(path).await?,
                        self.head_limit,
                        self.timeouts.response,
                    )
                    .await
                }
            }
        };
        match timeout(self.timeouts.connect, connecting).await {
            Ok(connection) => Ok(connection?),
            Err(_) => Err(Unreachable::TimedOut),
        }
    }
}

fn take_ready(idle: &Idle) -> Option<UpstreamConnection> {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some((connection, since)) = idle.pop() {
        if since.elapsed() >= KEEP {
            // The rest is older still.
            idle.clear();
            return None;
        }
        if connection.is_ready() {
            return Some(connection);
        }
    }
    None
}

async fn connect_tcp(authority: &str, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(bind) = bind else {
        return TcpStream::connect(authority).await;
    };
    let mut failure = io::Error::new(
        io::ErrorKind::NotFound,
        "the upstream's name has no address of this family",
    );
    for address in lookup_host(authority)
        .await?
        .filter(|address| address.is_ipv4() == bind.is_ipv4())
    {
        let socket = if bind.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.bind(SocketAddr::new(bind, 0))?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A connection on loan from a pool. Dropping it closes it; [`give_back`](Self::give_back) keeps it.
#[derive(Debug)]
pub(crate) struct Lent {
    pub(crate) connection: UpstreamConnection,
    /// Whether requests went over it before: the upstream may have closed it meanwhile.
    pub(crate) reused: bool,
    idle: Idle,
}

impl Lent {
    /// Keeps the connection for the next request.
    pub(crate) fn give_back(self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest stand first: few are used, and the others go.
        let old = idle.partition_point(|(_, since)| since.elapsed() >= KEEP);
        idle.drain(..old);
        if idle.len() < KEEP_AT_MOST {
            idle.push((self.connection, Instant::now()));
        }
    }
}

/// No upstream of the route could be connected to.
#[derive(Debug, Error)]
pub(crate) enum Unreachable {
    #[error("no connection in time")]
    TimedOut,
    #[error(transparent)]
    Failed(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_read_strictly() {
        for (text, shown) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://App", "http://app:80"),
            ("http://[::1]:1/", "http://[::1]:1"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
        ] {
            assert_eq!(Upstream::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "127.0.0.1:9000",
            "https://a",
            "http://",
            "http://a/b",
            "unix:a",
            "http://a:x",
        ] {
            assert_eq!(Upstream::parse(text), None, "{text}");
        }
    }
}
