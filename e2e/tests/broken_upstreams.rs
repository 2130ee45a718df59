//! Upstreams that break off, lie about lengths, or say more than they were asked: played word by word.
//!
//! What a client gets is whole, or visibly not; it is the answer to its own request, or none.

use truehop_e2e::{Connection, Host, Truehop, Upstream, answers, eventually};

const CLIENT: Host = Host::at(127, 0, 0, 2);
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One worker, so that all requests share one pool of connections.
#[track_caller]
fn edge(upstream: &Upstream) -> Truehop {
    Truehop::start(&format!(
        "workers = 1\n[[route]]\npath = \"/\"\nproxy = [\"http://{}\"]\n",
        upstream.address()
    ))
}

/// The request that comes next, on a new connection.
#[track_caller]
fn next(upstream: &Upstream) -> Connection {
    let mut connection = upstream.accept();
    connection.read_head();
    connection
}

/// Answers a client's `GET` over `connection`, which is either the one that the edge kept, or a new one.
#[track_caller]
fn is_answered(client: &mut Connection, upstream: &Upstream, kept: Option<&mut Connection>, body: &str) {
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

// Answers that are none.

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

// Answers that end too early, or never.

#[test]
fn an_answer_that_breaks_off_is_not_passed_for_whole() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for (framing, is_reset) in [
        ("Content-Length: 100\r\n\r\nhalf", false),
        ("Transfer-Encoding: chunked\r\n\r\n64\r\nhalf", false),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", false),
        (
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX-Check: 1\r\n",
            false,
        ),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nevil", false),
        (
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nffffffffffffffff1\r\n",
            false,
        ),
        // Here the end of the connection is the end of the answer, so only how it ends can tell.
        ("\r\nhalf", true),
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut connection = next(&upstream);
        connection.write(format!("HTTP/1.1 200 OK\r\n{framing}"));
        let mut got = Vec::new();
        if is_reset {
            // What was not passed on before a reset is lost.
            got.extend(client.read_until("half").into_bytes());
            connection.abort();
        } else {
            drop(connection);
        }
        got.extend(client.read_to_end());
        // An edge that has heard of the end before it has begun may say so.
        let is_framed = answers(&got).is_ok_and(|answers| answers[0].status != 502);
        let has_frame = String::from_utf8_lossy(&got)
            .to_lowercase()
            .contains("transfer-encoding: chunked");
        assert!(
            !is_framed || (is_reset && !has_frame),
            "{framing:?} becomes a whole answer: {got:?}"
        );
        assert!(!got.windows(4).any(|window| window == b"evil"), "{framing:?}");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_takes_its_upstream_along() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for framing in [
        "Content-Length: 1000000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3b9aca00\r\n",
        "\r\n",
    ] {
        for is_reset in [false, true] {
            let mut client = CLIENT.connect(edge.address());
            client.write(GET);
            let mut connection = next(&upstream);
            connection.write(format!("HTTP/1.1 200 OK\r\n{framing}half"));
            client.read_until("half");
            if is_reset {
                client.abort();
            } else {
                drop(client);
            }
            // Writing goes on until somebody says that there is no use.
            eventually("the end of the upstream's connection", || {
                connection.try_write(&[b'x'; 64 * 1024]).err()
            });
            let mut other = CLIENT.connect(edge.address());
            is_answered(&mut other, &upstream, None, framing);
            edge.wait_for_access(&["path=/", "cut=true"]);
        }
    }
    edge.wait_for_accesses(6, &["cut=true"]);
}

#[test]
fn a_client_that_leaves_before_an_answer_takes_its_upstream_along() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for request in [GET, POST] {
        let mut client = CLIENT.connect(edge.address());
        client.write(request);
        let mut connection = next(&upstream);
        if request == POST {
            connection.read_exact(5);
        }
        client.abort();
        assert_eq!(connection.read_to_end(), b"");
    }
    edge.wait_for_accesses(2, &["status=499"]);
}

// Answers that say more than they should.

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

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

#[test]
fn a_switch_that_nobody_asked_for_is_502() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for request in [
        GET,
        POST,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write(request);
        let mut connection = next(&upstream);
        let _ = connection.try_write(format!("{SWITCH}evil").as_bytes());
        let page = client.read_response();
        assert_eq!(page.status, 502, "{request}: {page:?}");
        assert!(!page.text().contains("evil"), "{request}: {page:?}");
    }
}

#[test]
fn bytes_behind_an_upgrade_wait_for_the_101() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    // Switched: what came early belongs to the tunnel.
    let mut client = CLIENT.connect(edge.address());
    client.write(format!("{UPGRADE}early"));
    let mut connection = upstream.accept();
    let head = connection.read_head().to_lowercase();
    assert!(
        head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"),
        "{head}"
    );
    connection.write(format!("{SWITCH}hello"));
    assert_eq!(connection.read_exact(5), b"early");
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(client.read_exact(5), b"hello");
    client.write("more");
    assert_eq!(connection.read_exact(4), b"more");
    drop(client);
    assert_eq!(connection.read_to_end(), b"");
    drop(connection);

    // Not switched: it is a request like any other, or nothing.
    let mut client = CLIENT.connect(edge.address());
    client.write(format!("{UPGRADE}EARLY / HTTP/1.1\r\n\r\n"));
    let mut connection = next(&upstream);
    connection.write(OK);
    assert_eq!(client.read_response().text(), "ok");
    client.finish();
    // A word that is no request gets no farther than the edge.
    let rest = answers(&client.read_to_end()).expect("whole answers");
    assert!(rest.iter().all(|answer| answer.status == 400), "{rest:?}");
    edge.terminate();
    assert_eq!(connection.read_to_end(), b"");
    assert!(upstream.try_accept().is_none());
}

// Answers before the answer.

#[test]
fn interim_answers_are_relayed_in_order() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write(GET);
    let mut connection = next(&upstream);
    connection.write("HTTP/1.1 102 Processing\r\n\r\n");
    connection.write("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: X-Own\r\nX-Own: 1\r\n\r\n");
    // It comes before there is an answer.
    let hints = loop {
        let head = client.read_head();
        if head.starts_with("HTTP/1.1 103 ") {
            break head.to_lowercase();
        }
        assert!(head.starts_with("HTTP/1.1 102 "), "{head}");
    };
    assert!(hints.contains("link: </style.css>; rel=preload\r\n"), "{hints}");
    assert!(!hints.contains("x-own"), "{hints}");
    connection.write(format!(
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n{OK}"
    ));
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    is_answered(&mut client, &upstream, Some(&mut connection), "after them");
}

#[test]
fn interim_answers_are_not_for_http_1_0() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let mut connection = next(&upstream);
    connection.write(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n{OK}"
    ));
    let head = client.read_head();
    assert!(head.contains(" 200 "), "{head}");
    assert_eq!(client.read_to_end(), b"ok");
}

#[test]
fn continue_is_the_upstreams_word() {
    const EXPECT: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write(EXPECT);
    let mut connection = upstream.accept();
    let head = connection.read_head().to_lowercase();
    assert!(head.contains("expect: 100-continue\r\n"), "{head}");
    assert!(!client.has_answer(), "the edge knows better than the upstream");
    connection.write("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.write("hello");
    assert_eq!(connection.read_exact(5), b"hello");
    connection.write(OK);
    assert_eq!(client.read_response().text(), "ok");

    // Who does not want the body says so instead.
    let mut client = CLIENT.connect(edge.address());
    client.write(EXPECT);
    connection.read_head();
    connection.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(client.read_exact(2), b"no");
    // The body may still come, or never: nothing else can go over that connection.
    let mut other = CLIENT.connect(edge.address());
    is_answered(&mut other, &upstream, None, "other");
}

// Answers that are unusual and right.

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
        // That of 304 is of no use to anybody.
        assert!(
            had == length || (status == "304" && had.is_none()),
            "{answer}: {head}"
        );
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

// Connections that die.

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

// What a client breaks behind the back of a request that is under way.

#[test]
fn garbage_behind_a_chunk_that_was_passed_on_ends_everything() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for garbage in [
        "z\r\n",
        "\r\n",
        "5\nhello\r\n",
        "5;\nhello\r\n",
        "10000000000000005\r\nhello\r\n",
        "5\r\nhelloXX",
        "0\nX\r\n",
        "0\r\nX y: z\r\n\r\n",
        "0\r\nX: y\n\r\n",
    ] {
        println!("{garbage:?}");
        let mut client = CLIENT.connect(edge.address());
        client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n");
        let mut connection = next(&upstream);
        let begun = connection.read_until("he");
        assert!(!begun.contains("a=b"), "{begun}");
        client.write(format!(
            "{garbage}0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        let rest = connection.read_to_end();
        let text = String::from_utf8_lossy(&rest);
        assert!(
            !text.contains("smuggled") && !text.contains("0\r\n"),
            "{garbage:?}: {text:?}"
        );
        let answers = answers(&client.read_to_end()).unwrap_or_else(|why| panic!("{garbage:?}: {why}"));
        assert!(
            answers.len() < 2 && answers.iter().all(|answer| answer.status == 400),
            "{garbage:?}: {answers:?}"
        );
        assert!(upstream.try_accept().is_none(), "{garbage:?}");
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
