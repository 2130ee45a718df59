//! The edge in front of upstreams of every temper: real ones, and ones that the test plays word by word.

use std::net::SocketAddr;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use truehop_e2e::{Gunicorn, Host, Request, Response, Truehop, Upstream, eventually, missing};

const CLIENT: Host = Host::at(127, 0, 0, 2);

/// An edge in front of upstreams; one worker, so that one connection pool sees everything.
#[track_caller]
fn proxy(upstream: &str) -> Truehop {
    Truehop::start(&format!(
        "workers = 1\n[timeouts]\nresponse = \"1s\"\n[[route]]\npath = \"/\"\nproxy = [\"{upstream}\"]\n"
    ))
}

#[track_caller]
fn proxy_to(upstream: &Upstream) -> Truehop {
    proxy(&format!("http://{}", upstream.address()))
}

#[test]
fn connections_to_an_upstream_are_kept() {
    if missing(&["gunicorn"]) {
        return;
    }
    let app = Gunicorn::start(1);
    let edge = proxy(&format!("http://{}", app.address()));
    // Each from a connection of its own, so that only the edge can keep one.
    let first = CLIENT.get(edge.address(), "/one").json();
    let second = CLIENT.get(edge.address(), "/two").json();
    assert_eq!(
        (&first["path"], &second["path"]),
        (&"/one".into(), &"/two".into())
    );
    assert_eq!(
        first["http"]["HTTP_X_FORWARDED_PORT"],
        edge.address().port().to_string(),
        "{first:#}"
    );
    // gunicorn tells the port of its own client, which is the edge's end of that connection.
    assert_eq!(
        first["connection"], second["connection"],
        "a new connection for each request"
    );
}

#[test]
fn an_upstream_may_be_a_unix_socket() {
    if missing(&["gunicorn"]) {
        return;
    }
    let app = Gunicorn::start_unix();
    let edge = proxy(&format!("unix:{}", app.socket().display()));
    let seen = CLIENT
        .send(edge.address(), &Request::new("PUT", "/a%20b?q").body(b"body"))
        .json();
    assert_eq!(seen["path"], "/a b");
    assert_eq!(seen["body"], "body");
    assert_eq!(seen["remote_addr"], "127.0.0.2");
}

#[test]
fn an_upstream_sees_one_clean_line_each_and_no_hop_by_hop_header() {
    let upstream = Upstream::listen();
    let edge = proxy_to(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write(
        "GET /path?query HTTP/1.1\r\nHost: shop.test:81\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8\r\n\
         X_Forwarded_For: 7.7.7.7\r\nX-Real-Ip: 9.9.9.9\r\nX_Real-IP: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\n\
         X-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 666\r\nX-Request-Id: mine\r\n\
         Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nTE: gzip\r\n\
         Proxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\nUpgrade: none\r\nX-Kept: yes\r\n\r\n",
    );
    let mut server = upstream.accept();
    let head = server.read_head();
    let lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    let values = |name: &str| -> Vec<&str> {
        let of_name = lines
            .iter()
            .filter_map(|line| line.split_once(':'))
            .filter(|(had, _)| had.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.trim()).collect()
    };
    let port = edge.address().port().to_string();
    assert_eq!(lines[0], "GET /path?query HTTP/1.1");
    assert_eq!(values("Host"), ["shop.test:81"]);
    assert_eq!(values("X-Forwarded-For"), ["127.0.0.2"], "{head}");
    assert_eq!(values("X-Real-IP"), ["127.0.0.2"], "{head}");
    assert_eq!(values("X-Forwarded-Proto"), ["http"], "{head}");
    assert_eq!(values("X-Forwarded-Host"), ["shop.test:81"], "{head}");
    assert!(
        [port.as_str(), "81"].contains(&values("X-Forwarded-Port")[0]),
        "{head}"
    );
    assert_eq!(values("X-Request-Id").len(), 1, "{head}");
    assert_eq!(values("X-Kept"), ["yes"], "{head}");
    for gone in [
        "Forwarded",
        "X_Forwarded_For",
        "X_Real-IP",
        "X-Private",
        "Keep-Alive",
        "TE",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Upgrade",
    ] {
        assert_eq!(values(gone), [""; 0], "{gone} in {head}");
    }

    server.write(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nX-Kept: yes\r\n\r\nok",
    );
    let response = client.read_response();
    assert_eq!(
        (
            response.status,
            response.text().as_str(),
            response.header("X-Kept")
        ),
        (200, "ok", Some("yes"))
    );
    for gone in ["X-Private", "Keep-Alive", "Proxy-Authenticate"] {
        assert_eq!(response.header(gone), None, "{response:?}");
    }
}

#[test]
fn a_request_with_two_framings_is_refused_or_loses_one() {
    let upstream = Upstream::listen();
    let edge = proxy_to(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    // RFC 9112 section 6.3 leaves both open; what must not be is an upstream that may choose.
    let forwarded = eventually("an answer, or the request at the upstream", || {
        match client.has_answer() {
            true => Some(None),
            false => upstream.try_accept().map(Some),
        }
    });
    match forwarded {
        None => assert!(client.read_head().starts_with("HTTP/1.1 400 ")),
        Some(mut server) => {
            let head = server.read_head().to_lowercase();
            assert!(
                !(head.contains("content-length") && head.contains("transfer-encoding")),
                "{head}"
            );
            server.write("HTTP/1.1 204 No Content\r\n\r\n");
            assert_eq!(client.read_response().status, 204);
            assert_eq!(
                client.read_to_end(),
                b"",
                "what follows such a request is not to be believed"
            );
        }
    }
}

#[test]
fn a_dead_upstream_is_502() {
    // Bound and not listening: nobody else can get the port meanwhile.
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let nobody = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    let edge = proxy(&format!("http://{nobody}"));
    let response = CLIENT.get(edge.address(), "/");
    is_plain_page(&response, 502);
}

#[test]
fn an_upstream_that_breaks_off_inside_its_head_is_502() {
    let upstream = Upstream::listen();
    let edge = proxy_to(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.write("HTTP/1.1 200 OK\r\nContent-");
    drop(server);
    is_plain_page(&client.read_response(), 502);
}

#[test]
fn a_silent_upstream_is_504() {
    let upstream = Upstream::listen();
    let edge = proxy_to(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    is_plain_page(&client.read_response(), 504);
}

#[test]
fn a_response_that_breaks_off_is_not_passed_for_whole() {
    let upstream = Upstream::listen();
    let edge = proxy_to(&upstream);
    for framing in [
        "Content-Length: 100\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf",
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut server = upstream.accept();
        server.read_head();
        server.write(format!("HTTP/1.1 200 OK\r\n{framing}"));
        client.read_until("half");
        drop(server);
        let rest = client.read_to_end();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "a whole chunked body: {rest:?}");
    }
}

#[test]
fn a_response_streams() {
    let upstream = Upstream::listen();
    let edge = proxy_to(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    client.read_until("first");
    server.write("6\r\nsecond\r\n");
    client.read_until("second");
    server.write("0\r\n\r\n");
    client.read_until("0\r\n\r\n");
}

#[test]
fn an_upload_streams() {
    let upstream = Upstream::listen();
    let edge = proxy_to(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst");
    let mut server = upstream.accept();
    server.read_until("first");
    client.write("second");
    server.read_until("second");
    server.write("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.read_response().status, 204);
}

#[test]
fn a_client_that_leaves_takes_its_upstream_connection_along() {
    let upstream = Upstream::listen();
    let edge = proxy_to(&upstream);
    let mut client = CLIENT.connect(edge.address());
    client.write("PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nfirst");
    let mut server = upstream.accept();
    server.read_until("first");
    client.abort();
    assert_eq!(server.read_to_end(), b"", "half an upload must not look whole");
}

#[track_caller]
fn is_plain_page(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(
        response
            .header("Content-Type")
            .is_some_and(|kind| kind.starts_with("text/html")),
        "{response:?}"
    );
    let id = response.header("X-Request-Id").unwrap_or_default();
    assert!(
        !id.is_empty() && response.text().contains(id),
        "no request id: {response:?}"
    );
}
