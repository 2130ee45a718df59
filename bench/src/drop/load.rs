//! Many requests for a time: how many were answered, how late, and what they cost.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use truehop_bench::message::{KIB, Message};

use crate::answer::{Answer, Want};
use crate::clients::{Ask, Script};
use crate::contender::Contender;
use crate::disk;
use crate::stage::{Bench, OWNER, Stage};
use crate::summary::Measured;

/// Clients that upload at the same time.
const CLIENTS: usize = 32;

const SMALL: u64 = 4 * KIB;

/// Uploads of 4 KiB, each under its own name, to a directory in `parent`.
pub fn uploads(bench: &Bench, contender: Contender, parent: &Path) -> Result<Measured, String> {
    disk::settle(parent)?;
    let stage = bench.stage(contender, parent)?;
    let script = Uploads {
        contender,
        front: stage.front,
        begun: 0,
    };
    let measured = run(bench, &stage, CLIENTS, OWNER, script)?;
    stage.close()?;
    Ok(measured)
}

struct Uploads {
    contender: Contender,
    front: SocketAddr,
    begun: usize,
}

impl Uploads {
    fn name(subject: usize) -> String {
        format!("small-{subject}")
    }
}

impl Script for Uploads {
    fn ask(&mut self) -> Option<Ask> {
        self.begun += 1;
        Some(Ask {
            message: self.contender.upload(self.front, &Self::name(self.begun), SMALL),
            want: Want::Text,
            subject: self.begun,
        })
    }

    fn judge(&mut self, subject: usize, answer: &Answer) -> Result<(), String> {
        self.contender.stored(&Self::name(subject), answer).map(drop)
    }
}

/// Questions to which the answer is 200.
pub struct Questions<N> {
    /// The next question; none when there are no more.
    pub next: N,
    pub want: Want,
}

impl<N: FnMut() -> Option<Message>> Script for Questions<N> {
    fn ask(&mut self) -> Option<Ask> {
        Some(Ask {
            message: (self.next)()?,
            want: self.want,
            subject: 0,
        })
    }

    fn judge(&mut self, _: usize, answer: &Answer) -> Result<(), String> {
        match answer.status() {
            200 => Ok(()),
            _ => Err(answer.shown()),
        }
    }
}

/// Runs a script that never ends: for a moment, and then for the time that counts.
pub fn run(
    bench: &Bench,
    stage: &Stage,
    count: usize,
    who: Ipv4Addr,
    script: impl Script,
) -> Result<Measured, String> {
    let mut clients = stage.clients(count, who, script)?;
    stage.forget_peak()?;
    clients.run(bench.warm_up)?;
    clients.tally.reset();
    let idle = clients.idle;
    let start = std::time::Instant::now();
    let before = stage.used()?;
    clients.run(bench.duration)?;
    let cpu = stage.used()?.since(&before);
    let wall = start.elapsed().as_secs_f64();
    let tally = &clients.tally;
    let requests = tally.requests as f64;
    if tally.requests == 0 {
        return Err(tally
            .first_error
            .clone()
            .unwrap_or_else(|| "no request was answered".to_owned()));
    }
    Ok(Measured {
        user: cpu.user / requests,
        system: cpu.system / requests,
        rate: requests / wall,
        p50: tally.within(0.5),
        p99: tally.within(0.99),
        peak: stage.peak()?,
        load_busy: 1.0 - (clients.idle - idle).as_secs_f64() / wall,
        closed: tally.closed as f64 / requests,
        errors: tally.errors,
        first_error: tally.first_error.clone(),
        ..Measured::default()
    })
}
