//! The clients: so many connections, each of which asks, waits for the whole answer, and asks again.
//!
//! A closed loop: a slow answer delays the next question, so the latencies leave out who would have come meanwhile.
//!
//! Invariant: an answer counts when its status is 200 and its body has exactly the length that was expected.

use std::mem;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::io::Errno;

use crate::upstream::{TURN, WORTH_DISCARDING};
use truehop_bench::message::{MIB, Message, content_length, fits, head_length};
use truehop_bench::poll::{Poll, Token};
use truehop_bench::socket;
use truehop_bench::tally::Tally;

/// After so many errors there is nothing to be measured.
const HOPELESS: u64 = 100;

/// Connections that ask at the same time when each asks but once.
const AT_ONCE: usize = 64;

/// What all connections do.
pub struct Job {
    pub target: SocketAddr,
    pub request: Message,
    /// How many bytes of the request are its body.
    pub upload: u64,
    /// How long the answer's body is; 0 is learnt from the first answer.
    pub download: u64,
    /// Whether every byte of the answers is compared.
    pub check: bool,
    pub connections: usize,
    pub after: After,
}

/// What a connection does when it has its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
    /// Ask again.
    Again,
    /// See it closed, and open another.
    Reopen,
    /// Stay open and silent.
    Stay,
}

pub struct Clients {
    job: Job,
    connections: Vec<Connection>,
    /// How many were opened at all.
    begun: usize,
    /// Those that must be opened again.
    closed: Vec<u32>,
    pub tally: Tally,
}

struct Connection {
    socket: Option<OwnedFd>,
    phase: Phase,
    partial: Vec<u8>,
    started: Instant,
    waits_to_send: bool,
    /// Whether it has had an answer before.
    proven: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    Ask { sent: u64 },
    Head,
    Body { at: u64 },
    End,
    Silent,
}

enum Next {
    Keep,
    Answered,
    /// Closed by the other side between two requests.
    Closed,
    Fault(String),
}

impl Clients {
    pub fn start(poll: &Poll, job: Job) -> Self {
        let now = Instant::now();
        let connections = (0..job.connections).map(|_| Connection {
            socket: None,
            phase: Phase::Silent,
            partial: Vec::new(),
            started: now,
            waits_to_send: false,
            proven: false,
        });
        let mut clients = Self {
            connections: connections.collect(),
            job,
            begun: 0,
            closed: Vec::new(),
            tally: Tally::default(),
        };
        let at_once = match clients.job.after {
            After::Stay => AT_ONCE,
            After::Again | After::Reopen => usize::MAX,
        };
        (0..at_once.min(clients.connections.len())).for_each(|_| clients.begin_another(poll));
        clients
    }

    pub fn is_hopeless(&self) -> bool {
        self.tally.errors >= HOPELESS
    }

    /// How long the answers' bodies are.
    pub fn download(&self) -> u64 {
        self.job.download
    }

    /// Closes all connections.
    pub fn closed(mut self) -> Self {
        self.connections.clear();
        self
    }

    /// Opens again what was closed.
    pub fn reopen(&mut self, poll: &Poll) {
        if self.is_hopeless() {
            return;
        }
        for index in mem::take(&mut self.closed) {
            self.open(poll, index);
        }
    }

    fn begin_another(&mut self, poll: &Poll) {
        if self.begun < self.connections.len() {
            self.begun += 1;
            self.open(poll, self.begun as u32 - 1);
        }
    }

    fn open(&mut self, poll: &Poll, index: u32) {
        let connection = &mut self.connections[index as usize];
        connection.started = Instant::now();
        connection.phase = Phase::Ask { sent: 0 };
        connection.partial.clear();
        connection.proven = false;
        let opened = socket::connect(self.job.target).and_then(|socket| {
            // The kernel may take the request while it still connects.
            connection.waits_to_send = false;
            poll.add(&socket, Token::Client(index), false)?;
            connection.socket = Some(socket);
            Ok(())
        });
        match opened {
            Ok(()) => self.go_on(poll, index, &mut []),
            Err(error) => self.fail(index, || format!("a client cannot connect: {error}")),
        }
    }

    fn fail(&mut self, index: u32, why: impl FnOnce() -> String) {
        self.tally.failed(why);
        self.connections[index as usize].socket = None;
        self.closed.push(index);
    }

    /// Goes on with a connection that is ready.
    pub fn go_on(&mut self, poll: &Poll, index: u32, scratch: &mut [u8]) {
        let next = self.step(poll, index, scratch);
        self.settle(poll, index, next);
    }

    fn settle(&mut self, poll: &Poll, index: u32, next: Next) {
        match next {
            Next::Keep => {}
            Next::Fault(why) => self.fail(index, || why),
            Next::Closed => {
                self.tally.closed += 1;
                self.connections[index as usize].socket = None;
                self.closed.push(index);
            }
            Next::Answered => self.answered(poll, index),
        }
    }

    fn answered(&mut self, poll: &Poll, index: u32) {
        let now = Instant::now();
        let connection = &mut self.connections[index as usize];
        self.tally.answered((now - connection.started).as_nanos() as u64);
        connection.proven = true;
        match self.job.after {
            After::Again => {
                connection.started = now;
                connection.phase = Phase::Ask { sent: 0 };
                let next = self.ask(poll, index);
                self.settle(poll, index, next);
            }
            After::Reopen => {
                connection.socket = None;
                self.closed.push(index);
            }
            After::Stay => {
                connection.phase = Phase::Silent;
                self.begin_another(poll);
            }
        }
    }

    fn step(&mut self, poll: &Poll, index: u32, scratch: &mut [u8]) -> Next {
        match self.connections[index as usize].phase {
            Phase::Ask { .. } => self.ask(poll, index),
            Phase::Head => self.read_head(index, scratch),
            Phase::Body { .. } => self.read_body(index, scratch),
            Phase::End => self.read_end(index, scratch),
            Phase::Silent => Next::Fault("a silent connection was closed".to_owned()),
        }
    }

    fn ask(&mut self, poll: &Poll, index: u32) -> Next {
        let connection = &mut self.connections[index as usize];
        let (Phase::Ask { mut sent }, Some(socket)) = (connection.phase, &connection.socket) else {
            return Next::Keep;
        };
        let request = &self.job.request;
        let before = sent;
        while sent < request.length() && sent < before + TURN {
            match socket::send(socket, request.after(sent)) {
                Ok(None) => break,
                Ok(Some(now)) => sent += now as u64,
                Err(Errno::PIPE | Errno::CONNRESET) if sent == 0 && connection.proven => return Next::Closed,
                Err(error) => return Next::Fault(format!("a request cannot be sent: {error}")),
            }
        }
        if self.job.upload > 0 {
            self.tally.bytes += sent - before;
        }
        let waits = sent < request.length();
        connection.phase = match waits {
            true => Phase::Ask { sent },
            false => Phase::Head,
        };
        if waits != connection.waits_to_send {
            connection.waits_to_send = waits;
            if let Err(error) = poll.change(socket, Token::Client(index), waits) {
                return Next::Fault(format!("epoll: {error}"));
            }
        }
        Next::Keep
    }

    fn read_head(&mut self, index: u32, scratch: &mut [u8]) -> Next {
        let connection = &mut self.connections[index as usize];
        let Some(socket) = &connection.socket else {
            return Next::Keep;
        };
        let unasked = connection.proven && connection.partial.is_empty();
        let got = match socket::receive(socket, &mut scratch[..WORTH_DISCARDING as usize]) {
            Ok(None) => return Next::Keep,
            Ok(Some(0)) | Err(Errno::CONNRESET) if unasked => return Next::Closed,
            Ok(Some(0)) => return Next::Fault("closed before the answer".to_owned()),
            Ok(Some(got)) => got,
            Err(error) => return Next::Fault(format!("no answer: {error}")),
        };
        if connection.partial.is_empty() {
            // The usual case: looked at where it lies.
            return self.begin(index, &scratch[..got]);
        }
        let mut bytes = mem::take(&mut connection.partial);
        bytes.extend_from_slice(&scratch[..got]);
        self.begin(index, &bytes)
    }

    fn begin(&mut self, index: u32, bytes: &[u8]) -> Next {
        let Some(end) = head_length(bytes) else {
            self.connections[index as usize].partial = bytes.to_vec();
            return Next::Keep;
        };
        let (head, body) = bytes.split_at(end);
        let text = || String::from_utf8_lossy(head).into_owned();
        if !head.starts_with(b"HTTP/1.1 200 ") {
            return Next::Fault(format!("answered: {}", text()));
        }
        match content_length(head) {
            Some(length) if self.job.download == 0 => self.job.download = length,
            Some(length) if self.job.download == length => {}
            _ => return Next::Fault(format!("a body of another length: {}", text())),
        }
        self.take(index, 0, body)
    }

    /// Takes a piece of the body into account.
    fn take(&mut self, index: u32, at: u64, body: &[u8]) -> Next {
        if self.job.check && !fits(at, body) {
            return Next::Fault("another body".to_owned());
        }
        self.took(index, at, body.len() as u64)
    }

    fn took(&mut self, index: u32, at: u64, length: u64) -> Next {
        if self.job.upload == 0 {
            self.tally.bytes += length;
        }
        let at = at + length;
        let phase = &mut self.connections[index as usize].phase;
        if at > self.job.download {
            return Next::Fault("more than the body".to_owned());
        }
        *phase = Phase::Body { at };
        if at == self.job.download {
            if self.job.after != After::Reopen {
                return Next::Answered;
            }
            *phase = Phase::End;
        }
        Next::Keep
    }

    fn read_body(&mut self, index: u32, scratch: &mut [u8]) -> Next {
        let mut turn = 0;
        while let Phase::Body { at } = self.connections[index as usize].phase {
            let Some(socket) = &self.connections[index as usize].socket else {
                return Next::Keep;
            };
            let left = self.job.download - at;
            let buffer = &mut scratch[..left.min(MIB) as usize];
            let unread = !self.job.check && left >= WORTH_DISCARDING;
            let got = match unread {
                true => socket::discard(socket, buffer),
                false => socket::receive(socket, buffer),
            };
            let got = match got {
                Ok(None) => return Next::Keep,
                Ok(Some(0)) => return Next::Fault("closed amid the body".to_owned()),
                Ok(Some(got)) => got,
                Err(error) => return Next::Fault(format!("the body broke off: {error}")),
            };
            let next = match unread {
                true => self.took(index, at, got as u64),
                false => self.take(index, at, &buffer[..got]),
            };
            turn += got as u64;
            if turn >= TURN || !matches!(next, Next::Keep) {
                return next;
            }
        }
        Next::Keep
    }

    fn read_end(&mut self, index: u32, scratch: &mut [u8]) -> Next {
        let Some(socket) = &self.connections[index as usize].socket else {
            return Next::Keep;
        };
        match socket::receive(socket, &mut scratch[..1]) {
            Ok(None) => Next::Keep,
            Ok(Some(0)) => Next::Answered,
            Ok(Some(_)) => Next::Fault("more than the body".to_owned()),
            Err(error) => Next::Fault(format!("not closed properly: {error}")),
        }
    }
}
