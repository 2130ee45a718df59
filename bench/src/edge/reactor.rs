//! The one thread of the load: clients and upstream take turns in it, as their sockets are ready.
//!
//! It never sleeps. Waking it would cost the sender an interrupt of another core, which is dear in a virtual machine
//! (three times what sending a file of 1 MiB costs) and which no proxy pays whose clients are other machines.
//!
//! Invariant: it ends at its deadline, whatever the proxies do, and at once when the user interrupts.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::clients::{Clients, Job};
use crate::upstream::Upstream;
use truehop_bench::message::MIB;
use truehop_bench::poll::{Poll, Token};

pub struct Reactor<'a> {
    // Closed before the poll: their sockets first.
    clients: Option<Clients>,
    pub upstream: Upstream,
    poll: Poll,
    scratch: Vec<u8>,
    ready: Vec<Token>,
    /// How long nothing was to be done.
    pub idle: Duration,
    interrupted: &'a AtomicBool,
}

impl<'a> Reactor<'a> {
    pub fn start(unix: &Path, interrupted: &'a AtomicBool) -> Result<Self, String> {
        let failed = |error| format!("the upstream cannot start: {error}");
        let poll = Poll::new().map_err(failed)?;
        Ok(Self {
            clients: None,
            upstream: Upstream::start(&poll, unix).map_err(failed)?,
            poll,
            scratch: vec![0; MIB as usize],
            ready: Vec::new(),
            idle: Duration::ZERO,
            interrupted,
        })
    }

    /// Gives the clients something to do, in place of what they did.
    pub fn begin(&mut self, job: Job) {
        self.clients = None;
        self.clients = Some(Clients::start(&self.poll, job));
    }

    /// Closes the clients' connections; what they did.
    pub fn end(&mut self) -> Option<Clients> {
        let clients = self.clients.take();
        clients.map(Clients::closed)
    }

    pub fn clients(&mut self) -> Option<&mut Clients> {
        self.clients.as_mut()
    }

    /// Runs for so long, or until `done`; whether it was done.
    pub fn run(&mut self, duration: Duration, done: impl Fn(&Clients) -> bool) -> Result<bool, String> {
        let failed = |error| format!("the load cannot go on: {error}");
        let mut now = Instant::now();
        let deadline = now + duration;
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err("interrupted".to_owned());
            }
            if let Some(clients) = &mut self.clients {
                if done(clients) {
                    return Ok(true);
                }
                clients.reopen(&self.poll);
            }
            if now >= deadline {
                return Ok(false);
            }
            self.poll.look(&mut self.ready).map_err(failed)?;
            for at in 0..self.ready.len() {
                match (self.ready[at], &mut self.clients) {
                    (Token::Listener(index), _) => {
                        self.upstream.accept(&self.poll, index).map_err(failed)?;
                    }
                    (Token::Served(index), _) => {
                        self.upstream.serve(&self.poll, index, &mut self.scratch);
                    }
                    (Token::Client(index), Some(clients)) => {
                        clients.go_on(&self.poll, index, &mut self.scratch);
                    }
                    (Token::Client(_), None) => {}
                }
            }
            let before = std::mem::replace(&mut now, Instant::now());
            if self.ready.is_empty() {
                self.idle += now - before;
            }
        }
    }
}
