//! One answer, as it comes in: head, then a body by its length, in chunks, or none.
//!
//! Invariant: an answer is complete when its framing (RFC 9112 section 6.3) says so, and not a byte later. One whose end
//! is the connection's is an error: nobody here is asked in a way that would allow it.

use memchr::memchr;
use truehop_bench::message::{content_length, field, fits, head_length};

/// No head, and no text that is kept, is longer.
const LONGEST: usize = 64 * 1024;

/// What is expected of an answer's body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Want {
    /// It is kept.
    Text,
    /// So many bytes of the pattern that all bodies are made of; compared or only counted.
    Bytes { length: u64, compare: bool },
}

#[derive(Debug)]
pub struct Answer {
    want: Want,
    head: Vec<u8>,
    phase: Phase,
    /// What was kept of the body.
    text: Vec<u8>,
    /// What came of a line between chunks.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Head,
    /// Of a body of known length, `left` bytes are to come.
    Body {
        at: u64,
        left: u64,
    },
    /// The line with a chunk's length, or the line break after a chunk.
    ChunkLine,
    Chunk {
        left: u64,
    },
    /// The line after the last chunk.
    LastLine,
    Complete,
}

impl Answer {
    pub fn new(want: Want) -> Self {
        Self {
            want,
            head: Vec::new(),
            phase: Phase::Head,
            text: Vec::new(),
            line: Vec::new(),
        }
    }

    pub fn has_begun(&self) -> bool {
        !self.head.is_empty()
    }

    pub fn is_complete(&self) -> bool {
        matches!(self.phase, Phase::Complete)
    }

    pub fn status(&self) -> u16 {
        let code = self
            .head
            .get(9..12)
            .and_then(|code| std::str::from_utf8(code).ok());
        code.and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// The whole answer in a line, for complaints.
    pub fn shown(&self) -> String {
        let line = self.head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        format!("{}: {}", String::from_utf8_lossy(line), self.text().trim())
    }

    /// How many bytes of a body may be thrown away unseen.
    pub fn unseen(&self) -> u64 {
        match (self.phase, self.want) {
            (Phase::Body { left, .. }, Want::Bytes { compare: false, .. }) => left,
            _ => 0,
        }
    }

    /// So many bytes of the body were thrown away.
    pub fn skip(&mut self, bytes: u64) -> Result<(), String> {
        match self.phase {
            Phase::Body { at, left } if bytes <= left => {
                self.body(at + bytes, left - bytes);
                Ok(())
            }
            _ => Err("more than the answer".to_owned()),
        }
    }

    /// Takes what came.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            bytes = match self.phase {
                Phase::Head => self.take_head(bytes)?,
                Phase::Body { at, left } => self.take_body(at, left, bytes)?,
                Phase::ChunkLine | Phase::LastLine => self.take_line(bytes)?,
                Phase::Chunk { left } => {
                    let (now, later) = bytes.split_at(bytes.len().min(left as usize));
                    self.keep(now)?;
                    self.phase = match left - now.len() as u64 {
                        0 => Phase::ChunkLine,
                        left => Phase::Chunk { left },
                    };
                    later
                }
                Phase::Complete => return Err(format!("more than the answer: {}", self.shown())),
            };
        }
        Ok(())
    }

    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let Some(end) = head_length(&self.head) else {
            return match self.head.len() <= LONGEST {
                true => Ok(&[]),
                false => Err("a head without an end".to_owned()),
            };
        };
        self.head.truncate(end);
        let rest = &bytes[end - before..];
        if !self.head.starts_with(b"HTTP/1.1 ") {
            return Err(format!("not HTTP/1.1: {}", self.shown()));
        }
        match self.status() {
            // An interim answer; the real one follows.
            100..200 => self.head.clear(),
            status => self.begin(status)?,
        }
        Ok(rest)
    }

    fn begin(&mut self, status: u16) -> Result<(), String> {
        let coding = self.field("transfer-encoding").map(str::to_ascii_lowercase);
        let length = match status {
            204 | 304 => Some(0),
            _ => content_length(&self.head),
        };
        match (coding.as_deref(), length) {
            (_, Some(0)) => self.phase = Phase::Complete,
            (Some("chunked"), _) => self.phase = Phase::ChunkLine,
            (None, Some(left)) => self.phase = Phase::Body { at: 0, left },
            _ => return Err(format!("a body without an end: {}", self.shown())),
        }
        if let Want::Bytes { length: wanted, .. } = self.want
            // What is said instead of the bytes is kept, and the complaint is the caller's.
            && (200..300).contains(&status)
            && length != Some(wanted)
        {
            return Err(format!(
                "a body of another length: {length:?} instead of {wanted}"
            ));
        }
        if self.status() >= 300 && matches!(self.want, Want::Bytes { .. }) {
            self.want = Want::Text;
        }
        Ok(())
    }

    fn take_body<'a>(&mut self, at: u64, left: u64, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let (now, later) = bytes.split_at(bytes.len().min(left as usize));
        match self.want {
            Want::Bytes { compare: true, .. } if !fits(at, now) => return Err("another body".to_owned()),
            Want::Bytes { .. } => {}
            Want::Text => self.keep(now)?,
        }
        let now = now.len() as u64;
        self.body(at + now, left - now);
        Ok(later)
    }

    fn body(&mut self, at: u64, left: u64) {
        self.phase = match left {
            0 => Phase::Complete,
            left => Phase::Body { at, left },
        };
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.text.len() + bytes.len() > LONGEST {
            return Err(format!("a long text: {}", self.head.len()));
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let (now, later, ends) = match memchr(b'\n', bytes) {
            Some(end) => (&bytes[..end], &bytes[end + 1..], true),
            None => (bytes, &bytes[bytes.len()..], false),
        };
        self.line.extend_from_slice(now);
        if !ends {
            return match self.line.len() <= LONGEST {
                true => Ok(later),
                false => Err("a chunk's line without an end".to_owned()),
            };
        }
        let line = String::from_utf8_lossy(&self.line);
        self.phase = match (self.phase, line.trim_end()) {
            (Phase::LastLine, "") => Phase::Complete,
            (Phase::LastLine, _) => Phase::LastLine,
            (_, "") => Phase::ChunkLine,
            (_, line) => {
                let digits = line.split(';').next().unwrap_or_default();
                match u64::from_str_radix(digits.trim_end(), 16) {
                    Ok(0) => Phase::LastLine,
                    Ok(left) => Phase::Chunk { left },
                    Err(_) => return Err(format!("not a chunk's length: {line}")),
                }
            }
        };
        self.line.clear();
        Ok(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer, taken in pieces of every size.
    fn taken(want: Want, bytes: &[u8]) -> Vec<Result<Answer, String>> {
        let sizes = 1..=bytes.len();
        sizes
            .map(|size| {
                let mut answer = Answer::new(want);
                for piece in bytes.chunks(size) {
                    answer.take(piece)?;
                }
                Ok(answer)
            })
            .collect()
    }

    #[test]
    fn a_text_ends_where_its_framing_says() {
        for (bytes, status, text) in [
            (
                "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nlink\n",
                201,
                "link\n",
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
                201,
                "",
            ),
            ("HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", 204, ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
                200,
                "abc0123456789",
            ),
        ] {
            for answer in taken(Want::Text, bytes.as_bytes()) {
                let mut answer = answer.unwrap();
                assert!(answer.is_complete(), "{answer:?}");
                assert_eq!((answer.status(), answer.text().as_str()), (status, text));
                assert!(answer.take(b"x").is_err());
            }
        }
    }

    #[test]
    fn bytes_are_compared_or_thrown_away() {
        let mut body = Vec::new();
        truehop_bench::message::write_body(&mut body, 300).unwrap();
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n";
        let whole = [&head[..], &body].concat();
        let want = |length, compare| Want::Bytes { length, compare };
        assert!(
            taken(want(300, true), &whole)
                .iter()
                .all(|answer| answer.as_ref().unwrap().is_complete())
        );
        assert!(taken(want(299, true), &whole).iter().all(Result::is_err));
        let mut wrong = whole.clone();
        wrong[head.len() + 299] ^= 1;
        assert!(taken(want(300, true), &wrong).iter().all(Result::is_err));
        assert!(taken(want(300, false), &wrong).iter().all(Result::is_ok));

        let mut answer = Answer::new(want(300, false));
        answer.take(&whole[..head.len() + 1]).unwrap();
        assert_eq!(answer.unseen(), 299);
        assert!(answer.skip(300).is_err());
        answer.skip(299).unwrap();
        assert!(answer.is_complete());
    }

    #[test]
    fn a_refusal_instead_of_bytes_is_kept() {
        let bytes = b"HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\nover";
        for answer in taken(
            Want::Bytes {
                length: 300,
                compare: true,
            },
            bytes,
        ) {
            assert_eq!(answer.unwrap().shown(), "HTTP/1.1 410 Gone: over");
        }
    }

    #[test]
    fn an_end_that_nobody_tells_is_an_error() {
        for bytes in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        ] {
            assert!(taken(Want::Text, bytes.as_bytes()).iter().all(Result::is_err));
        }
        let bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
        assert!(taken(Want::Text, bytes.as_bytes()).iter().all(Result::is_err));
    }
}
