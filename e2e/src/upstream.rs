//! An upstream that a test plays itself, word by word: for what a well-behaved server would never do at the right
//! moment (half a response, silence, a cut).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use crate::eventually;
use crate::http::Connection;

/// A listening socket whose connections the test accepts when it wants.
#[derive(Debug)]
pub struct Upstream(Listener);

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, TempDir),
}

impl Upstream {
    /// Listens on a free port of `127.0.0.1`.
    pub fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(Listener::Tcp(listener))
    }

    /// Listens on a Unix socket.
    pub fn listen_unix() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(Listener::Unix(listener, dir))
    }

    /// Where it listens.
    ///
    /// # Panics
    /// When it is a Unix socket.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        match &self.0 {
            Listener::Tcp(listener) => listener.local_addr().unwrap(),
            Listener::Unix(..) => panic!("a Unix socket"),
        }
    }

    /// Where it listens, as the key `proxy` wants it.
    pub fn url(&self) -> String {
        match &self.0 {
            Listener::Tcp(_) => format!("http://{}", self.address()),
            Listener::Unix(_, dir) => format!("unix:{}", dir.path().join("sock").display()),
        }
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> Connection {
        eventually("a connection to the upstream", || self.try_accept())
    }

    /// The next connection, if it is there already.
    pub fn try_accept(&self) -> Option<Connection> {
        match &self.0 {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().ok()?;
                stream.set_nonblocking(false).unwrap();
                Some(Connection::over(stream))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().ok()?;
                stream.set_nonblocking(false).unwrap();
                Some(Connection::over_unix(stream))
            }
        }
    }
}
