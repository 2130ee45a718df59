//! Answers and bodies that break off or turn into nonsense half-way, and clients that leave.

use truehop_e2e::{Upstream, answers, eventually};

use crate::{CLIENT, GET, POST, edge, is_answered, next};

#[test]
fn an_answer_that_breaks_off_is_not_passed_for_whole() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for (framing, is_reset) in [
        ("Content-Length: 100\r\n\r\nhalf", false),
        ("Transfer-Encoding: chunked\r\n\r\n64\r\nhalf", false),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", false),
        (
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX-Check: 1\r\n",
            false,
        ),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nevil", false),
        (
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nffffffffffffffff1\r\n",
            false,
        ),
        // Here the end of the connection is the end of the answer, so only how it ends can tell.
        ("\r\nhalf", true),
    ] {
        let mut client = CLIENT.connect(edge.address());
        client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut connection = next(&upstream);
        connection.write(format!("HTTP/1.1 200 OK\r\n{framing}"));
        let mut got = Vec::new();
        if is_reset {
            // What was not passed on before a reset is lost.
            got.extend(client.read_until("half").into_bytes());
            connection.abort();
        } else {
            drop(connection);
        }
        got.extend(client.read_to_end());
        // An edge that has heard of the end before it has begun may say so.
        let is_framed = answers(&got).is_ok_and(|answers| answers[0].status != 502);
        let has_frame = String::from_utf8_lossy(&got)
            .to_lowercase()
            .contains("transfer-encoding: chunked");
        assert!(
            !is_framed || (is_reset && !has_frame),
            "{framing:?} becomes a whole answer: {got:?}"
        );
        assert!(!got.windows(4).any(|window| window == b"evil"), "{framing:?}");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_takes_its_upstream_along() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for framing in [
        "Content-Length: 1000000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3b9aca00\r\n",
        "\r\n",
    ] {
        for is_reset in [false, true] {
            let mut client = CLIENT.connect(edge.address());
            client.write(GET);
            let mut connection = next(&upstream);
            connection.write(format!("HTTP/1.1 200 OK\r\n{framing}half"));
            client.read_until("half");
            if is_reset {
                client.abort();
            } else {
                drop(client);
            }
            // Writing goes on until somebody says that there is no use.
            eventually("the end of the upstream's connection", || {
                connection.try_write(&[b'x'; 64 * 1024]).err()
            });
            let mut other = CLIENT.connect(edge.address());
            is_answered(&mut other, &upstream, None, framing);
            edge.wait_for_access(&["path=/", "cut=true"]);
        }
    }
    edge.wait_for_accesses(6, &["cut=true"]);
}

#[test]
fn a_client_that_leaves_before_an_answer_takes_its_upstream_along() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for request in [GET, POST] {
        let mut client = CLIENT.connect(edge.address());
        client.write(request);
        let mut connection = next(&upstream);
        if request == POST {
            connection.read_exact(5);
        }
        client.abort();
        assert_eq!(connection.read_to_end(), b"");
    }
    edge.wait_for_accesses(2, &["status=499"]);
}

#[test]
fn garbage_behind_a_chunk_that_was_passed_on_ends_everything() {
    let upstream = Upstream::listen();
    let edge = edge(&upstream);
    for garbage in [
        "z\r\n",
        "\r\n",
        "5\nhello\r\n",
        "5;\nhello\r\n",
        "10000000000000005\r\nhello\r\n",
        "5\r\nhelloXX",
        "0\nX\r\n",
        "0\r\nX y: z\r\n\r\n",
        "0\r\nX: y\n\r\n",
    ] {
        println!("{garbage:?}");
        let mut client = CLIENT.connect(edge.address());
        client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n");
        let mut connection = next(&upstream);
        let begun = connection.read_until("he");
        assert!(!begun.contains("a=b"), "{begun}");
        client.write(format!(
            "{garbage}0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        let rest = connection.read_to_end();
        let text = String::from_utf8_lossy(&rest);
        assert!(
            !text.contains("smuggled") && !text.contains("0\r\n"),
            "{garbage:?}: {text:?}"
        );
        let answers = answers(&client.read_to_end()).unwrap_or_else(|why| panic!("{garbage:?}: {why}"));
        assert!(
            answers.len() < 2 && answers.iter().all(|answer| answer.status == 400),
            "{garbage:?}: {answers:?}"
        );
        assert!(upstream.try_accept().is_none(), "{garbage:?}");
    }
}
