//! Connections to upstreams that are kept, and what is sent once more over another.

use truehop_e2e::{Connection, Truehop, Upstream, eventually};

use crate::{CLIENT, GET, OK, edge, kept, next, pattern};

const MIB: usize = 1 << 20;

#[test]
fn no_retry_after_an_interim_answer() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    for interim in ["", "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"] {
        let (mut client, mut connection) = kept(&edge, &upstream);
        client.write(GET);
        connection.read_head();
        connection.write(interim);
        if interim.is_empty() {
            // It may have died before it heard of the request.
            drop(connection);
            next(&upstream).write(OK);
            assert_eq!(client.read_response().text(), "ok");
            continue;
        }
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 103 "), "{head}");
        drop(connection);
        let sent_again = eventually("an answer, or the request again", || {
            let sent_again = upstream.try_accept().is_some();
            (sent_again || client.has_answer()).then_some(sent_again)
        });
        assert!(!sent_again);
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    }
    assert!(upstream.try_accept().is_none());
}

#[test]
fn large_answers_keep_the_upstream_connection() {
    let content = pattern(MIB);
    for length in [1000, MIB] {
        let upstream = Upstream::listen();
        let edge = edge(&upstream, "");
        let mut client = CLIENT.connect(edge.address());
        client.write(GET);
        let mut connection = upstream.accept();
        for n in 0..3 {
            println!("{length} bytes, request {n}");
            connection.read_head();
            connection.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            connection.write_meanwhile(content[..length].to_vec());
            assert!(client.read_response().body == content[..length]);
            client.write(GET);
        }
        connection.read_head();
        assert!(upstream.try_accept().is_none());
    }
}

#[test]
fn large_bodies_keep_the_upstream_connection() {
    let content = pattern(MIB);
    for length in [1000, MIB] {
        let upstream = Upstream::listen();
        let edge = edge(&upstream, "");
        let mut client = CLIENT.connect(edge.address());
        let mut connection: Option<Connection> = None;
        for n in 0..3 {
            println!("{length} bytes, request {n}");
            client.write(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
            ));
            let connection = connection.get_or_insert_with(|| upstream.accept());
            connection.read_head();
            client.write_meanwhile(content[..length].to_vec());
            assert!(connection.read_exact(length) == content[..length]);
            connection.write(OK);
            assert_eq!(client.read_response().text(), "ok");
        }
        assert!(upstream.try_accept().is_none());
    }
}

/// Two upstreams with a kept connection each; the first is told as the one whose turn it is.
#[track_caller]
fn two() -> (Truehop, Connection, [(Upstream, Connection); 2]) {
    let upstreams = [Upstream::listen(), Upstream::listen()];
    let edge = Truehop::start(&format!(
        "workers = 1\n[[route]]\npath = \"/\"\nproxy = [\"{}\", \"{}\"]\n",
        upstreams[0].url(),
        upstreams[1].url()
    ));
    let mut client = CLIENT.connect(edge.address());
    let mut in_turn = Vec::new();
    let mut left = Vec::from(upstreams);
    while !left.is_empty() {
        client.write(GET);
        let (at, mut connection) = eventually("a connection to an upstream", || {
            left.iter()
                .enumerate()
                .find_map(|(at, upstream)| Some((at, upstream.try_accept()?)))
        });
        connection.read_head();
        connection.write(OK);
        assert_eq!(client.read_response().text(), "ok");
        in_turn.push((left.remove(at), connection));
    }
    (edge, client, in_turn.try_into().unwrap())
}

#[test]
fn next_upstream_after_a_stale_one() {
    // Its server goes away before the request, or when that has come.
    for is_late in [false, true] {
        println!("late: {is_late}");
        let (_edge, mut client, [(upstream, mut connection), (other, mut its)]) = two();
        drop(upstream);
        if is_late {
            client.write(GET);
            connection.read_head();
            drop(connection);
        } else {
            drop(connection);
            client.write(GET);
        }
        let mut fresh = eventually("the request at the other, or an answer", || {
            let fresh = other.try_accept();
            (fresh.is_some() || its.has_answer() || client.has_answer()).then_some(fresh)
        });
        assert!(!client.has_answer(), "{:?}", client.read_response());
        let connection = fresh.as_mut().unwrap_or(&mut its);
        connection.read_head();
        connection.write(OK);
        assert_eq!(client.read_response().text(), "ok");
    }
}

#[test]
fn unsent_body_goes_to_a_fresh_connection() {
    const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
    let (small, large) = ("x".repeat(5), "x".repeat(9000));
    let small = (format!("{HEAD}Content-Length: 5\r\n\r\n"), small);
    let large = (format!("{HEAD}Content-Length: 9000\r\n\r\n"), large);
    let chunk = (
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n"),
        "5\r\nhello\r\n0\r\n\r\n".into(),
    );
    let (tcp, unix) = (Upstream::listen(), Upstream::listen_unix());
    for (upstream, (head, body), only_stops_reading) in [
        (&tcp, &small, false),
        (&tcp, &large, false),
        (&tcp, &chunk, false),
        (&unix, &small, false),
        (&unix, &large, false),
        (&unix, &small, true),
        (&unix, &large, true),
    ] {
        println!(
            "{}, {head:?}, only stops reading: {only_stops_reading}",
            upstream.url()
        );
        let edge = edge(upstream, "");
        let (mut client, connection) = kept(&edge, upstream);
        let connection = only_stops_reading.then_some(connection);
        if let Some(connection) = &connection {
            connection.stop_reading();
        }
        client.write(format!("{head}{body}"));
        let mut fresh = upstream.accept();
        let seen = fresh.read_head();
        assert!(seen.starts_with("POST / "), "{seen}");
        assert_eq!(fresh.read_exact(body.len()), body.as_bytes());
        fresh.write(OK);
        assert_eq!(client.read_response().text(), "ok");
    }
}
