//! One contender on the stage: started anew with an empty directory, tried, and gone with all its files afterwards.
//!
//! Invariant: nothing is measured of a program that did not give back, byte for byte, what it was given.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use truehop_bench::cost::{Cpu, Used, forget_peak, peak};
use truehop_bench::message::{KIB, Message};
use truehop_bench::process::{Cores, Running};
use truehop_bench::socket::free_port;

use crate::answer::{Answer, Want};
use crate::clients::{Ask, Clients, Script};
use crate::contender::{Contender, Place, Stored};
use crate::disk;
use crate::programs::Programs;

/// How long a program may take until it listens or ends, and a single request.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a start is tried: a port may be taken between its choice and its use.
const STARTS: u32 = 3;

/// A program that used less of its core than a hundredth in each of two such spans has nothing left to do.
const QUIET: Duration = Duration::from_millis(100);

/// Where uploads come from, and downloads of those who are to be known as the owner.
pub const OWNER: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Where others come from.
pub const RECIPIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What stays the same for all turns.
pub struct Bench<'a> {
    pub programs: Programs,
    pub cores: Cores,
    /// For everything that is written.
    pub directory: &'a Path,
    pub warm_up: Duration,
    pub duration: Duration,
    pub interrupted: &'a AtomicBool,
}

/// What was used between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub cpu: Cpu,
    /// Seconds.
    pub wall: f64,
    /// KiB at most.
    pub peak: f64,
}

/// A program that runs.
pub struct Stage<'a> {
    pub contender: Contender,
    pub front: SocketAddr,
    pub data: PathBuf,
    running: Running,
    directory: PathBuf,
    interrupted: &'a AtomicBool,
    names: usize,
}

impl Bench<'_> {
    /// Starts a contender whose files go to a new directory in `parent`, and tries it.
    pub fn stage(&self, contender: Contender, parent: &Path) -> Result<Stage<'_>, String> {
        let data = disk::fresh(parent)?;
        let mut stage = self.start(contender, data)?;
        stage.try_it()?;
        Ok(stage)
    }

    /// Starts a contender with the data that is there.
    pub fn start(&self, contender: Contender, data: PathBuf) -> Result<Stage<'_>, String> {
        let directory = self.directory.join("turn");
        let unusable = |error| format!("{}: {error}", directory.display());
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(unusable)?;
        }
        fs::create_dir(&directory).map_err(unusable)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let front = free_port().map_err(|error| format!("no free port: {error}"))?;
            match self.start_at(contender, front, &data, &directory) {
                Ok(running) => {
                    return Ok(Stage {
                        contender,
                        front,
                        data,
                        running,
                        directory,
                        interrupted: self.interrupted,
                        names: 0,
                    });
                }
                Err(why) if tries == STARTS || self.interrupted.load(Ordering::Relaxed) => return Err(why),
                Err(_) => {}
            }
        }
    }

    fn start_at(
        &self,
        contender: Contender,
        front: SocketAddr,
        data: &Path,
        directory: &Path,
    ) -> Result<Running, String> {
        let program = self.programs.path(contender)?;
        let start = contender.prepare(&Place {
            directory,
            data,
            front,
        })?;
        let mut running = Running::start(
            contender.name(),
            program,
            &start.arguments,
            &start.environment,
            self.cores.server,
            directory,
        )?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(front).is_err() {
            if let Some(words) = running.ended() {
                return Err(format!("{} does not start: {words}", contender.name()));
            }
            if Instant::now() > deadline || self.interrupted.load(Ordering::Relaxed) {
                return Err(format!("{} does not listen", contender.name()));
            }
            // Other people's programs tell nobody that they are ready.
            thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }
}

impl<'a> Stage<'a> {
    /// Whether it still runs; ends it, and removes what it has written.
    pub fn close(mut self) -> Result<(), String> {
        let ended = self.running.ended();
        let (directory, data) = (self.directory.clone(), self.data.clone());
        drop(self);
        for path in [&directory, &data] {
            fs::remove_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        match ended {
            Some(words) => Err(format!("it ended: {words}")),
            None => Ok(()),
        }
    }

    /// Asks it to end by itself; what it has written stays.
    pub fn retire(self) -> Result<PathBuf, String> {
        self.running.end(PATIENCE)?;
        Ok(self.data)
    }

    /// Lets clients do what a script says.
    pub fn clients<S: Script>(
        &self,
        count: usize,
        source: Ipv4Addr,
        script: S,
    ) -> Result<Clients<'a, S>, String> {
        Clients::start(count, source, self.front, script, self.interrupted)
    }

    /// What it used from now on until `work` is done and nothing is left to do after it.
    pub fn measure<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<(T, Cost), String> {
        let groups = [self.running.id()];
        forget_peak(&groups)?;
        let (before, start) = (Used::by(&groups)?, Instant::now());
        let done = work(self)?;
        let wall = start.elapsed().as_secs_f64();
        let cost = Cost {
            cpu: self.quiet()?.since(&before),
            wall,
            peak: peak(&groups)? as f64,
        };
        Ok((done, cost))
    }

    /// What it has used when it is done with what it does after an answer, within reason.
    pub fn quiet(&self) -> Result<Used, String> {
        let groups = [self.running.id()];
        let mut used = Used::by(&groups)?;
        let mut quiet = 0;
        for _ in 0..30 {
            thread::sleep(QUIET);
            let now = Used::by(&groups)?;
            let is_quiet = now.since(&used).total() < QUIET.as_secs_f64() / 100.0;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            used = now;
            if quiet == 2 {
                break;
            }
        }
        Ok(used)
    }

    pub fn forget_peak(&self) -> Result<(), String> {
        forget_peak(&[self.running.id()])
    }

    /// KiB at most, since its start or since that was forgotten.
    pub fn peak(&self) -> Result<f64, String> {
        Ok(peak(&[self.running.id()])? as f64)
    }

    /// All that it has used since its start.
    pub fn total(&self) -> Result<Cpu, String> {
        Ok(self.used()?.since(&Used::none()))
    }

    /// What it has used so far.
    pub fn used(&self) -> Result<Used, String> {
        Used::by(&[self.running.id()])
    }

    /// Uploads one file.
    pub fn upload(&mut self, length: u64) -> Result<Stored, String> {
        self.names += 1;
        let name = format!("file-{}", self.names);
        let message = self.contender.upload(self.front, &name, length);
        let mut stored = None;
        let contender = self.contender;
        self.once(OWNER, message, Want::Text, |answer| {
            stored = Some(contender.stored(&name, answer)?);
            Ok(())
        })?;
        stored.ok_or_else(|| "no answer".to_owned())
    }

    /// Downloads a file.
    pub fn download(&self, file: &Stored, who: Ipv4Addr, length: u64, compare: bool) -> Result<(), String> {
        let owner = file.owner.as_ref().filter(|_| who == OWNER);
        let message = get(self.front, &file.path, owner);
        self.once(who, message, Want::Bytes { length, compare }, ok)
    }

    /// Whether the file is over, for somebody else.
    pub fn is_gone(&self, file: &Stored) -> Result<(), String> {
        let message = get(self.front, &file.path, None);
        self.once(RECIPIENT, message, Want::Text, |answer| match answer.status() {
            410 => Ok(()),
            _ => Err(format!(
                "after its delivery a file was answered: {}",
                answer.shown()
            )),
        })
    }

    fn try_it(&mut self) -> Result<(), String> {
        let length = 300 * KIB + 1;
        let file = self.upload(length)?;
        self.download(&file, OWNER, length, true)
    }

    /// One question by one client.
    fn once(
        &self,
        who: Ipv4Addr,
        message: Message,
        want: Want,
        judge: impl FnMut(&Answer) -> Result<(), String>,
    ) -> Result<(), String> {
        let ask = Some(Ask {
            message,
            want,
            subject: 0,
        });
        let mut clients = self.clients(1, who, Once { ask, judge })?;
        let answered = clients.run(PATIENCE)?;
        match clients.tally.first_error {
            Some(why) => Err(why),
            None if answered => Ok(()),
            None => Err("no answer".to_owned()),
        }
    }
}

struct Once<J> {
    ask: Option<Ask>,
    judge: J,
}

impl<J: FnMut(&Answer) -> Result<(), String>> Script for Once<J> {
    fn ask(&mut self) -> Option<Ask> {
        self.ask.take()
    }

    fn judge(&mut self, _: usize, answer: &Answer) -> Result<(), String> {
        (self.judge)(answer)
    }
}

fn ok(answer: &Answer) -> Result<(), String> {
    match answer.status() {
        200 => Ok(()),
        _ => Err(answer.shown()),
    }
}

/// A request for a path, by its owner when that is known by something.
pub fn get(front: SocketAddr, path: &str, owner: Option<&String>) -> Message {
    let owner = owner.map_or_else(String::new, |token| format!("Truehop-Owner: {token}\r\n"));
    Message::new(
        format!(
            "GET {path} HTTP/1.1\r\nHost: {front}\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n{owner}\r\n"
        ),
        0,
    )
}
