//! Answers that are none, and answers that say more than they were asked.

use truehop_e2e::Upstream;

use crate::{CLIENT, GET, OK, edge, is_answered, next};

#[test]
fn an_answer_that_could_be_read_differently_is_502() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    let too_large = format!(
        "HTTP/1.1 200 OK\r\nX-A: {}\r\nContent-Length: 4\r\n\r\nevil",
        "x".repeat(40_000)
    );
    for (what, answer) in [
        (
            "length and coding",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        ),
        (
            "coding and length",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nevil!",
        ),
        (
            "the same length twice",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "a list of lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nevil",
        ),
        (
            "a signed length",
            "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nevil",
        ),
        (
            "a negative length",
            "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nevil",
        ),
        (
            "a length that is none",
            "HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nevil",
        ),
        (
            "a length of 2^64 + 4",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551620\r\n\r\nevil",
        ),
        (
            "an unknown coding",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        ),
        (
            "two codings",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        ),
        (
            "a coding twice",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        ),
        ("bare LF everywhere", "HTTP/1.1 200 OK\nContent-Length: 4\n\nevil"),
        (
            "bare LF in a line",
            "HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "bare CR in a line",
            "HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "NUL in a value",
            "HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "a folded line",
            "HTTP/1.1 200 OK\r\nX-A: b\r\n Content-Length: 5\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "a space in a name",
            "HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "no colon",
            "HTTP/1.1 200 OK\r\nevil\r\nContent-Length: 4\r\n\r\nevil",
        ),
        ("no head", "evil\r\n\r\n"),
        (
            "something before the head",
            "evil\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        ("another protocol", "ICY 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        (
            "another version",
            "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "a status too short",
            "HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "a status too long",
            "HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "a status too low",
            "HTTP/1.1 099 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "a status of letters",
            "HTTP/1.1 two OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        ("a request", "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("too much", &too_large),
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write(GET);
        let mut connection = next(&upstream);
        // The edge may hang up before it has heard all of it.
        let _ = connection.try_write(answer.as_bytes());
        let page = client.read_response();
        assert_eq!(page.status, 502, "{what}: {page:?}");
        assert!(!page.text().contains("evil"), "{what}: {page:?}");
        assert_eq!(
            connection.read_to_end(),
            b"",
            "{what}: nothing goes over this connection any more"
        );
        is_answered(&mut CLIENT.connect(edge.address()), &upstream, None, what);
    }
}

#[test]
fn no_answer_is_502() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for begun in [
        "",
        "H",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
    ] {
        for is_reset in [false, true] {
            let mut client = CLIENT.connect(edge.address());
            client.write(GET);
            let mut connection = next(&upstream);
            connection.write(begun);
            if is_reset {
                connection.abort();
            } else {
                drop(connection);
            }
            let page = client.read_response();
            assert_eq!(page.status, 502, "{begun:?}: {page:?}");
            is_answered(&mut CLIENT.connect(edge.address()), &upstream, None, begun);
        }
    }
    assert!(
        upstream.try_accept().is_none(),
        "a new connection that failed is no reason to try again"
    );
}

/// The next client must not get what was said too much: neither what came along, nor what came while nobody asked.
#[test]
fn an_answer_too_many_is_nobodys_answer() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for (what, method, answer, is_late) in [
        ("along with the answer", "GET", format!("{OK}{EVIL}"), false),
        ("later", "GET", OK.into(), true),
        (
            "after chunks",
            "GET",
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{EVIL}"),
            false,
        ),
        (
            "after 204",
            "GET",
            format!("HTTP/1.1 204 No Content\r\n\r\n{EVIL}"),
            false,
        ),
        (
            "as the body of 204",
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil".into(),
            false,
        ),
        (
            "after 304",
            "GET",
            format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n{EVIL}"),
            false,
        ),
        (
            "as the body of an answer to HEAD",
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".into(),
            false,
        ),
        ("a byte", "GET", format!("{OK}H"), false),
        ("an empty line", "GET", format!("{OK}\r\n"), false),
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut connection = next(&upstream);
        connection.write(answer);
        let got = client.read_response_to(method);
        assert!(!got.text().contains("evil"), "{what}: {got:?}");
        if is_late {
            connection.write(EVIL);
        }
        is_answered(&mut client, &upstream, None, what);
        assert_eq!(
            connection.read_to_end(),
            b"",
            "{what}: nothing goes over this connection any more"
        );
    }
}
