//! How connections to clients end.

use std::thread;
use std::time::{Duration, Instant};
use std::{fs, iter};

use truehop_e2e::{
    Certificate, Connection, End, Home, Stream, Truehop, Upstream, answers, eventually, missing, stand_still,
};

use crate::{CLIENT, edge, next, pattern, soon};

#[test]
fn http10_keep_alive_with_unknown_length() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    for (answer, stays, ends) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            false,
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", false, true),
    ] {
        println!("{answer:?}");
        let mut client = CLIENT.connect(edge.address());
        client.write("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        let mut connection = next(&upstream);
        connection.write(answer);
        if ends {
            connection.finish();
        }
        let head = client.read_head().to_lowercase();
        assert_eq!(head.contains("connection: keep-alive\r\n"), stays, "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        if stays {
            assert_eq!(client.read_exact(5), b"hello");
            client.write("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
            connection.read_head();
            connection.write(answer);
            client.read_head();
        }
        assert_eq!(
            client.read_until_ended(soon()),
            (b"hello".to_vec(), Some(End::Closed)),
            "{answer:?}"
        );
    }
}

/// The end of the connection is all that this client has to tell a whole answer by.
#[test]
fn http10_truncation_is_visible() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream, "");
    for (answer, rest, is_reset, seen) in [
        (
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "4\r\nhalf\r\n0\r\n\r\n",
            false,
            End::Closed,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "",
            false,
            End::Reset,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n8\r\nhalf",
            "",
            false,
            End::Reset,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "z\r\n",
            false,
            End::Reset,
        ),
        ("\r\nhalf", "half", false, End::Closed),
        ("\r\nhalf", "", true, End::Reset),
    ] {
        println!("{answer:?} {rest:?}");
        let mut client = CLIENT.connect(edge.address());
        client.write("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
        let mut connection = next(&upstream);
        connection.write(format!("HTTP/1.1 200 OK\r\n{answer}"));
        client.read_until("\r\n\r\nhalf");
        connection.write(rest);
        if is_reset {
            connection.abort();
        } else {
            drop(connection);
        }
        let (_, ended) = client.read_until_ended(soon());
        assert_eq!(ended, Some(seen), "{answer:?} {rest:?}");
    }
}

#[test]
fn last_answer_is_not_lost() {
    let home = Home::new();
    let large = pattern(4 << 20);
    fs::write(home.path().join("large.bin"), &large).unwrap();
    let config = format!(
        "[[route]]\npath = \"/\"\nfiles = \"{}\"\n[[route]]\npath = \"/small\"\nreply = {{ body = \"small\" }}\n",
        home.path().display()
    );
    let edge = Truehop::start_in(home, &config);
    let after = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    for (target, body) in [("/small", &b"small"[..]), ("/large.bin", &large)] {
        // The others come with the first, or are still unread when it is answered: what the edge reads at once ends
        // somewhere, and these are likely places.
        for (length, after) in [
            (0, ""),
            (0, after.as_str()),
            (4 << 10, &after),
            (8 << 10, &after),
            (16 << 10, &after),
        ] {
            let first = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Note: ");
            let first = format!("{first:x<width$}\r\n\r\n", width = usize::max(length, 4) - 4);
            let mut client = CLIENT.connect(edge.address());
            client.write(format!("{first}{after}"));
            let (got, ended) = client.read_until_ended(soon());
            let what = format!("{target} after {} bytes, before {}", first.len(), after.len());
            let all = answers(&got).unwrap_or_else(|_| panic!("{what}: cut after {} bytes", got.len()));
            assert_eq!(all.len(), 1, "{what}: {all:?}");
            assert!(all[0].status == 200 && all[0].body == body, "{what}: {all:?}");
            assert_eq!(ended, Some(End::Closed), "{what}");
        }
    }
}

#[test]
fn idle_after_tls_request() {
    if missing(&["openssl"]) {
        return;
    }
    let upstream = Upstream::listen();
    for path in ["/own", "/proxied"] {
        println!("{path}");
        let home = Home::new();
        let certificate = Certificate::make(home.path());
        let config = format!(
            "listen = [{}]\n[timeouts]\nheader = \"10s\"\nshutdown = \"20s\"\n\
             [[route]]\npath = \"/own\"\nreply = {{ body = \"answered\\n\" }}\n\
             [[route]]\npath = \"/proxied\"\nproxy = [\"{}\"]\n",
            certificate.listener(),
            upstream.url()
        );
        let edge = Truehop::start_in(home, &config);
        let mut client =
            certificate.client(edge.address(), &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let connection = (path == "/proxied").then(|| {
            let mut connection = next(&upstream);
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nanswered\n");
            connection
        });
        client.wait_for(Stream::Out, "the answer", |line| line == "answered");
        edge.wait_for_access(&["status=200"]);
        let told = Instant::now();
        edge.terminate();
        let (exit, _home) = edge.wait();
        let took = told.elapsed();
        assert_eq!(exit.status, Some(0), "{exit:#?}");
        assert!(took < Duration::from_secs(5), "{path}: {took:?}");
        client.wait();
        drop(connection);
    }
}

/// All of it has come, and lies in sockets and pipes on the way: whatever moves it on, nothing new will.
#[test]
fn slow_reader_of_an_answer_that_is_complete() {
    let home = Home::new();
    let large = pattern(32 << 20);
    fs::write(home.path().join("large.bin"), &large).unwrap();
    let files = format!("[[route]]\npath = \"/\"\nfiles = \"{}\"\n", home.path().display());
    let behind = Truehop::start_in(home, &files);
    let edge = Truehop::start(&format!(
        "[[route]]\npath = \"/\"\nproxy = [\"http://{}\"]\n",
        behind.address()
    ));
    for part in [large.len() / 8, large.len() / 2, large.len() - (1 << 20)] {
        println!("a pause after {part} bytes");
        let mut client = CLIENT.connect(edge.address());
        client.hold_at_most(64 << 10);
        client.write("GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_head();
        let mut got = client.read_exact(part);
        stand_still(&[edge.address().port(), behind.address().port()]);
        got.extend(client.read_exact(large.len() - part));
        assert!(got == large, "other bytes");
    }
}

/// Time passes here, because it is what is tested: `timeouts.write` counts from the last byte that the client took.
#[test]
fn slow_reader_of_a_large_answer() {
    const PIECE: usize = 256 << 10;
    const PAUSE: Duration = Duration::from_millis(300);
    /// Three times the timeout.
    const SLOWLY: Duration = Duration::from_secs(3);

    let home = Home::new();
    let large = pattern(8 << 20);
    for name in ["slow", "silent"] {
        fs::write(home.path().join(name), &large).unwrap();
    }
    let upstream = Upstream::listen();
    let config = format!(
        "[timeouts]\nwrite = \"1s\"\n[[route]]\npath = \"/files/\"\nfiles = \"{}\"\n\
         [[route]]\npath = \"/proxied/\"\nproxy = [\"{}\"]\n",
        home.path().display(),
        upstream.url()
    );
    let edge = Truehop::start_in(home, &config);
    // A client whose kernel does not take much of the answer off its hands.
    let ask = |target: &str| -> (Connection, Option<Connection>) {
        let mut client = CLIENT.connect(edge.address());
        client.hold_at_most(PIECE);
        client.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answering = target.starts_with("/proxied").then(|| {
            let mut connection = next(&upstream);
            connection.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                large.len()
            ));
            connection.write_meanwhile(large.clone());
            connection
        });
        (client, answering)
    };
    let slow = ["/proxied/slow", "/files/slow"].map(|target| (target, ask(target)));
    let silent = ["/proxied/silent", "/files/silent"].map(|target| (target, ask(target)));
    thread::scope(|scope| {
        for (target, (mut client, answering)) in slow {
            let large = &large;
            scope.spawn(move || {
                let _answering = answering;
                client.read_head();
                let begun = Instant::now();
                let moments = iter::successors(Some(begun), |moment| Some(*moment + PAUSE));
                let mut got = Vec::new();
                for moment in moments.take_while(|moment| *moment < begun + SLOWLY) {
                    eventually("the next moment", || (Instant::now() >= moment).then_some(()));
                    got.extend(client.read_exact(PIECE));
                }
                got.extend(client.read_exact(large.len() - got.len()));
                assert!(got == *large, "{target}");
            });
        }
    });
    for (target, (mut client, _answering)) in silent {
        edge.wait_for_access(&[&format!("path={target}"), "status=200", "cut=true"]);
        let (got, ended) = client.read_until_ended(soon());
        assert!(
            got.len() < large.len() && ended.is_some(),
            "{target}: {} bytes",
            got.len()
        );
    }
    assert_eq!(edge.accesses(&["cut=true"]), 2);
}
