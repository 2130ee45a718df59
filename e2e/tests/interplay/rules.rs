//! What must not get past the rules of the server.

use truehop_e2e::{Truehop, Upstream, eventually};

use crate::{CLIENT, OK, edge, next};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[test]
fn switch_needs_get_without_body() {
    let upgrade = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let get = format!("GET / HTTP/1.1\r\n{upgrade}\r\n");
    let with_length = format!("{upgrade}Content-Length: 5\r\n\r\nhello");
    let with_chunks = format!("{upgrade}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    for (request, switch, switches) in [
        (get.clone(), SWITCH.to_owned(), true),
        (
            format!("POST / HTTP/1.1\r\n{with_length}"),
            SWITCH.to_owned(),
            false,
        ),
        (
            format!("POST / HTTP/1.1\r\n{with_chunks}"),
            SWITCH.to_owned(),
            false,
        ),
        (
            format!("POST / HTTP/1.1\r\n{upgrade}\r\n"),
            SWITCH.to_owned(),
            false,
        ),
        (
            format!("GET / HTTP/1.1\r\n{with_length}"),
            SWITCH.to_owned(),
            false,
        ),
        (
            format!("GET / HTTP/1.1\r\n{with_chunks}"),
            SWITCH.to_owned(),
            false,
        ),
        (get.clone(), SWITCH.replace("Upgrade: websocket\r\n", ""), false),
        (get, SWITCH.replace("websocket", "h2c"), false),
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write(&request);
        let mut connection = next(&upstream);
        let _ = connection.try_write(format!("{switch}tunnelled").as_bytes());
        let head = client.read_head();
        if switches {
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            assert_eq!(client.read_exact(9), b"tunnelled");
            continue;
        }
        assert!(head.starts_with("HTTP/1.1 502 "), "{request}{switch}: {head}");
        client.finish();
        let rest = String::from_utf8_lossy(&client.read_to_end()).into_owned();
        assert!(!rest.contains("tunnelled"), "{request}{switch}: {rest}");
    }
}

/// What some servers behind take for `..` and `.`: a segment with parameters, and the other slash.
#[test]
fn dot_segments_in_disguise() {
    let upstream = Upstream::listen();
    let edge = Truehop::start(&format!(
        "[[route]]\npath = \"/public/\"\nproxy = [\"{}\"]\n\
         [[route]]\npath = \"/admin\"\nreply = {{ status = 403, body = \"admin\" }}\n",
        upstream.url()
    ));
    for target in [
        "/public/..;/admin",
        "/public/.;/x",
        "/public/..;a=b/admin",
        "/public/%2e%2e;/admin",
        "/public/..%3b/admin",
        "/public/..;",
        "/public\\..\\admin",
        "/public/..\\admin",
        "/public/..%5cadmin",
        "/public/..%5Cadmin",
        "/public/%5c..%5cadmin",
        "/public/x/..%5c..%5cadmin",
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let passed = eventually("an answer, or the request at the upstream", || {
            let passed = upstream.try_accept().is_some();
            (passed || client.has_answer()).then_some(passed)
        });
        assert!(!passed, "{target}");
        assert_eq!(client.read_response().status, 400, "{target}");
    }
    for target in [
        "/public/x;a=b/y",
        "/public/..a",
        "/public/...;/y",
        "/public/a..;/y",
        "/public/x?../..;/",
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut connection = upstream.accept();
        let head = connection.read_head();
        assert!(head.starts_with(&format!("GET {target} ")), "{head}");
        connection.write(OK);
        assert_eq!(client.read_response().text(), "ok");
    }
}
