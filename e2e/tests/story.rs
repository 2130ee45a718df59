//! The story this project is for, on the built binary and real proxies: a file is deleted once somebody other than its
//! uploader has it, and who that is must be true whatever stands in between.
//!
//! Every test is one drawing, told by the comment at its top:
//!
//! | host | address |
//! |---|---|
//! | the uploader | `127.0.0.1` |
//! | a stranger | `127.0.0.2` |
//! | the proxies, as seen by what is behind them | `127.0.0.10`, `127.0.0.20` |

#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

use std::net::SocketAddr;

use truehop_e2e::{
    Gunicorn, Host, Nginx, Request, Response, Truehop, blobs_in, eventually, incoming_in, missing, readme,
};

const UPLOADER: Host = Host::at(127, 0, 0, 1);
const STRANGER: Host = Host::at(127, 0, 0, 2);
const PROXY: Host = Host::at(127, 0, 0, 10);

/// nginx's own words, as every guide has them.
const SETS_X_REAL_IP: &str = "proxy_set_header X-Real-IP $remote_addr;";
const ADDS_X_FORWARDED_FOR: &str = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
const FIRST_PROXY: &str = "proxy_bind 127.0.0.10;";
const SECOND_PROXY: &str = "proxy_bind 127.0.0.20;";

/// What somebody sends who wants to pass for `host`: every header that anybody ever believed.
fn posing_as(host: Host) -> Vec<(&'static str, &'static str)> {
    let (address, with_proxies) = match host {
        UPLOADER => ("127.0.0.1", "127.0.0.1, 127.0.0.10, 127.0.0.20"),
        _ => ("127.0.0.2", "127.0.0.2, 127.0.0.10, 127.0.0.20"),
    };
    vec![
        ("X-Real-IP", address),
        ("X-Forwarded-For", address),
        ("X-Forwarded-For", with_proxies),
        (
            "Forwarded",
            if host == UPLOADER {
                "for=127.0.0.1"
            } else {
                "for=127.0.0.2"
            },
        ),
        ("X_Real_IP", address),
        ("X_Forwarded_For", address),
        ("X-Client-IP", address),
        ("True-Client-IP", address),
    ]
}

// (a) person ── drop

#[test]
fn without_a_proxy_the_uploaders_download_keeps_the_file_and_anothers_deletes_it() {
    let drop = drop_with(r#"from = "peer""#);
    the_story_holds(drop.address(), &drop);
}

#[test]
fn without_a_proxy_forged_headers_change_nothing() {
    let drop = drop_with(r#"from = "peer""#);
    forgery_changes_nothing(drop.address(), &drop);
}

// (b) person ── nginx ── drop, which believes that there is no nginx

#[test]
fn the_mistake_leaves_the_file_and_is_told_everywhere() {
    if missing(&["nginx"]) {
        return;
    }
    let drop = Truehop::start(
        "
[client]
from = \"peer\"
[[route]]
path = \"/whoami\"
to = \"whoami\"
[[route]]
path = \"/\"
to = \"drop\"
[admin]
listen = \"127.0.0.1:0\"
",
    );
    let admin = drop.admin();
    let ready = UPLOADER.get(admin, "/ready");
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &true.into()));
    assert_eq!(
        ready.json()["warnings"],
        serde_json::json!([]),
        "nothing happened yet"
    );

    let nginx = Nginx::start(
        drop.address(),
        &format!("{FIRST_PROXY} {SETS_X_REAL_IP} {ADDS_X_FORWARDED_FOR}"),
    );
    let file = upload(UPLOADER, nginx.address(), &[]);
    for _ in 0..2 {
        download(STRANGER, PROXY, nginx.address(), &drop, &file, &[]);
        assert_kept(&drop);
    }

    let told = drop.wait_for_diagnostic("127.0.0.10");
    assert!(
        told.to_lowercase().contains("x-real-ip") || told.to_lowercase().contains("x-forwarded-for"),
        "{told}"
    );
    let whoami = STRANGER.get(nginx.address(), "/whoami").text();
    assert!(
        whoami.lines().any(|line| line.starts_with("warning  ")),
        "{whoami}"
    );
    let json = Request::new("GET", "/whoami").header("Accept", "application/json");
    let whoami = STRANGER.send(nginx.address(), &json).json();
    assert_eq!(whoami["client"], "127.0.0.10");
    assert_eq!(
        whoami["warnings"][0]["code"], "headers-from-untrusted",
        "{whoami}"
    );
    let ready = UPLOADER.get(admin, "/ready").json();
    assert_eq!(ready["warnings"][0]["code"], "headers-from-untrusted", "{ready}");
}

// (c) person ── nginx, X-Real-IP ── drop: the README's cure, with its own words

/// The policy as the README has it, with the address of this test's proxy.
#[track_caller]
fn policy_of_the_readme() -> String {
    let words = readme("toml", "[client]");
    let policy = words.strip_prefix("[client]\n").unwrap();
    assert!(policy.contains("\"127.0.0.1\""), "{policy}");
    policy.replace("\"127.0.0.1\"", "\"127.0.0.10\"")
}

/// nginx as the README sets it up, in front of this test's drop; everything beside the block is nginx's default.
#[track_caller]
fn nginx_of_the_readme(drop: &Truehop) -> Nginx {
    let block = readme("nginx", "location / {");
    let upstream = "http://127.0.0.1:8080;";
    assert!(block.contains(upstream), "{block}");
    let block = block
        .replace(upstream, &format!("http://{};", drop.address()))
        .replacen('{', &format!("{{ {FIRST_PROXY}"), 1);
    Nginx::serving(&block)
}

#[test]
fn the_first_cure_a_single_header() {
    if missing(&["nginx"]) {
        return;
    }
    let drop = drop_with(&policy_of_the_readme());
    let nginx = nginx_of_the_readme(&drop);
    // The link that it checks has the port that people connect to.
    the_story_holds(nginx.address(), &drop);
}

#[test]
fn the_first_cure_takes_files_that_nginx_would_refuse_by_itself() {
    if missing(&["nginx"]) {
        return;
    }
    let drop = drop_with(&policy_of_the_readme());
    let nginx = nginx_of_the_readme(&drop);
    let content: Vec<u8> = (0..3 << 20).map(|at| (at / 1000) as u8).collect();
    let response = UPLOADER.put(nginx.address(), "/large.bin", &content);
    assert_eq!(response.status, 201, "{response:?}");
    let link = response.text();
    let file = link
        .trim_end()
        .strip_prefix(&format!("http://{}", nginx.address()));
    let file = file.unwrap_or_else(|| panic!("not a link to {}: {link:?}", nginx.address()));
    let response = collect(STRANGER, nginx.address(), file, &[]);
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.body == content, "other bytes than those uploaded");
    assert_gone(nginx.address(), &drop, file);

    // An upload reaches the drop while it comes, so that nothing but the drop's own limit holds.
    let mut half = UPLOADER.connect(nginx.address());
    half.write("PUT /half.bin HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    half.write(vec![7; 500_000]);
    eventually("half of the upload at the drop", || {
        (!incoming_in(drop.data()).is_empty()).then_some(())
    });
}

#[test]
fn the_first_cure_withstands_forged_headers() {
    if missing(&["nginx"]) {
        return;
    }
    let drop = drop_with(&policy_of_the_readme());
    let nginx = nginx_of_the_readme(&drop);
    forgery_changes_nothing(nginx.address(), &drop);
    // Whoever goes around nginx is not trusted, and gains nothing by it.
    forgery_changes_nothing(drop.address(), &drop);
    // The link that it checks would begin with https otherwise.
    upload(UPLOADER, nginx.address(), &[("X-Forwarded-Proto", "https")]);
}

const BY_X_REAL_IP: &str = "from = \"header\"\nheader = \"X-Real-IP\"\ntrusted = [\"127.0.0.10\"]";

// (d) person ── nginx, X-Forwarded-For ── drop

const BY_X_FORWARDED_FOR: &str = "from = \"x-forwarded-for\"\ntrusted = [\"127.0.0.10\"]";

#[test]
fn the_second_cure_the_forwarding_chain() {
    if missing(&["nginx"]) {
        return;
    }
    let drop = drop_with(BY_X_FORWARDED_FOR);
    let nginx = Nginx::start(drop.address(), &format!("{FIRST_PROXY} {ADDS_X_FORWARDED_FOR}"));
    the_story_holds(nginx.address(), &drop);
}

#[test]
fn the_second_cure_withstands_forged_headers() {
    if missing(&["nginx"]) {
        return;
    }
    let drop = drop_with(BY_X_FORWARDED_FOR);
    let nginx = Nginx::start(drop.address(), &format!("{FIRST_PROXY} {ADDS_X_FORWARDED_FOR}"));
    forgery_changes_nothing(nginx.address(), &drop);
    forgery_changes_nothing(drop.address(), &drop);
}

// (f), (g) person ── first proxy ── second proxy ── drop, where either proxy is nginx or our edge

const BEHIND_TWO: &str = "from = \"x-forwarded-for\"\ntrusted = [\"127.0.0.10\", \"127.0.0.20\"]";

#[test]
fn two_proxies_nginx_then_nginx() {
    if missing(&["nginx"]) {
        return;
    }
    let drop = drop_with(BEHIND_TWO);
    let second = Nginx::start(drop.address(), &format!("{SECOND_PROXY} {ADDS_X_FORWARDED_FOR}"));
    let first = Nginx::start(second.address(), &format!("{FIRST_PROXY} {ADDS_X_FORWARDED_FOR}"));
    the_story_holds(first.address(), &drop);
    forgery_changes_nothing(first.address(), &drop);
}

#[test]
fn two_proxies_our_edge_then_nginx() {
    if missing(&["nginx"]) {
        return;
    }
    let drop = drop_with(BEHIND_TWO);
    let second = Nginx::start(drop.address(), &format!("{SECOND_PROXY} {ADDS_X_FORWARDED_FOR}"));
    let first = first_edge(second.address());
    the_story_holds(first.address(), &drop);
    forgery_changes_nothing(first.address(), &drop);
}

#[test]
fn two_proxies_nginx_then_our_edge() {
    if missing(&["nginx"]) {
        return;
    }
    let drop = drop_with(BEHIND_TWO);
    let second = second_edge(drop.address());
    let first = Nginx::start(second.address(), &format!("{FIRST_PROXY} {ADDS_X_FORWARDED_FOR}"));
    the_story_holds(first.address(), &drop);
    forgery_changes_nothing(first.address(), &drop);
}

#[test]
fn two_proxies_both_our_edge() {
    let drop = drop_with(BEHIND_TWO);
    let second = second_edge(drop.address());
    let first = first_edge(second.address());
    the_story_holds(first.address(), &drop);
    forgery_changes_nothing(first.address(), &drop);
}

#[test]
fn one_proxy_our_edge_serves_either_cure() {
    for policy in [BY_X_REAL_IP, BY_X_FORWARDED_FOR] {
        let drop = drop_with(policy);
        let edge = first_edge(drop.address());
        the_story_holds(edge.address(), &drop);
        forgery_changes_nothing(edge.address(), &drop);
    }
}

// (h) person ── our edge ── gunicorn with Flask

#[test]
fn flask_behind_our_edge_sees_the_true_client() {
    if missing(&["gunicorn"]) {
        return;
    }
    let app = Gunicorn::start(1);
    let edge = first_edge(app.address());
    for forged in [vec![], posing_as(UPLOADER)] {
        let seen = STRANGER
            .send(edge.address(), &Request::new("GET", "/").headers(&forged))
            .json();
        assert_eq!(seen["peer"], "127.0.0.10", "{seen:#}");
        assert_eq!(seen["http"]["HTTP_X_REAL_IP"], "127.0.0.2", "{seen:#}");
        assert_eq!(seen["http"]["HTTP_X_FORWARDED_FOR"], "127.0.0.2", "{seen:#}");
        assert_eq!(
            seen["http"]["HTTP_FORWARDED"],
            serde_json::Value::Null,
            "{seen:#}"
        );
        assert_eq!(seen["remote_addr"], "127.0.0.2", "ProxyFix: {seen:#}");
        assert_eq!(
            seen["url"],
            format!("http://{}/", edge.address()),
            "ProxyFix: {seen:#}"
        );
    }
}

#[test]
fn flask_behind_nginx_and_our_edge_sees_the_true_client() {
    if missing(&["nginx", "gunicorn"]) {
        return;
    }
    let app = Gunicorn::start(2);
    let edge = second_edge(app.address());
    let nginx = Nginx::start(edge.address(), &format!("{FIRST_PROXY} {ADDS_X_FORWARDED_FOR}"));
    for forged in [vec![], posing_as(UPLOADER)] {
        let seen = STRANGER
            .send(nginx.address(), &Request::new("GET", "/").headers(&forged))
            .json();
        assert_eq!(seen["http"]["HTTP_X_REAL_IP"], "127.0.0.2", "{seen:#}");
        assert_eq!(
            seen["http"]["HTTP_X_FORWARDED_FOR"], "127.0.0.2, 127.0.0.10",
            "{seen:#}"
        );
        assert_eq!(seen["remote_addr"], "127.0.0.2", "ProxyFix: {seen:#}");
    }
}

// The parts of the drawings.

/// The drop, told how to learn its clients. Behind a proxy a delivered file waits `grace` for one more try.
#[track_caller]
fn drop_with(policy: &str) -> Truehop {
    Truehop::start(&format!("[client]\n{policy}\n[drop]\ngrace = \"1s\"\n"))
}

/// Our edge as the proxy that people connect to.
#[track_caller]
fn first_edge(upstream: SocketAddr) -> Truehop {
    edge(upstream, r#"from = "peer""#, "127.0.0.10")
}

/// Our edge behind another proxy.
#[track_caller]
fn second_edge(upstream: SocketAddr) -> Truehop {
    edge(upstream, BY_X_FORWARDED_FOR, "127.0.0.20")
}

#[track_caller]
fn edge(upstream: SocketAddr, policy: &str, bind: &str) -> Truehop {
    Truehop::start(&format!(
        "[client]\n{policy}\n[[route]]\npath = \"/\"\nproxy = [\"http://{upstream}\"]\nbind = \"{bind}\"\n"
    ))
}

// The story. `door` is what people connect to; `drop` is where the file lies.

const CONTENT: &[u8] = b"for your eyes only\n";

#[track_caller]
fn the_story_holds(door: SocketAddr, drop: &Truehop) {
    let file = upload(UPLOADER, door, &[]);
    for _ in 0..2 {
        download(UPLOADER, UPLOADER, door, drop, &file, &[]);
        assert_kept(drop);
    }
    download(STRANGER, STRANGER, door, drop, &file, &[]);
    assert_gone(door, drop, &file);
}

#[track_caller]
fn forgery_changes_nothing(door: SocketAddr, drop: &Truehop) {
    // The uploader who poses as a stranger deletes nothing ...
    let file = upload(UPLOADER, door, &posing_as(STRANGER));
    for headers in [posing_as(STRANGER), vec![]] {
        download(UPLOADER, UPLOADER, door, drop, &file, &headers);
        assert_kept(drop);
    }
    // ... and the stranger who poses as the uploader does.
    download(STRANGER, STRANGER, door, drop, &file, &posing_as(UPLOADER));
    assert_gone(door, drop, &file);
}

/// Uploads, and returns the path of the share link.
#[track_caller]
fn upload(host: Host, door: SocketAddr, headers: &[(&str, &str)]) -> String {
    let response = host.send(
        door,
        &Request::new("PUT", "/letter.txt").headers(headers).body(CONTENT),
    );
    assert_eq!(response.status, 201, "{response:?}");
    let link = response.text();
    let path = link
        .trim_end()
        .strip_prefix(&format!("http://{door}/d/"))
        .map(|id| format!("/d/{id}"));
    path.unwrap_or_else(|| panic!("not a link to {door}: {link:?}"))
}

/// `host` gets the file, and the drop knows it as `seen`.
#[track_caller]
fn download(host: Host, seen: Host, door: SocketAddr, drop: &Truehop, file: &str, headers: &[(&str, &str)]) {
    let client = format!("client={seen}");
    let line = ["method=GET", "status=200", &client];
    let before = drop.accesses(&line);
    let response = collect(host, door, file, headers);
    assert_eq!(
        (response.status, response.body.as_slice()),
        (200, CONTENT),
        "{response:?}"
    );
    // The line comes after whatever the download brings about.
    drop.wait_for_accesses(before + 1, &line);
}

#[track_caller]
fn collect(host: Host, door: SocketAddr, file: &str, headers: &[(&str, &str)]) -> Response {
    host.send(
        door,
        &Request::new("GET", &format!("{file}/raw")).headers(headers),
    )
}

#[track_caller]
fn assert_kept(drop: &Truehop) {
    assert_eq!(blobs_in(drop.data()).len(), 1, "the file was deleted");
}

/// For everybody, also the uploader, and on the disk.
#[track_caller]
fn assert_gone(door: SocketAddr, drop: &Truehop, file: &str) {
    // Another stranger at once; the one who has it within the grace period may try again.
    eventually("410 for others", || {
        let other = collect(Host::at(127, 0, 0, 3), door, file, &[]);
        (other.status == 410).then_some(())
    });
    eventually("410 for everybody", || {
        let all = [UPLOADER, STRANGER].map(|host| collect(host, door, file, &[]).status);
        (all == [410, 410]).then_some(())
    });
    eventually("the bytes to be gone", || {
        blobs_in(drop.data()).is_empty().then_some(())
    });
}
