//! What is accepted and how it reads; what is refused, and by which name. Each row whole and byte by byte.

use super::*;

fn parse(text: &[u8]) -> Result<Option<ResponseHead>, BadResponse> {
    let limits = Limits { head: 200, fields: 4 };
    let mut whole = ResponseHead::default();
    let result = whole.parse(text, &limits);
    let mut pieces = ResponseHead::default();
    let last = (0..=text.len())
        .map(|end| pieces.parse(&text[..end], &limits))
        .find(|result| *result != Ok(false))
        .unwrap_or(Ok(false));
    assert_eq!(last, result, "byte by byte");
    assert_eq!(whole.parse(text, &limits), result, "asked again");
    Ok(result?.then_some(whole))
}

fn accepted(text: &str) -> ResponseHead {
    match parse(text.as_bytes()) {
        Ok(Some(head)) => head,
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn status_lines_are_read() {
    for (line, version, status, reason) in [
        ("HTTP/1.1 200 OK", Version::Http11, 200, "OK"),
        ("HTTP/1.0 404 Not\tFound ", Version::Http10, 404, "Not\tFound "),
        ("HTTP/1.2 599  x", Version::Http11, 599, " x"),
        ("HTTP/1.1 100 ", Version::Http11, 100, ""),
        // Without the second space.
        ("HTTP/1.1 200", Version::Http11, 200, ""),
        ("HTTP/1.1 200 é", Version::Http11, 200, "é"),
    ] {
        let text = format!("{line}\r\n\r\n");
        let head = accepted(&text);
        let response = head.view(text.as_bytes());
        assert_eq!(
            (response.version(), response.status()),
            (version, status),
            "{line}"
        );
        assert_eq!(response.reason(), reason.as_bytes(), "{line}");
        assert_eq!(head.len(), text.len());
    }
}

#[test]
fn status_lines_are_refused_by_name() {
    for (line, fault) in [
        ("", BadResponse::StatusLine),
        ("\r\nHTTP/1.1 200 OK", BadResponse::StatusLine),
        (" HTTP/1.1 200 OK", BadResponse::StatusLine),
        ("ICY 200 OK", BadResponse::StatusLine),
        ("HTTP/1.1", BadResponse::StatusLine),
        ("HTTP/1.1\t200 OK", BadResponse::StatusLine),
        ("HTTP/1.10 200 OK", BadResponse::StatusLine),
        ("HTtP/1.1 200 OK", BadHead::Version.into()),
        ("HTTP/2.0 200 OK", BadHead::UnsupportedVersion.into()),
        ("HTTP/1.1 ", BadResponse::Status),
        ("HTTP/1.1  200 OK", BadResponse::Status),
        ("HTTP/1.1 20 OK", BadResponse::Status),
        ("HTTP/1.1 2000 OK", BadResponse::Status),
        ("HTTP/1.1 200\tOK", BadResponse::Status),
        ("HTTP/1.1 200OK", BadResponse::Status),
        ("HTTP/1.1 +20 OK", BadResponse::Status),
        ("HTTP/1.1 099 OK", BadResponse::Status),
        ("HTTP/1.1 600 OK", BadResponse::Status),
        ("HTTP/1.1 2x0 OK", BadResponse::Status),
        ("HTTP/1.1 200 O\0K", BadResponse::Reason),
        ("HTTP/1.1 200 \x7f", BadResponse::Reason),
        ("HTTP/1.1 200 OK\r", BadHead::BareCr.into()),
        ("HTTP/1.1 200 O\rK", BadHead::BareCr.into()),
        ("HTTP/1.1 200 OK\nx: y", BadHead::BareLf.into()),
    ] {
        assert_eq!(
            parse(format!("{line}\r\n\r\n").as_bytes()).unwrap_err(),
            fault,
            "{line:?}"
        );
    }
    assert_eq!(parse(b"\x15\x03").unwrap_err(), BadResponse::StatusLine);
}

#[test]
fn bodies_are_as_long_as_the_rfc_says() {
    use Method::{Connect, Get, Head, Post};
    use ResponseBody::{Chunked, Empty, Length, UntilClose};
    for (status, lines, method, body) in [
        (200, "", Get, UntilClose),
        (200, "Content-Length: 0\r\n", Get, Empty),
        (200, "Content-Length: 5\r\n", Post, Length(5)),
        (200, "Transfer-Encoding: chunked\r\n", Get, Chunked),
        (200, "Transfer-Encoding: chunked\r\n", Head, Empty),
        (200, "Content-Length: 5\r\n", Head, Empty),
        (200, "Content-Length: 5\r\n", Connect, Empty),
        (200, "Transfer-Encoding: chunked\r\n", Connect, Empty),
        (407, "Content-Length: 5\r\n", Connect, Length(5)),
        (100, "", Get, Empty),
        (101, "", Get, Empty),
        (204, "", Get, Empty),
        (204, "Content-Length: 0\r\n", Get, Empty),
        (205, "", Get, UntilClose),
        (304, "", Get, Empty),
        (304, "Content-Length: 5\r\n", Get, Empty),
        (304, "Transfer-Encoding: chunked\r\n", Get, Empty),
        (404, "", Head, Empty),
    ] {
        let text = format!("HTTP/1.1 {status} x\r\n{lines}\r\n");
        let head = accepted(&text);
        assert_eq!(
            head.view(text.as_bytes()).body(method),
            body,
            "{text:?} {method:?}"
        );
    }
    let text = "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(accepted(text).view(text.as_bytes()).content_length(), Some(5));
}

#[test]
fn framing_is_one_thing() {
    for (line, lines, fault) in [
        (
            "1.1 200",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            BadHead::LengthAndEncoding.into(),
        ),
        (
            "1.1 200",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            BadHead::SeveralContentLengths.into(),
        ),
        (
            "1.1 200",
            "Content-Length: 1, 1\r\n",
            BadHead::ContentLength.into(),
        ),
        ("1.1 200", "Content-Length: -1\r\n", BadHead::ContentLength.into()),
        (
            "1.1 200",
            "Transfer-Encoding: gzip\r\n",
            BadHead::UnknownCoding.into(),
        ),
        (
            "1.1 200",
            "Transfer-Encoding: gzip, chunked\r\n",
            BadHead::UnknownCoding.into(),
        ),
        (
            "1.1 200",
            "Transfer-Encoding: chunked, gzip\r\n",
            BadHead::TransferEncoding.into(),
        ),
        (
            "1.0 200",
            "Transfer-Encoding: chunked\r\n",
            BadHead::TransferEncodingInHttp10.into(),
        ),
        (
            "1.1 204",
            "Transfer-Encoding: chunked\r\n",
            BadResponse::EncodingWithoutBody,
        ),
        (
            "1.1 101",
            "Transfer-Encoding: chunked\r\n",
            BadResponse::EncodingWithoutBody,
        ),
    ] {
        let text = format!("HTTP/{line} x\r\n{lines}\r\n");
        assert_eq!(parse(text.as_bytes()).unwrap_err(), fault, "{text:?}");
    }
}

#[test]
fn a_length_where_no_body_can_be_means_nothing() {
    for status in ["204", "103", "304"] {
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 4\r\n\r\n");
        let head = accepted(&text);
        assert_eq!(
            head.view(text.as_bytes()).body(Method::Get),
            ResponseBody::Empty,
            "{status}"
        );
    }
}

#[test]
fn fields_are_read_as_in_requests() {
    let text = "HTTP/1.1 200 OK\r\nServer: x\r\nConnection: close, A\r\na: 1\r\nUpgrade: b\r\n\r\n";
    let head = accepted(text);
    let response = head.view(text.as_bytes());
    assert!(!response.keep_alive());
    assert_eq!(response.nominated().collect::<Vec<_>>(), [&b"close"[..], b"A"]);
    let going_on: Vec<_> = response
        .fields()
        .filter(|&field| !response.ends_here(field))
        .collect();
    assert_eq!(
        going_on.iter().map(|field| field.name).collect::<Vec<_>>(),
        ["Server"]
    );
    assert_eq!(response.lines("SERVER").next(), Some(&b"x"[..]));
    assert_eq!(
        (response.upgrade(), response.known_lines(Known::Upgrade).count()),
        (None, 1)
    );

    for (lines, fault) in [
        (" a: b\r\n", BadHead::LeadingSpace),
        ("a: b\r\n c\r\n", BadHead::ObsFold),
        ("a: b\n", BadHead::BareLf),
        ("a\r\n", BadHead::NoColon),
        ("a: b\r\na: b\r\na: b\r\na: b\r\na: b\r\n", BadHead::TooManyFields),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        assert_eq!(parse(text.as_bytes()).unwrap_err(), fault.into(), "{lines:?}");
    }
    let text = format!("HTTP/1.1 200 {}", "a".repeat(300));
    assert_eq!(parse(text.as_bytes()).unwrap_err(), BadHead::TooLong.into());
}

#[test]
fn a_switch_says_to_what() {
    let text = "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(accepted(text).view(text.as_bytes()).upgrade(), Some("websocket"));
}

#[test]
fn connections_last_by_version_and_options() {
    for (version, lines, lasts) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
    ] {
        let text = format!("HTTP/{version} 200 OK\r\n{lines}\r\n");
        assert_eq!(
            accepted(&text).view(text.as_bytes()).keep_alive(),
            lasts,
            "{text:?}"
        );
    }
}

#[test]
fn a_head_is_used_again() {
    let mut head = ResponseHead::default();
    let limits = Limits::default();
    assert!(
        head.parse(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n", &limits)
            .is_err()
    );
    head.clear();
    let text = b"HTTP/1.0 204\r\n\r\n";
    assert_eq!(head.parse(text, &limits), Ok(true));
    let response = head.view(text);
    assert_eq!(
        (
            response.status(),
            response.content_length(),
            response.fields().len()
        ),
        (204, None, 0)
    );
}
