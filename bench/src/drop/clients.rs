//! The clients: so many connections, each of which does what a script tells it, one request after the other.
//!
//! A closed loop in one thread: a slow answer delays the next question, so the latencies leave out who would have come
//! meanwhile. It never sleeps, so that nobody pays for waking it.
//!
//! Invariant: it ends at its deadline, whatever the servers do, and at once when the user interrupts.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use truehop_bench::message::{KIB, MIB, Message};
use truehop_bench::poll::{Poll, Token};
use truehop_bench::socket;
use truehop_bench::tally::Tally;

use crate::answer::{Answer, Want};

/// After so many errors there is nothing to be measured.
const HOPELESS: u64 = 20;

/// No body is copied for looking at that has more left.
const WORTH_DISCARDING: u64 = 64 * KIB;

/// How much is read or sent before others have their turn.
const TURN: u64 = 4 * MIB;

/// What the clients ask, and what they make of the answers.
pub trait Script {
    /// The next question; none when there is nothing more to ask.
    fn ask(&mut self) -> Option<Ask>;

    /// Judges the answer to a question.
    ///
    /// # Errors
    ///
    /// Why this is not the answer.
    fn judge(&mut self, subject: usize, answer: &Answer) -> Result<(), String>;
}

/// A question.
pub struct Ask {
    pub message: Message,
    pub want: Want,
    /// What the script knows it by.
    pub subject: usize,
}

pub struct Clients<'a, S> {
    pub script: S,
    pub tally: Tally,
    connections: Vec<Connection>,
    /// Those that must be opened, again.
    closed: Vec<u32>,
    target: SocketAddr,
    source: Ipv4Addr,
    poll: Poll,
    scratch: Vec<u8>,
    /// How long nothing was to be done.
    pub idle: Duration,
    interrupted: &'a AtomicBool,
}

struct Connection {
    socket: Option<OwnedFd>,
    /// What is asked or waited for.
    asked: Option<Ask>,
    sent: u64,
    answer: Answer,
    started: Instant,
    waits_to_send: bool,
    /// Whether it has had an answer before.
    proven: bool,
}

enum Next {
    Keep,
    Answered,
    /// Closed by the other side between two requests.
    Closed,
    Fault(String),
}

impl<'a, S: Script> Clients<'a, S> {
    /// Connects `count` clients, from an address of this machine.
    pub fn start(
        count: usize,
        source: Ipv4Addr,
        target: SocketAddr,
        script: S,
        interrupted: &'a AtomicBool,
    ) -> Result<Self, String> {
        let connections = (0..count).map(|_| Connection {
            socket: None,
            asked: None,
            sent: 0,
            answer: Answer::new(Want::Text),
            started: Instant::now(),
            waits_to_send: false,
            proven: false,
        });
        Ok(Self {
            script,
            tally: Tally::default(),
            connections: connections.collect(),
            closed: (0..count as u32).collect(),
            target,
            source,
            poll: Poll::new().map_err(|error| format!("epoll: {error}"))?,
            scratch: vec![0; MIB as usize],
            idle: Duration::ZERO,
            interrupted,
        })
    }

    /// Runs for so long, or until every client has its last answer, or nothing can come of it; whether all is answered.
    pub fn run(&mut self, duration: Duration) -> Result<bool, String> {
        let mut now = Instant::now();
        let deadline = now + duration;
        let mut ready = Vec::new();
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err("interrupted".to_owned());
            }
            if self.tally.errors < HOPELESS {
                for index in std::mem::take(&mut self.closed) {
                    self.open(index);
                }
            }
            let all = self
                .connections
                .iter()
                .all(|connection| connection.asked.is_none());
            if all && self.closed.is_empty() {
                return Ok(true);
            }
            if now >= deadline || self.tally.errors >= HOPELESS {
                return Ok(false);
            }
            self.poll
                .look(&mut ready)
                .map_err(|error| format!("the load cannot go on: {error}"))?;
            for &token in &ready {
                if let Token::Client(index) = token {
                    let next = self.step(index);
                    self.settle(index, next);
                }
            }
            let before = std::mem::replace(&mut now, Instant::now());
            if ready.is_empty() {
                self.idle += now - before;
            }
        }
    }

    fn open(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        // Who was disconnected between two requests asks again.
        let Some(asked) = connection.asked.take().or_else(|| self.script.ask()) else {
            return;
        };
        connection.asked = Some(asked);
        connection.proven = false;
        let opened = socket::connect_from(self.source, self.target).and_then(|socket| {
            // The kernel may take the request while it still connects.
            connection.waits_to_send = false;
            self.poll.add(&socket, Token::Client(index), false)?;
            connection.socket = Some(socket);
            Ok(())
        });
        match opened {
            Ok(()) => self.begin(index),
            Err(error) => self.fail(index, format!("a client cannot connect: {error}")),
        }
    }

    fn begin(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        let Some(asked) = &connection.asked else {
            return;
        };
        connection.answer = Answer::new(asked.want);
        connection.sent = 0;
        connection.started = Instant::now();
        let next = self.send(index);
        self.settle(index, next);
    }

    fn settle(&mut self, index: u32, next: Next) {
        let connection = &mut self.connections[index as usize];
        match next {
            Next::Keep => {}
            Next::Fault(why) => self.fail(index, why),
            Next::Closed => {
                self.tally.closed += 1;
                connection.socket = None;
                self.closed.push(index);
            }
            Next::Answered => {
                let nanos = connection.started.elapsed().as_nanos() as u64;
                let Some(asked) = connection.asked.take() else {
                    return;
                };
                if let Err(why) = self.script.judge(asked.subject, &connection.answer) {
                    return self.fail(index, why);
                }
                connection.proven = true;
                self.tally.answered(nanos);
                connection.asked = self.script.ask();
                self.begin(index);
            }
        }
    }

    fn fail(&mut self, index: u32, why: String) {
        self.tally.failed(|| why);
        let connection = &mut self.connections[index as usize];
        connection.asked = None;
        connection.socket = None;
        self.closed.push(index);
    }

    fn step(&mut self, index: u32) -> Next {
        let connection = &self.connections[index as usize];
        match &connection.asked {
            Some(asked) if connection.sent < asked.message.length() => match self.send(index) {
                // A server may refuse before it has everything.
                Next::Keep => self.receive(index),
                other => other,
            },
            _ => self.receive(index),
        }
    }

    fn send(&mut self, index: u32) -> Next {
        let connection = &mut self.connections[index as usize];
        let (Some(asked), Some(socket)) = (&connection.asked, &connection.socket) else {
            return Next::Keep;
        };
        let length = asked.message.length();
        let before = connection.sent;
        while connection.sent < length && connection.sent < before + TURN {
            match socket::send(socket, asked.message.after(connection.sent)) {
                Ok(None) => break,
                Ok(Some(now)) => connection.sent += now as u64,
                Err(Errno::PIPE | Errno::CONNRESET) if connection.sent == 0 && connection.proven => {
                    return Next::Closed;
                }
                Err(error) => return Next::Fault(format!("a request cannot be sent: {error}")),
            }
        }
        let waits = connection.sent < length;
        if waits != connection.waits_to_send {
            connection.waits_to_send = waits;
            if let Err(error) = self.poll.change(socket, Token::Client(index), waits) {
                return Next::Fault(format!("epoll: {error}"));
            }
        }
        Next::Keep
    }

    fn receive(&mut self, index: u32) -> Next {
        let connection = &mut self.connections[index as usize];
        let mut turn = 0;
        while turn < TURN {
            let Some(socket) = &connection.socket else {
                return Next::Keep;
            };
            let answer = &mut connection.answer;
            let unseen = answer.unseen();
            let discards = unseen >= WORTH_DISCARDING;
            let got = match discards {
                true => socket::discard(socket, &mut self.scratch[..unseen.min(MIB) as usize]),
                false => socket::receive(socket, &mut self.scratch[..WORTH_DISCARDING as usize]),
            };
            let unasked = connection.proven && !answer.has_begun();
            let got = match got {
                Ok(None) => return Next::Keep,
                Ok(Some(0)) | Err(Errno::CONNRESET) if connection.asked.is_none() => {
                    // Nothing is wanted any more.
                    connection.socket = None;
                    return Next::Keep;
                }
                Ok(Some(0)) | Err(Errno::CONNRESET) if unasked => return Next::Closed,
                Ok(Some(0)) => return Next::Fault("closed before the end of the answer".to_owned()),
                Ok(Some(got)) => got,
                Err(error) => return Next::Fault(format!("no answer: {error}")),
            };
            turn += got as u64;
            let taken = match discards {
                true => answer.skip(got as u64),
                false => answer.take(&self.scratch[..got]),
            };
            match taken {
                Err(why) => return Next::Fault(why),
                Ok(()) if answer.is_complete() && connection.waits_to_send => {
                    return Next::Fault(format!("answered before it was asked: {}", answer.shown()));
                }
                Ok(()) if answer.is_complete() => return Next::Answered,
                Ok(()) => {}
            }
        }
        Next::Keep
    }
}
