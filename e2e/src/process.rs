//! A child process whose output is collected line by line, to be waited for.
//!
//! Invariant: the child is killed and reaped when its value is dropped, also while a test panics.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{DEADLINE, eventually};

/// How long a child that was asked to end gets for it.
const GRACE: Duration = Duration::from_secs(5);

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How a process ended, and everything it said.
#[derive(Debug)]
pub struct Exit {
    /// The exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

#[derive(Debug, Default)]
struct Output {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<(Stream, String)>,
    streams_ended: usize,
}

impl Exit {
    /// Whether it was killed (SIGKILL).
    pub fn is_killed(&self) -> bool {
        self.signal == Some(Signal::KILL.as_raw())
    }
}

impl Process {
    /// Starts `command` with nothing on its standard input.
    pub fn start(name: &str, command: Command) -> Self {
        Self::start_reading(name, command, |_| false)
    }

    /// As [`Process::start`], but each line of its standard output is shown to `take`, and only kept when that says
    /// false: for output that would fill the memory.
    pub(crate) fn start_reading(
        name: &str,
        mut command: Command,
        take: impl FnMut(&str) -> bool + Send + 'static,
    ) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = Arc::new(Output::default());
        output.collect(Stream::Out, child.stdout.take().unwrap(), take);
        output.collect(Stream::Err, child.stderr.take().unwrap(), |_| false);
        Self {
            name: name.to_owned(),
            child,
            output,
        }
    }

    /// Waits until a line of `stream` satisfies `wanted`, and returns it.
    ///
    /// # Panics
    /// When the deadline passes or the process ends first; the message has everything it said.
    #[track_caller]
    pub fn wait_for(&self, stream: Stream, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_until(what, |lines| {
            lines
                .iter()
                .find(|(of, line)| *of == stream && wanted(line))
                .map(|(_, line)| line.clone())
        })
    }

    /// Waits until the lines said so far have an answer, and returns it. As [`Process::wait_for`] otherwise.
    #[track_caller]
    pub fn wait_until<T>(&self, what: &str, ask: impl Fn(&[(Stream, String)]) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        let mut said = self.output.said.lock().unwrap();
        loop {
            if let Some(answer) = ask(&said.lines) {
                return answer;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || said.streams_ended == 2 {
                let why = if left.is_zero() {
                    "is late with"
                } else {
                    "ended without"
                };
                // Not while holding the lock: dropping `self` on the way out must not meet a poisoned one.
                let lines = said.lines.clone();
                drop(said);
                panic!("{} {why} {what}; it said: {lines:#?}", self.name);
            }
            said = self.output.changed.wait_timeout(said, left).unwrap().0;
        }
    }

    /// What `stream` said so far.
    pub fn said(&self, stream: Stream) -> String {
        let said = self.output.said.lock().unwrap();
        let lines = said.lines.iter().filter(|(of, _)| *of == stream);
        lines.flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Has it stand still (SIGSTOP), while its kernel goes on, until it may go on.
    #[track_caller]
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
        let status = format!("/proc/{}/status", self.id());
        eventually("the process to stand still", || {
            let status = std::fs::read_to_string(&status).unwrap();
            status.contains("\nState:\tT").then_some(())
        });
    }

    /// Has it go on.
    #[track_caller]
    pub fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        // It may have ended already, which is as good.
        let _ = kill_process(pid, Signal::TERM);
    }

    /// Asks it to end, gives it some time, and ends it if need be. Never panics.
    pub fn end(&mut self) {
        self.terminate();
        let end = Instant::now() + GRACE;
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Ends it at once (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When the deadline passes first.
    #[track_caller]
    pub fn wait(&mut self) -> Exit {
        let what = format!("the end of {}", self.name);
        let status = eventually(&what, || self.child.try_wait().unwrap());
        eventually("the end of its output", || {
            (self.output.said.lock().unwrap().streams_ended == 2).then_some(())
        });
        Exit {
            status: status.code(),
            signal: status.signal(),
            stdout: self.said(Stream::Out),
            stderr: self.said(Stream::Err),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Output {
    fn collect(
        self: &Arc<Self>,
        stream: Stream,
        from: impl Read + Send + 'static,
        mut take: impl FnMut(&str) -> bool + Send + 'static,
    ) {
        let output = Arc::clone(self);
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            // Bytes and not `lines()`: output that is no UTF-8 must not end the collecting.
            while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches(['\r', '\n'])
                    .to_owned();
                line.clear();
                if take(&text) {
                    continue;
                }
                output.said.lock().unwrap().lines.push((stream, text));
                output.changed.notify_all();
            }
            output.said.lock().unwrap().streams_ended += 1;
            output.changed.notify_all();
        });
    }
}
