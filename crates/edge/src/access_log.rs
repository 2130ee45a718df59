//! One line a request, in logfmt, on standard output.
//!
//! Each worker formats into a buffer of its own, which goes to the [`Writer`] when it is large or a moment old. The
//! writer is a thread, because a terminal or pipe that nobody reads blocks whoever writes to it.
//!
//! Invariants: a line holds no byte that a client could use to end it or to move a terminal's cursor; and a log that
//! nobody reads never keeps a request waiting. Lines that find no room are counted, and the count is logged.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write as _};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use truehop::{Peer, Resolution, Unresolved};

use crate::page::RequestId;

const WRITE_AT: usize = 16 * 1024;
const WRITE_AFTER: Duration = Duration::from_millis(100);
/// Buffers that may wait for the writer.
const QUEUE: usize = 64;
/// How long the end of the server waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer values are cut: a path can be as long as a head.
const SHOWN: usize = 1024;

/// The thread that writes to standard output.
#[derive(Debug)]
pub(crate) struct Writer {
    buffers: SyncSender<Vec<u8>>,
    ended: Receiver<()>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (buffers, inbox) = sync_channel::<Vec<u8>>(QUEUE);
        let (end, ended) = sync_channel(1);
        thread::Builder::new().name("access-log".into()).spawn(move || {
            for lines in inbox {
                let mut out = io::stdout().lock();
                // A log that nobody can read any more must not stop the service.
                let _ = out.write_all(&lines).and_then(|()| out.flush());
            }
            let _ = end.send(());
        })?;
        Ok(Self { buffers, ended })
    }

    /// A worker's end of the queue, to be made a log of in its thread.
    pub(crate) fn queue(&self) -> Queue {
        Queue(self.buffers.clone())
    }

    /// Waits for the last lines, but not for a reader who does not come. All queues must be gone.
    pub(crate) fn finish(self) {
        drop(self.buffers);
        // Late lines are lost with the process.
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

/// What becomes an [`AccessLog`] in a worker's thread.
#[derive(Debug)]
pub(crate) struct Queue(SyncSender<Vec<u8>>);

/// One worker's log. Clones write to the same buffer.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog(Option<Rc<RefCell<Buffer>>>);

#[derive(Debug)]
pub(crate) struct Buffer {
    lines: Vec<u8>,
    /// Lines that found no room since the last that did.
    lost: usize,
    writer: SyncSender<Vec<u8>>,
}

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
    /// A log that goes to `queue`, or nowhere.
    pub(crate) fn new(queue: Option<Queue>) -> Self {
        Self(queue.map(|Queue(writer)| {
            Rc::new(RefCell::new(Buffer {
                lines: Vec::new(),
                lost: 0,
                writer,
            }))
        }))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A copy for a line, unless nobody will read it.
    pub(crate) fn note(&self, text: &str) -> String {
        if self.is_on() {
            text.to_owned()
        } else {
            String::new()
        }
    }

    pub(crate) fn write(&self, line: &Line) {
        let Some(buffer) = &self.0 else {
            return;
        };
        let was_empty = buffer.borrow().lines.is_empty();
        buffer
            .borrow_mut()
            .lines
            .extend_from_slice(line.to_string().as_bytes());
        if buffer.borrow().lines.len() >= WRITE_AT {
            self.flush();
        } else if was_empty {
            let log = self.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(WRITE_AFTER).await;
                log.flush();
            });
        }
    }

    /// Hands over what is there.
    pub(crate) fn flush(&self) {
        let Some(buffer) = &self.0 else {
            return;
        };
        let mut buffer = buffer.borrow_mut();
        let mut lines = std::mem::take(&mut buffer.lines);
        if lines.is_empty() {
            return;
        }
        let lost = std::mem::take(&mut buffer.lost);
        if lost > 0 {
            let now = humantime::format_rfc3339_millis(SystemTime::now());
            lines.extend_from_slice(format!("time={now} lost={lost}\n").as_bytes());
        }
        if let Err(TrySendError::Full(lines)) = buffer.writer.try_send(lines) {
            buffer.lost = lost + lines.iter().filter(|&&byte| byte == b'\n').count() - usize::from(lost > 0);
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
        let end = self
            .0
            .char_indices()
            .map(|(at, _)| at)
            .find(|&at| at >= SHOWN)
            .unwrap_or(self.0.len());
        let dots = if end < self.0.len() { "..." } else { "" };
        match &self.0[..end] {
            "" => f.write_str("-"),
            text if text.bytes().all(plain) => write!(f, "{text}{dots}"),
            text => write!(f, "\"{}{dots}\"", text.escape_default()),
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
        let long = Plain(&"é".repeat(9000)).to_string();
        assert!(long.ends_with("...\"") && long.len() < 5000, "{}", long.len());
    }
}
