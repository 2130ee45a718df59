//! A head on its way out.
//!
//! Invariant: what is written is one head: every line is one line, and nothing follows the empty line. Lines that go on are
//! not copied; the buffer they came in is written where it stands.

use std::fmt::{self, Write};

use thiserror::Error;

use crate::bytes::{is_target_byte, is_token, is_value, is_value_byte};
use crate::field::{Field, Span};

/// The start line, then the lines that were kept, then those that were added. Reusable: what it has allocated it keeps.
///
/// ```
/// use truehop_http1::{Limits, RequestHead, Rewrite};
///
/// let buffer = b"GET / HTTP/1.1\r\nHost: a\r\nX-Real-IP: forged\r\nAccept: */*\r\n\r\n";
/// let mut head = RequestHead::default();
/// assert_eq!(head.parse(buffer, &Limits::default()), Ok(true));
///
/// let mut out = Rewrite::default();
/// out.request_line("GET", "/");
/// for field in head.view(buffer).fields().filter(|field| !field.is("x-real-ip")) {
///     out.keep(field);
/// }
/// out.add("X-Real-IP", b"192.0.2.1").unwrap();
/// out.finish();
/// let written: Vec<u8> = out.pieces(buffer).flatten().copied().collect();
/// assert_eq!(written, b"GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nX-Real-IP: 192.0.2.1\r\n\r\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    start: Vec<u8>,
    kept: Vec<Span>,
    kept_bytes: usize,
    /// With the empty line, when the head is finished.
    added: Vec<u8>,
    finished: bool,
}

/// Why a line was not added.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadValue {
    /// The name is no token.
    #[error("the name of a field is no token")]
    Name,
    /// The value has a control byte other than HTAB, or cannot be written.
    #[error("the value of a field has a control byte")]
    Value,
    /// The head is finished.
    #[error("the head is finished")]
    Finished,
}

impl Rewrite {
    /// Forgets everything, before the next head.
    pub fn clear(&mut self) {
        self.start.clear();
        self.kept.clear();
        self.kept_bytes = 0;
        self.added.clear();
        self.finished = false;
    }

    /// Starts a request: `method target HTTP/1.1`. Takes the place of a start line that was there.
    ///
    /// Both are as a parsed head gave them, not empty. Should other bytes come, those that cannot stand in a target are
    /// written as `%XX`, so that the line stays one line of three parts.
    pub fn request_line(&mut self, method: &str, target: &str) {
        self.start.clear();
        escape(&mut self.start, method);
        self.start.push(b' ');
        escape(&mut self.start, target);
        self.start.extend_from_slice(b" HTTP/1.1\r\n");
    }

    /// Starts a response: `HTTP/1.1 status reason`. Takes the place of a start line that was there.
    ///
    /// `status` is from 100 to 599. Control bytes in `reason`, which a parsed head does not have, are written as spaces.
    pub fn status_line(&mut self, status: u16, reason: &[u8]) {
        self.start.clear();
        self.start.extend_from_slice(b"HTTP/1.1 ");
        self.start
            .extend([100, 10, 1].map(|place| b'0' + (status / place % 10) as u8));
        self.start.push(b' ');
        if is_value(reason) {
            self.start.extend_from_slice(reason);
        } else {
            let printable = |&byte: &u8| if is_value_byte(byte) { byte } else { b' ' };
            self.start.extend(reason.iter().map(printable));
        }
        self.start.extend_from_slice(b"\r\n");
    }

    /// Keeps a line of the buffer that [`pieces`](Self::pieces) will be given, in the order of calls.
    pub fn keep(&mut self, field: Field<'_>) {
        self.kept_bytes += field.line.len();
        match self.kept.last_mut() {
            Some(last) if last.end == field.line.start => last.end = field.line.end,
            _ => self.kept.push(field.line),
        }
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// [`BadValue`]; then nothing was added.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), BadValue> {
        if !is_value(value) {
            return Err(BadValue::Value);
        }
        self.add_with(name, |text| {
            text.extend_from_slice(value);
            Ok(())
        })
    }

    /// Adds a line whose value is what `value` displays.
    ///
    /// # Errors
    ///
    /// [`BadValue`]; then nothing was added.
    pub fn add_display(&mut self, name: &str, value: impl fmt::Display) -> Result<(), BadValue> {
        self.add_with(name, |text| {
            write!(Value(text), "{value}").map_err(|fmt::Error| BadValue::Value)
        })
    }

    /// Ends the head with its empty line. Nothing can be added then.
    pub fn finish(&mut self) {
        if !self.finished {
            self.added.extend_from_slice(b"\r\n");
            self.finished = true;
        }
    }

    /// What to write, in order; `source` is the buffer of the lines that were kept.
    pub fn pieces<'a>(&'a self, source: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        let kept = self.kept.iter().map(|span| span.of(source));
        std::iter::once(self.start.as_slice())
            .chain(kept)
            .chain([self.added.as_slice()])
            .filter(|piece| !piece.is_empty())
    }

    /// The length of all pieces.
    pub fn len(&self) -> usize {
        self.start.len() + self.kept_bytes + self.added.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add_with(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), BadValue>,
    ) -> Result<(), BadValue> {
        if self.finished {
            return Err(BadValue::Finished);
        }
        if !is_token(name.as_bytes()) {
            return Err(BadValue::Name);
        }
        let before = self.added.len();
        self.added.extend_from_slice(name.as_bytes());
        self.added.extend_from_slice(b": ");
        let result = write(&mut self.added);
        match result {
            Ok(()) => self.added.extend_from_slice(b"\r\n"),
            Err(_) => self.added.truncate(before),
        }
        result
    }
}

/// A value that is being written.
struct Value<'a>(&'a mut Vec<u8>);

// Not `io::Write`, whose `write!` panics when a `Display` fails.
impl Write for Value<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if !is_value(part.as_bytes()) {
            return Err(fmt::Error);
        }
        self.0.extend_from_slice(part.as_bytes());
        Ok(())
    }
}

fn escape(text: &mut Vec<u8>, part: &str) {
    if part.bytes().all(is_target_byte) {
        text.extend_from_slice(part.as_bytes());
        return;
    }
    for byte in part.bytes() {
        if is_target_byte(byte) {
            text.push(byte);
        } else {
            text.extend([b'%', hex(byte >> 4), hex(byte & 0xf)]);
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        0..=9 => b'0' + digit,
        _ => b'A' + digit - 10,
    }
}

#[cfg(test)]
mod tests;
