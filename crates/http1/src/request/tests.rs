//! What is accepted and how it reads; what is refused, and by which name. Each row whole and byte by byte.

use super::*;
use crate::host::BadHost;

const LIMITS: Limits = Limits { head: 200, fields: 6 };

/// Reads a head whole and byte by byte, which must end alike; what stands behind it is left alone.
fn parse(text: &[u8]) -> Result<Option<RequestHead>, BadRequest> {
    let mut whole = RequestHead::default();
    let result = whole.parse(text, &LIMITS);
    assert_eq!(whole.parse(text, &LIMITS), result, "asked again");

    let mut pieces = RequestHead::default();
    let mut last = Ok(false);
    for end in 0..=text.len() {
        last = pieces.parse(&text[..end], &LIMITS);
        if last != Ok(false) {
            break;
        }
    }
    assert_eq!(last, result, "byte by byte");
    if result == Ok(true) {
        assert_eq!(pieces.len(), whole.len());
        let fields = |head: &RequestHead| format!("{:?}", head.view(text).fields().collect::<Vec<_>>());
        assert_eq!(fields(&pieces), fields(&whole));
    }
    Ok(result?.then_some(whole))
}

fn accepted(text: &str) -> RequestHead {
    match parse(text.as_bytes()) {
        Ok(Some(head)) => head,
        other => panic!("{text:?}: {other:?}"),
    }
}

/// A head with this request line.
fn with_line(line: &str) -> String {
    format!("{line}\r\nHost: a\r\n\r\n")
}

/// A head of HTTP/1.1 with these lines behind `Host`.
fn with_fields(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn the_parts_are_found() {
    let text =
        b"PATCH /a%20b?c=d HTTP/1.1\r\nhOST: A:80\r\nX-Empty:\r\nx-tab: \ta\tb\t\r\nX-Tab:\xe9\r\n\r\nGET";
    let head = parse(text).unwrap().unwrap();
    assert_eq!(&text[head.len()..], b"GET");
    let request = head.view(text);
    assert_eq!(
        (request.method(), request.method_text()),
        (Method::Patch, "PATCH")
    );
    assert_eq!(
        (request.target(), request.path_and_query()),
        ("/a%20b?c=d", "/a%20b?c=d")
    );
    assert_eq!((request.path(), request.query()), ("/a%20b", Some("c=d")));
    assert_eq!(request.version(), Version::Http11);
    assert_eq!(request.host().to_string(), "a:80");
    let names: Vec<_> = request.fields().map(|field| (field.name, field.value)).collect();
    let expected = [
        ("hOST", &b"A:80"[..]),
        ("X-Empty", b""),
        ("x-tab", b"a\tb"),
        ("X-Tab", b"\xe9"),
    ];
    assert_eq!(names, expected);
    assert_eq!(request.fields().next().unwrap().known, Some(Known::Host));
    assert_eq!(
        request.lines("X-TAB").collect::<Vec<_>>(),
        [&b"a\tb"[..], b"\xe9"]
    );
    assert_eq!(request.lines("x-tab").next_back(), Some(&b"\xe9"[..]));
    assert_eq!(request.lines("host").collect::<Vec<_>>(), [b"A:80"]);
    assert_eq!(
        request.lines("x").count() + request.known_lines(Known::Date).count(),
        0
    );
    // The lines stand one behind the other, up to the empty line.
    let ends: Vec<_> = request.fields().map(|field| field.line).collect();
    assert!(ends.windows(2).all(|pair| pair[0].end == pair[1].start));
    assert_eq!(ends.last().unwrap().range().end + 2, head.len());
}

#[test]
fn targets_are_told_apart() {
    for (line, path_and_query, path, query) in [
        ("GET /?a?b HTTP/1.1", "/?a?b", "/", Some("a?b")),
        ("GET /? HTTP/1.1", "/?", "/", Some("")),
        ("GET http://a HTTP/1.1", "/", "/", None),
        ("GET http://A/b?c HTTP/1.1", "/b?c", "/b", Some("c")),
        ("OPTIONS * HTTP/1.1", "*", "*", None),
        ("OPTIONS http://a HTTP/1.1", "/", "/", None),
    ] {
        let text = with_line(line);
        let head = accepted(&text);
        let request = head.view(text.as_bytes());
        assert_eq!(
            (request.path_and_query(), request.path(), request.query()),
            (path_and_query, path, query),
            "{line}"
        );
        assert_eq!(line.split(' ').nth(1), Some(request.target()));
    }
    let text = "CONNECT a:443 HTTP/1.1\r\nHost: A:443\r\n\r\n";
    let head = accepted(text);
    let request = head.view(text.as_bytes());
    assert_eq!((request.method(), request.target()), (Method::Connect, "a:443"));
    assert_eq!(
        (request.path_and_query(), request.path(), request.query()),
        ("", "", None)
    );
}

#[test]
fn methods_are_compared_with_case() {
    for (text, method) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("PATCH", Method::Patch),
        ("TRACE", Method::Trace),
        ("get", Method::Other),
        ("M-SEARCH", Method::Other),
        ("!", Method::Other),
    ] {
        let line = with_line(&format!("{text} / HTTP/1.1"));
        let head = accepted(&line);
        assert_eq!(head.view(line.as_bytes()).method(), method);
        assert_eq!(head.view(line.as_bytes()).method_text(), text);
    }
}

#[test]
fn request_lines_are_refused_by_name() {
    for (line, fault) in [
        ("GET /", BadRequest::NoVersion),
        ("GET /\thttp", BadRequest::NoVersion),
        ("GET", BadRequest::NoTarget),
        ("GET ", BadRequest::NoTarget),
        ("GET  HTTP/1.1", BadRequest::ExtraSpace),
        ("GET  / HTTP/1.1", BadRequest::ExtraSpace),
        ("GET /  HTTP/1.1", BadRequest::ExtraSpace),
        ("GET / HTTP/1.1 ", BadRequest::ExtraSpace),
        ("GET /a b HTTP/1.1", BadRequest::ExtraSpace),
        ("GET / HTTP/1.1 HTTP/1.1", BadRequest::ExtraSpace),
        (" GET / HTTP/1.1", BadRequest::Method),
        ("\tGET / HTTP/1.1", BadRequest::Method),
        ("GE(T / HTTP/1.1", BadRequest::Method),
        ("GET\0 / HTTP/1.1", BadRequest::Method),
        ("\u{feff}GET / HTTP/1.1", BadRequest::Method),
        ("GET\t/ HTTP/1.1", BadRequest::Method),
        ("GET /\t HTTP/1.1", BadRequest::Target),
        ("GET /\0 HTTP/1.1", BadRequest::Target),
        ("GET /\x7f HTTP/1.1", BadRequest::Target),
        ("GET /é HTTP/1.1", BadRequest::Target),
        ("GET /#a HTTP/1.1", BadRequest::Target),
        ("GET http://a/#b HTTP/1.1", BadRequest::Target),
        ("GET a HTTP/1.1", BadRequest::TargetForm),
        ("GET * HTTP/1.1", BadRequest::AsteriskForm),
        ("CONNECT / HTTP/1.1", BadRequest::AuthorityForm),
        ("GET ftp://a/ HTTP/1.1", BadRequest::Scheme),
        ("GET http://u@a/ HTTP/1.1", BadRequest::Userinfo),
        ("GET http:///a HTTP/1.1", BadRequest::EmptyAuthority),
        ("GET http://a:b/ HTTP/1.1", BadRequest::Authority),
        ("GET http://a?b HTTP/1.1", BadRequest::QueryWithoutPath),
        ("GET / http/1.1", BadHead::Version.into()),
        ("GET / HTTP/1", BadHead::Version.into()),
        ("GET / HTTP/1.10", BadHead::Version.into()),
        ("GET / HTTP/11.1", BadHead::Version.into()),
        ("GET / HTTP/1,1", BadHead::Version.into()),
        ("GET / HTTPS/1.1", BadHead::Version.into()),
        ("GET / HTTP/1.1\t", BadHead::Version.into()),
        ("GET / HTTP/2.0", BadHead::UnsupportedVersion.into()),
        ("PRI * HTTP/2.0", BadHead::UnsupportedVersion.into()),
        ("GET / HTTP/0.9", BadHead::UnsupportedVersion.into()),
        ("GET / HTTP/1.1\r", BadHead::BareCr.into()),
        ("GET /\r HTTP/1.1", BadHead::BareCr.into()),
        ("GET / HTTP/1.1\rX: y", BadHead::BareCr.into()),
        ("GET / HTTP/1.1\nX: y", BadHead::BareLf.into()),
        ("GET /\n HTTP/1.1", BadHead::BareLf.into()),
    ] {
        assert_eq!(parse(with_line(line).as_bytes()).unwrap_err(), fault, "{line:?}");
    }
}

#[test]
fn one_empty_line_in_front_is_skipped() {
    let text = format!("\r\n{}", with_line("GET / HTTP/1.1"));
    let head = accepted(&text);
    assert_eq!(head.len(), text.len());
    assert_eq!(head.view(text.as_bytes()).method_text(), "GET");
    for (text, fault) in [
        ("\r\n\r\nGET / HTTP/1.1\r\n", BadRequest::EmptyLine),
        ("\nGET / HTTP/1.1\r\n", BadHead::BareLf.into()),
        ("\rGET / HTTP/1.1\r\n", BadHead::BareCr.into()),
        ("\r\n\r\r\n", BadHead::BareCr.into()),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), fault, "{text:?}");
    }
}

#[test]
fn who_speaks_something_else_is_refused_at_once() {
    for text in [&b"\x16\x03\x01\x02"[..], b"\0", b"\x80\x2e\x01", b"\t"] {
        assert_eq!(parse(text).unwrap_err(), BadRequest::Method);
    }
    assert!(parse(b"\r").unwrap().is_none() && parse(b"").unwrap().is_none());
}

#[test]
fn field_lines_are_refused_by_name() {
    for (lines, fault) in [
        ("a: b\n", BadHead::BareLf),
        ("\n", BadHead::BareLf),
        ("a: b\r\r\n", BadHead::BareCr),
        ("a: b\rc: d\r\n", BadHead::BareCr),
        ("a: b\r\n c\r\n", BadHead::ObsFold),
        ("a: b\r\n\tc: d\r\n", BadHead::ObsFold),
        (" \r\n", BadHead::ObsFold),
        ("a : b\r\n", BadHead::SpaceBeforeColon),
        ("Transfer-Encoding : chunked\r\n", BadHead::SpaceBeforeColon),
        ("Content-Length\r\n", BadHead::NoColon),
        (": b\r\n", BadHead::EmptyName),
        ("a b: c\r\n", BadHead::Name),
        ("a\0b: c\r\n", BadHead::Name),
        ("a: b\0\r\n", BadHead::Value),
        ("a: \x08\r\n", BadHead::Value),
    ] {
        let text = with_fields(lines);
        assert_eq!(parse(text.as_bytes()).unwrap_err(), fault.into(), "{lines:?}");
    }
    let text = "GET / HTTP/1.1\r\n Host: a\r\n\r\n";
    assert_eq!(parse(text.as_bytes()).unwrap_err(), BadHead::LeadingSpace.into());
}

#[test]
fn framing_is_one_thing() {
    for (lines, body) in [
        ("", RequestBody::Empty),
        ("Content-Length: 0\r\n", RequestBody::Empty),
        ("content-length:\t7 \r\n", RequestBody::Length(7)),
        ("Transfer-Encoding: Chunked\r\n", RequestBody::Chunked),
    ] {
        let text = with_fields(lines);
        assert_eq!(accepted(&text).view(text.as_bytes()).body(), body, "{lines:?}");
    }
    for (lines, fault) in [
        (
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            BadHead::SeveralContentLengths,
        ),
        ("Content-Length: 1, 1\r\n", BadHead::ContentLength),
        ("Content-Length: +1\r\n", BadHead::ContentLength),
        ("Content-Length:\r\n", BadHead::ContentLength),
        (
            "Content-Length: 18446744073709551616\r\n",
            BadHead::ContentLengthTooLarge,
        ),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            BadHead::LengthAndEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            BadHead::LengthAndEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            BadHead::SeveralTransferEncodings,
        ),
        (
            "Transfer-Encoding: chunked, chunked\r\n",
            BadHead::TransferEncoding,
        ),
        ("Transfer-Encoding: \x0bchunked\r\n", BadHead::Value),
        ("Transfer-Encoding: xchunked\r\n", BadHead::UnknownCoding),
        ("Transfer-Encoding: gzip, chunked\r\n", BadHead::UnknownCoding),
    ] {
        let text = with_fields(lines);
        assert_eq!(parse(text.as_bytes()).unwrap_err(), fault.into(), "{lines:?}");
    }
    let text = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(
        parse(text.as_bytes()).unwrap_err(),
        BadHead::TransferEncodingInHttp10.into()
    );
    // A name that only resembles one frames nothing.
    let text = with_fields("Content_Length: 3\r\nTransfer-Encodin: chunked\r\n");
    assert_eq!(accepted(&text).view(text.as_bytes()).body(), RequestBody::Empty);
}

#[test]
fn there_is_one_host() {
    for (line, hosts, fault) in [
        ("GET / HTTP/1.1", "", BadHost::Missing),
        ("GET / HTTP/1.0", "", BadHost::Missing),
        ("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n", BadHost::Several),
        ("GET / HTTP/1.1", "Host:\r\n", BadHost::Malformed),
        ("GET / HTTP/1.1", "Host: a/b\r\n", BadHost::Malformed),
        ("GET / HTTP/1.1", "Host: u@a\r\n", BadHost::Malformed),
        ("GET / HTTP/1.1", "Host: a, b\r\n", BadHost::Malformed),
        ("GET http://a/ HTTP/1.1", "", BadHost::Missing),
        ("GET http://a/ HTTP/1.1", "Host: b\r\n", BadHost::Differs),
        ("GET http://a:80/ HTTP/1.1", "Host: a\r\n", BadHost::Differs),
        ("CONNECT a:443 HTTP/1.1", "Host: a\r\n", BadHost::Differs),
    ] {
        let text = format!("{line}\r\n{hosts}\r\n");
        assert_eq!(parse(text.as_bytes()).unwrap_err(), fault.into(), "{text:?}");
    }
}

#[test]
fn connections_last_by_version_and_options() {
    for (version, lines, lasts) in [
        ("1.1", "", true),
        ("1.1", "Connection: Close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: , close ,\r\n", false),
        ("1.1", "Connection: close, keep-alive\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.7", "", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
    ] {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(
            accepted(&text).view(text.as_bytes()).keep_alive(),
            lasts,
            "{text:?}"
        );
    }
}

#[test]
fn only_100_continue_is_expected() {
    for (version, lines, expects) in [
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", true),
        (
            "1.1",
            "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n",
            true,
        ),
        ("1.1", "Expect: 100-continue\r\n", false),
        ("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", false),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", false),
        ("1.1", "Content-Length: 1\r\n", false),
    ] {
        let text = format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(
            accepted(&text).view(text.as_bytes()).expects_continue(),
            expects,
            "{text:?}"
        );
    }
    for lines in [
        "Expect: 200-ok\r\n",
        "Expect:\r\n",
        "Expect: 100-continue, 100-continue\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
    ] {
        assert_eq!(
            parse(with_fields(lines).as_bytes()).unwrap_err(),
            BadRequest::Expectation
        );
    }
}

#[test]
fn upgrade_needs_its_nomination() {
    for (version, lines, upgrade) in [
        (
            "1.1",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            Some("websocket"),
        ),
        (
            "1.1",
            "Connection: keep-alive, upgrade\r\nUpgrade: h2c\r\n",
            Some("h2c"),
        ),
        ("1.1", "Upgrade: websocket\r\n", None),
        ("1.1", "Connection: Upgrade\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade:\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade: é\r\n", None),
        ("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", None),
    ] {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(
            accepted(&text).view(text.as_bytes()).upgrade(),
            upgrade,
            "{text:?}"
        );
    }
}

#[test]
fn connection_nominates() {
    let text = with_fields(
        "Connection: close, X-Secret,\r\nconnection: Host , close\r\nx-secret: 1\r\nclose: 1\r\n",
    );
    let head = accepted(&text);
    let request = head.view(text.as_bytes());
    let nominated: Vec<_> = request.nominated().collect();
    assert_eq!(nominated, [&b"close"[..], b"X-Secret", b"Host", b"close"]);
    let ending: Vec<_> = request
        .fields()
        .filter(|&field| request.ends_here(field))
        .collect();
    let names: Vec<_> = ending.iter().map(|field| field.name).collect();
    assert_eq!(names, ["Connection", "connection", "x-secret"]);

    let options = "x,".repeat(400);
    let limits = Limits::default();
    let text = with_fields(&format!("Connection: {options}\r\n"));
    let result = RequestHead::default().parse(text.as_bytes(), &limits);
    assert_eq!(result, Err(BadHead::ConnectionTooLong.into()));
}

#[test]
fn heads_are_bounded() {
    let padded = |length: usize| {
        let text = with_fields("x: ");
        let padding = "y".repeat(length - text.len() - 2);
        with_fields(&format!("x: {padding}\r\n"))
    };
    assert_eq!(accepted(&padded(LIMITS.head)).len(), LIMITS.head);
    assert_eq!(
        parse(padded(LIMITS.head + 1).as_bytes()).unwrap_err(),
        BadHead::TooLong.into()
    );

    let line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(LIMITS.head));
    assert_eq!(parse(line.as_bytes()).unwrap_err(), BadRequest::LineTooLong);
    assert_eq!(parse(&[b'A'; 300]).unwrap_err(), BadRequest::LineTooLong);

    accepted(&with_fields(&"a: b\r\n".repeat(LIMITS.fields - 1)));
    let text = with_fields(&"a: b\r\n".repeat(LIMITS.fields));
    assert_eq!(parse(text.as_bytes()).unwrap_err(), BadHead::TooManyFields.into());

    for head in [0, 1, usize::MAX] {
        let result = RequestHead::default().parse(b"GET / H", &Limits { head, fields: 0 });
        assert_eq!(
            result,
            if head < 9 {
                Err(BadRequest::LineTooLong)
            } else {
                Ok(false)
            }
        );
    }
}

#[test]
fn a_head_is_used_again() {
    let mut head = RequestHead::default();
    for (text, fault) in [
        (
            with_fields("Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n"),
            None,
        ),
        (with_line("GET"), Some(BadRequest::NoTarget)),
        (with_line("GET http://a/b HTTP/1.0"), None),
    ] {
        head.clear();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS).err(), fault);
    }
    let text = with_line("GET / HTTP/1.1");
    head.clear();
    assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(true));
    let request = head.view(text.as_bytes());
    assert_eq!((request.body(), request.keep_alive()), (RequestBody::Empty, true));
    assert_eq!((request.fields().len(), request.path_and_query()), (1, "/"));
}

#[test]
fn a_view_of_other_bytes_is_empty_and_no_panic() {
    let text = with_fields("Connection: x\r\nx: y\r\n");
    let head = accepted(&text);
    let request = head.view(b"\xff");
    assert_eq!(
        (request.target(), request.query(), request.method_text()),
        ("", None, "")
    );
    assert_eq!(
        request.fields().filter(|&field| request.ends_here(field)).count(),
        1
    );
    let nothing = RequestHead::default();
    assert_eq!((nothing.view(b"").host().name(), nothing.len()), ("", 0));
}

#[test]
fn statuses_and_codes() {
    for (fault, status, code) in [
        (BadRequest::Target, 400, "bad-target"),
        (BadRequest::LineTooLong, 414, "request-line-too-long"),
        (BadRequest::Expectation, 417, "unknown-expectation"),
        (BadHead::TooLong.into(), 431, "head-too-long"),
        (BadHead::TooManyFields.into(), 431, "too-many-fields"),
        (BadHead::UnknownCoding.into(), 501, "unknown-transfer-coding"),
        (BadHead::UnsupportedVersion.into(), 505, "unsupported-version"),
        (BadHead::BareLf.into(), 400, "bare-lf"),
        (BadHost::Several.into(), 400, "several-hosts"),
    ] {
        assert_eq!((fault.status(), fault.code()), (status, code));
    }
}
