//! Application servers behind the edge, and the connections kept open to them.
//!
//! Each worker has its own pool: nothing is shared, nothing is locked. Connections are taken last in, first out, so
//! that few stay warm and the rest can go.
//!
//! Invariant: a connection is in the pool only after both messages on it came to their end and nothing was left over.
//! Whether the upstream has closed it since shows for certain only when it is used: such a request may be
//! [sent again](crate::forward).

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::stream::{Plain, Stream};

const KEEP_AT_MOST: usize = 1024;
/// How often idle connections are looked after, and how many rounds they may wait: fifty-five seconds, because many
/// servers close theirs after 60 to 75, gunicorn after 2.
const SWEEP: Duration = Duration::from_secs(5);
const ROUNDS: u64 = 11;

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
    upstreams: Vec<(Upstream, Rc<Idle>)>,
    bind: Option<IpAddr>,
    patience: Duration,
    next: Cell<usize>,
}

/// Connections to one upstream that wait for a request, the oldest first. Each with the round of the sweep in which it
/// came: a clock that costs nothing to read.
#[derive(Debug, Default)]
struct Idle {
    connections: RefCell<Vec<(Stream, u64)>>,
    round: Cell<u64>,
    /// Whether somebody looks after them.
    swept: Cell<bool>,
}

impl Pool {
    pub(crate) fn new(upstreams: &[Upstream], bind: Option<IpAddr>, patience: Duration) -> Self {
        let upstreams = upstreams
            .iter()
            .map(|upstream| (upstream.clone(), Rc::default()))
            .collect();
        Self {
            upstreams,
            bind,
            patience,
            next: Cell::default(),
        }
    }

    /// A connection to the upstream whose turn it is, or to the next one that can be reached.
    pub(crate) async fn take(&self) -> Result<Lent, Unreachable> {
        let first = self.next.get();
        self.next.set(first.wrapping_add(1));
        self.take_from(first, true).await
    }

    /// A connection over which nothing went before, for the one retry that a request gets: to the upstream of `failed`,
    /// or to the next one that can be reached.
    pub(crate) async fn take_fresh(&self, failed: Lent) -> Result<Lent, Unreachable> {
        let first = self
            .upstreams
            .iter()
            .position(|(_, theirs)| Rc::ptr_eq(theirs, &failed.idle))
            .unwrap_or(0);
        drop(failed);
        self.take_from(first, false).await
    }

    async fn take_from(&self, first: usize, may_reuse: bool) -> Result<Lent, Unreachable> {
        let mut failure = None;
        for n in 0..self.upstreams.len() {
            let (upstream, idle) = &self.upstreams[first.wrapping_add(n) % self.upstreams.len()];
            let lent = |stream, reused| Lent {
                stream,
                reused,
                idle: Rc::clone(idle),
            };
            if may_reuse && let Some(stream) = idle.take() {
                return Ok(lent(stream, true));
            }
            match self.connect(upstream).await {
                Ok(stream) => return Ok(lent(stream, false)),
                Err(error) => {
                    tracing::warn!(%upstream, %error, "cannot connect to an upstream");
                    failure = Some(error);
                }
            }
        }
        Err(failure.unwrap_or(Unreachable::TimedOut))
    }

    async fn connect(&self, upstream: &Upstream) -> Result<Stream, Unreachable> {
        let connecting = async {
            let plain = match upstream {
                Upstream::Tcp(authority) => {
                    let stream = connect_tcp(authority, self.bind).await?;
                    stream.set_nodelay(true)?;
                    Plain::Tcp(stream)
                }
                Upstream::Unix(path) => Plain::Unix(UnixStream::connect(path).await?),
            };
            Ok(plain.into())
        };
        timeout(self.patience, connecting)
            .await
            .unwrap_or(Err(Unreachable::TimedOut))
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (upstream, _)) in self.upstreams.iter().enumerate() {
            write!(f, "{}{upstream}", if n > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

impl Idle {
    /// The connection that was used last, unless the upstream has closed it, as far as is known without asking.
    fn take(&self) -> Option<Stream> {
        let mut connections = self.connections.borrow_mut();
        while let Some((stream, _)) = connections.pop() {
            // Nothing was asked: what has come is the end, or nonsense.
            if !stream.has_news() {
                return Some(stream);
            }
        }
        None
    }

    fn give_back(self: Rc<Self>, stream: Stream) {
        let mut connections = self.connections.borrow_mut();
        if connections.len() < KEEP_AT_MOST {
            connections.push((stream, self.round.get()));
        }
        drop(connections);
        if !self.swept.replace(true) {
            tokio::task::spawn_local(self.sweep());
        }
    }

    /// Closes what is too old or has ended, for as long as there is something.
    async fn sweep(self: Rc<Self>) {
        loop {
            sleep(SWEEP).await;
            let round = self.round.get() + 1;
            self.round.set(round);
            let mut connections = self.connections.borrow_mut();
            connections.retain(|(stream, since)| round - since < ROUNDS && !stream.has_news());
            if connections.is_empty() {
                self.swept.set(false);
                return;
            }
        }
    }
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
    pub(crate) stream: Stream,
    /// Whether requests went over it before: the upstream may have closed it meanwhile.
    pub(crate) reused: bool,
    idle: Rc<Idle>,
}

impl Lent {
    /// Keeps the connection for the next request.
    pub(crate) fn give_back(self) {
        self.idle.give_back(self.stream);
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
