//! An upstream that a test plays itself, word by word: for what a well-behaved server would never do at the right
//! moment (half a response, silence, a cut).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::eventually;
use crate::http::Connection;

/// A listening socket whose connections the test accepts when it wants.
#[derive(Debug)]
pub struct Upstream {
    listener: TcpListener,
}

impl Upstream {
    /// Listens on a free port of `127.0.0.1`.
    pub fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> Connection {
        eventually("a connection to the upstream", || self.try_accept())
    }

    /// The next connection, if it is there already.
    pub fn try_accept(&self) -> Option<Connection> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(false).unwrap();
        Some(Connection::over(stream))
    }
}
