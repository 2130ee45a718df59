//! The PROXY header in front of a connection: required from trusted peers, forbidden to others, never guessed.

use truehop_e2e::{Host, Truehop};

const PROXY: Host = Host::at(127, 0, 0, 10);
const STRANGER: Host = Host::at(127, 0, 0, 2);

const REQUEST: &str = "GET /whoami HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n";
const V1: &str = "PROXY TCP4 203.0.113.95 192.0.2.1 56324 443\r\n";
/// Version 2, IPv4 over TCP, from 203.0.113.96:1.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x60\xc0\x00\x02\x01\x00\x01\x01\xbb";

#[track_caller]
fn edge(more: &str) -> Truehop {
    Truehop::start(&format!(
        "[[client]]\nfrom = \"proxy-protocol\"\ntrusted = [\"127.0.0.10\"]\n{more}\n\
         [timeouts]\nheader = \"1s\"\n[[route]]\npath = \"/\"\nto = \"whoami\"\n"
    ))
}

#[test]
fn a_trusted_peer_names_the_client_once_for_all_requests_of_its_connection() {
    let edge = edge("");
    for (header, client) in [(V1.as_bytes(), "203.0.113.95"), (V2, "203.0.113.96")] {
        let mut connection = PROXY.connect(edge.address());
        // In pieces, the last of which brings the request with it.
        let (first, rest) = header.split_at(7);
        connection.write(first);
        connection.write([rest, REQUEST.as_bytes()].concat());
        assert_eq!(connection.read_response().json()["client"], client);
        connection.write(REQUEST.replace(
            "Accept",
            "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nAccept",
        ));
        assert_eq!(connection.read_response().json()["client"], client);
    }
}

#[test]
fn without_its_header_a_trusted_peer_is_cut_off() {
    let edge = edge("");
    for start in [REQUEST, "PROXY TCP4 203.0.113.95 192.0.2.1 +1 443\r\n", "PROX"] {
        let mut connection = PROXY.connect(edge.address());
        connection.write(start);
        assert_eq!(connection.read_to_end(), b"", "{start}");
    }
    edge.wait_for_diagnostic("bad-proxy-header");
}

#[test]
fn a_stranger_is_cut_off_with_or_without_a_header() {
    let edge = edge("");
    for start in [REQUEST, V1] {
        let mut connection = STRANGER.connect(edge.address());
        // It may be closed before all is written.
        let _ = connection.try_write(start.as_bytes());
        assert_eq!(connection.read_to_end(), b"", "{start}");
    }
    edge.wait_for_diagnostic("untrusted-peer");
}

#[test]
fn a_stranger_that_must_speak_plainly_cannot_name_anybody() {
    let edge = edge("on_untrusted = \"plain\"");
    let mut plain = STRANGER.connect(edge.address());
    plain.write(REQUEST);
    assert_eq!(plain.read_response().json()["client"], "127.0.0.2");
    let mut posing = STRANGER.connect(edge.address());
    let _ = posing.try_write([V1, REQUEST].concat().as_bytes());
    assert_eq!(posing.read_to_end(), b"");
}

#[test]
fn a_second_step_reads_the_list_of_whom_the_first_one_named() {
    let edge = edge("[[client]]\nfrom = \"x-forwarded-for\"\ntrusted = [\"203.0.113.0/24\"]");
    let mut connection = PROXY.connect(edge.address());
    let list = REQUEST.replace("Accept", "X-Forwarded-For: 6.6.6.6, 198.51.100.7\r\nAccept");
    connection.write([V1, &list].concat());
    assert_eq!(connection.read_response().json()["client"], "198.51.100.7");
}
