//! The application server behind the proxies: as cheap as one can be.
//!
//! It keeps connections, reads the whole request, and then answers with bytes that lie ready. A request that it does
//! not understand is a fault of the proxy and counted as an error.

use std::mem;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Result;

use truehop_bench::message::{KIB, MIB, Message, content_length, fits, head_length};
use truehop_bench::poll::{Poll, Token};
use truehop_bench::socket;

/// What the paths answer with.
const BODIES: [(&str, u64); 3] = [("/small", 128), ("/1m", MIB), ("/100m", 100 * MIB)];

/// No body is copied for looking at that has more left.
pub const WORTH_DISCARDING: u64 = 64 * KIB;

/// How much is read or sent before others have their turn.
pub const TURN: u64 = 4 * MIB;

pub struct Upstream {
    listeners: Vec<OwnedFd>,
    address: SocketAddr,
    answers: Vec<Message>,
    served: Vec<Option<Served>>,
    free: Vec<u32>,
    /// Connections accepted so far.
    pub opened: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    /// While set, every byte of the requests' bodies is compared, and the last head is kept.
    pub check: bool,
    pub last_head: Vec<u8>,
}

struct Served {
    socket: OwnedFd,
    is_tcp: bool,
    /// What came of a head that is not complete.
    partial: Vec<u8>,
    phase: Phase,
    waits_to_send: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    Head,
    Body { at: u64, length: u64, answer: usize },
    Answer { sent: u64, answer: usize },
}

/// What is to be done with a connection after an event.
enum Next {
    Keep,
    Close,
    Fault(String),
}

impl Upstream {
    /// Listens on a free port of loopback and at `unix`.
    pub fn start(poll: &Poll, unix: &Path) -> Result<Self> {
        let (tcp, address) = socket::listen_tcp()?;
        let listeners = vec![tcp, socket::listen_unix(unix)?];
        for (index, listener) in listeners.iter().enumerate() {
            poll.add(listener, Token::Listener(index as u32), false)?;
        }
        let answers = BODIES.map(|(_, length)| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nServer: upstream\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
                 Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
            );
            Message::new(head, length)
        });
        Ok(Self {
            listeners,
            address,
            answers: answers.into(),
            served: Vec::new(),
            free: Vec::new(),
            opened: 0,
            errors: 0,
            first_error: None,
            check: false,
            last_head: Vec::new(),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes all connections that wait.
    pub fn accept(&mut self, poll: &Poll, listener: u32) -> Result<()> {
        while let Some(socket) = socket::accept(&self.listeners[listener as usize])? {
            let is_tcp = listener == 0;
            if is_tcp {
                socket::send_at_once(&socket)?;
            }
            let index = self.free.pop().unwrap_or_else(|| {
                self.served.push(None);
                self.served.len() as u32 - 1
            });
            poll.add(&socket, Token::Served(index), false)?;
            self.served[index as usize] = Some(Served {
                socket,
                is_tcp,
                partial: Vec::new(),
                phase: Phase::Head,
                waits_to_send: false,
            });
            self.opened += 1;
        }
        Ok(())
    }

    /// Goes on with a connection that is ready.
    pub fn serve(&mut self, poll: &Poll, index: u32, scratch: &mut [u8]) {
        let Some(mut served) = self.served[index as usize].take() else {
            return;
        };
        match self.step(&mut served, poll, index, scratch) {
            Next::Keep => {
                self.served[index as usize] = Some(served);
                return;
            }
            Next::Close => {}
            Next::Fault(why) => {
                self.errors += 1;
                self.first_error.get_or_insert(why);
            }
        }
        self.free.push(index);
    }

    fn step(&mut self, served: &mut Served, poll: &Poll, index: u32, scratch: &mut [u8]) -> Next {
        let next = match served.phase {
            Phase::Head => self.read_head(served, scratch),
            Phase::Body { .. } => self.read_body(served, scratch),
            Phase::Answer { .. } => Next::Keep,
        };
        if let (Next::Keep, Phase::Answer { .. }) = (&next, served.phase) {
            return self.answer(served, poll, index);
        }
        next
    }

    fn read_head(&mut self, served: &mut Served, scratch: &mut [u8]) -> Next {
        let length = match socket::receive(&served.socket, &mut scratch[..WORTH_DISCARDING as usize]) {
            Ok(None) => return Next::Keep,
            Ok(Some(0)) | Err(_) => return Next::Close,
            Ok(Some(length)) => length,
        };
        if served.partial.is_empty() {
            // The usual case: the request as a whole, looked at where it lies.
            return self.begin(served, &scratch[..length]);
        }
        let mut bytes = mem::take(&mut served.partial);
        bytes.extend_from_slice(&scratch[..length]);
        self.begin(served, &bytes)
    }

    fn begin(&mut self, served: &mut Served, bytes: &[u8]) -> Next {
        let Some(end) = head_length(bytes) else {
            served.partial = bytes.to_vec();
            return Next::Keep;
        };
        let (head, body) = bytes.split_at(end);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let path = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let Some(answer) = BODIES.iter().position(|(known, _)| known.as_bytes() == path) else {
            return Next::Fault(format!("the upstream was asked: {}", text(head)));
        };
        if self.check {
            self.last_head = head.to_vec();
        }
        let length = match head.starts_with(b"GET ") {
            true => 0,
            false => content_length(head).unwrap_or_default(),
        };
        let at = body.len() as u64;
        if at > length || (self.check && !fits(0, body)) {
            return Next::Fault(format!("the upstream got another body: {}", text(head)));
        }
        served.phase = match at == length {
            true => Phase::Answer { sent: 0, answer },
            false => Phase::Body { at, length, answer },
        };
        Next::Keep
    }

    fn read_body(&mut self, served: &mut Served, scratch: &mut [u8]) -> Next {
        let Phase::Body {
            mut at,
            length,
            answer,
        } = served.phase
        else {
            return Next::Keep;
        };
        let enough = at + TURN;
        while at < length && at < enough {
            let left = length - at;
            let buffer = &mut scratch[..left.min(MIB) as usize];
            let unread = served.is_tcp && !self.check && left >= WORTH_DISCARDING;
            let got = match unread {
                true => socket::discard(&served.socket, buffer),
                false => socket::receive(&served.socket, buffer),
            };
            match got {
                Ok(None) => break,
                Ok(Some(0)) | Err(_) => return Next::Close,
                Ok(Some(got)) if self.check && !fits(at, &buffer[..got]) => {
                    return Next::Fault("the upstream got another body".to_owned());
                }
                Ok(Some(got)) => at += got as u64,
            }
        }
        served.phase = match at == length {
            true => Phase::Answer { sent: 0, answer },
            false => Phase::Body { at, length, answer },
        };
        Next::Keep
    }

    fn answer(&mut self, served: &mut Served, poll: &Poll, index: u32) -> Next {
        let Phase::Answer { mut sent, answer } = served.phase else {
            return Next::Keep;
        };
        let message = &self.answers[answer];
        let enough = sent + TURN;
        while sent < message.length() && sent < enough {
            match socket::send(&served.socket, message.after(sent)) {
                Ok(None) => break,
                Ok(Some(now)) => sent += now as u64,
                Err(_) => return Next::Close,
            }
        }
        let waits = sent < message.length();
        served.phase = match waits {
            true => Phase::Answer { sent, answer },
            false => Phase::Head,
        };
        if waits != served.waits_to_send {
            served.waits_to_send = waits;
            if let Err(error) = poll.change(&served.socket, Token::Served(index), waits) {
                return Next::Fault(format!("epoll: {error}"));
            }
        }
        Next::Keep
    }
}
