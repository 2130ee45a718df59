//! A client that asks all sorts of things, takes its time, and leaves without a goodbye.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::ledger::{End, Ledger};
use crate::dice::Dice;
use crate::http::{Host, Response};
use crate::recorder::Kind;
use crate::wire::Wire;

#[derive(Debug)]
pub(super) struct Client {
    host: Host,
    server: SocketAddr,
    ledger: Arc<Ledger>,
    dice: Dice,
    /// Connections whose answers are read later: slow readers.
    parked: VecDeque<(Wire, Sent)>,
}

/// A request that is under way.
#[derive(Debug)]
struct Sent {
    number: u64,
    target: String,
    what: What,
    size: u64,
}

/// What must come of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    Get,
    Head,
    Post,
    /// The edge answers by itself.
    Closed,
    /// The server answers before it has read the body.
    Early,
    /// The server cuts its answer.
    Cut,
}

/// What a client makes of its answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mood {
    Patient,
    /// Leaves before any answer.
    Gone,
    /// Leaves in the middle of them.
    Bored,
    /// Does not even finish asking.
    Mute,
}

impl Client {
    /// How many connections it has at once, at most.
    pub(super) const CONNECTIONS: usize = 1 + Self::PARKED;
    const PARKED: usize = 4;

    pub(super) fn new(host: Host, server: SocketAddr, ledger: Arc<Ledger>, seed: u64) -> Self {
        Self {
            host,
            server,
            ledger,
            dice: Dice::new(seed),
            parked: VecDeque::new(),
        }
    }

    /// Sends about so many requests, and ends with no connection open.
    pub(super) fn round(&mut self, requests: u64) {
        let mut left = requests;
        while left > 0 && self.ledger.is_sound().is_ok() {
            left = left.saturating_sub(self.session());
            if self.parked.len() > Self::PARKED || self.dice.one_in(8) {
                self.read_parked();
            }
        }
        while !self.parked.is_empty() {
            self.read_parked();
        }
    }

    /// One connection with some batches of pipelined requests. How many requests it were.
    fn session(&mut self) -> u64 {
        let mut wire = Wire::connect(self.host, self.server).expect("the edge is up");
        if self.dice.one_in(30) {
            return self.park(wire);
        }
        let mut requests = 0;
        for _ in 0..=self.dice.below(4) {
            let mut bytes = Vec::new();
            let mut batch = VecDeque::new();
            for _ in 0..=self.dice.below(6) {
                let sent = self.ask(&mut bytes);
                requests += 1;
                let is_last = matches!(sent.what, What::Early | What::Cut);
                batch.push_back(sent);
                if is_last {
                    break;
                }
            }
            let mood = match self.dice.below(100) {
                0..3 => Mood::Gone,
                3..6 => Mood::Bored,
                6..8 => Mood::Mute,
                _ => Mood::Patient,
            };
            match self.exchange(wire, &bytes, &mut batch, mood) {
                Some(still_open) => wire = still_open,
                None => break,
            }
        }
        requests
    }

    /// Sends a batch and reads its answers; the connection, when it can be used again.
    fn exchange(
        &mut self,
        mut wire: Wire,
        bytes: &[u8],
        batch: &mut VecDeque<Sent>,
        mood: Mood,
    ) -> Option<Wire> {
        let some = match mood {
            Mood::Mute => self.dice.below(bytes.len() as u64) as usize,
            _ => bytes.len(),
        };
        // Who does not read in time may be cut off, and hears of it when reading.
        let _ = wire.write(&bytes[..some]);
        let patience = match mood {
            Mood::Patient => batch.len(),
            Mood::Bored => self.dice.below(batch.len() as u64) as usize,
            Mood::Gone | Mood::Mute => 0,
        };
        for _ in 0..patience {
            let sent = batch.pop_front()?;
            if !self.read(&mut wire, sent) {
                self.abort_all(batch);
                return None;
            }
        }
        if mood == Mood::Bored {
            self.taste(&mut wire);
        }
        if mood != Mood::Patient {
            self.abort_all(batch);
            if mood == Mood::Mute && self.dice.one_in(2) {
                drop(wire);
            } else {
                wire.abort();
            }
            return None;
        }
        Some(wire)
    }

    /// Asks for much, and does not read it yet.
    fn park(&mut self, mut wire: Wire) -> u64 {
        let number = self.ledger.send(self.host.ip(), "GET");
        let size = (1 << 20) + self.dice.below(3 << 20);
        let target = format!("/node/soak-{number}?size={size}");
        let sent = Sent {
            number,
            what: What::Get,
            size,
            target,
        };
        let _ = wire.write(format!("GET {} HTTP/1.1\r\nHost: soak.test\r\n\r\n", sent.target).as_bytes());
        self.parked.push_back((wire, sent));
        1
    }

    fn read_parked(&mut self) {
        let Some((mut wire, sent)) = self.parked.pop_front() else {
            return;
        };
        if self.dice.one_in(3) {
            self.taste(&mut wire);
            self.ledger.end(sent.number, End::Aborted);
            wire.abort();
        } else {
            self.read(&mut wire, sent);
        }
    }

    /// Writes one more request to `bytes`.
    fn ask(&mut self, bytes: &mut Vec<u8>) -> Sent {
        let kind = match self.dice.below(10) {
            0 => Kind::Gunicorn,
            1..6 => Kind::Node,
            _ => Kind::Nginx,
        };
        let what = match self.dice.below(100) {
            0..5 => What::Closed,
            5..7 => What::Early,
            7..9 if kind != Kind::Nginx => What::Cut,
            9..14 => What::Head,
            14..40 => What::Post,
            _ => What::Get,
        };
        let size = match (kind, what, self.dice.below(20)) {
            (Kind::Nginx, ..) | (_, What::Closed | What::Early, _) => 0,
            (_, _, 0) => self.dice.below(256 << 10),
            _ => self.dice.below(4 << 10),
        };
        let method = match what {
            What::Head => "HEAD",
            What::Post | What::Early => "POST",
            What::Get | What::Closed | What::Cut => "GET",
        };
        let number = self.ledger.send(self.host.ip(), method);
        let name = if what == What::Closed {
            "closed"
        } else {
            kind.name()
        };
        let query = match what {
            What::Early => "?early".into(),
            What::Cut => format!("?size={}&cut={}", size + 1, self.dice.below(size + 1)),
            What::Closed => String::new(),
            _ if size > 0 => format!("?size={size}"),
            _ => String::new(),
        };
        let target = format!("/{name}/soak-{number}{query}");
        bytes.extend(format!("{method} {target} HTTP/1.1\r\nHost: soak.test\r\n").bytes());
        if method == "POST" {
            // gunicorn closes behind a long body that nobody read, and whatever comes just then has had bad luck.
            let length = match self.dice.below(10) {
                0 if what != What::Early => self.dice.below(100 << 10),
                _ => self.dice.below(2 << 10),
            };
            let body = vec![b'b'; length as usize];
            if self.dice.one_in(2) {
                bytes.extend(format!("Content-Length: {length}\r\n\r\n").bytes());
                bytes.extend(body);
            } else {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for piece in body.chunks(1 + self.dice.below(8 << 10) as usize) {
                    bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                    bytes.extend(piece);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
        } else {
            bytes.extend(b"\r\n");
        }
        Sent {
            number,
            target,
            what,
            size,
        }
    }

    /// Reads the answer to `sent`; whether more can come on this connection.
    fn read(&mut self, wire: &mut Wire, sent: Sent) -> bool {
        let answer = wire.answer(sent.what == What::Head);
        let (end, goes_on) = match (&answer, sent.what) {
            (Ok(Some(answer)), _) if self.is_right(answer, &sent) => (
                End::Answered(answer.status, answer.body.len() as u64),
                // Behind a body that nobody read the edge may well close.
                sent.what != What::Early,
            ),
            // Too early an end was asked for; the edge may have heard of it before it began to answer.
            (
                Ok(Some(Response {
                    status: 502, body, ..
                })),
                What::Cut,
            ) => (End::Answered(502, body.len() as u64), false),
            (Err(error), What::Cut) if is_cut(error) => (End::Aborted, false),
            (Ok(None), What::Cut) => (End::Aborted, false),
            _ => {
                let what = match &answer {
                    Ok(Some(answer)) => {
                        let start = &answer.body[..answer.body.len().min(300)];
                        format!("{} {:?}", answer.status, String::from_utf8_lossy(start))
                    }
                    other => format!("{other:?}"),
                };
                self.ledger.fail(format!("{} got {what} for {sent:?}", self.host));
                (End::Aborted, false)
            }
        };
        self.ledger.end(sent.number, end);
        goes_on
    }

    fn taste(&self, wire: &mut Wire) {
        if let Err(error) = wire.taste() {
            self.ledger.fail(format!("{} got nothing: {error}", self.host));
        }
    }

    fn is_right(&self, answer: &Response, sent: &Sent) -> bool {
        match sent.what {
            What::Closed => answer.status == 403 && answer.body.starts_with(b"closed"),
            What::Early => answer.status == 403 && answer.body.starts_with(b"early"),
            What::Head => answer.status == 200,
            What::Cut => false,
            What::Get | What::Post => {
                let line = format!("{} {}\n", sent.target, self.host);
                let filling = answer.body.strip_prefix(line.as_bytes());
                answer.status == 200
                    && filling.is_some_and(|filling| {
                        filling.len() as u64 == sent.size && filling.iter().all(|&byte| byte == b'.')
                    })
            }
        }
    }

    fn abort_all(&self, batch: &mut VecDeque<Sent>) {
        for sent in batch.drain(..) {
            self.ledger.end(sent.number, End::Aborted);
        }
    }
}

fn is_cut(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
