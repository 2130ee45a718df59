//! Readiness of sockets, by epoll.
//!
//! Invariant: a socket is known by one token from the time it is added until it is closed; the kernel forgets it then.

use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{self, Errno};

const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Who is meant by an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Token {
    /// One of the upstream's listeners.
    Listener(u32),
    /// One of the upstream's connections.
    Served(u32),
    /// One of the clients' connections.
    Client(u32),
}

impl Token {
    fn data(self) -> EventData {
        let (kind, index) = match self {
            Self::Listener(index) => (0, index),
            Self::Served(index) => (1, index),
            Self::Client(index) => (2, index),
        };
        EventData::new_u64(kind << 32 | u64::from(index))
    }

    fn from(data: EventData) -> Self {
        let index = data.u64() as u32;
        match data.u64() >> 32 {
            0 => Self::Listener(index),
            1 => Self::Served(index),
            _ => Self::Client(index),
        }
    }
}

pub struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(1024),
        })
    }

    /// Reports from now on when the socket can be read and, if that is waited for, written.
    pub fn add(&self, socket: impl AsFd, token: Token, writing: bool) -> io::Result<()> {
        epoll::add(&self.epoll, socket, token.data(), interest(writing))
    }

    pub fn change(&self, socket: impl AsFd, token: Token, writing: bool) -> io::Result<()> {
        epoll::modify(&self.epoll, socket, token.data(), interest(writing))
    }

    /// Puts what is ready now into `ready`.
    pub fn look(&mut self, ready: &mut Vec<Token>) -> io::Result<()> {
        self.events.clear();
        ready.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&NOW)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        ready.extend(self.events.iter().map(|event| Token::from(event.data)));
        Ok(())
    }
}

fn interest(writing: bool) -> EventFlags {
    match writing {
        true => EventFlags::IN | EventFlags::OUT,
        false => EventFlags::IN,
    }
}
