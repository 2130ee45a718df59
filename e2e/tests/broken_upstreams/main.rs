//! Upstreams that break off, lie about lengths, or say more than they were asked: played word by word.
//!
//! What a client gets is whole, or visibly not; it is the answer to its own request, or none.

mod cut;
mod dying;
mod interim;
mod right;
mod wrong;

use truehop_e2e::{Connection, Host, Truehop, Upstream};

pub(crate) const CLIENT: Host = Host::at(127, 0, 0, 2);
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
pub(crate) const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One worker, so that all requests share one pool of connections.
#[track_caller]
pub(crate) fn edge(upstream: &Upstream) -> Truehop {
    Truehop::start(&format!(
        "workers = 1\n[[route]]\npath = \"/\"\nproxy = [\"http://{}\"]\n",
        upstream.address()
    ))
}

/// The request that comes next, on a new connection.
#[track_caller]
pub(crate) fn next(upstream: &Upstream) -> Connection {
    let mut connection = upstream.accept();
    connection.read_head();
    connection
}

/// Answers a client's `GET` over `connection`, which is either the one that the edge kept, or a new one.
#[track_caller]
pub(crate) fn is_answered(
    client: &mut Connection,
    upstream: &Upstream,
    kept: Option<&mut Connection>,
    body: &str,
) {
    client.write(GET);
    let mut fresh;
    let connection = match kept {
        Some(kept) => kept,
        None => {
            fresh = upstream.accept();
            &mut fresh
        }
    };
    connection.read_head();
    connection.write(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text().as_str()), (200, body));
}
