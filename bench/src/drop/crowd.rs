//! Many files that wait: what it costs to find one and to take one, among a thousand and among a million.
//!
//! 1. A catalog is made from a file that was uploaded to it ([`seed`]); all files wait. The small one is made for each
//!    turn, the large one once for the run.
//! 2. A turn starts the program with it: the time until it listens, in which it compares rows and disk.
//! 3. Others than the owner look at random files' pages.
//! 4. Others than the owner take random files: a lease, the bytes, the delivery, the deletion. No file twice.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use truehop_bench::cost::Cpu;
use truehop_bench::message::{KIB, Message};

use crate::answer::Want;
use crate::bulk::Figure;
use crate::contender::{Contender, Stored};
use crate::disk;
use crate::load::{self, Questions};
use crate::seed::seed;
use crate::stage::{Bench, Cost, PATIENCE, RECIPIENT, get};
use crate::summary::{Measured, Row};

/// Clients that look, or take, at the same time.
const CLIENTS: usize = 16;

/// Files that are taken in a turn.
const CLAIMS: usize = 500;

/// Of how many that were taken it is seen to that they are over.
const LOOKED_AT: usize = 8;

const SIZE: u64 = 4 * KIB;

/// A data directory with files that wait.
pub struct Crowd {
    way: &'static str,
    parent: PathBuf,
    data: PathBuf,
    /// Those that nobody took yet, in the order in which they will be.
    waiting: Vec<String>,
    /// Seconds that it took to make.
    pub took: f64,
}

impl Crowd {
    pub fn gather(bench: &Bench, count: usize, way: &'static str) -> Result<Self, String> {
        let start = Instant::now();
        let parent = bench.directory.join(format!("crowd-{count}"));
        fs::create_dir(&parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        let mut stage = bench.start(Contender::Ours, disk::fresh(&parent)?)?;
        let file = stage.upload(SIZE)?;
        let data = stage.retire()?;
        let id = id_of(&file).ok_or_else(|| format!("{} has no id", file.path))?;
        let waiting = seed(&data, id, SIZE, count)?;
        disk::settle(&data)?;
        Ok(Self {
            way,
            parent,
            data,
            waiting,
            took: start.elapsed().as_secs_f64(),
        })
    }

    /// Removes it from the disk.
    pub fn disperse(self) -> Result<(), String> {
        fs::remove_dir_all(&self.parent).map_err(|error| format!("{}: {error}", self.parent.display()))
    }

    pub fn turn(&mut self, bench: &Bench) -> Result<Vec<Figure>, String> {
        let start = Instant::now();
        let mut stage = bench.start(Contender::Ours, self.data.clone())?;
        let wall = start.elapsed().as_secs_f64();
        let used = stage.total()?;
        let boot = Measured {
            user: used.user,
            system: used.system,
            wall,
            peak: stage.peak()?,
            ..Measured::default()
        };

        let front = stage.front;
        let mut random = Random(self.waiting.len() as u64);
        let pages = Questions {
            next: || Some(look(front, &self.waiting[random.below(self.waiting.len())])),
            want: Want::Text,
        };
        let lookup = load::run(bench, &stage, CLIENTS, RECIPIENT, pages)?;

        let count = CLAIMS.min(self.waiting.len());
        let taken = self.waiting.split_off(self.waiting.len() - count);
        let mut next = taken.iter();
        let claims = Questions {
            next: || next.next().map(|id| get(front, &path(id), None)),
            want: Want::Bytes {
                length: SIZE,
                compare: true,
            },
        };
        let mut clients = stage.clients(CLIENTS, RECIPIENT, claims)?;
        let (answered, cost) = stage.measure(|_| clients.run(PATIENCE))?;
        let tally = &clients.tally;
        if !answered && tally.errors == 0 {
            return Err("not everything was answered in time".to_owned());
        }
        let claim = Measured {
            rate: tally.requests as f64 / cost.wall,
            p50: tally.within(0.5),
            p99: tally.within(0.99),
            errors: tally.errors,
            first_error: tally.first_error.clone(),
            ..each(cost, count)
        };
        for id in taken.iter().rev().take(LOOKED_AT) {
            stage.is_gone(&Stored {
                path: path(id),
                owner: None,
            })?;
        }
        stage.retire()?;
        Ok(vec![
            (Row::Boot, self.way, boot),
            (Row::Lookup, self.way, lookup),
            (Row::Claim, self.way, claim),
        ])
    }
}

fn each(cost: Cost, count: usize) -> Measured {
    let Cpu { user, system } = cost.cpu;
    Measured {
        user: user / count as f64,
        system: system / count as f64,
        peak: cost.peak,
        ..Measured::default()
    }
}

fn path(id: &str) -> String {
    format!("/d/{id}/raw")
}

fn look(front: SocketAddr, id: &str) -> Message {
    get(front, &format!("/d/{id}"), None)
}

fn id_of(file: &Stored) -> Option<&str> {
    file.path.strip_prefix("/d/")?.strip_suffix("/raw")
}

/// Numbers that look random and are the same in each turn (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_again() {
        let file = Stored {
            path: path("abc"),
            owner: None,
        };
        assert_eq!(id_of(&file), Some("abc"));
    }

    #[test]
    fn all_are_looked_at_about_as_often() {
        let mut random = Random(1_000);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[random.below(10)] += 1);
        assert!(
            seen.iter().all(|&times| (900..1_100).contains(&times)),
            "{seen:?}"
        );
    }
}
