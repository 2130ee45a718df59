//! What hostile clients and broken upstreams send, each named by what it tries; judged by what the other side saw.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use truehop_e2e::{Connection, Home, Host, Request, Truehop, Upstream, blobs_in, eventually};

const CLIENT: Host = Host::at(127, 0, 0, 2);

/// An edge of one worker in front of an upstream that the test plays, with a closed path.
#[track_caller]
fn edge(upstream: &Upstream, more: &str) -> Truehop {
    Truehop::start(&format!(
        "workers = 1\n{more}\n[[route]]\npath = \"/\"\nproxy = [\"http://{}\"]\n\
         [[route]]\npath = \"/admin\"\nreply = {{ status = 403 }}\n",
        upstream.address()
    ))
}

/// Answers one request of `upstream` with these bytes; gives back the head that it saw.
#[track_caller]
fn play(upstream: &Upstream, answer: &str) -> (String, Connection) {
    let mut connection = upstream.accept();
    let head = connection.read_head();
    connection.write(answer);
    (head, connection)
}

#[test]
fn dot_segments_do_not_pass_a_route() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    for target in [
        "/admin/users/../../x",
        "/x/../admin",
        "/admin/users%2f..%2f..%2fx",
        "/admin/%2e%2e/x",
        "/./admin",
    ] {
        let answer = CLIENT.send(edge.address(), &Request::new("GET", target));
        assert_eq!(answer.status, 400, "{target}");
    }
    for target in ["/admin", "/%61dmin", "//admin", "/admin%2fusers"] {
        let answer = CLIENT.send(edge.address(), &Request::new("GET", target));
        assert_eq!(answer.status, 403, "{target}");
    }
    assert!(upstream.try_accept().is_none(), "a request got through");
}

#[test]
fn claims_by_other_names_do_not_reach_the_upstream() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    let mut client = CLIENT.connect(edge.address());
    let forged: String = [
        "X-Forwarded-Ssl",
        "X-Forwarded-Scheme",
        "X-Forwarded",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-Forwarded-For",
        "X_Real_IP",
        "X.Real.IP",
        "Proxy",
    ]
    .map(|name| format!("{name}: forged\r\n"))
    .concat();
    client.write(format!("GET / HTTP/1.1\r\nHost: a\r\n{forged}\r\n"));
    let (head, _upstream) = play(&upstream, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.read_response().status, 204);
    assert!(!head.contains("forged"), "{head}");
}

#[test]
fn te_with_another_coding() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    let mut client = CLIENT.connect(edge.address());
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(client.read_response().status, 501);
    assert!(upstream.try_accept().is_none());
}

#[test]
fn an_answer_with_two_lengths_is_refused() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    let mut client = CLIENT.connect(edge.address());
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let _upstream = play(&upstream, answer);
    assert_eq!(client.read_response().status, 502);
}

#[test]
fn upgrade_without_101_being_asked_for() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    let mut client = CLIENT.connect(edge.address());
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let _upstream = play(
        &upstream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    );
    assert_eq!(client.read_response().status, 502);
}

#[test]
fn an_old_upstream_does_not_make_the_edge_old() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    let mut client = CLIENT.connect(edge.address());
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, connection) = play(&upstream, "HTTP/1.0 200 OK\r\n\r\nbody");
    drop(connection);
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[test]
fn a_request_that_kills_its_upstream_is_tried_twice_and_no_more() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    // Five idle connections.
    let mut clients: Vec<_> = (0..5).map(|_| CLIENT.connect(edge.address())).collect();
    let mut kept = Vec::new();
    for client in &mut clients {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut connection = upstream.accept();
        connection.read_head();
        kept.push(connection);
    }
    for (client, connection) in clients.iter_mut().zip(&mut kept) {
        connection.write("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(client.read_response().status, 204);
    }
    clients[0].write("GET /die HTTP/1.1\r\nHost: a\r\n\r\n");
    // It comes over one of the five, which is closed, and once over a new one, which is closed too.
    let at = eventually("the request on a kept connection", || {
        kept.iter_mut().position(|kept| kept.has_answer())
    });
    assert!(kept[at].read_head().starts_with("GET /die"));
    kept.remove(at).abort();
    let mut second = upstream.accept();
    assert!(second.read_head().starts_with("GET /die"));
    second.abort();
    assert_eq!(clients[0].read_response().status, 502);
    assert!(
        upstream.try_accept().is_none() && !kept.iter_mut().any(|kept| kept.has_answer()),
        "a third try"
    );
}

#[test]
fn an_upstream_that_stops_reading_is_given_up() {
    let upstream = Upstream::listen();
    let edge = edge(
        &upstream,
        "[timeouts]\nresponse = \"1s\"\nbody = \"1s\"\nwrite = \"1s\"",
    );
    let mut client = CLIENT.connect(edge.address());
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let piece = vec![b'x'; 1 << 20];
    // Nobody reads at the other end: at some point nothing fits any more, and then the edge answers.
    let mut sent = 0;
    while sent < 90 && !client.has_answer() && client.try_write(&piece).is_ok() {
        sent += 1;
    }
    edge.wait_for_access(&["method=POST", "status=504"]);
}

#[test]
fn a_client_that_leaves_is_logged() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    let mut client = CLIENT.connect(edge.address());
    client.write("GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut connection = upstream.accept();
    connection.read_head();
    client.abort();
    edge.wait_for_access(&["path=/left", "status=499", "cut=true"]);
}

#[test]
fn a_head_that_is_refused_is_logged() {
    let edge = edge(&Upstream::listen(), "");
    let mut client = CLIENT.connect(edge.address());
    client.write("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    edge.wait_for_access(&["client=-", "method=-", "status=400"]);
}

#[test]
fn a_link_of_the_drop_never_stands_in_the_log() {
    let edge =
        Truehop::start("[client]\nfrom = \"header\"\nheader = \"X-Real-IP\"\ntrusted = [\"127.0.0.2\"]\n");
    let secret = "/d/abcdefghijklmnopqrstuvwxyz";
    assert_eq!(CLIENT.get(edge.address(), secret).status, 400, "no client");
    assert_eq!(
        CLIENT.get(edge.address(), &format!("{secret}%zz")).status,
        400,
        "no path"
    );
    edge.wait_for_accesses(2, &["status=400"]);
    assert_eq!(edge.accesses(&["abcdefgh"]), 0);
    assert!(!edge.diagnostics().contains("abcdefgh"));
}

#[test]
fn a_unix_reader_that_goes_away_unread_has_not_taken_the_file() {
    let home = Home::new();
    let socket = home.path().join("edge.sock");
    let edge = Truehop::start_in(
        home,
        &format!(
            "listen = [\"127.0.0.1:0\", \"unix:{}\"]\n[client]\nfrom = \"header\"\nheader = \"X-Real-IP\"\n\
             trusted = [\"unix\"]\n[drop]\ngrace = \"1s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n",
            socket.display()
        ),
    );
    let uploaded = CLIENT.put(edge.address(), "/file", &[b'x'; 50_000]);
    let link = uploaded.text().trim().to_owned();
    let path = link
        .rsplit_once("/d/")
        .map(|(_, id)| format!("/d/{id}/raw"))
        .expect("a link");
    for _ in 0..3 {
        let mut reader = UnixStream::connect(&socket).expect("the socket");
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-Real-IP: 203.0.113.7\r\n\r\n");
        std::io::Write::write_all(&mut reader, request.as_bytes()).expect("a request");
        // All of it lies in the socket; one byte shows that it came, the rest is never read.
        reader.read_exact(&mut [0]).expect("an answer");
        drop(reader);
        // Whatever the grace makes of it: what is told of it must be true.
        eventually("the end of the collection", || {
            (edge.collecting() == 0).then_some(())
        });
        assert_eq!(edge.delivered(), 0, "a receipt for bytes that nobody has read");
    }
    assert_eq!(blobs_in(edge.data()).len(), 1, "the file was taken for delivered");
}

/// One piece for the engine, and more than fits into a Unix socket.
const FILE: usize = 250_000;

#[test]
fn a_slow_reader_is_not_cut_by_the_idle_clock() {
    let home = Home::new();
    let (socket, www) = (home.path().join("edge.sock"), home.path().join("www"));
    std::fs::create_dir(&www).expect("a directory");
    std::fs::write(www.join("big"), vec![b'x'; FILE]).expect("a file");
    let edge = Truehop::start_in(
        home,
        &format!(
            "listen = [\"unix:{}\"]\n[client]\nfrom = \"header\"\nheader = \"X-Real-IP\"\ntrusted = [\"unix\"]\n\
             [timeouts]\nidle = \"1s\"\nwrite = \"20s\"\n[[route]]\npath = \"/\"\nfiles = \"{}\"\n",
            socket.display(),
            www.display()
        ),
    );
    let mut reader = UnixStream::connect(&socket).expect("the socket");
    let request = "GET /big HTTP/1.1\r\nHost: h\r\nX-Real-IP: 203.0.113.7\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut reader, request.as_bytes()).expect("a request");
    // Nothing is read for longer than the idle clock: waiting for time is the point here.
    reader
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout");
    let pause = std::time::Instant::now();
    let mut got = vec![0; 1];
    reader.read_exact(&mut got).expect("the first byte");
    while pause.elapsed() < Duration::from_millis(2500) {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    reader
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    reader.read_to_end(&mut got).expect("the rest");
    assert!(got.len() > FILE, "{}", got.len());
    edge.wait_for_access(&["status=200", &format!("bytes={FILE}")]);
    assert_eq!(edge.accesses(&["cut=true"]), 0);
}

#[test]
fn a_reader_of_the_log_that_stops_does_not_stop_the_server() {
    let home = Home::new();
    std::fs::write(
        home.config(),
        "workers = 1\n[[route]]\npath = \"/\"\nto = \"whoami\"\n",
    )
    .expect("a config");
    let mut child = truehop_e2e::binary()
        .args(["run", "--listen", "127.0.0.1:0", "--config"])
        .arg(home.config())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let said = lines
        .by_ref()
        .map_while(Result::ok)
        .take_while(|line| line != "ready")
        .collect::<Vec<_>>();
    let address = said
        .iter()
        .find_map(|line| line.strip_prefix("listening on http://")?.parse().ok());
    // From here on nobody reads, and a pipe holds 64 KiB.
    let long = "x".repeat(20_000);
    let statuses: Vec<_> = (0..300)
        .map(|_| {
            CLIENT
                .get(address.expect("an address"), &format!("/{long}"))
                .status
        })
        .collect();
    child.kill().and_then(|()| child.wait()).expect("its end");
    assert!(statuses.iter().all(|&status| status == 200), "{statuses:?}");
}
