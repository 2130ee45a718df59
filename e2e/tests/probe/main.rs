//! `truehop probe` at deployments that are right, that are fooled, that break, and that are none.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

mod slowing;
mod tls;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::{fs, thread};

use serde_json::Value;
use truehop_e2e::{
    Certificate, Exit, Family, Internet, Nginx, Process, Stream, Truehop, binary, eventually, missing, peer,
};
use truehop_forgeries::{Language, forgeries};

/// Truehop's own edge, with a policy.
fn edge(client: &str) -> Truehop {
    Truehop::start(&format!(
        "[client]\n{client}\n[[route]]\npath = \"/whoami\"\nto = \"whoami\"\n"
    ))
}

fn url(server: SocketAddr) -> String {
    format!("http://{server}/whoami")
}

fn command(args: &[&str]) -> Command {
    let mut command = binary();
    command.arg("probe").args(args);
    command
}

/// Probes as fast as it goes.
#[track_caller]
fn probed(args: &[&str]) -> Exit {
    let exit = Process::start("truehop probe", command(&[args, &["--rate", "1000"]].concat())).wait();
    assert_eq!(exit.signal, None, "{exit:#?}");
    exit
}

/// The same, with a report for programs.
#[track_caller]
fn reported(args: &[&str]) -> (Option<i32>, Value) {
    let exit = probed(&[args, &["--json"]].concat());
    let report = serde_json::from_str(&exit.stdout).unwrap_or_else(|error| panic!("{error}: {exit:#?}"));
    (exit.status, report)
}

fn verdict<'a>(report: &'a Value, name: &str) -> &'a str {
    let findings = report["forgeries"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["name"] == name);
    finding.unwrap_or_else(|| panic!("{name} was not sent"))["verdict"]
        .as_str()
        .unwrap()
}

fn count(report: &Value, of: &str) -> u64 {
    report["counts"][of].as_u64().unwrap()
}

/// A server of our own that answers `answer(request, how many came before)`; `None` is silence until the end of the test.
/// Silences are told.
fn scripted(
    answer: impl Fn(&str, usize) -> Option<String> + Send + 'static,
) -> (SocketAddr, Receiver<TcpStream>) {
    scripted_at(Ipv4Addr::LOCALHOST.into(), answer)
}

fn scripted_at(
    ip: IpAddr,
    answer: impl Fn(&str, usize) -> Option<String> + Send + 'static,
) -> (SocketAddr, Receiver<TcpStream>) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (silent, silences) = sync_channel(1);
    thread::spawn(move || {
        let (mut served, mut buffer) = (0, vec![0; 1 << 17]);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = String::new();
            while !request.contains("\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(length @ 1..) => request += &String::from_utf8_lossy(&buffer[..length]),
                    _ => break,
                }
            }
            // Who only shakes hands asks nothing.
            if request.is_empty() {
                continue;
            }
            match answer(&request, served) {
                Some(answer) => drop(stream.write_all(answer.as_bytes())),
                None => drop(silent.send(stream)),
            }
            served += 1;
        }
    });
    (address, silences)
}

fn ok(body: &str) -> Option<String> {
    Some(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn our_own_edge_holds() {
    let edge = edge("from = \"x-forwarded-for\"\ntrusted = [\"127.0.0.9\"]");
    let exit = probed(&[&url(edge.address())]);
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    let last = exit.stdout.lines().last().unwrap();
    assert!(last.starts_with("no forgery was believed, of "), "{last}");
    assert!(!exit.stdout.contains("fooled:"), "{}", exit.stdout);
    // Nothing of a progress bar where nobody looks.
    assert_eq!(exit.stderr, "");

    let (status, report) = reported(&[&url(edge.address()), "--from", "::ffff:127.0.0.77"]);
    assert_eq!(
        (status, &report["client"]),
        (Some(0), &"127.0.0.77".into()),
        "{report:#}"
    );
    let corpus = forgeries().unwrap();
    let sayable = corpus
        .iter()
        .filter(|forgery| forgery.is_sayable(Language::Http1));
    assert_eq!(report["forgeries"].as_array().unwrap().len(), sayable.count());
    let all: u64 = ["held", "refused", "not_sent"]
        .map(|of| count(&report, of))
        .iter()
        .sum();
    assert_eq!(
        usize::try_from(all).unwrap(),
        corpus.len(),
        "{}",
        report["counts"]
    );
    assert_eq!(verdict(&report, "xff-one"), "held");
    assert_eq!(verdict(&report, "line-folded"), "refused");
    assert_eq!(
        (&report["ended"], &report["mends"]),
        (&"whole".into(), &serde_json::json!({}))
    );
    // It says who it is.
    let agent = report["agent"].as_str().unwrap();
    assert!(
        agent.starts_with("truehop-probe/") && agent.contains("truehop probe --help"),
        "{agent}"
    );
}

#[test]
fn who_believes_everybody_is_fooled_and_told_the_mend() {
    let edge = edge(
        "from = \"x-forwarded-for\"\ntrusted = \"any\"\nhops = 1\non_too_few = \"peer\"\non_missing = \"peer\"",
    );
    let exit = probed(&[&url(edge.address())]);
    assert_eq!(exit.status, Some(1), "{exit:#?}");
    for told in [
        "fooled: X-Forwarded-For (",
        "  xff-one ",
        "taken for 203.0.113.96",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "client = { from = \"x-forwarded-for\", trusted = [\"192.168.0.10\"] }",
        "fooled too: ",
        "--from IP",
        "more, which --all shows",
    ] {
        assert!(exit.stdout.contains(told), "{told}: {}", exit.stdout);
    }
    // Other headers are not read there.
    assert!(!exit.stdout.contains("set-header X-Real-IP"), "{}", exit.stdout);
    let all = probed(&[&url(edge.address()), "--all"]).stdout;
    for name in ["xff-entries-400", "real-ip-loopback", "line-folded", "twin-dots"] {
        // The first claims our own address.
        assert_eq!(
            all.contains(&format!("  {name} ")),
            name != "real-ip-loopback",
            "{name}"
        );
    }

    let (status, report) = reported(&[&url(edge.address())]);
    assert_eq!(status, Some(1));
    assert_eq!(verdict(&report, "xff-one"), "fooled");
    assert_eq!(verdict(&report, "real-ip"), "held");
    let mends: Vec<&String> = report["mends"].as_object().unwrap().keys().collect();
    assert_eq!(mends, ["X-Forwarded-For"]);
}

#[test]
fn the_line_that_is_told_mends_nginx() {
    if missing(&["nginx"]) {
        return;
    }
    let nginx = |trusted: &str| {
        Nginx::serving(&format!(
            "set_real_ip_from {trusted}; real_ip_header X-Forwarded-For; real_ip_recursive on;
             location = /whoami {{ return 200 \"$remote_addr\\n\"; }}"
        ))
    };
    let fooled = probed(&[&url(nginx("0.0.0.0/0").address())]);
    assert_eq!(fooled.status, Some(1), "{fooled:#?}");
    let line = "set_real_ip_from 192.168.0.10;";
    assert!(fooled.stdout.contains(line), "{}", fooled.stdout);
    let mended = probed(&[&url(nginx("192.168.0.10").address())]);
    assert_eq!(mended.status, Some(0), "{mended:#?}");
}

#[test]
fn a_cache_in_front_hides_nothing() {
    if missing(&["nginx"]) {
        return;
    }
    let behind = Nginx::serving(
        "set_real_ip_from 0.0.0.0/0; real_ip_header X-Forwarded-For; real_ip_recursive on;
         location / { return 200 \"$remote_addr\\n\"; }",
    );
    let kept = tempfile::tempdir().unwrap();
    // It keeps everything, whatever is asked of it, under the whole path.
    let front = Nginx::configured(
        &format!("proxy_cache_path {} keys_zone=pages:1m;", kept.path().display()),
        &format!(
            "location / {{ proxy_cache pages; proxy_cache_valid any 1h; proxy_pass http://{};
               proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }}",
            behind.address()
        ),
    );
    for path in ["/whoami", "/whoami?a=b"] {
        let (status, report) = reported(&[&format!("http://{}{path}", front.address())]);
        assert_eq!(status, Some(1), "{report:#}");
        assert_eq!(verdict(&report, "xff-one"), "fooled");
    }
}

#[test]
fn who_lets_some_in_by_a_claim_is_fooled() {
    if missing(&["nginx"]) {
        return;
    }
    let behind = Nginx::serving(
        "set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
         location / { return 200 \"$remote_addr\\n\"; }",
    );
    let front = |header: &str| {
        Nginx::serving(&format!(
            "set_real_ip_from 0.0.0.0/0; real_ip_header {header};
             location / {{ allow 127.0.0.0/8; deny all; proxy_pass http://{};
               proxy_set_header X-Forwarded-For $remote_addr; }}",
            behind.address()
        ))
    };
    for (header, name) in [
        ("X-Forwarded-For", "xff-one"),
        ("X-Real-IP", "real-ip"),
        ("Fly-Client-IP", "fly-client-ip"),
    ] {
        let (status, report) = reported(&[&url(front(header).address())]);
        assert_eq!(
            (status, verdict(&report, name)),
            (Some(1), "fooled"),
            "{report:#}"
        );
        assert!(
            report
                .to_string()
                .contains("203.0.113.96: 403, but let in as 127.0.0.1")
        );
    }
}

#[test]
fn who_lets_some_in_by_a_claim_is_fooled_over_ipv6_too() {
    // Each as its proxy would write it: of no other spelling it is said that it is let in.
    let claims = [
        ("xff-one", "X-Forwarded-For: 203.0.113.96", "X-Forwarded-For: ::1"),
        (
            "xff-port",
            "X-Forwarded-For: 203.0.113.96:4711",
            "X-Forwarded-For: [::1]:4711",
        ),
        (
            "forwarded",
            "Forwarded: for=203.0.113.96",
            "Forwarded: for=\"[::1]\"",
        ),
        (
            "cloudfront-viewer-address",
            "CloudFront-Viewer-Address: 203.0.113.96:4711",
            "CloudFront-Viewer-Address: ::1:4711",
        ),
    ];
    let (sent, seen) = sync_channel(1 << 12);
    let (server, _silences) = scripted_at(Ipv6Addr::LOCALHOST.into(), move |request, _| {
        sent.send(request.to_owned()).unwrap();
        match request.contains("203.0.113.96") {
            true => Some("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n".to_owned()),
            false => ok("::1"),
        }
    });
    let (status, report) = reported(&[&url(server)]);
    assert_eq!(
        (status, &report["client"]),
        (Some(1), &"::1".into()),
        "{report:#}"
    );
    let sent: Vec<String> = seen.try_iter().collect();
    for (name, forged, own) in claims {
        assert_eq!(verdict(&report, name), "fooled", "{name}");
        for line in [forged, own] {
            let is = |request: &&String| request.contains(&format!("\r\n{line}\r\n\r\n"));
            assert!(sent.iter().any(|request| is(&request)), "{line}");
        }
    }
    assert!(
        report
            .to_string()
            .contains("203.0.113.96: 403, but let in as ::1")
    );
}

#[test]
fn who_turns_every_claim_away_is_not_said_to_believe_none() {
    let claims = |request: &str| request.to_ascii_lowercase().contains("\r\nx-forwarded-for: ");
    let (server, _silences) = scripted(move |request, _| match claims(request) {
        true => Some("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n".to_owned()),
        false => ok("127.0.0.1"),
    });
    let exit = probed(&[&url(server)]);
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    let plain = forgeries().unwrap();
    let plain = plain
        .iter()
        .filter(|forgery| forgery.plain_header().as_deref() == Some("x-forwarded-for"));
    let told = format!("note: {} plain claims were turned away", plain.count());
    assert!(exit.stdout.contains(&told), "{told}: {exit:#?}");
    let last = exit.stdout.lines().last().unwrap();
    assert!(last.ends_with("were turned away unread"), "{last}");
}

#[test]
fn a_public_address_is_probed_after_consent_only_and_over_http2_too() {
    if missing(&["nginx", "openssl", "ip"]) {
        return;
    }
    let Some(net) = Internet::build() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (at, certificate) = (dir.path().display(), Certificate::make(dir.path()));
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|part| format!("{part}_temp_path {at}/{part};"))
        .concat();
    let front = net.first.address(Family::V4);
    let config = format!(
        "daemon off; master_process off; error_log stderr error; pid {at}/pid; events {{}}
         http {{ {temp} access_log {at}/access.log;
           server {{ listen {front}:443 ssl http2;
             ssl_certificate {}; ssl_certificate_key {};
             set_real_ip_from 0.0.0.0/0; real_ip_header CF-Connecting-IP;
             location = /whoami {{ return 200 \"$remote_addr\\n\"; }} }} }}",
        certificate.cert.display(),
        certificate.key.display()
    );
    fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut nginx = peer("nginx");
    nginx
        .args(["-e", "stderr", "-c"])
        .arg(dir.path().join("nginx.conf"));
    let _nginx = Process::start("nginx", net.first.command(&nginx));
    eventually("nginx", || {
        net.attacker.inside(|| TcpStream::connect((front, 443)).ok())
    });

    let url = format!("https://{front}/whoami");
    let probed = |args: &[&str]| {
        let probe = command(&[&[url.as_str(), "--insecure", "--rate", "1000"], args].concat());
        Process::start("truehop probe", net.attacker.command(&probe)).wait()
    };
    let refused = probed(&[]);
    assert_eq!(refused.status, Some(64), "{refused:#?}");
    assert!(
        refused.stderr.contains("nothing was sent")
            && refused.stderr.contains("This sends ")
            && refused.stderr.contains("--yes"),
        "{refused:#?}"
    );
    let log = || fs::read_to_string(dir.path().join("access.log")).unwrap();
    assert_eq!(log(), "", "something was sent all the same");

    let me = net.attacker.address(Family::V4).to_string();
    let exit = probed(&["--yes", "--json", "--expect", &me]);
    assert_eq!(exit.status, Some(1), "{exit:#?}");
    let report: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!(
        (&report["client"], &report["from"]),
        (&me.as_str().into(), &me.as_str().into())
    );
    for over in ["h1", "h2"] {
        let fooled = report["forgeries"].as_array().unwrap().iter().find(|finding| {
            (&finding["name"], &finding["over"]) == (&"cf-connecting-ip".into(), &over.into())
        });
        assert_eq!(fooled.unwrap()["verdict"], "fooled", "{over}");
    }
    let mends: Vec<&String> = report["mends"].as_object().unwrap().keys().collect();
    assert_eq!(mends, ["headers of providers"]);
    assert_eq!(verdict(&report, "h2-capital"), "refused");
    assert!(log().contains("HTTP/2.0\" 200") && log().contains("truehop-probe/"));

    let other = probed(&["--yes", "--expect", "192.0.2.1"]);
    assert_eq!(other.status, Some(1), "{other:#?}");
    assert!(
        other
            .stderr
            .contains(&format!("takes us for {me}, and not for 192.0.2.1")),
        "{other:#?}"
    );
    assert_eq!(other.stdout, "");
}

#[test]
fn who_takes_everybody_for_its_proxy_is_told_so() {
    let (server, _silences) = scripted(|_, _| ok("127.0.0.1"));
    let exit = probed(&[&url(server), "--from", "127.0.0.2"]);
    assert_eq!(exit.status, Some(1), "{exit:#?}");
    let last = exit.stdout.lines().last().unwrap();
    assert!(
        last.starts_with("everybody is taken for 127.0.0.1, a proxy: "),
        "{last}"
    );
    // From there nobody can know.
    let exit = probed(&[&url(server)]);
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    assert!(exit.stdout.contains("--from 127.0.0.2 tells"), "{exit:#?}");
    // Who chose to come from there knows that.
    let exit = probed(&[&url(server), "--from", "127.0.0.1"]);
    assert!(!exit.stdout.contains("--from 127.0.0.2 tells"), "{exit:#?}");
    // Who expects it knows better.
    let expected = probed(&[&url(server), "--from", "127.0.0.2", "--expect", "127.0.0.1"]);
    assert_eq!(expected.status, Some(0), "{expected:#?}");
}

#[test]
fn who_probes_from_the_trusted_proxy_is_told_so() {
    let (asked, requests) = sync_channel(1 << 12);
    let (server, _silences) = scripted(move |_, _| {
        asked.send(()).unwrap();
        ok("127.0.0.1")
    });
    for args in [
        &["--from", "127.0.0.2", "--trusted", "127.0.0.2"][..],
        &["--trusted", "127.0.0.1"],
    ] {
        let exit = probed(&[&[&*url(server)], args].concat());
        assert_eq!((exit.status, &*exit.stdout), (Some(64), ""), "{exit:#?}");
        let own = format!("--trusted {} is our own address", args[args.len() - 1]);
        assert!(
            exit.stderr.contains(&own) && exit.stderr.contains("--from IP"),
            "{exit:#?}"
        );
    }
    assert!(requests.try_recv().is_err(), "something was asked all the same");
    // The proxy's address is all that the deployment knows of us.
    let exit = probed(&[&url(server), "--from", "127.0.0.2", "--trusted", "127.0.0.1"]);
    assert_eq!((exit.status, &*exit.stdout), (Some(1), ""), "{exit:#?}");
    let told = "takes us for 127.0.0.1, which --trusted says is its proxy, when we are honest";
    assert!(exit.stderr.contains(told), "{exit:#?}");
}

#[test]
fn what_is_no_echo_is_told_with_the_mend() {
    let edge = edge("from = \"peer\"");
    for (path, args, told) in [
        ("/elsewhere", &[][..], "with 404"),
        ("/whoami", &["--echo-json", "/no/such"], "no client's address"),
        ("/whoami", &["--echo-json", "/no/such"], "/client"),
    ] {
        let url = format!("http://{}{path}", edge.address());
        let exit = probed(&[&[url.as_str()], args].concat());
        assert_eq!((exit.status, &*exit.stdout), (Some(69), ""), "{exit:#?}");
        assert!(
            exit.stderr.contains(told) && exit.stderr.contains("help: "),
            "{exit:#?}"
        );
    }
    let (silent, _streams) = scripted(|_, _| None);
    let exit = probed(&[&url(silent), "--timeout", "1"]);
    assert_eq!(exit.status, Some(69), "{exit:#?}");
    assert!(exit.stderr.contains("in time"), "{exit:#?}");

    // Half an answer, which never goes on, is none.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let halting = listener.local_addr().unwrap();
    let _halting = thread::spawn(move || {
        let half = |stream: Result<TcpStream, _>| {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n127.0.0.1");
            stream
        };
        listener.incoming().map(half).collect::<Vec<_>>()
    });
    let exit = probed(&[&url(halting), "--timeout", "1"]);
    assert!(exit.stderr.contains("in time"), "{exit:#?}");

    let (fickle, _silences) = scripted(|_, before| ok(["127.0.0.1", "127.0.0.2"][before % 2]));
    let exit = probed(&[&url(fickle)]);
    assert_eq!(exit.status, Some(69), "{exit:#?}");
    let told = "takes us for 127.0.0.1 and then for 127.0.0.2";
    assert!(exit.stderr.contains(told), "{exit:#?}");

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let exit = probed(&[&url(closed)]);
    assert_eq!(exit.status, Some(69), "{exit:#?}");
    assert!(exit.stderr.contains("refused") && exit.stderr.contains(&closed.to_string()));
    for args in [
        &["localhost:80"][..],
        &["http://127.0.0.1/", "--rate", "0"],
        &["http://127.0.0.1/", "--insecure"],
        &["http://127.0.0.1/", "--echo-json", "client."],
        &["http://127.0.0.1:99999/"],
        &[],
    ] {
        let exit = Process::start("truehop probe", command(args)).wait();
        assert_eq!(exit.status, Some(64), "{exit:#?}");
    }
}

#[test]
fn verdicts_after_a_change_are_given_up() {
    // It shuts us out after forty requests, and takes us for somebody else.
    for (later, told) in [
        ("HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n", "404"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n192.0.2.9",
            "192.0.2.9 now",
        ),
    ] {
        let (server, _silences) = scripted(move |_, before| match before {
            ..40 => ok("127.0.0.1"),
            _ => Some(later.to_owned()),
        });
        let (status, report) = reported(&[&url(server)]);
        assert_eq!(
            (status, &report["ended"]),
            (Some(69), &"changed".into()),
            "{report:#}"
        );
        // The first three are honest, and so is the one after 25 forgeries.
        assert_eq!(
            (count(&report, "held"), count(&report, "fooled")),
            (25, 0),
            "{}",
            report["counts"]
        );
        assert_eq!(count(&report, "doubtful"), 25, "{}", report["counts"]);
        let notes = report["notes"].to_string();
        assert!(notes.contains(told), "{notes}");
        let doubtful = report["doubtful"].as_array().unwrap();
        assert_eq!((doubtful.len(), &doubtful[0]["over"]), (25, &"h1".into()));
    }
}

#[test]
fn a_forgery_that_brings_the_server_down_is_named() {
    let is_down = AtomicBool::new(false);
    let (server, _silences) = scripted(move |request, _| {
        is_down.fetch_or(request.contains("host=\"\r\n"), Ordering::Relaxed);
        match is_down.load(Ordering::Relaxed) {
            true => Some("HTTP/1.1 502 Gone\r\nContent-Length: 0\r\n\r\n".to_owned()),
            false => ok("127.0.0.1"),
        }
    });
    let (status, report) = reported(&[&url(server)]);
    assert_eq!(
        (status, &report["ended"]),
        (Some(69), &"changed".into()),
        "{report:#}"
    );
    let last = report["doubtful"].as_array().unwrap().last().unwrap();
    assert_eq!(last["name"], "forwarded-open-quote-host");
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("to forwarded-open-quote-host, the last"),
        "{notes}"
    );
}

#[test]
fn a_server_that_breaks_does_not_hold() {
    let (server, _silences) = scripted(|request, _| match request.contains("X-Real-IP") {
        true => Some("HTTP/1.1 500 Ouch\r\nContent-Length: 0\r\n\r\n".to_owned()),
        false => ok("127.0.0.1"),
    });
    let exit = probed(&[&url(server)]);
    assert_eq!(exit.status, Some(1), "{exit:#?}");
    assert!(exit.stdout.contains("broke: X-Real-IP"), "{}", exit.stdout);
    assert!(exit.stdout.contains("no forgery was believed"), "{}", exit.stdout);
}

#[test]
fn what_is_known_is_told_when_somebody_stops_it() {
    let (server, silences) = scripted(|_, before| match before {
        // Three honest ones, 25 forgeries, an honest one, and four forgeries.
        ..33 => ok("127.0.0.1"),
        _ => None,
    });
    let mut probe = Process::start("truehop probe", command(&[&url(server), "--rate", "1000"]));
    let stream = silences.recv().unwrap();
    probe.terminate();
    let exit = probe.wait();
    drop(stream);
    assert_eq!(exit.status, Some(130), "{exit:#?}");
    let last = exit.stdout.lines().last().unwrap();
    assert_eq!(
        last, "no forgery was believed, of 25: 25 held, and not all were tried",
        "{exit:#?}"
    );
    let said = probe.said(Stream::Out);
    assert!(said.contains("stopped before the end"), "{said}");
    // What nobody honest came after is given up.
    assert!(said.contains("4 verdicts are not counted"), "{said}");
}

#[test]
fn help_has_what_a_deployment_needs() {
    let exit = Process::start("truehop probe", command(&["--help"])).wait();
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    let help = exit.stdout;
    for told in [
        "to   = \"whoami\"",
        "environ[\"REMOTE_ADDR\"]",
        "request.remote_addr",
        "response.json({ client: request.ip })",
        "truehop_tower::Client",
        "$remote_addr",
        "--echo-json",
        "fooled ",
    ] {
        assert!(help.contains(told), "{told}: {help}");
    }
}
