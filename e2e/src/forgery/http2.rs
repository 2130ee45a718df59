//! HTTP/2 as nobody should write it: frames put together by hand, because every library refuses to say such things.
//!
//! Field blocks are written without compression and none is read: what an application believes stands in the body.

use std::io::{self, ErrorKind};

use super::visit::{Answers, HOST, Stream};
use super::{Sent, latin1};

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

/// Sends it as the connection's only request, and reads the body of its answer.
pub(super) fn ask(stream: &mut dyn Stream, sent: &Sent) -> io::Result<Answers> {
    let mut said = PREFACE.to_vec();
    let initial_window = [&4_u16.to_be_bytes()[..], &WINDOW.to_be_bytes()].concat();
    said.extend(frame(SETTINGS, 0, 0, &initial_window));
    said.extend(frame(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes()));
    let fields = fields(sent);
    let has_body = !sent.trailers.is_empty();
    said.extend(block(&fields, !has_body));
    if has_body {
        said.extend(frame(DATA, 0, 1, b"hello"));
        let trailers: Vec<_> = sent
            .trailers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.clone()))
            .collect();
        said.extend(block(&trailers, true));
    }
    stream.write_all(&said)?;
    stream.flush()?;

    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        if let Err(error) = stream.read_exact(&mut head) {
            return match error.kind() {
                ErrorKind::UnexpectedEof => Ok(vec![(None, body)]),
                _ => Err(error),
            };
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & ACK == 0 => {
                // It may have said what it had to say, and not listen any more.
                let _ = stream
                    .write_all(&frame(SETTINGS, ACK, 0, &[]))
                    .and_then(|()| stream.flush());
            }
            // Nobody pads.
            DATA => body.extend(payload),
            RST_STREAM => return Ok(vec![(None, Vec::new())]),
            GOAWAY if body.is_empty() => return Ok(vec![(None, Vec::new())]),
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            return Ok(vec![(None, body)]);
        }
    }
}

/// All fields in the order in which they are sent, with those that a request needs and this one does not bring.
fn fields(sent: &Sent) -> Vec<(String, String)> {
    let usual = [
        (":method", sent.method.as_str()),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", &sent.target),
        ("accept", "application/json"),
    ];
    let has = |name: &str| sent.fields.iter().any(|(had, _)| had == name);
    let usual = usual.into_iter().filter(|(name, _)| !has(name));
    let mut fields: Vec<_> = usual
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let (mut pseudo, rest): (Vec<_>, Vec<_>) = sent
        .fields
        .iter()
        .cloned()
        .partition(|(name, _)| name.starts_with(':'));
    pseudo.append(&mut fields);
    // In HTTP/2 names are small, unless that is the point: then the file has its first letter twice as large.
    pseudo.extend(
        rest.into_iter()
            .map(|(name, value)| match name.strip_prefix('^') {
                Some(name) => (name.to_owned(), value),
                None => (name.to_lowercase(), value),
            }),
    );
    pseudo
}

/// A field block, in as many frames as it needs.
fn block(fields: &[(String, String)], ends: bool) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // RFC 7541, section 6.2.2: a literal that is not indexed, with a new name.
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    let mut frames = Vec::new();
    let mut pieces = block.chunks(LARGEST).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let mut flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        flags |= if kind == HEADERS && ends { END_STREAM } else { 0 };
        frames.extend(frame(kind, flags, 1, piece));
        kind = CONTINUATION;
    }
    frames
}

/// RFC 7541, section 5.2: a text as it is.
fn text(block: &mut Vec<u8>, text: &str) {
    let length = text.chars().count();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(latin1(text));
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a frame's length")
        .to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
