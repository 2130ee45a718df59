//! What goes on to upstreams of a legal request, and what never does, each suite named by what it tries.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

use truehop_e2e::{Recorder, Request, Response, Seen, Stage, Truehop, answers};

/// Sends bytes on a connection of their own, and reads what comes until the edge closes it.
#[track_caller]
fn send(edge: &Truehop, bytes: &str) -> Vec<Response> {
    let mut client = Stage::CLIENT.connect(edge.address());
    client.write(bytes);
    answers(&client.read_to_end()).unwrap()
}

/// Sends one request, and tells what the upstream saw of it.
#[track_caller]
fn pass(edge: &Truehop, upstream: &Recorder, mark: &str, lines: &str, body: &str) -> Seen {
    let target = format!("/{}/{mark}", upstream.kind().name());
    let bytes = format!("POST {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}");
    let mut client = Stage::CLIENT.connect(edge.address());
    client.write(bytes);
    let answer = client.read_response();
    assert_eq!(answer.status, 200, "{mark} to {:?}: {answer:?}", upstream.kind());
    upstream.wait_for(mark)
}

/// Whether the upstream saw the client that the edge saw, and nothing that was claimed.
#[track_caller]
fn is_told_the_truth(seen: &Seen, what: &str) {
    for (name, value) in [
        ("X-Forwarded-For", "127.0.0.2"),
        ("X-Real-IP", "127.0.0.2"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "a"),
    ] {
        assert_eq!(seen.values(name), [value], "{what}: {name} of {seen:?}");
    }
    assert!(!seen.mentions("6.6.6.6"), "{what}: {seen:?} {:?}", seen.headers);
}

// Headers.

const TWINS: [&str; 14] = [
    "X_Forwarded_For",
    "X-Forwarded_For",
    "X_Forwarded-For",
    "x_forwarded_for",
    "X_Real_IP",
    "X-Real_IP",
    "X_Real-Ip",
    "X_Forwarded_Proto",
    "X_FORWARDED_HOST",
    "X_Forwarded-Port",
    "X_Client_IP",
    "True_Client_IP",
    "X_Forwarded_Server",
    "CF_Connecting_IP",
];

#[test]
fn underscore_twin() {
    let Some(stage) = Stage::shared() else {
        return;
    };
    for upstream in stage.upstreams() {
        // Without the edge the twin deceives.
        let path = format!("/{}/underscore_twin-direct", upstream.kind().name());
        let direct = Request::new("POST", &path).header("X_Real_IP", "6.6.6.6");
        assert_eq!(Stage::CLIENT.send(upstream.address(), &direct).status, 200);
        assert_eq!(
            upstream.wait_for("underscore_twin-direct").values("X-Real-IP"),
            ["6.6.6.6"]
        );

        let each = TWINS.map(|name| format!("{name}: 6.6.6.6\r\n"));
        for (n, line) in each.iter().chain([&each.concat()]).enumerate() {
            let mark = format!("underscore_twin-{n:02}");
            let lines = format!("X-Harmless: yes\r\n{line}Content-Length: 5\r\n");
            let seen = pass(stage.edge(), upstream, &mark, &lines, "hello");
            is_told_the_truth(&seen, line);
            assert_eq!(
                (seen.values("X-Harmless"), seen.body.as_str()),
                (vec!["yes"], "hello")
            );
        }
    }
}

#[test]
fn connection_nominates_xff() {
    let Some(stage) = Stage::shared() else {
        return;
    };
    for upstream in stage.upstreams() {
        for (n, options) in [
            "X-Forwarded-For",
            "x-real-ip",
            "keep-alive, X-Forwarded-For, X-Real-IP",
            "X-Forwarded-Proto,X-Forwarded-Host,X-Forwarded-Port",
            "X_Forwarded_For",
            "X-Real-IP\r\nConnection: X-Forwarded-For",
        ]
        .iter()
        .enumerate()
        {
            let mark = format!("connection_nominates_xff-{n:02}");
            let lines = format!("X-Harmless: yes\r\nConnection: {options}\r\nContent-Length: 5\r\n");
            let seen = pass(stage.edge(), upstream, &mark, &lines, "hello");
            is_told_the_truth(&seen, options);
            assert_eq!(seen.values("X-Harmless"), ["yes"], "{options}");
        }
        // What is nominated by right is obeyed.
        let lines = "X-Harmless: yes\r\nConnection: X-Harmless\r\nContent-Length: 0\r\n";
        let seen = pass(
            stage.edge(),
            upstream,
            "connection_nominates_xff-right",
            lines,
            "",
        );
        assert_eq!(seen.values("X-Harmless"), [""; 0]);
    }
}

#[test]
fn connection_nominates_the_header_that_the_policy_reads() {
    let Some(stage) = Stage::shared() else {
        return;
    };
    for (header, from) in [
        ("X-Real-IP", "from = \"header\"\nheader = \"X-Real-IP\""),
        ("X-Forwarded-For", "from = \"x-forwarded-for\""),
    ] {
        let routes = stage.upstreams().iter().map(|upstream| {
            let (name, address) = (upstream.kind().name(), upstream.address());
            format!("[[route]]\npath = \"/{name}/\"\nproxy = [\"http://{address}\"]\n")
        });
        let edge = Truehop::start(&format!(
            "[client]\n{from}\ntrusted = [\"127.0.0.2\"]\n{}",
            routes.collect::<String>()
        ));
        for upstream in stage.upstreams() {
            let mark = format!("connection_nominates-{header}");
            let target = format!("/{}/{mark}", upstream.kind().name());
            let nominated = Request::new("GET", &format!("{target}-no"))
                .header("Connection", header)
                .header(header, "203.0.113.7");
            assert_eq!(
                Stage::CLIENT.send(edge.address(), &nominated).status,
                400,
                "{header}"
            );
            edge.wait_for_access(&["error=hop-by-hop", &format!("path={target}-no")]);
            let plain = Request::new("GET", &format!("{target}-yes")).header(header, "203.0.113.7");
            assert_eq!(Stage::CLIENT.send(edge.address(), &plain).status, 200, "{header}");
            let seen = upstream.wait_for(&format!("{mark}-yes"));
            assert_eq!(seen.values("X-Real-IP"), ["203.0.113.7"]);
            assert!(upstream.seen(&format!("{mark}-no")).is_empty(), "{header}");
        }
    }
}

#[test]
fn connection_nominates_host() {
    let Some(stage) = Stage::shared() else {
        return;
    };
    for upstream in stage.upstreams() {
        for (n, (lines, body)) in [
            ("Connection: Host\r\nContent-Length: 5\r\n", "hello"),
            ("Connection: keep-alive, host\r\nContent-Length: 5\r\n", "hello"),
            ("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"),
            ("Content-Length: 5\r\nConnection: content-length\r\n", "hello"),
            (
                "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
                "5\r\nhello\r\n0\r\n\r\n",
            ),
            (
                "Connection: Host, Connection, Content-Length, Transfer-Encoding\r\nContent-Length: 5\r\n",
                "hello",
            ),
        ]
        .iter()
        .enumerate()
        {
            let mark = format!("connection_nominates_host-{n:02}");
            let seen = pass(stage.edge(), upstream, &mark, lines, body);
            assert_eq!(seen.values("Host"), ["a"], "{lines}");
            assert_eq!(seen.body, "hello", "{lines}");
        }
    }
}

#[test]
fn trailers() {
    let Some(stage) = Stage::shared() else {
        return;
    };
    for upstream in stage.upstreams() {
        for (n, trailer) in [
            "X-Check: 1",
            "X-Forwarded-For: 6.6.6.6",
            "x-real-ip: 6.6.6.6",
            "X_Real_IP: 6.6.6.6",
            "Forwarded: for=6.6.6.6",
            "X-Forwarded-Proto: 6.6.6.6",
            "Host: 6.6.6.6",
            "Content-Length: 6666",
            "Transfer-Encoding: 6.6.6.6",
            "Connection: 6.6.6.6",
            "X-Check: 1\r\nX-Forwarded-For: 6.6.6.6\r\nHost: 6.6.6.6",
        ]
        .iter()
        .enumerate()
        {
            let mark = format!("trailers-{n:02}");
            let target = format!("/{}/{mark}", upstream.kind().name());
            let name = trailer.split(':').next().unwrap();
            let answers = send(
                stage.edge(),
                &format!(
                    "POST {target} HTTP/1.1\r\nHost: a\r\nTrailer: {name}\r\nTransfer-Encoding: chunked\r\n\r\n\
                     5\r\nhello\r\n0\r\n{trailer}\r\n\r\n\
                     GET {target}/after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                ),
            );
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            match statuses.as_slice() {
                // Who forges may be refused, but not who is honest.
                [400] if n > 0 => assert!(upstream.seen(&mark).is_empty(), "{trailer}"),
                [200, 200] => {
                    let seen = upstream.wait_for(&mark);
                    is_told_the_truth(&seen, trailer);
                    assert_eq!(
                        (seen.body.as_str(), seen.values("Host")),
                        ("hello", vec!["a"]),
                        "{trailer}"
                    );
                    assert!(
                        seen.trailers
                            .iter()
                            .all(|(name, _)| name.eq_ignore_ascii_case("X-Check")),
                        "{:?}",
                        seen.trailers
                    );
                }
                _ => panic!("{trailer} to {:?}: {answers:?}", upstream.kind()),
            }
        }
    }
}

// Order.

#[test]
fn pipelined_requests_are_answered_in_order() {
    let Some(stage) = Stage::shared() else {
        return;
    };
    // The edge's own answers are ready at once, those of the upstreams in their own time.
    let targets: Vec<String> = [
        "node", "closed", "gunicorn", "nginx", "closed", "nginx", "node", "gunicorn",
    ]
    .iter()
    .enumerate()
    .map(|(n, name)| format!("/{name}/pipelined-{n}"))
    .collect();
    let requests: String = targets
        .iter()
        .enumerate()
        .map(|(n, target)| match n % 3 {
            0 => format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
            _ => format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        })
        .collect();
    let last = "GET /closed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = send(stage.edge(), &format!("{requests}{last}"));
    assert_eq!(answers.len(), targets.len() + 1, "{answers:?}");
    for (target, answer) in targets.iter().zip(&answers) {
        if target.starts_with("/closed") {
            assert_eq!(answer.status, 403, "{target}: {answer:?}");
        } else {
            assert!(
                answer.text().starts_with(&format!("{target} ")),
                "{target}: {answer:?}"
            );
        }
    }
}

#[test]
fn early_body_pipelined() {
    let Some(stage) = Stage::shared() else {
        return;
    };
    for upstream in stage.upstreams() {
        for (n, (what, lines)) in [
            ("a length", "Content-Length: {length}\r\n\r\n{smuggled}"),
            (
                "chunks",
                "Transfer-Encoding: chunked\r\n\r\n{hex}\r\n{smuggled}\r\n0\r\n\r\n",
            ),
            (
                "nobody waits for 100",
                "Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n{smuggled}",
            ),
            ("only a part of it", "Content-Length: 1000\r\n\r\n{smuggled}"),
        ]
        .iter()
        .enumerate()
        {
            let mark = format!("early_body_pipelined-{n:02}");
            let target = format!("/{}/{mark}", upstream.kind().name());
            let smuggled = format!("GET {target}/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
            let request = lines
                .replace("{smuggled}", &smuggled)
                .replace("{length}", &smuggled.len().to_string())
                .replace("{hex}", &format!("{:x}", smuggled.len()));
            let mut client = Stage::CLIENT.connect(stage.edge().address());
            client.write(format!("POST {target}?early HTTP/1.1\r\nHost: a\r\n{request}"));
            assert_eq!(client.read_response().status, 403, "{what}");
            // The edge may read on behind the body, or close; what it may not is take the body for a request.
            let after = format!("GET {target}/after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let _ = client.try_write(after.as_bytes());
            client.finish();
            let rest = answers(&client.read_to_end()).unwrap_or_else(|why| panic!("{what}: {why}"));
            assert!(
                rest.iter()
                    .all(|answer| answer.text().starts_with(&format!("{target}/after ")))
                    && rest.len() < 2,
                "{what}: {rest:?}"
            );
            let last = format!("/{}/{mark}-end", upstream.kind().name());
            assert_eq!(Stage::CLIENT.get(stage.edge().address(), &last).status, 200);
            let seen = upstream.seen(&format!("{mark}/smuggled"));
            assert!(
                seen.iter().all(|seen| !seen.target.ends_with("smuggled")),
                "{what}: {seen:?}"
            );
        }
    }
}

#[test]
fn a_body_that_looks_like_a_request_is_a_body() {
    let Some(stage) = Stage::shared() else {
        return;
    };
    for upstream in stage.upstreams() {
        let target = format!("/{}/looks-like", upstream.kind().name());
        for (method, chunked) in [
            ("GET", false),
            ("DELETE", false),
            ("PUT", true),
            ("OPTIONS", true),
        ] {
            let mark = format!("looks-like-{method}");
            let smuggled = format!("GET {target}/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
            let framed = match chunked {
                false => format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
                true => format!(
                    "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
                    smuggled.len()
                ),
            };
            let after = "GET /closed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let answers = send(
                stage.edge(),
                &format!("{method} {target}-{method} HTTP/1.1\r\nHost: a\r\n{framed}{after}"),
            );
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, [200, 403], "{method}");
            assert_eq!(upstream.wait_for(&mark).body, smuggled, "{method}");
        }
        assert!(
            upstream
                .seen("looks-like")
                .iter()
                .all(|seen| !seen.target.ends_with("smuggled"))
        );
    }
}

// Upgrades.

#[test]
fn upgrade_without_101() {
    const KEY: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let Some(stage) = Stage::shared() else {
        return;
    };
    for upstream in stage.upstreams() {
        for (n, (lines, passed)) in [
            (
                format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{KEY}"),
                &["websocket"][..],
            ),
            // It ends here unless the line that says so says otherwise.
            (format!("Upgrade: websocket\r\n{KEY}"), &[]),
            (
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
                    .into(),
                &[],
            ),
            ("Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n".into(), &[]),
            ("Connection: Upgrade\r\nUpgrade: unknown\r\n".into(), &[]),
        ]
        .iter()
        .enumerate()
        {
            let mark = format!("upgrade_without_101-{n:02}");
            let target = format!("/{}/{mark}", upstream.kind().name());
            // Behind it stands what only a tunnel could carry past the edge: its route is closed.
            let answers = send(
                stage.edge(),
                &format!(
                    "GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n\
                     GET /closed/{mark}/smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                ),
            );
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            assert!(
                matches!(statuses.as_slice(), [200] | [200, 403]),
                "{lines} to {:?}: {answers:?}",
                upstream.kind()
            );
            let seen = upstream.wait_for(&mark);
            let upgrade = seen.values("Upgrade");
            assert_eq!(upgrade, *passed, "{lines} to {:?}", upstream.kind());
            let nominated = seen
                .values("Connection")
                .concat()
                .to_lowercase()
                .contains("upgrade");
            assert_eq!(nominated, !passed.is_empty(), "{lines} to {:?}", upstream.kind());
            assert!(
                !seen.mentions("h2c") && !seen.mentions("AAMAAABkAAQAAP__"),
                "{lines}"
            );
        }
        let last = format!("/{}/upgrade_without_101-end", upstream.kind().name());
        assert_eq!(Stage::CLIENT.get(stage.edge().address(), &last).status, 200);
        assert!(upstream.seen("/closed/").is_empty(), "{:?}", upstream.kind());
    }
}
