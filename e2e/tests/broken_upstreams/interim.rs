//! Answers before the answer: hints, leave to go on, and the switch to another protocol.

use truehop_e2e::{Upstream, answers};

use crate::{CLIENT, GET, OK, POST, edge, is_answered, next};

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

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

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
