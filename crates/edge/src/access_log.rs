//! One line a request, in logfmt, on standard output.
//!
//! Each worker formats into a buffer of its own, which goes to the [`Writer`] when it is large or a moment old. The
//! writer is a thread, because a terminal or pipe that nobody reads blocks whoever writes to it.
//!
//! Invariants: a line holds no byte that a client could use to end it or to move a terminal's cursor; and a log that
//! nobody reads never keeps a request waiting. Lines that find no room are counted, and the count is logged.

use std::cell::RefCell;
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
    /// The second of the last line, as lines begin.
    second: Second,
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
                second: Second::default(),
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
        let (was_empty, len) = {
            let Buffer { lines, second, .. } = &mut *buffer.borrow_mut();
            let was_empty = lines.is_empty();
            second.write(SystemTime::now(), lines);
            line.write(lines);
            (was_empty, lines.len())
        };
        if len >= WRITE_AT {
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

/// The time as a line begins with it, made once a second.
#[derive(Debug, Default)]
struct Second {
    second: u64,
    /// Up to the point before the fraction.
    text: String,
}

impl Second {
    fn write(&mut self, now: SystemTime, lines: &mut Vec<u8>) {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() || self.text.is_empty() {
            self.second = since.as_secs();
            self.text = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).to_string();
            self.text.pop();
        }
        // Writing to a Vec cannot fail.
        let _ = write!(lines, "time={}.{:03}Z", self.text, since.subsec_millis());
    }
}

impl Line {
    /// Writes what follows the time.
    fn write(&self, lines: &mut Vec<u8>) {
        lines.extend_from_slice(b" id=");
        lines.extend_from_slice(&self.id.digits());
        // Writing to a Vec cannot fail.
        let _ = match &self.client {
            Ok(resolution) => write!(lines, " client={}", resolution.client().ip()),
            Err(Some(reason)) => write!(lines, " client=- error={}", reason.code()),
            Err(None) => write!(lines, " client=-"),
        };
        let _ = write!(lines, " peer={} method=", self.peer);
        write_value(&self.method, lines);
        lines.extend_from_slice(b" host=");
        write_value(&self.host, lines);
        lines.extend_from_slice(b" path=");
        write_value(&self.path, lines);
        let (status, bytes, took) = (self.status, self.bytes, self.took.as_millis());
        let _ = write!(lines, " status={status} bytes={bytes} ms={took}");
        lines.extend_from_slice(if self.whole { b"\n" } else { b" cut=true\n" });
    }
}

/// Writes a value as logfmt wants it: bare, or quoted with escapes when it holds anything but plain text.
fn write_value(value: &str, lines: &mut Vec<u8>) {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'=');
    let shown = match value.len() > SHOWN {
        true => &value[..value.ceil_char_boundary(SHOWN)],
        false => value,
    };
    let dots = if shown.len() < value.len() { "..." } else { "" };
    match shown {
        "" => lines.push(b'-'),
        text if text.bytes().all(plain) => {
            lines.extend_from_slice(text.as_bytes());
            lines.extend_from_slice(dots.as_bytes());
        }
        // Writing to a Vec cannot fail.
        text => drop(write!(lines, "\"{}{dots}\"", text.escape_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let mut lines = Vec::new();
        write_value(value, &mut lines);
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn a_value_cannot_break_out_of_its_line() {
        for (value, expected) in [
            ("/a?b", "/a?b"),
            ("", "-"),
            ("a b", "\"a b\""),
            ("x\nid=1", "\"x\\nid=1\""),
            ("\u{1b}[2J\"", "\"\\u{1b}[2J\\\"\""),
            ("a=b", "\"a=b\""),
        ] {
            assert_eq!(shown(value), expected);
        }
        let long = shown(&"é".repeat(9000));
        assert!(long.ends_with("...\"") && long.len() < 5000, "{}", long.len());
        let long = shown(&"/".repeat(SHOWN + 1));
        assert_eq!(long, "/".repeat(SHOWN) + "...");
    }

    #[test]
    fn a_line_has_its_own_time_whichever_was_before() {
        let mut second = Second::default();
        for millis in [
            0,
            999,
            1_000,
            1_800_000_000_007,
            1_800_000_000_070,
            1_799_999_999_999,
        ] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let mut line = Vec::new();
            second.write(now, &mut line);
            let expected = format!("time={}", humantime::format_rfc3339_millis(now));
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }

    #[test]
    fn a_line_tells_all_of_a_request() {
        let line = Line {
            id: RequestId(0x1234),
            peer: "[2001:db8::1]:443".parse().unwrap(),
            client: Err(Some(Unresolved::Malformed)),
            method: "GET".into(),
            host: "a.test".into(),
            path: "/a b".into(),
            status: 400,
            bytes: 1_234_567_890_123,
            took: Duration::from_micros(12_999),
            whole: false,
        };
        let mut lines = Vec::new();
        line.write(&mut lines);
        let expected = " id=0000000000001234 client=- error=malformed peer=[2001:db8::1]:443 method=GET host=a.test \
                        path=\"/a b\" status=400 bytes=1234567890123 ms=12 cut=true\n";
        assert_eq!(String::from_utf8(lines).unwrap(), expected);
    }
}
