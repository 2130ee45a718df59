//! Requests whose bodies meet something on their way.

use truehop_e2e::{Upstream, answers};

use crate::{CLIENT, OK, edge, next, soon};

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn early_answer_then_bad_upload() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "[limits]\nbody = \"4KiB\"");
    let too_much = format!("1001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x1001));
    for (what, rest, is_good) in [
        ("its end", "0\r\n\r\n", true),
        ("no chunk", "z\r\n", false),
        ("too much", &too_much, false),
    ] {
        println!("{what}");
        let mut client = CLIENT.connect(edge.address());
        client.write(format!("{CHUNKED}5\r\nhello\r\n"));
        let mut connection = next(&upstream);
        connection.read_until("hello");
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        client.read_until("\r\n\r\nhalf");
        client.write(rest);
        if is_good {
            connection.read_until("0\r\n\r\n");
            connection.write("half");
            assert_eq!(client.read_exact(4), b"half");
            continue;
        }
        let (more, is_closed) = client.read_until_closed(soon());
        assert!(
            more.is_empty(),
            "inside the body: {:?}",
            String::from_utf8_lossy(&more)
        );
        assert!(is_closed);
    }
    edge.wait_for_accesses(2, &["status=200", "cut=true"]);
    assert_eq!(edge.accesses(&["cut=true"]), 2);
}

#[test]
fn over_the_limit_in_one_segment() {
    let like_a_request = format!("{:x<5120}", "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n");
    let length = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5120\r\n\r\n{like_a_request}");
    let chunk = format!("{CHUNKED}1400\r\n{like_a_request}\r\n0\r\n\r\n");
    let chunks = format!(
        "{CHUNKED}{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        4000,
        &like_a_request[..4000],
        1120,
        &like_a_request[4000..]
    );
    for request in [chunk, chunks, length] {
        let upstream = Upstream::listen();
        let edge = edge(
            &upstream,
            "[limits]\nbody = \"4KiB\"\n[[route]]\npath = \"/admin\"\nreply = { body = \"admin\" }",
        );
        let mut client = CLIENT.connect(edge.address());
        client.write(&request);
        let (got, is_closed) = client.read_until_closed(soon());
        let statuses: Vec<u16> = answers(&got)
            .unwrap()
            .iter()
            .map(|answer| answer.status)
            .collect();
        assert_eq!(
            statuses,
            [413],
            "{request:.80}: {:?}",
            String::from_utf8_lossy(&got)
        );
        assert!(is_closed, "{request:.80}");
        // The edge may have called the upstream, and has nothing to say to it.
        if let Some(mut connection) = upstream.try_accept() {
            assert_eq!(connection.read_to_end(), b"");
        }
        // Otherwise the edge would give it the time to read its answer.
        drop(client);
        let (exit, _) = edge.stop();
        let lines = exit.stdout.lines().filter(|line| line.starts_with("time="));
        assert_eq!(lines.count(), 1, "{}", exit.stdout);
    }
    // What fits is passed on, and what follows it is answered.
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "[limits]\nbody = \"5KiB\"");
    let mut client = CLIENT.connect(edge.address());
    client.write(format!("{CHUNKED}1400\r\n{:x<5120}\r\n0\r\n\r\n", ""));
    let mut connection = next(&upstream);
    connection.read_until("\r\n0\r\n\r\n");
    connection.write(OK);
    assert_eq!(client.read_response().text(), "ok");
}

/// The end of the body and what stands behind it are read at once, at a time at which nothing can be written to the
/// upstream any more.
#[test]
fn pipelined_behind_a_body_whose_upstream_dies() {
    // In the wrong hands the second half is a request of its own.
    const FIRST_HALF: &str = "GET /3 HTTP/1.1\r\nX-Note: ";
    const SECOND_HALF: &str = "GET /stray HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let replies = ["2", "3", "stray"]
        .map(|name| format!("[[route]]\npath = \"/{name}\"\nreply = {{ body = \"{name}\" }}\n"));
    let upstream = Upstream::listen_unix();
    let edge = edge(&upstream, &replies.concat());
    let length = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
    for (begin, end) in [
        (format!("{length}hello"), "world"),
        (format!("{CHUNKED}5\r\nhello\r\n"), "5\r\nworld\r\n0\r\n\r\n"),
    ] {
        for dies in [false, true] {
            println!("{begin:?}, dies: {dies}");
            let mut client = CLIENT.connect(edge.address());
            client.write(&begin);
            let mut connection = next(&upstream);
            connection.read_until("hello");
            if dies {
                connection.stop_reading();
            }
            client.write(format!("{end}GET /2 HTTP/1.1\r\nHost: a\r\n\r\n{FIRST_HALF}"));
            client.wait_until_read();
            if !dies {
                connection.read_until("world");
                connection.write(OK);
            }
            drop(connection);
            let first = client.read_response();
            assert_eq!(first.status, if dies { 502 } else { 200 }, "{first:?}");
            let _ = client.try_write(SECOND_HALF.as_bytes());
            let rest = answers(&client.read_to_end()).unwrap();
            let rest: Vec<String> = rest.iter().map(|answer| answer.text()).collect();
            assert!(rest == ["2", "3"] || (dies && rest.is_empty()), "{rest:?}");
        }
    }
}

#[test]
fn silent_upstream_after_it_stopped_reading() {
    let upstream = Upstream::listen_unix();
    let edge = edge(&upstream, "[timeouts]\nresponse = \"1s\"");
    let content = "x".repeat(1 << 20);
    let length = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n";
    for (head, body) in [
        (length, content.clone()),
        (CHUNKED, format!("100000\r\n{content}\r\n0\r\n\r\n")),
    ] {
        for stops in [false, true] {
            println!("{head:?}, stops: {stops}");
            let mut client = CLIENT.connect(edge.address());
            client.write(head);
            let mut connection = next(&upstream);
            if stops {
                connection.stop_reading();
            }
            client.write_meanwhile(body.clone().into_bytes());
            if !stops {
                connection.read_exact(body.len());
                connection.write(OK);
                assert_eq!(client.read_response().text(), "ok");
                continue;
            }
            let (got, _) = client.read_until_closed(soon());
            let all = answers(&got).unwrap();
            assert!(
                all.len() == 1 && [502, 504].contains(&all[0].status),
                "{head:?}: {all:?}"
            );
        }
    }
}

#[test]
fn trailers_with_the_policys_header() {
    let upstream = Upstream::listen();
    let edge = edge(
        &upstream,
        "[client]\nfrom = \"header\"\nheader = \"X-Client-Custom\"\ntrusted = [\"127.0.0.2\"]",
    );
    for (trailer, is_honest) in [
        ("X-Check: 1", true),
        ("X-Client-Custom: 6.6.6.6", false),
        ("x-client-custom: 6.6.6.6", false),
        ("X_Client_Custom: 6.6.6.6", false),
    ] {
        let mut client = CLIENT.connect(edge.address());
        let head = CHUNKED.replace("Host: a\r\n", "Host: a\r\nX-Client-Custom: 203.0.113.7\r\n");
        client.write(format!("{head}5\r\nhello\r\n"));
        let mut connection = upstream.accept();
        let head = connection.read_head().to_lowercase();
        assert!(head.contains("x-real-ip: 203.0.113.7\r\n"), "{head}");
        connection.read_until("hello\r\n");
        client.write(format!("0\r\n{trailer}\r\n\r\n"));
        connection.read_until("0\r\n");
        let mut trailers = connection.read_until("\r\n");
        while !trailers.ends_with("\r\n\r\n") && trailers != "\r\n" {
            trailers += &connection.read_until("\r\n");
        }
        assert_eq!(trailers.contains(trailer), is_honest, "{trailers:?}");
        assert!(!trailers.contains("6.6.6.6"), "{trailers:?}");
        connection.write(OK);
        assert_eq!(client.read_response().text(), "ok");
    }
}
