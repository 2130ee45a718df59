//! The edge by itself: routes, static files, connections, TLS. Its upstreams are in `proxy.rs`.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

use std::fs;
use std::os::unix::fs::symlink;

use truehop_e2e::{Connection, Home, Host, Request, Truehop, Upstream, files_in, missing};

const CLIENT: Host = Host::at(127, 0, 0, 2);

// Routes.

#[test]
fn the_host_and_then_the_longest_prefix_choose_the_route() {
    let replies = [
        ("", "/", "any /"),
        ("", "/app", "any /app"),
        ("", "/app/deep/", "any /app/deep/"),
        ("files.test", "/", "files /"),
        ("files.test", "/app", "files /app"),
        ("*.wild.test", "/", "wild /"),
    ];
    let routes = replies.map(|(host, path, body)| {
        let host = if host.is_empty() {
            String::new()
        } else {
            format!("host = \"{host}\"\n")
        };
        format!("[[route]]\n{host}path = \"{path}\"\nreply = {{ status = 200, body = \"{body}\" }}\n")
    });
    let edge = Truehop::start(&routes.concat());
    for (host, path, expected) in [
        ("other.test", "/", "any /"),
        ("other.test", "/x", "any /"),
        ("other.test", "/app", "any /app"),
        ("other.test", "/app?q=/app/deep/", "any /app"),
        ("other.test", "/app/x", "any /app"),
        ("other.test", "/apple", "any /"),
        ("other.test", "/app/deep/x", "any /app/deep/"),
        ("files.test", "/x", "files /"),
        ("files.test:8080", "/x", "files /"),
        ("FILES.test", "/app/deep/x", "files /app"),
        ("a.wild.test", "/", "wild /"),
        ("wild.test", "/", "any /"),
    ] {
        let response = CLIENT.send(edge.address(), &Request::new("GET", path).header("Host", host));
        assert_eq!(response.text().trim_end(), expected, "{host}{path}");
    }
}

#[test]
fn replies_and_redirects_are_as_written() {
    let edge = Truehop::start(
        "
[[route]]
path = \"/gone\"
reply = { status = 410, body = \"no more\" }
[[route]]
path = \"/old\"
reply = { status = 308, location = \"https://new.test/\" }
",
    );
    let gone = CLIENT.get(edge.address(), "/gone");
    assert_eq!((gone.status, gone.text().trim_end()), (410, "no more"));
    let old = CLIENT.get(edge.address(), "/old");
    assert_eq!(
        (old.status, old.header("Location")),
        (308, Some("https://new.test/"))
    );
    assert_eq!(CLIENT.get(edge.address(), "/else").status, 404);
    edge.wait_for_access(&["client=127.0.0.2", "method=GET", "path=/gone", "status=410"]);
}

#[test]
fn whoami_tells_and_takes_nothing() {
    let edge = Truehop::start("[[route]]\npath = \"/whoami\"\nto = \"whoami\"\n");
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        let response = CLIENT.send(edge.address(), &Request::new(method, "/whoami"));
        assert_eq!(
            (response.status, response.header("Allow")),
            (405, Some("GET, HEAD")),
            "{method}: {response:?}"
        );
    }
    assert_eq!(CLIENT.get(edge.address(), "/whoami").status, 200);
}

// Static files.

/// An edge that serves a directory under `/static/`, and the directory.
#[track_caller]
fn files() -> (Truehop, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("www");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    for (name, content) in [
        ("index.html", "<p>index"),
        ("style.css", "p{}"),
        ("data.bin", "0123456789"),
        ("sub/index.html", "<p>sub"),
        (".hidden", "secret"),
        (".git/config", "secret"),
    ] {
        fs::write(root.join(name), content).unwrap();
    }
    symlink(dir.path().join("secret"), root.join("link-out")).unwrap();
    symlink("../secret", root.join("relative-link-out")).unwrap();
    symlink("style.css", root.join("link-in")).unwrap();
    let edge = Truehop::start(&format!(
        "[[route]]\npath = \"/static/\"\nfiles = \"{}\"\n",
        root.display()
    ));
    (edge, dir)
}

#[test]
fn files_are_served_with_index_and_type() {
    let (edge, _dir) = files();
    for (path, content, kind) in [
        ("/static/", "<p>index", "text/html"),
        ("/static/index.html", "<p>index", "text/html"),
        ("/static/sub/", "<p>sub", "text/html"),
        ("/static/style.css", "p{}", "text/css"),
        ("/static/data.bin", "0123456789", "application/octet-stream"),
        ("/static/st%79le.css?v=1", "p{}", "text/css"),
    ] {
        let response = CLIENT.get(edge.address(), path);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, content),
            "{path}"
        );
        let sent = response.header("Content-Type").unwrap_or_default();
        assert!(sent.starts_with(kind), "{path}: {sent}");
    }
    let redirect = CLIENT.get(edge.address(), "/static/sub");
    assert!([301, 302, 307, 308].contains(&redirect.status), "{redirect:?}");
    let location = redirect.header("Location").unwrap();
    assert!(
        ["/static/sub/", "./sub/", "sub/"].contains(&location),
        "{redirect:?}"
    );
    assert_eq!(CLIENT.get(edge.address(), "/static/none").status, 404);
    assert_eq!(
        CLIENT
            .send(edge.address(), &Request::new("DELETE", "/static/style.css"))
            .status,
        405
    );
    let head = CLIENT.send(edge.address(), &Request::new("HEAD", "/static/data.bin"));
    assert_eq!((head.status, head.header("Content-Length")), (200, Some("10")));
}

#[test]
fn nothing_outside_the_directory_and_no_dot_file_is_served() {
    let (edge, _dir) = files();
    for path in [
        "/static/../secret",
        "/static/%2e%2e/secret",
        "/static/%2E%2E%2Fsecret",
        "/static/..%2fsecret",
        "/static/sub/../../secret",
        "/static/..%5csecret",
        "/static/%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/.hidden",
        "/static/%2ehidden",
        "/static/.git/config",
        "/static/sub/..%2f.hidden",
        "/static/link-out",
        "/static/relative-link-out",
        "/static/style.css%00.html",
        "/static/style.css/",
        "/static/style.css/..%2f..%2fsecret",
        "/static/%252e%252e/secret",
        "/static/%zz",
    ] {
        let response = CLIENT.get(edge.address(), path);
        assert!((400..500).contains(&response.status), "{path}: {response:?}");
        let text = response.text();
        assert!(
            !text.contains("secret") && !text.contains("root:"),
            "{path}: {response:?}"
        );
    }
}

// Connections.

#[test]
fn a_connection_serves_request_after_request() {
    let edge = Truehop::start("[[route]]\npath = \"/\"\nto = \"whoami\"\n");
    let mut client = CLIENT.connect(edge.address());
    for path in ["/one", "/two"] {
        let response = client.exchange(&Request::new("GET", path).header("Host", "a"));
        assert!(response.text().contains("client   127.0.0.2"), "{response:?}");
    }
    // Pipelined (RFC 9112 section 9.3.2): answered in order.
    client.write(
        "GET /three HTTP/1.1\r\nHost: a\r\n\r\nGET /four HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(client.read_response().status, 200);
    assert_eq!(client.read_response().status, 200);
    assert_eq!(client.read_to_end(), b"", "closed as asked");
    edge.wait_for_access(&["path=/four", "status=200"]);
}

#[test]
fn a_slow_head_is_cut_off() {
    let edge = Truehop::start("[timeouts]\nheader = \"1s\"\n[[route]]\npath = \"/\"\nto = \"whoami\"\n");
    let mut client = CLIENT.connect(edge.address());
    client.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let answer = String::from_utf8(client.read_to_end()).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
        "{answer}"
    );
}

#[test]
fn an_idle_connection_is_closed() {
    let edge = Truehop::start(
        "[timeouts]\nheader = \"60s\"\nidle = \"1s\"\n[[route]]\npath = \"/\"\nto = \"whoami\"\n",
    );
    let mut client = CLIENT.connect(edge.address());
    assert_eq!(
        client
            .exchange(&Request::new("GET", "/").header("Host", "a"))
            .status,
        200
    );
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn a_unix_socket_serves_and_names_its_peer() {
    let home = Home::new();
    let socket = home.path().join("edge.sock");
    let edge = Truehop::start_in(
        home,
        &format!(
            "listen = [\"unix:{}\"]\n[client]\nfrom = \"header\"\nheader = \"X-Real-IP\"\ntrusted = [\"unix\"]\n\
             [[route]]\npath = \"/\"\nto = \"whoami\"\n",
            socket.display()
        ),
    );
    let request = Request::new("GET", "/")
        .header("Host", "a")
        .header("X-Real-IP", "192.0.2.7");
    let response = Connection::to_unix(&socket).exchange(&request);
    assert!(response.text().contains("client   192.0.2.7"), "{response:?}");
    let (exit, home) = edge.stop();
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    assert!(
        !files_in(home.path()).contains(&"edge.sock".to_owned()),
        "the socket is left behind"
    );
}

#[test]
fn asked_to_end_it_finishes_what_it_began() {
    let upstream = Upstream::listen();
    let edge = Truehop::start(&format!(
        "[[route]]\npath = \"/\"\nproxy = [\"http://{}\"]\n",
        upstream.address()
    ));
    let mut client = CLIENT.connect(edge.address());
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    edge.terminate();
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    assert_eq!(client.read_response().text(), "done");
    drop(client);
    let (exit, _) = edge.wait();
    assert_eq!(exit.status, Some(0), "{exit:#?}");
}

// TLS.

#[test]
fn tls_serves_with_the_certificate_of_the_config() {
    if missing(&["openssl", "curl"]) {
        return;
    }
    let home = Home::new();
    let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "1",
        ])
        .args([
            "-subj",
            "/CN=edge.test",
            "-addext",
            "subjectAltName=DNS:edge.test",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let config = format!(
        "listen = [{{ address = \"127.0.0.1:0\", tls = {{ cert = \"{}\", key = \"{}\" }} }}]\n\
         [[route]]\npath = \"/\"\nto = \"whoami\"\n",
        cert.display(),
        key.display()
    );
    let edge = Truehop::start_in(home, &config);
    let address = edge.address();
    let output = std::process::Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--interface",
            "127.0.0.2",
            "--max-time",
            "20",
        ])
        .arg("--cacert")
        .arg(&cert)
        .args(["--resolve", &format!("edge.test:{}:127.0.0.1", address.port())])
        .arg(format!("https://edge.test:{}/", address.port()))
        .output()
        .unwrap();
    let ladder = String::from_utf8_lossy(&output.stdout);
    assert!(ladder.contains("client   127.0.0.2"), "{output:?}");
}
