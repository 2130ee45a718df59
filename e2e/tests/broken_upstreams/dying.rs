//! Connections that die, and what is tried again.

use truehop_e2e::{Connection, Truehop, Upstream};

use crate::{CLIENT, GET, OK, POST, edge, next};

/// A client and the connection over which its first request went.
#[track_caller]
fn kept(edge: &Truehop, upstream: &Upstream) -> (Connection, Connection) {
    let mut client = CLIENT.connect(edge.address());
    client.write(GET);
    let mut connection = next(upstream);
    connection.write(OK);
    assert_eq!(client.read_response().text(), "ok");
    (client, connection)
}

#[test]
fn a_get_is_tried_again_when_its_kept_connection_dies() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for is_reset in [false, true] {
        let (mut client, mut connection) = kept(&edge, &upstream);
        client.write(GET);
        connection.read_head();
        if is_reset {
            connection.abort();
        } else {
            drop(connection);
        }
        next(&upstream).write(OK);
        assert_eq!(client.read_response().text(), "ok");
    }
}

#[test]
fn a_post_that_was_sent_is_not_tried_again() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for request in [POST, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"] {
        let (mut client, mut connection) = kept(&edge, &upstream);
        client.write(request);
        connection.read_head();
        if request == POST {
            connection.read_exact(5);
        }
        connection.abort();
        assert_eq!(client.read_response().status, 502, "{request}");
        assert!(upstream.try_accept().is_none(), "sent twice: {request}");
    }
}

#[test]
fn nothing_is_tried_again_once_an_answer_has_begun() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    let (mut client, mut connection) = kept(&edge, &upstream);
    client.write(GET);
    connection.read_head();
    connection.write("HTTP/1.1 2");
    drop(connection);
    assert_eq!(client.read_response().status, 502);
    assert!(upstream.try_accept().is_none());
}

#[test]
fn a_kept_connection_that_the_upstream_closed_is_not_used() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for request in [GET, POST] {
        let (mut client, connection) = kept(&edge, &upstream);
        drop(connection);
        client.write(request);
        let mut fresh = next(&upstream);
        if request == POST {
            fresh.read_exact(5);
        }
        fresh.write(OK);
        assert_eq!(client.read_response().text(), "ok", "{request}");
    }
}
