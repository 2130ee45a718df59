//! A soak: rounds of load through the edge to real servers, with clients and servers that break off at random.
//!
//! Every request has a number, which stands in its path, in its answer and in its line of the access log; every client
//! has an address of its own. After each round everything must be over and add up: no connection is open, every answer
//! was the right one, every line tells what its client got, the counters count the lines. Over all rounds the memory
//! must stay flat. A soak ends by itself: with its rounds, its time, or the first round that does not add up.

mod client;
mod ledger;

use std::io::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::http::Host;
use crate::recorder::{Kind, Recorder};
use crate::truehop::Truehop;
use crate::{DEADLINE, eventually};

use client::Client;
use ledger::Ledger;

/// How long, and how much at once.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// Requests of a round.
    pub requests: u64,
    /// Rounds at least, whatever the time.
    pub rounds: usize,
    /// No round begins later than this.
    pub time: Duration,
    /// Where the dice begin.
    pub seed: u64,
}

const CLIENTS: u8 = 12;

/// More rounds than this there never are.
const MOST_ROUNDS: usize = 10_000;

/// The memory at the end may be more than in the first third of the rounds by a tenth and this: pools and buffers are
/// as large as the largest moment made them, and the moments differ.
const SLACK: u64 = 8 << 20;

impl Soak {
    /// Runs it.
    ///
    /// # Panics
    /// When anything does not add up.
    #[track_caller]
    pub fn run(&self) {
        let upstreams = Kind::ALL.map(Recorder::start_quiet);
        let ledger = Arc::new(Ledger::default());
        let edge = {
            let ledger = Arc::clone(&ledger);
            Truehop::start_reading(&config(&upstreams), move |line| ledger.line(line))
        };
        let address = edge.address();
        let mut clients: Vec<Client> = (1..=CLIENTS)
            .map(|n| {
                let host = Host::at(127, 0, 1, n);
                Client::new(
                    host,
                    address,
                    Arc::clone(&ledger),
                    self.seed ^ (u64::from(n) << 32),
                )
            })
            .collect();
        let files_before = open_files(edge.id());
        let start = Instant::now();
        let mut memory = Vec::new();
        while memory.len() < MOST_ROUNDS && (memory.len() < self.rounds || start.elapsed() < self.time) {
            let share = self.requests / u64::from(CLIENTS);
            thread::scope(|scope| {
                for client in &mut clients {
                    scope.spawn(move || client.round(share));
                }
            });
            settle(&edge, &ledger);
            let files = open_files(edge.id());
            // What stays open is the upstreams' pools, each no larger than what was ever under way at once.
            let most = files_before + upstreams.len() * usize::from(CLIENTS) * Client::CONNECTIONS;
            assert!(
                files <= most,
                "{files} descriptors are open, there were {files_before}"
            );
            memory.push(resident(edge.id()));
            tell(
                memory.len(),
                start.elapsed(),
                &ledger,
                files,
                memory[memory.len() - 1],
            );
        }
        is_flat(&memory).unwrap_or_else(|why| panic!("{why}"));
        for upstream in &upstreams {
            let broken = upstream.complaints();
            assert!(
                broken.is_empty(),
                "{:?} got what is no request: {broken:?}",
                upstream.kind()
            );
        }
        let (exit, _) = edge.stop();
        assert_eq!(exit.status, Some(0), "{exit:#?}");
    }
}

/// Whether the memory after the last round is about what it was after the first third of the rounds.
fn is_flat(memory: &[u64]) -> Result<(), String> {
    let warm = memory[..memory.len().div_ceil(3)]
        .iter()
        .max()
        .copied()
        .unwrap_or_default();
    let last = memory.last().copied().unwrap_or_default();
    let limit = warm + warm / 10 + SLACK;
    match last <= limit {
        true => Ok(()),
        false => Err(format!(
            "the memory grew to {last} bytes, over {limit}: {memory:?}"
        )),
    }
}

fn config(upstreams: &[Recorder]) -> String {
    let routes = upstreams.iter().map(|upstream| {
        let (name, address) = (upstream.kind().name(), upstream.address());
        format!("[[route]]\npath = \"/{name}/\"\nproxy = [\"http://{address}\"]\n")
    });
    format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n{}[[route]]\npath = \"/closed/\"\n\
         reply = {{ status = 403, body = \"closed\" }}\n",
        routes.collect::<String>()
    )
}

/// Waits until nothing is under way, and until all has been written down; then it must add up.
#[track_caller]
fn settle(edge: &Truehop, ledger: &Ledger) {
    eventually("the end of all connections", || {
        ledger
            .is_sound()
            .unwrap_or_else(|failures| panic!("{failures:#?}"));
        (edge.metrics().get("truehop_connections") == Some(&0)).then_some(())
    });
    // Lines come a moment late.
    let end = Instant::now() + DEADLINE;
    loop {
        ledger
            .is_sound()
            .unwrap_or_else(|failures| panic!("{failures:#?}"));
        let counted = edge.metrics();
        let counted = |class: &str| counted[&format!("truehop_requests_total{{class=\"{class}\"}}")];
        let counted = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(counted);
        match ledger.balance(counted) {
            Ok(()) => return,
            Err(why) => assert!(Instant::now() < end, "it does not add up: {why}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The resident memory of a process, in bytes.
#[track_caller]
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).unwrap();
    kib.parse::<u64>().unwrap() << 10
}

#[track_caller]
fn open_files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// One line a round, past the test runner's capture: somebody is waiting.
fn tell(round: usize, time: Duration, ledger: &Ledger, files: usize, memory: u64) {
    let told = writeln!(
        io::stderr(),
        "round {round:>4}  {:>5} s  {}  {files} descriptors  {:.1} MiB",
        time.as_secs(),
        ledger.totals(),
        memory as f64 / f64::from(1 << 20),
    );
    told.unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_is_not_flat() {
        const MIB: u64 = 1 << 20;
        assert!(is_flat(&[20 * MIB, 22 * MIB]).is_ok());
        assert!(is_flat(&[20 * MIB, 60 * MIB, 21 * MIB]).is_ok());
        assert!(is_flat(&[20 * MIB, 31 * MIB]).is_err());
        // Ten minutes of a few hundred bytes for each request.
        let leaking: Vec<u64> = (0..60).map(|round| (20 + round) * MIB).collect();
        assert!(is_flat(&leaking).is_err());
    }
}
