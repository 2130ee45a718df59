//! Where two things happen at once: an answer while its request still comes, a request behind another, an end of a
//! connection at a bad moment.
//!
//! Judged by what client and upstream saw of it. Each test has a control: the same, and nothing wrong with it.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

mod ends;
mod kept;
mod rules;
mod uploads;

use std::time::{Duration, Instant};

use truehop_e2e::{Connection, Host, Truehop, Upstream};

pub(crate) const CLIENT: Host = Host::at(127, 0, 0, 2);
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One worker, so that all requests share one pool of connections. `settings` are tables of the config file.
#[track_caller]
pub(crate) fn edge(upstream: &Upstream, settings: &str) -> Truehop {
    Truehop::start(&format!(
        "workers = 1\n{settings}\n[[route]]\npath = \"/\"\nproxy = [\"{}\"]\n",
        upstream.url()
    ))
}

/// The request that comes next, on a new connection.
#[track_caller]
pub(crate) fn next(upstream: &Upstream) -> Connection {
    let mut connection = upstream.accept();
    connection.read_head();
    connection
}

/// A client and the connection over which its first request went.
#[track_caller]
pub(crate) fn kept(edge: &Truehop, upstream: &Upstream) -> (Connection, Connection) {
    let mut client = CLIENT.connect(edge.address());
    client.write(GET);
    let mut connection = next(upstream);
    connection.write(OK);
    assert_eq!(client.read_response().text(), "ok");
    (client, connection)
}

/// The end of a wait for what happens at once or not at all: far more than "at once", and far less than the timeout
/// that would end it, too.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// Bytes in which none can be lost or moved unseen.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at % 251) as u8 ^ (at / 65_536) as u8)
        .collect()
}
