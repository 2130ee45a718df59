//! The harness by itself, without our binary: peers come up, hosts have their addresses, and the attacks that the
//! story later withstands do work on somebody who believes every header.

use truehop_e2e::{Gunicorn, Host, Nginx, Request, Upstream, missing};

const CLIENT: Host = Host::at(127, 0, 0, 2);

#[test]
fn hosts_connect_from_their_address() {
    let upstream = Upstream::listen();
    let mut client = CLIENT.connect(upstream.address());
    let mut server = upstream.accept();
    client.write("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(server.read_head(), "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    server.write(
        "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    );
    let response = client.read_response();
    assert_eq!((response.status, response.text().as_str()), (200, "hi"));
}

#[test]
fn a_proxy_hides_the_client_from_an_application_that_looks_at_its_peer() {
    if missing(&["nginx", "gunicorn"]) {
        return;
    }
    let app = Gunicorn::start(1);
    let nginx = Nginx::start(
        app.address(),
        "proxy_bind 127.0.0.10; proxy_set_header X-Real-IP $remote_addr;",
    );
    let seen = CLIENT.get(nginx.address(), "/").json();
    assert_eq!(seen["peer"], "127.0.0.10");
    assert_eq!(seen["http"]["HTTP_X_REAL_IP"], "127.0.0.2");
}

#[test]
fn forged_headers_and_underscore_twins_deceive_an_application_without_a_proxy() {
    if missing(&["gunicorn"]) {
        return;
    }
    let app = Gunicorn::start(1);
    let forged =
        Request::new("GET", "/").headers(&[("X-Forwarded-For", "127.0.0.1"), ("X_Real_IP", "127.0.0.1")]);
    let seen = CLIENT.send(app.address(), &forged).json();
    assert_eq!(seen["peer"], "127.0.0.2");
    assert_eq!(seen["remote_addr"], "127.0.0.1");
    assert_eq!(seen["http"]["HTTP_X_REAL_IP"], "127.0.0.1");
}

#[test]
fn gunicorn_serves_a_unix_socket() {
    if missing(&["gunicorn"]) {
        return;
    }
    let app = Gunicorn::start_unix();
    let mut connection = truehop_e2e::Connection::to_unix(app.socket());
    let response = connection.exchange(&Request::new("GET", "/path").header("Host", "app.test"));
    assert_eq!(response.json()["path"], "/path");
}
