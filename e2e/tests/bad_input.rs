//! What must be refused, and how: one clear error, the right status, and nothing half-made.
//!
//! Exit statuses are those of `sysexits.h`: 69 for a taken address, 73 for an unusable data directory, 78 for a wrong
//! config.

use std::fs;
use std::net::TcpListener;

use truehop_e2e::{
    Home, Host, Request, Tmpfs, Truehop, Upstream, blobs_in, eventually, files_in, incoming_in, skipped,
};

const CLIENT: Host = Host::at(127, 0, 0, 1);

// The config file.

/// Refuses `config` with status 78, names the line and every one of `told`, and makes nothing.
#[track_caller]
fn refuses(config: &str, line: usize, told: &[&str]) {
    let home = Home::new();
    let exit = Truehop::refused(&home, config);
    assert_eq!(exit.status, Some(78), "{exit:#?}");
    assert!(!exit.stdout.contains("listening"), "a port was bound: {exit:#?}");
    let place = format!("truehop.toml:{line}");
    for part in [place.as_str()].iter().chain(told) {
        assert!(
            exit.stderr.contains(part),
            "`{part}` is not told in:\n{}",
            exit.stderr
        );
    }
    assert_eq!(files_in(home.path()), ["truehop.toml"], "something was made");
}

#[test]
fn an_unknown_key() {
    refuses(
        "[client]\nfrom = \"peer\"\n\n[drop]\nexpire = \"1h\"\n",
        5,
        &["expire", "expires"],
    );
}

#[test]
fn a_duplicate_key() {
    refuses(
        "[client]\nfrom = \"peer\"\nfrom = \"peer\"\n",
        3,
        &["from", "a second time"],
    );
}

#[test]
fn a_bad_network() {
    let config = "[client]\nfrom = \"x-forwarded-for\"\ntrusted = [\"10.0.0.0/8\", \"192.168.0.0/33\"]\n";
    refuses(config, 3, &["192.168.0.0/33"]);
}

#[test]
fn a_network_of_everybody_which_is_a_switch_and_no_network() {
    refuses(
        "[client]\nfrom = \"x-forwarded-for\"\ntrusted = [\"0.0.0.0/0\"]\n",
        3,
        &["0.0.0.0/0", "any"],
    );
}

#[test]
fn a_certificate_that_cannot_be_read() {
    let config = "listen = [\n  { address = \"127.0.0.1:0\", tls = { cert = \"/nowhere/cert.pem\", key = \"/nowhere/key.pem\" } },\n]\n";
    refuses(config, 2, &["/nowhere/cert.pem", "No such file"]);
}

#[test]
fn a_directory_that_cannot_be_read() {
    let config = "[[route]]\npath = \"/\"\nfiles = \"/nowhere/www\"\n";
    refuses(config, 3, &["/nowhere/www", "No such file"]);
}

#[test]
fn a_route_to_nowhere() {
    refuses(
        "[[route]]\npath = \"/\"\nto = \"dorp\"\n",
        3,
        &["dorp", "drop", "whoami"],
    );
}

#[test]
fn no_toml_at_all() {
    refuses("[client\n", 1, &[]);
}

#[test]
fn check_refuses_the_same_and_makes_nothing() {
    let home = Home::new();
    fs::write(home.config(), "lisen = [\"127.0.0.1:0\"]\n").unwrap();
    let output = truehop_e2e::binary()
        .arg("check")
        .arg("--config")
        .arg(home.config())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(
        told.contains("truehop.toml:1") && told.contains("listen"),
        "{told}"
    );
    assert_eq!(files_in(home.path()), ["truehop.toml"]);
}

// The machine.

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::new();
    let exit = Truehop::refused(&home, &format!("listen = [\"{address}\"]\n"));
    assert_eq!(exit.status, Some(69), "{exit:#?}");
    assert!(exit.stderr.contains(&address.to_string()), "{}", exit.stderr);
    assert_eq!(files_in(home.path()), ["truehop.toml"], "something was made");
}

#[test]
fn a_port_of_another_instance() {
    let first = Truehop::start("[client]\nfrom = \"peer\"\n");
    let home = Home::new();
    let exit = Truehop::refused(&home, &format!("listen = [\"{}\"]\n", first.address()));
    assert_eq!(
        exit.status,
        Some(69),
        "SO_REUSEPORT must not let a stranger in: {exit:#?}"
    );
}

#[test]
fn a_data_directory_of_another_instance() {
    let first = Truehop::start("");
    let home = Home::with_data(first.data());
    let before = files_in(first.data());
    let exit = Truehop::refused(&home, "");
    assert_eq!(exit.status, Some(73), "{exit:#?}");
    assert!(
        exit.stderr.contains(&first.data().display().to_string()),
        "{}",
        exit.stderr
    );
    assert_eq!(files_in(first.data()), before);
    assert_eq!(CLIENT.put(first.address(), "/a", b"still served").status, 201);
}

#[test]
fn a_data_directory_that_cannot_be_made() {
    let home = Home::new();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let home_on_a_file = Home::with_data(&file.join("data"));
    let exit = Truehop::refused(&home_on_a_file, "");
    assert_eq!(exit.status, Some(73), "{exit:#?}");
    assert!(
        exit.stderr.contains(&file.display().to_string()),
        "{}",
        exit.stderr
    );
}

#[test]
fn a_disk_that_is_full_at_the_start() {
    let Some(disk) = Tmpfs::mount("1m") else { return };
    disk.fill();
    let home = Home::with_data(&disk.path().join("data"));
    let exit = Truehop::refused(&home, "");
    assert_eq!(exit.status, Some(73), "{exit:#?}");
    assert!(
        exit.stderr.contains(&home.data().display().to_string()),
        "{}",
        exit.stderr
    );
    assert!(!exit.stdout.contains("listening"), "a port was bound: {exit:#?}");
    assert_eq!(files_in(disk.path()), ["filler"], "something was half made");
}

#[test]
fn a_disk_that_is_full_during_an_upload() {
    let Some(disk) = Tmpfs::mount("8m") else { return };
    let drop = Truehop::start_in(Home::with_data(&disk.path().join("data")), "");
    let response = CLIENT.put(drop.address(), "/large.bin", &vec![1; 16 << 20]);
    assert_eq!(response.status, 507, "{response:?}");
    let left = || [incoming_in(drop.data()), blobs_in(drop.data())].concat();
    eventually("the partial file to be gone", || left().is_empty().then_some(()));
    assert_eq!(
        CLIENT.put(drop.address(), "/small.bin", b"fits").status,
        201,
        "and it goes on"
    );
}

#[test]
fn a_port_that_needs_privileges_tells_so() {
    // A container may let everybody listen on any port; a namespace of its own would be needed then.
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first.trim().parse::<u16>().unwrap() <= 1 {
        return skipped("this kernel lets everybody listen on any port");
    }
    let home = Home::new();
    let config = "listen = [\"127.0.0.1:1\"]\n";
    let Some(exit) = Truehop::refused_without_privileges(&home, config) else {
        return;
    };
    assert_eq!(exit.status, Some(69), "{exit:#?}");
    for part in ["127.0.0.1:1", "ermission denied"] {
        assert!(exit.stderr.contains(part), "{part}: {exit:#?}");
    }
    assert_eq!(files_in(home.path()), ["truehop.toml"], "something was made");
}

// Requests.

/// An edge with every kind of route in front of an upstream that the test plays.
#[track_caller]
fn edge(upstream: &Upstream) -> Truehop {
    Truehop::start(&format!(
        "
[client]
from = \"header\"
header = \"X-Real-IP\"
trusted = [\"127.0.0.10\"]

[limits]
head = \"8KiB\"
body = \"64KiB\"

[drop]
max_size = \"64KiB\"

[[route]]
path = \"/app\"
proxy = [\"http://{}\"]

[[route]]
path = \"/whoami\"
to = \"whoami\"

[[route]]
path = \"/\"
to = \"drop\"
",
        upstream.address()
    ))
}

/// The edge's own error: a plain page that has the request's id, which the header has too.
#[track_caller]
fn is_refused(response: &truehop_e2e::Response, status: u16) -> String {
    assert_eq!(response.status, status, "{response:?}");
    let id = response
        .header("X-Request-Id")
        .unwrap_or_else(|| panic!("no id: {response:?}"))
        .to_owned();
    assert!(response.text().contains(&id), "no id in the page: {response:?}");
    id
}

#[test]
fn an_over_long_head() {
    let edge = edge(&Upstream::listen());
    let long = Request::new("GET", "/whoami").header("X-Padding", &"x".repeat(9 << 10));
    // Without a page: there is no request yet that could have an id.
    assert_eq!(CLIENT.send(edge.address(), &long).status, 431);
    let many = (0..2000).fold(Request::new("GET", "/whoami"), |request, _| {
        request.header("A", "b")
    });
    assert_eq!(CLIENT.send(edge.address(), &many).status, 431);
    let target = Request::new("GET", &format!("/whoami?{}", "x".repeat(9 << 10)));
    let status = CLIENT.send(edge.address(), &target).status;
    assert!([414, 431].contains(&status), "{status}");
}

#[test]
fn a_body_over_the_limit_by_its_length() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    let large = vec![b'x'; (64 << 10) + 1];
    is_refused(
        &CLIENT.send(edge.address(), &Request::new("POST", "/app").body(&large)),
        413,
    );
    assert_eq!(CLIENT.put(edge.address(), "/large.bin", &large).status, 413);
    assert_eq!(incoming_in(edge.data()), [""; 0]);
    assert_eq!(CLIENT.put(edge.address(), "/fits.bin", &large[1..]).status, 201);
}

#[test]
fn a_body_over_the_limit_without_a_length() {
    let edge = edge(&Upstream::listen());
    let mut client = CLIENT.connect(edge.address());
    client.write("PUT /large.bin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for _ in 0..5 {
        // It may hang up on the chunk that is too much.
        if client.try_write(chunk.as_bytes()).is_err() {
            break;
        }
    }
    assert_eq!(client.read_response().status, 413);
    let left = || [incoming_in(edge.data()), blobs_in(edge.data())].concat();
    eventually("the partial file to be gone", || left().is_empty().then_some(()));
}

#[test]
fn a_bad_host() {
    let edge = edge(&Upstream::listen());
    for hosts in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: a@b\r\n",
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write(format!("GET /whoami HTTP/1.1\r\n{hosts}\r\n"));
        let response = client.read_response();
        assert_eq!(response.status, 400, "{hosts:?}: {response:?}");
    }
}

#[test]
fn bytes_that_are_no_request() {
    let edge = edge(&Upstream::listen());
    for bytes in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "GET /whoami\r\n\r\n",
        "GET /whoami HTTP/1.1\nHost: a\r\rX: y\r\n\r\n",
        "GET /whoami HTTP/1.1\r\nHost: a\r\nX-Real-IP : 127.0.0.1\r\n\r\n",
        "POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /app HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write(bytes);
        let answer = String::from_utf8_lossy(&client.read_to_end()).into_owned();
        assert!(
            answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 501"),
            "{bytes:?}: {answer:?}"
        );
    }
    assert_eq!(
        CLIENT.get(edge.address(), "/whoami").status,
        200,
        "and it goes on"
    );
}

#[test]
fn an_unresolved_client_is_refused_and_never_guessed() {
    let edge = edge(&Upstream::listen());
    let proxy = Host::at(127, 0, 0, 10);
    for path in ["/app", "/", "/d/x"] {
        let response = proxy.get(edge.address(), path);
        let id = is_refused(&response, 400);
        let line = edge.wait_for_access(&[
            &format!("id={id}"),
            "client=-",
            "error=missing-header",
            "status=400",
        ]);
        assert!(
            !response.text().contains("missing-header"),
            "the reason belongs into the log: {response:?}"
        );
        assert!(line.contains("peer=127.0.0.10:"), "{line}");
    }
    for (value, reason) in [("nonsense", "malformed"), ("127.0.0.1, 127.0.0.2", "malformed")] {
        let request = Request::new("GET", "/").header("X-Real-IP", value);
        let id = is_refused(&proxy.send(edge.address(), &request), 400);
        edge.wait_for_access(&[&format!("id={id}"), "client=-", &format!("error={reason}")]);
    }
    let twice = Request::new("GET", "/")
        .header("X-Real-IP", "127.0.0.1")
        .header("X-Real-IP", "127.0.0.2");
    let id = is_refused(&proxy.send(edge.address(), &twice), 400);
    edge.wait_for_access(&[&format!("id={id}"), "error=duplicate-header"]);
}
