//! One line a request, in logfmt, on standard output.
//!
//! Each worker formats into a buffer of its own, which is written when it is large or a moment old.
//!
//! Invariant: a line holds no byte that a client could use to end it or to move a terminal's cursor.

use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use truehop::{Peer, Resolution, Unresolved};

use crate::page::RequestId;

const WRITE_AT: usize = 16 * 1024;
const WRITE_AFTER: Duration = Duration::from_millis(100);

/// One worker's log. Clones write to the same buffer.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog(Option<Rc<RefCell<Vec<u8>>>>);

/// What a line tells.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) id: RequestId,
    pub(crate) peer: Peer,
    pub(crate) client: Result<Resolution, Option<Unresolved>>,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    /// Whether the whole answer was handed over.
    pub(crate) whole: bool,
}

impl AccessLog {
    pub(crate) fn new(enabled: bool) -> Self {
        Self(enabled.then(Rc::default))
    }

    pub(crate) fn write(&self, line: &Line) {
        let Some(buffer) = &self.0 else {
            return;
        };
        let was_empty = buffer.borrow().is_empty();
        buffer.borrow_mut().extend_from_slice(line.to_string().as_bytes());
        if buffer.borrow().len() >= WRITE_AT {
            self.flush();
        } else if was_empty {
            let log = self.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(WRITE_AFTER).await;
                log.flush();
            });
        }
    }

    /// Writes out what is there.
    pub(crate) fn flush(&self) {
        if let Some(buffer) = &self.0 {
            let lines = buffer.take();
            // A log that nobody reads any more must not stop the service.
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&lines).and_then(|()| out.flush());
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "time={} id={}",
            humantime::format_rfc3339_millis(SystemTime::now()),
            self.id
        )?;
        match &self.client {
            Ok(resolution) => write!(f, " client={}", resolution.client().ip())?,
            Err(Some(reason)) => write!(f, " client=- error={}", reason.code())?,
            Err(None) => f.write_str(" client=-")?,
        }
        write!(f, " peer={} method={}", self.peer, Plain(&self.method))?;
        write!(f, " host={} path={}", Plain(&self.host), Plain(&self.path))?;
        write!(
            f,
            " status={} bytes={} ms={}",
            self.status,
            self.bytes,
            self.took.as_millis()
        )?;
        f.write_str(if self.whole { "\n" } else { " cut=true\n" })
    }
}

/// A value as logfmt wants it: bare, or quoted with escapes when it holds anything but plain text.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'=');
        match self.0 {
            "" => f.write_str("-"),
            text if text.bytes().all(plain) => f.write_str(text),
            text => write!(f, "\"{}\"", text.escape_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_break_out_of_its_line() {
        for (value, shown) in [
            ("/a?b", "/a?b"),
            ("", "-"),
            ("a b", "\"a b\""),
            ("x\nid=1", "\"x\\nid=1\""),
            ("\u{1b}[2J\"", "\"\\u{1b}[2J\\\"\""),
            ("a=b", "\"a=b\""),
        ] {
            assert_eq!(Plain(value).to_string(), shown);
        }
    }
}
