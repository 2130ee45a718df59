//! What must hold for every message, by name.

use proptest::prelude::*;
use proptest::sample::Index;
use truehop_http1::{
    BadChunk, BadRequest, BadResponse, Chunked, Field, Limits, Method, Request, RequestBody, RequestHead,
    Response, ResponseHead, Rewrite, Step, trailer_fields,
};

#[path = "messages/generate.rs"]
mod generate;

use generate::{chunked_body, damaged, good_request, good_response, odd_request, odd_response};

const LIMITS: Limits = Limits {
    head: 1024,
    fields: 20,
};

/// RFC 9110 section 7.6.1, and what proxies have always kept to themselves.
const ALWAYS_END_HERE: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Without these a message would mean something else: nominating them is an attack on the next hop.
const NEVER_END_HERE: [&str; 3] = ["content-length", "content-type", "host"];

fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![4 => damaged(good_request()), 4 => damaged(odd_request()), 1 => noise]
}

fn any_response() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![4 => damaged(good_response()), 4 => damaged(odd_response()), 1 => noise]
}

fn read_request(message: &[u8]) -> Result<Option<RequestHead>, BadRequest> {
    let mut head = RequestHead::default();
    Ok(head.parse(message, &LIMITS)?.then_some(head))
}

fn read_response(message: &[u8]) -> Result<Option<ResponseHead>, BadResponse> {
    let mut head = ResponseHead::default();
    Ok(head.parse(message, &LIMITS)?.then_some(head))
}

/// Everything that a request says, as text.
fn told(request: Request<'_>) -> String {
    let fields: Vec<_> = request
        .fields()
        .map(|field| (field, request.ends_here(field)))
        .collect();
    format!(
        "{request:?} {:?} {:?} {:?} {} {:?} {} {} {:?} {fields:?} {:?}",
        request.method(),
        request.path_and_query(),
        (request.path(), request.query()),
        request.host(),
        request.body(),
        request.keep_alive(),
        request.expects_continue(),
        request.upgrade(),
        request.nominated().collect::<Vec<_>>(),
    )
}

/// Everything that a response says, as text.
fn told_back(response: Response<'_>) -> String {
    let fields: Vec<_> = response
        .fields()
        .map(|field| (field, response.ends_here(field)))
        .collect();
    let bodies = [Method::Get, Method::Head, Method::Connect].map(|method| response.body(method));
    format!(
        "{response:?} {:?} {bodies:?} {} {:?} {:?} {fields:?} {:?}",
        response.reason(),
        response.keep_alive(),
        response.content_length(),
        response.upgrade(),
        response.nominated().collect::<Vec<_>>(),
    )
}

/// The ends of growing prefixes, the last the whole.
fn prefixes(cuts: &[Index], length: usize) -> Vec<usize> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
    ends.push(length);
    ends.sort_unstable();
    ends
}

/// A body's data and trailer section, and the bytes it took.
type Read = (Vec<u8>, Vec<u8>, usize);

/// What a body says, in pieces that end where `ends` says.
fn decode(body: &[u8], ends: &[usize]) -> Result<Option<Read>, BadChunk> {
    let mut chunked = Chunked::new(200);
    let (mut data, mut consumed) = (Vec::new(), 0);
    for &end in ends {
        loop {
            let bytes = &body[consumed..end];
            match chunked.decode(bytes)? {
                Step::Data { skip, data: length } => {
                    assert!(length > 0);
                    data.extend_from_slice(&bytes[skip..skip + length]);
                    consumed += skip + length;
                }
                Step::More { skip } => {
                    consumed += skip;
                    break;
                }
                Step::End { skip, trailers } => {
                    assert_eq!(&bytes[skip + trailers..skip + trailers + 2], b"\r\n");
                    return Ok(Some((
                        data,
                        bytes[skip..skip + trailers].to_vec(),
                        consumed + skip + trailers + 2,
                    )));
                }
            }
        }
    }
    Ok(None)
}

/// Where the fields stand, looked at from outside: one behind the other, from the start line to the empty line.
fn stand_in_order<'a>(message: &[u8], length: usize, fields: impl Iterator<Item = Field<'a>>) {
    let mut at = None;
    for field in fields {
        let line = field.line.range();
        assert!(at.is_none_or(|at| at == line.start), "no gap");
        at = Some(line.end);
        let text = &message[line];
        assert!(text.starts_with(field.name.as_bytes()) && text[field.name.len()] == b':');
        assert_eq!(
            text.trim_ascii_end()[field.name.len() + 1..].trim_ascii_start(),
            field.value
        );
        assert!(
            text.ends_with(b"\r\n") && !text[..text.len() - 2].iter().any(|byte| b"\r\n\0".contains(byte))
        );
    }
    assert!(at.is_none_or(|at| at + 2 == length));
    assert!(message[..length].ends_with(b"\r\n\r\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn a_request_reads_the_same_in_pieces(message in any_request(), cuts in prop::collection::vec(any::<Index>(), 0..8)) {
        let whole = read_request(&message).map(|head| head.map(|head| (head.len(), told(head.view(&message)))));
        for ends in [prefixes(&cuts, message.len()), (0..=message.len()).collect()] {
            let mut head = RequestHead::default();
            let mut results = ends.iter().map(|&end| head.parse(&message[..end], &LIMITS));
            let last = results.find(|result| *result != Ok(false)).unwrap_or(Ok(false));
            let pieces = last.map(|done| done.then(|| (head.len(), told(head.view(&message)))));
            prop_assert_eq!(&pieces, &whole);
        }
    }

    #[test]
    fn a_response_reads_the_same_in_pieces(message in any_response(), cuts in prop::collection::vec(any::<Index>(), 0..8)) {
        let whole = read_response(&message).map(|head| head.map(|head| (head.len(), told_back(head.view(&message)))));
        for ends in [prefixes(&cuts, message.len()), (0..=message.len()).collect()] {
            let mut head = ResponseHead::default();
            let mut results = ends.iter().map(|&end| head.parse(&message[..end], &LIMITS));
            let last = results.find(|result| *result != Ok(false)).unwrap_or(Ok(false));
            let pieces = last.map(|done| done.then(|| (head.len(), told_back(head.view(&message)))));
            prop_assert_eq!(&pieces, &whole);
        }
    }

    #[test]
    fn what_follows_a_head_cannot_matter(message in any_request(), next in any_request()) {
        if let Ok(Some(head)) = read_request(&message) {
            let other = [&message[..head.len()], &next].concat();
            let again = read_request(&other).unwrap().unwrap();
            prop_assert_eq!(again.len(), head.len());
            prop_assert_eq!(told(again.view(&other)), told(head.view(&message)));
        }
    }

    #[test]
    fn no_view_panics(message in any_request(), other in any_request()) {
        // Incomplete, refused, and of a buffer that is not the one: wrong answers, but answers.
        let mut head = RequestHead::default();
        for end in 0..=message.len() {
            let _ = head.parse(&message[..end], &LIMITS);
            let _ = (told(head.view(&message[..end])), told(head.view(&other)));
        }
        let mut head = ResponseHead::default();
        let _ = head.parse(&message, &LIMITS);
        let _ = told_back(head.view(&other));
    }

    #[test]
    fn fields_stand_in_order(request in any_request(), response in any_response()) {
        if let Ok(Some(head)) = read_request(&request) {
            stand_in_order(&request, head.len(), head.view(&request).fields());
            let mut backwards: Vec<_> = head.view(&request).fields().rev().collect();
            backwards.reverse();
            prop_assert_eq!(backwards, head.view(&request).fields().collect::<Vec<_>>());
        }
        if let Ok(Some(head)) = read_response(&response) {
            stand_in_order(&response, head.len(), head.view(&response).fields());
        }
    }

    #[test]
    fn good_messages_are_accepted(request in good_request(), response in good_response()) {
        prop_assert!(matches!(read_request(&request), Ok(Some(_))), "{}", request.escape_ascii());
        prop_assert!(matches!(read_response(&response), Ok(Some(_))), "{}", response.escape_ascii());
    }

    #[test]
    fn an_accepted_request_has_one_reading(message in any_request()) {
        let Ok(Some(head)) = read_request(&message) else { return Ok(()) };
        let request = head.view(&message);
        // What a reader sees that knows nothing but lines, spaces and colons.
        let text: String = message[..head.len()].iter().map(|&byte| char::from(byte)).collect();
        let mut lines = text.strip_prefix("\r\n").unwrap_or(&text).split("\r\n");
        let start: Vec<_> = lines.next().unwrap().split(' ').collect();
        prop_assert_eq!(&start[..2], [request.method_text(), request.target()]);
        prop_assert!(start.len() == 3 && start[2].starts_with("HTTP/1."));
        let naive: Vec<_> = lines
            .take_while(|line| !line.is_empty())
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
            .collect();
        let ours: Vec<_> = request
            .fields()
            .map(|field| (field.name.to_owned(), field.value.iter().map(|&byte| char::from(byte)).collect::<String>()))
            .collect();
        prop_assert_eq!(&ours, &naive);
        prop_assert!(!text.replace("\r\n", "").contains(|c: char| c.is_ascii_control() && c != '\t'));
        // One host, one length.
        let values = |wanted: &str| -> Vec<_> {
            naive.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone()).collect()
        };
        prop_assert_eq!(values("host").len(), 1);
        match (&values("content-length")[..], &values("transfer-encoding")[..]) {
            ([], []) => prop_assert_eq!(request.body(), RequestBody::Empty),
            ([length], []) => {
                let expected = match length.parse().unwrap() {
                    0 => RequestBody::Empty,
                    length => RequestBody::Length(length),
                };
                prop_assert!(length.bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert_eq!(request.body(), expected);
            }
            ([], [coding]) => {
                prop_assert!(coding.eq_ignore_ascii_case("chunked"));
                prop_assert_eq!(request.body(), RequestBody::Chunked);
            }
            both => prop_assert!(false, "{both:?}"),
        }
    }

    #[test]
    fn a_field_ends_here_when_it_always_does_or_is_nominated(message in any_request()) {
        let Ok(Some(head)) = read_request(&message) else { return Ok(()) };
        let request = head.view(&message);
        let options: Vec<String> = request
            .lines("connection")
            .flat_map(|line| line.split(|&b| b == b','))
            .map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase())
            .collect();
        for field in request.fields() {
            let name = field.name.to_ascii_lowercase();
            let always = ALWAYS_END_HERE.contains(&name.as_str());
            let nominated = options.contains(&name) && !NEVER_END_HERE.contains(&name.as_str());
            let expected = always || (nominated && !matches!(name.as_str(), "close" | "keep-alive"));
            prop_assert_eq!(request.ends_here(field), expected, "{}", name);
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same(
        message in good_request(),
        left_out in prop::collection::vec(any::<bool>(), 12),
        added in prop::collection::vec(("X-New-[a-z]{1,5}", "[!-~]([ -~]{0,9}[!-~])?"), 0..3),
    ) {
        let head = read_request(&message).unwrap().unwrap();
        let request = head.view(&message);
        let mut out = Rewrite::default();
        out.request_line(request.method_text(), request.target());
        let mut expected = Vec::new();
        for (field, left_out) in request.fields().zip(&left_out) {
            if !left_out || field.is("host") {
                out.keep(field);
                expected.push((field.name.to_owned(), field.value.to_vec()));
            }
        }
        for (name, value) in &added {
            out.add(name, value.as_bytes()).unwrap();
            expected.push((name.clone(), value.clone().into_bytes()));
        }
        out.finish();
        let pieces: Vec<_> = out.pieces(&message).collect();
        let written = pieces.concat();
        prop_assert_eq!(written.len(), out.len());
        let again = read_request(&written).unwrap().unwrap();
        prop_assert_eq!(again.len(), written.len());
        let view = again.view(&written);
        prop_assert_eq!((view.method_text(), view.target()), (request.method_text(), request.target()));
        let fields: Vec<_> = view.fields().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
        prop_assert_eq!(fields, expected);
    }

    #[test]
    fn what_is_written_back_is_read_as_the_same(message in good_response(), length in any::<u64>()) {
        let head = read_response(&message).unwrap().unwrap();
        let response = head.view(&message);
        let mut out = Rewrite::default();
        out.status_line(response.status(), response.reason());
        let framed = |field: &Field<'_>| field.is("content-length") || field.is("transfer-encoding");
        let kept: Vec<_> = response.fields().filter(|field| !framed(field)).collect();
        kept.iter().for_each(|&field| out.keep(field));
        out.add_display("Content-Length", length).unwrap();
        out.finish();
        let written = out.pieces(&message).collect::<Vec<_>>().concat();
        let again = read_response(&written).unwrap().unwrap();
        let view = again.view(&written);
        prop_assert_eq!((view.status(), view.reason()), (response.status(), response.reason()));
        prop_assert_eq!(view.content_length(), Some(length));
        prop_assert_eq!(
            view.fields().map(|field| (field.name, field.value)).take(kept.len()).collect::<Vec<_>>(),
            kept.iter().map(|field| (field.name, field.value)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn nothing_written_is_two_lines(name in any::<String>(), value in prop::collection::vec(any::<u8>(), 0..12), target in any::<String>()) {
        let mut out = Rewrite::default();
        out.request_line("GET", &target);
        let mut lines = 1;
        for (name, value) in [(name.as_str(), &value[..]), ("A", &value), (&name, b"a"), ("A", name.as_bytes())] {
            lines += usize::from(out.add(name, value).is_ok());
        }
        lines += usize::from(out.add_display("B", &name).is_ok());
        let written = out.pieces(b"").collect::<Vec<_>>().concat();
        prop_assert_eq!(written.iter().filter(|&&byte| byte == b'\n').count(), lines);
        prop_assert_eq!(written.iter().filter(|&&byte| byte == b'\r').count(), lines);
        let line = written.split(|&byte| byte == b'\r').next().unwrap();
        prop_assert_eq!(line.iter().filter(|&&byte| byte == b' ').count(), 2);
    }

    #[test]
    fn a_chunked_body_is_what_was_encoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        trailers in select_trailers(),
        cuts in prop::collection::vec(any::<Index>(), 0..8),
    ) {
        let mut body = Vec::new();
        for chunk in &chunks {
            body.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        body.extend([b"0\r\n", trailers.as_bytes(), b"\r\n"].concat());
        let expected = Ok(Some((chunks.concat(), trailers.as_bytes().to_vec(), body.len())));
        prop_assert_eq!(&decode(&body, &prefixes(&cuts, body.len())), &expected);
        prop_assert_eq!(&decode(&body, &(0..=body.len()).collect::<Vec<_>>()), &expected);
        let lines = trailer_fields(trailers.as_bytes());
        prop_assert_eq!(lines.count(), trailers.matches("\r\n").count());
    }

    #[test]
    fn a_chunked_body_reads_the_same_in_pieces(
        body in prop_oneof![
            damaged(chunked_body()),
            prop::collection::vec(any::<u8>(), 0..30),
            "[0-9a-f]{0,18}(;[!-~]{0,9}){0,3}\r?\n[ -~]{0,40}".prop_map(String::into_bytes),
        ],
        cuts in prop::collection::vec(any::<Index>(), 0..8),
    ) {
        let whole = decode(&body, &[body.len()]);
        prop_assert_eq!(&decode(&body, &prefixes(&cuts, body.len())), &whole);
        prop_assert_eq!(&decode(&body, &(0..=body.len()).collect::<Vec<_>>()), &whole);
        if let Ok(Some((_, trailers, _))) = whole {
            let read: usize = trailer_fields(&trailers).map(|field| field.line.len()).sum();
            prop_assert_eq!(read, trailers.len());
        }
    }
}

fn select_trailers() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "Digest: a\r\n", "A:\r\nB: c \r\n"]).prop_map(str::to_owned)
}
