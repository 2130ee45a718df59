//! Bytes on the wire: what is sent, and the little that must be understood of what comes back.
//!
//! Bodies repeat one block, so that one of 100 MiB needs the memory of the block, and every byte of it can be checked.

use std::io::{self, Write};
use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem;

pub const KIB: u64 = 1024;
pub const MIB: u64 = 1024 * KIB;

/// How many bytes there are before a body begins again.
const BLOCK: usize = MIB as usize;

static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let bytes = (0..BLOCK as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
    bytes.collect()
});

/// What one side sends: a head, a body, and what follows it in the same message.
pub struct Message {
    /// The head, the first block of the body, and when that is the whole body, the tail.
    bytes: Vec<u8>,
    /// The tail of a longer body.
    tail: Vec<u8>,
    head: u64,
    /// Head and body.
    body_end: u64,
}

impl Message {
    pub fn new(head: String, body: u64) -> Self {
        Self::framed(head, body, "")
    }

    /// The body stands between two texts, as in a form.
    pub fn framed(head: String, body: u64, tail: &str) -> Self {
        let mut bytes = head.into_bytes();
        let head = bytes.len() as u64;
        bytes.extend_from_slice(&PATTERN[..body.min(MIB) as usize]);
        let mut tail = tail.as_bytes().to_vec();
        if body <= MIB {
            // One piece, so that one packet may take it.
            bytes.append(&mut tail);
        }
        Self {
            bytes,
            tail,
            head,
            body_end: head + body,
        }
    }

    pub fn length(&self) -> u64 {
        (self.bytes.len() as u64).max(self.body_end + self.tail.len() as u64)
    }

    /// What comes after so many bytes: all of it, or the next piece.
    pub fn after(&self, sent: u64) -> &[u8] {
        let kept = self.bytes.len() as u64;
        if sent < kept {
            return &self.bytes[sent as usize..];
        }
        if sent >= self.body_end {
            return &self.tail[(sent - self.body_end) as usize..];
        }
        let start = self.head + (sent - self.head) % MIB;
        let end = kept.min(start + (self.body_end - sent));
        &self.bytes[start as usize..end as usize]
    }
}

/// Whether these bytes are what a body has from `at` on.
pub fn fits(mut at: u64, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let block = &PATTERN[(at % MIB) as usize..];
        let (now, later) = bytes.split_at(bytes.len().min(block.len()));
        if now != &block[..now.len()] {
            return false;
        }
        at += now.len() as u64;
        bytes = later;
    }
    true
}

/// Writes a body, such as a file's content.
pub fn write_body(mut out: impl Write, mut length: u64) -> io::Result<()> {
    while length > 0 {
        let piece = length.min(MIB);
        out.write_all(&PATTERN[..piece as usize])?;
        length -= piece;
    }
    out.flush()
}

/// How long the head is, with the empty line at its end.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The value of a field.
pub fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut rest = head;
    while let Some(end) = memchr(b'\n', rest) {
        let line = &rest[..end];
        if line.len() > name.len()
            && line[name.len()] == b':'
            && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        {
            return std::str::from_utf8(&line[name.len() + 1..]).ok().map(str::trim);
        }
        rest = &rest[end + 1..];
    }
    None
}

/// The length of the body that follows.
pub fn content_length(head: &[u8]) -> Option<u64> {
    field(head, "content-length")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_in_pieces_and_fits() {
        for (body, tail) in [0, 5, MIB, MIB + 1, 5 * MIB / 2]
            .into_iter()
            .flat_map(|body| [(body, ""), (body, "--end")])
        {
            let message = Message::framed("head\r\n\r\n".to_owned(), body, tail);
            for step in [7, 4096, u64::MAX] {
                if step == 7 && body > MIB {
                    continue;
                }
                let (mut sent, mut bytes) = (0, Vec::new());
                while sent < message.length() {
                    let piece = message.after(sent);
                    let piece = &piece[..piece.len().min(step as usize)];
                    assert!(!piece.is_empty());
                    bytes.extend_from_slice(piece);
                    sent += piece.len() as u64;
                }
                let (bytes, end) = bytes.split_at(8 + body as usize);
                assert_eq!(end, tail.as_bytes());
                assert!(fits(0, &bytes[8..]));
                assert!(body < 5 || !fits(0, &bytes[9..]));
            }
        }
    }

    #[test]
    fn fields_are_found_whatever_their_case() {
        let head = b"HTTP/1.1 200 OK\r\nX-Content-Length: 3\r\ncontent-LENGTH:  128 \r\n\r\nrest";
        assert_eq!(head_length(head), Some(head.len() - 4));
        assert_eq!(content_length(head), Some(128));
        assert_eq!(field(head, "date"), None);
    }
}
