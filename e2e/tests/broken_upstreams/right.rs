//! Answers and bodies that are unusual and right.

use truehop_e2e::{Connection, Upstream, answers};

use crate::{CLIENT, GET, OK, edge, is_answered, next};

#[test]
fn an_answer_before_the_body_was_read_is_an_answer() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegun");
    let mut connection = next(&upstream);
    connection.read_exact(5);
    connection.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text().as_str()), (413, "no"));
    // Half a request lies on that connection.
    let mut other = CLIENT.connect(edge.address());
    is_answered(&mut other, &upstream, None, "other");
}

#[test]
fn answers_without_a_body_have_none_whatever_their_length_says() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    let mut client = CLIENT.connect(edge.address());
    let mut connection: Option<Connection> = None;
    for (method, answer, status, length) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            "200",
            Some("1000"),
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "200",
            None,
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", "200", None),
        (
            "HEAD",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n",
            "404",
            Some("7"),
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
            "304",
            Some("1000"),
        ),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n", "304", None),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", "204", None),
        ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n", "204", None),
        // It may not be there, and many send it.
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            "204",
            Some("0"),
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "200",
            Some("0"),
        ),
    ] {
        client.write(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let kept = connection.get_or_insert_with(|| upstream.accept());
        kept.read_head();
        kept.write(answer);
        let head = client.read_head();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}: {head}"
        );
        let had = head
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
        let had = had.map(|(_, value)| value.trim());
        // That of 304 is of no use to anybody, that of 204 should not be there.
        let may_lack = ["204", "304"].contains(&status);
        assert!(had == length || (may_lack && had.is_none()), "{answer}: {head}");
        is_answered(&mut client, &upstream, Some(kept), answer);
    }
    // A length where none may be is no body either, whatever becomes of that answer and its connection.
    client.write(GET);
    let mut kept = connection.expect("a connection");
    kept.read_head();
    kept.write("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n");
    let answer = client.read_response();
    assert!([204, 502].contains(&answer.status), "{answer:?}");
    drop(kept);
    is_answered(&mut client, &upstream, None, "after it");
}

#[test]
fn every_framing_arrives_whole() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for (answer, keeps) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTrailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n\
             2;a=b\r\nhe\r\n3;c=\"d;e\"\r\nllo\r\n0;f\r\nX-Check: 1\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", false),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nhello", false),
        ("HTTP/1.0 200 OK\r\n\r\nhello", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", false),
        ("HTTP/1.1 200 \r\nContent-Length:5\r\n\r\nhello", true),
    ] {
        for version in ["1.1", "1.0"] {
            println!("{answer:?} to {version}");
            let mut client = CLIENT.connect(edge.address());
            client.write(format!(
                "GET / HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n"
            ));
            let mut connection = next(&upstream);
            // Byte by byte: a piece may end anywhere.
            for byte in answer.as_bytes() {
                connection.write([*byte]);
            }
            if !keeps {
                connection.finish();
            }
            let got = client.read_to_end();
            let all = answers(&got).unwrap_or_else(|why| panic!("{answer:?} to {version}: {why}"));
            assert_eq!(all.len(), 1, "{answer:?} to {version}: {all:?}");
            assert_eq!(
                (all[0].status, all[0].text().as_str()),
                (200, "hello"),
                "{answer:?} to {version}"
            );
            if version == "1.0" {
                assert_eq!(all[0].header("Transfer-Encoding"), None, "{answer:?}");
            }
            // What is kept is used again, what is not is not.
            let mut other = CLIENT.connect(edge.address());
            is_answered(
                &mut other,
                &upstream,
                Some(&mut connection).filter(|_| keeps),
                "again",
            );
            // For the next round, with a connection of its own.
            drop(connection);
        }
    }
}

#[test]
fn request_bodies_are_framed_anew() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         00002;a=b\r\nhe\r\n003;c=\"d\"\r\nllo\r\n000;last\r\n\r\n",
    );
    let mut connection = upstream.accept();
    let head = connection.read_head().to_lowercase();
    let framing = head.matches("transfer-encoding: chunked\r\n").count();
    assert!(framing == 1 && !head.contains("content-length"), "{head}");
    let sent = connection.read_until("\r\n0\r\n\r\n");
    assert!(!sent.contains(';'), "{sent:?}");
    let whole = answers(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{sent}").as_bytes());
    assert_eq!(whole.expect("chunks")[0].text(), "hello");
    connection.write(OK);
    assert_eq!(client.read_response().text(), "ok");
}
