//! HTTP/2 as nobody should write it: frames put together by hand, because every library refuses to say such things.
//!
//! Field blocks are written without compression. Of an answer's, only the status is read, which comes first, and
//! `Retry-After`.

use crate::exchange::{Answer, LIMIT, State};
use crate::request::Request;

mod retry_after;
mod status;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest frame that everybody takes.
const LARGEST: usize = 16 * 1024;
/// Room for every answer, so that nobody waits for more.
const WINDOW: u32 = 1 << 20;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// The connection's beginning, and the request as its only stream.
pub(crate) fn bytes(request: &Request) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    let initial_window = [&4_u16.to_be_bytes()[..], &WINDOW.to_be_bytes()].concat();
    frame(&mut bytes, SETTINGS, 0, 0, &initial_window);
    frame(&mut bytes, WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes());
    let has_body = !request.trailers.is_empty();
    block(&mut bytes, &fields(request), !has_body);
    if has_body {
        frame(&mut bytes, DATA, 0, 1, b"hello");
        let small = |(name, value): &(Vec<u8>, Vec<u8>)| (name.to_ascii_lowercase(), value.clone());
        let trailers: Vec<_> = request.trailers.iter().map(small).collect();
        block(&mut bytes, &trailers, true);
    }
    bytes
}

/// What has come so far.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// What is not a whole frame yet.
    rest: Vec<u8>,
    status: Option<u16>,
    retry_after: Option<String>,
    body: Vec<u8>,
    had: usize,
    /// Taken back by the server: what came before does not count.
    is_void: bool,
}

impl Reading {
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> (State, Vec<u8>) {
        let mut reply = Vec::new();
        self.had += bytes.len();
        if self.had > LIMIT {
            return (State::Over, reply);
        }
        self.rest.extend_from_slice(bytes);
        let mut state = State::Open;
        while let Some((kind, flags, payload)) = self.next_frame() {
            match kind {
                SETTINGS if flags & ACK == 0 => frame(&mut reply, SETTINGS, ACK, 0, &[]),
                HEADERS => {
                    let block = without_padding(&payload, flags, if flags & PRIORITY == 0 { 0 } else { 5 });
                    // An interim answer is followed by the answer; trailers have no status.
                    if let Some(status) = status::of(block) {
                        self.status = Some(status);
                        self.retry_after = retry_after::of(block);
                    }
                }
                DATA => self.body.extend_from_slice(without_padding(&payload, flags, 0)),
                RST_STREAM => self.is_void = true,
                GOAWAY => self.is_void = !is_still_answered(&payload),
                _ => {}
            }
            let has_ended = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
            if self.is_void || has_ended {
                state = State::Over;
                break;
            }
        }
        (state, reply)
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.had == 0
    }

    pub(crate) fn end(self) -> Vec<Answer> {
        let answer = Answer {
            // An interim one, with nothing behind it, is none.
            status: self.status.filter(|status| *status >= 200),
            retry_after: self.retry_after,
            body: self.body,
        };
        match self.is_void || answer.status.is_none() && answer.body.is_empty() {
            true => Vec::new(),
            false => vec![answer],
        }
    }

    fn next_frame(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let (head, rest) = self.rest.split_first_chunk::<9>()?;
        let [a, b, c, kind, flags, ..] = *head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let payload = rest.get(..length)?.to_vec();
        self.rest.drain(..head.len() + length);
        Some((kind, flags, payload))
    }
}

/// RFC 9113, section 6.8: whether a server that says goodbye, without an error, goes on with our stream, the first.
fn is_still_answered(goodbye: &[u8]) -> bool {
    match goodbye {
        [a, b, c, d, code @ ..] => {
            u32::from_be_bytes([a & 0x7f, *b, *c, *d]) >= 1 && code.starts_with(&[0; 4])
        }
        _ => false,
    }
}

/// RFC 9113, sections 6.1 and 6.2: what stands between the length of the padding, with `more` octets, and the padding.
fn without_padding(payload: &[u8], flags: u8, more: usize) -> &[u8] {
    let (padding, payload) = match payload.split_first() {
        Some((padding, rest)) if flags & PADDED != 0 => (usize::from(*padding), rest),
        _ => (0, payload),
    };
    let end = payload.len().saturating_sub(padding);
    payload.get(more..end).unwrap_or_default()
}

/// All fields in the order in which they are sent, with those that a request needs and this one does not bring.
fn fields(request: &Request) -> Vec<(Vec<u8>, Vec<u8>)> {
    let usual = [
        (&b":method"[..], &request.method[..]),
        (b":scheme", b"https"),
        (b":authority", &request.host),
        (b":path", &request.target),
    ];
    let beside = request.beside.iter().map(|(name, value)| (&name[..], &value[..]));
    let usual = usual
        .into_iter()
        .chain(beside)
        .chain([(&b"accept"[..], &b"application/json"[..])]);
    let usual = usual.filter(|(name, _)| !request.has(name));
    let (mut fields, rest): (Vec<_>, Vec<_>) = request
        .fields
        .iter()
        .cloned()
        .partition(|(name, _)| name.starts_with(b":"));
    fields.extend(usual.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())));
    // In HTTP/2 names are small, unless that is the point: then the file says so.
    fields.extend(
        rest.into_iter()
            .map(|(name, value)| match name.strip_prefix(b"^") {
                Some(name) => (name.to_vec(), value),
                None => (name.to_ascii_lowercase(), value),
            }),
    );
    fields
}

/// A field block, in as many frames as it needs.
fn block(bytes: &mut Vec<u8>, fields: &[(Vec<u8>, Vec<u8>)], ends: bool) {
    let mut block = Vec::new();
    for (name, value) in fields {
        // RFC 7541, section 6.2.2: a literal that is not indexed, with a new name.
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    let mut pieces = block.chunks(LARGEST).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let mut flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        flags |= if kind == HEADERS && ends { END_STREAM } else { 0 };
        frame(bytes, kind, flags, 1, piece);
        kind = CONTINUATION;
    }
}

/// RFC 7541, section 5.2: a text as it is, behind its length as section 5.1 writes it.
fn text(block: &mut Vec<u8>, text: &[u8]) {
    let low_bits = |number: usize| (number & 0x7f) as u8;
    match text.len().checked_sub(0x7f) {
        None => block.push(low_bits(text.len())),
        Some(mut rest) => {
            block.push(0x7f);
            while rest > 0x7f {
                block.push(low_bits(rest) | 0x80);
                rest >>= 7;
            }
            block.push(low_bits(rest));
        }
    }
    block.extend_from_slice(text);
}

/// A frame whose payload is of [`LARGEST`] or less.
fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [.., a, b, c] = payload.len().to_be_bytes();
    bytes.extend([a, b, c, kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::corpus::{Forgery, Language, forgeries};
    use crate::exchange::Exchange;
    use crate::request::{Cast, Place};

    fn request(name: &str) -> Request {
        let cast = Cast {
            forged: Ipv4Addr::new(203, 0, 113, 96),
            trusted: Ipv4Addr::LOCALHOST,
        };
        let place = Place {
            host: "edge.test",
            path: "/whoami",
            beside: &[("User-Agent", "me")],
        };
        let forgery = forgeries().unwrap().into_iter().find(|line| line.name == name);
        forgery.unwrap_or_else(Forgery::honest).request(&cast, &place)
    }

    fn said(name: &str) -> Vec<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        fields(&request(name))
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn frames(parts: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, flags, payload) in parts {
            frame(&mut bytes, *kind, *flags, 1, payload);
        }
        bytes
    }

    fn heard(bytes: &[u8]) -> (State, Vec<Answer>) {
        let (mut exchange, _) = Exchange::begin(&request("honest"), Language::Http2);
        let mut state = State::Open;
        for byte in bytes.chunks(3) {
            state = exchange.receive(byte).0;
        }
        (state, exchange.end())
    }

    #[test]
    fn names_are_small_unless_that_is_the_point() {
        let honest = [
            pair(":method", "GET"),
            pair(":scheme", "https"),
            pair(":authority", "edge.test"),
            pair(":path", "/whoami"),
            pair("user-agent", "me"),
            pair("accept", "application/json"),
        ];
        assert_eq!(said("honest"), honest);
        assert_eq!(said("xff-one")[6..], [pair("x-forwarded-for", "203.0.113.96")]);
        assert_eq!(said("h2-capital")[6..], [pair("X-Forwarded-For", "203.0.113.96")]);
        let path = said("h2-path");
        assert_eq!(path[0].0, ":path");
        assert!(
            path[0]
                .1
                .starts_with("/whoami HTTP/1.1\r\nX-Forwarded-For: 203.0.113.96\r\n"),
            "{path:?}"
        );
        assert_eq!(path.iter().filter(|(name, _)| name == ":path").count(), 1);
    }

    #[test]
    fn a_long_block_goes_on_in_further_frames() {
        let bytes = bytes(&request("xff-entries-5000"));
        let mut reading = Reading {
            rest: bytes[PREFACE.len()..].to_vec(),
            ..Reading::default()
        };
        let mut kinds = Vec::new();
        while let Some((kind, flags, _)) = reading.next_frame() {
            kinds.push((kind, flags));
        }
        assert!(reading.rest.is_empty());
        assert_eq!(
            kinds[..4],
            [
                (SETTINGS, 0),
                (WINDOW_UPDATE, 0),
                (HEADERS, END_STREAM),
                (CONTINUATION, 0)
            ]
        );
        assert_eq!(kinds.last(), Some(&(CONTINUATION, END_HEADERS)));
    }

    #[test]
    fn an_answer_is_read_however_it_is_cut_and_padded() {
        let answer = |status, body: &[u8]| {
            vec![Answer {
                status,
                body: body.to_vec(),
                ..Answer::default()
            }]
        };
        let bytes = frames(&[
            (SETTINGS, 0, &[]),
            (
                HEADERS,
                END_HEADERS | PADDED | PRIORITY,
                &[1, 0, 0, 0, 0, 0, 0x88, 0],
            ),
            (DATA, PADDED, &[2, b'a', b'b', 0, 0]),
            (DATA, END_STREAM, b"c"),
        ]);
        assert_eq!(heard(&bytes), (State::Over, answer(Some(200), b"abc")));
        let cut = &bytes[..bytes.len() - 1];
        assert_eq!(heard(cut), (State::Open, answer(Some(200), b"ab")));
        // Padding that is longer than its frame, and a frame that is shorter than it must be.
        let odd = frames(&[(DATA, PADDED, &[9, b'a']), (HEADERS, PADDED | PRIORITY, &[0, 1])]);
        assert_eq!(heard(&odd), (State::Open, vec![]));
    }

    #[test]
    fn when_to_come_again_belongs_to_the_last_status() {
        let early: (u8, u8, &[u8]) = (
            HEADERS,
            END_HEADERS,
            &[0x08, 3, b'1', b'0', b'3', 0x0f, 38, 1, b'9'],
        );
        let busy: (u8, u8, &[u8]) = (
            HEADERS,
            END_HEADERS,
            &[0x48, 3, b'5', b'0', b'3', 0x0f, 38, 1, b'7'],
        );
        let end: (u8, u8, &[u8]) = (HEADERS, END_HEADERS | END_STREAM, &[0x0f, 38, 1, b'8']);
        let answer = &heard(&frames(&[early, busy, end])).1[0];
        assert_eq!(
            (answer.status, answer.retry_after.as_deref()),
            (Some(503), Some("7"))
        );
        let plain = &heard(&frames(&[early, (HEADERS, END_HEADERS | END_STREAM, &[0x88])])).1[0];
        assert_eq!((plain.status, &plain.retry_after), (Some(200), &None));
    }

    #[test]
    fn an_interim_answer_alone_is_none() {
        let early: (u8, u8, &[u8]) = (HEADERS, END_HEADERS, &[0x08, 3, b'1', b'0', b'3']);
        assert_eq!(heard(&frames(&[early])).1, []);
        let last: (u8, u8, &[u8]) = (HEADERS, END_HEADERS | END_STREAM, &[0x89]);
        assert_eq!(heard(&frames(&[early, last])).1[0].status, Some(204));
    }

    #[test]
    fn what_the_server_takes_back_is_no_answer() {
        let head: (u8, u8, &[u8]) = (HEADERS, END_HEADERS, &[0x88]);
        for end in [
            (RST_STREAM, 0, &[0, 0, 0, 1][..]),
            // It has not taken our stream, or there was an error; and one that is too short.
            (GOAWAY, 0, &[0; 8]),
            (GOAWAY, 0, &[0, 0, 0, 1, 0, 0, 0, 1]),
            (GOAWAY, 0, &[0, 0, 0, 1]),
        ] {
            assert_eq!(heard(&frames(&[head, end])), (State::Over, vec![]));
        }
        assert_eq!(heard(b""), (State::Open, vec![]));
        // A server that says goodbye before it answers, or while it does.
        let goodbye: (u8, u8, &[u8]) = (GOAWAY, 0, &[0x80, 0, 0, 1, 0, 0, 0, 0]);
        let begin: (u8, u8, &[u8]) = (DATA, 0, b"a");
        let end: (u8, u8, &[u8]) = (DATA, END_STREAM, b"b");
        for parts in [[goodbye, head, begin, end], [head, begin, goodbye, end]] {
            assert_eq!(heard(&frames(&parts)).1[0].body, b"ab");
        }
    }

    #[test]
    fn settings_are_acknowledged_and_an_endless_answer_is_not_kept() {
        let (mut exchange, _) = Exchange::begin(&request("honest"), Language::Http2);
        let (state, reply) = exchange.receive(&frames(&[(SETTINGS, 0, &[])]));
        let mut acknowledgement = Vec::new();
        frame(&mut acknowledgement, SETTINGS, ACK, 0, &[]);
        assert_eq!((state, reply), (State::Open, acknowledgement));
        let piece = frames(&[(DATA, 0, &[0; 16_000])]);
        let mut pieces = 0;
        while exchange.receive(&piece).0 == State::Open {
            pieces += 1;
        }
        assert!(pieces * piece.len() <= LIMIT);
    }
}
