//! One turn of one contender: started, tried, warmed up, measured, ended.
//!
//! 1. A new process with a config of its own, in a directory of its own.
//! 2. One connection asks twice, and everything is looked at: every byte both ways, the forwarding headers at the
//!    upstream, and that its connection was kept.
//! 3. The load runs for a moment, then for the time that counts.
//!
//! Invariant: when a turn is over, its processes and files are gone.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::clients::{After, Clients, Job};
use crate::config::{self, Place};
use crate::programs::Programs;
use crate::reactor::Reactor;
use crate::scenario::{Contender, Scenario, Service};
use truehop_bench::cost::{Used, resident};
use truehop_bench::message::{Message, field, head_length, write_body};
use truehop_bench::process::{Cores, Running};
use truehop_bench::socket::free_port;

/// How long a program may take until it listens, a request alone, and all idle connections.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a start is tried: a port may be taken between its choice and its use.
const STARTS: u32 = 3;

/// Until memory that is freed a little later is freed.
const SETTLE: Duration = Duration::from_millis(500);

/// What stays the same for all turns.
pub struct Bench<'a> {
    pub programs: Programs,
    pub cores: Cores,
    pub directory: &'a Path,
    pub files: &'a Path,
    pub warm_up: Duration,
    pub duration: Duration,
    pub interrupted: &'a AtomicBool,
}

/// What one turn came to.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    pub requests: f64,
    /// Requests a second.
    pub rate: f64,
    /// Microseconds of CPU for each request.
    pub user: f64,
    pub system: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// KiB of all processes, at the end.
    pub resident: f64,
    /// KiB more for each idle connection.
    pub growth: f64,
    /// Share of the time that each core was busy.
    pub proxy_busy: f64,
    pub load_busy: f64,
    /// Connections to the upstream that were opened, for each request.
    pub opened: f64,
    /// Client connections that were closed although they should have stayed.
    pub closed: u64,
    pub errors: u64,
    pub first_error: Option<String>,
}

/// What runs during a turn.
struct Stage<'a> {
    reactor: Reactor<'a>,
    running: Vec<Running>,
    front: SocketAddr,
}

impl Bench<'_> {
    pub fn turn(&self, scenario: &Scenario, contender: Contender) -> Result<Measured, String> {
        let directory = self.directory.join("turn");
        let unwritable = |error| format!("{}: {error}", directory.display());
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(unwritable)?;
        }
        fs::create_dir(&directory).map_err(unwritable)?;
        let mut stage = self.start(scenario, contender, &directory)?;
        let mut measured = self.measure(scenario, &mut stage);
        if scenario.log {
            measured =
                measured.and_then(|measured| check_log(measured, &directory.join(config::log(contender))));
        }
        let ended = stage.running.iter_mut().find_map(Running::ended);
        drop(stage);
        fs::remove_dir_all(&directory).map_err(unwritable)?;
        match ended {
            Some(words) => Err(format!("{} ended: {words}", scenario.label(contender))),
            None => measured,
        }
    }

    fn start(
        &self,
        scenario: &Scenario,
        contender: Contender,
        directory: &Path,
    ) -> Result<Stage<'_>, String> {
        let unix = directory.join("upstream.sock");
        let reactor = Reactor::start(&unix, self.interrupted)?;
        let mut tries = 0;
        loop {
            let port = || free_port().map_err(|error| format!("no free port: {error}"));
            let place = Place {
                directory,
                front: port()?,
                upstream: reactor.upstream.address(),
                unix: &unix,
                drop: port()?,
                files: self.files,
            };
            tries += 1;
            match self.start_programs(scenario, contender, &place) {
                Ok(running) => {
                    return Ok(Stage {
                        reactor,
                        running,
                        front: place.front,
                    });
                }
                Err(why) if tries == STARTS || self.interrupted.load(Ordering::Relaxed) => return Err(why),
                Err(_) => {}
            }
        }
    }

    fn start_programs(
        &self,
        scenario: &Scenario,
        contender: Contender,
        place: &Place,
    ) -> Result<Vec<Running>, String> {
        let mut running = Vec::new();
        if matches!(scenario.service, Service::Drop { .. }) && contender != Contender::Ours {
            let text = config::drop_behind(place);
            running.push(self.start_program("drop", Contender::Ours, &text, place.drop, place)?);
        }
        let text = config::front(contender, scenario, place);
        running.push(self.start_program("front", contender, &text, place.front, place)?);
        Ok(running)
    }

    fn start_program(
        &self,
        name: &str,
        contender: Contender,
        config: &str,
        listens: SocketAddr,
        place: &Place,
    ) -> Result<Running, String> {
        let file = place.directory.join(format!("{name}.conf"));
        fs::write(&file, config).map_err(|error| format!("{}: {error}", file.display()))?;
        let arguments = match contender {
            Contender::Ours => vec![Path::new("run"), Path::new("--config"), &file],
            Contender::Nginx => vec![Path::new("-p"), place.directory, Path::new("-c"), &file],
            Contender::Haproxy => vec![Path::new("-db"), Path::new("-f"), &file],
        };
        let program = self.programs.path(contender)?;
        let mut running = Running::start(name, program, &arguments, &[], self.cores.server, place.directory)?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(listens).is_err() {
            if let Some(words) = running.ended() {
                return Err(format!("{} does not start: {words}", program.display()));
            }
            if Instant::now() > deadline || self.interrupted.load(Ordering::Relaxed) {
                return Err(format!("{} does not listen", program.display()));
            }
            // Other people's programs tell nobody that they are ready.
            thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }

    fn measure(&self, scenario: &Scenario, stage: &mut Stage) -> Result<Measured, String> {
        let request = request(scenario, stage.front)?;
        let job = |connections, after, check, download| Job {
            target: stage.front,
            request: Message::new(request.clone(), scenario.upload),
            upload: scenario.upload,
            download,
            check,
            connections,
            after,
        };
        let once = match scenario.after {
            After::Stay => After::Again,
            after => after,
        };
        let reactor = &mut stage.reactor;
        reactor.upstream.check = true;
        reactor.begin(job(1, once, scenario.download > 0, scenario.download));
        let answered = reactor.run(PATIENCE, |clients| {
            clients.tally.requests >= 2 || clients.tally.errors > 0
        })?;
        let tried = reactor.end();
        let (errors, first_error) = all_errors(reactor, tried.as_ref());
        match first_error {
            Some(why) if errors > 0 => return Err(why),
            _ if !answered => return Err("no answer".to_owned()),
            _ => {}
        }
        if matches!(scenario.service, Service::Upstream { .. }) {
            check_upstream(reactor)?;
        }
        reactor.upstream.check = false;

        let groups: Vec<_> = stage.running.iter().map(Running::id).collect();
        let download = tried.map_or(scenario.download, |clients| clients.download());
        let job = job(scenario.connections, scenario.after, false, download);
        match scenario.is_idle() {
            true => self.idle(reactor, &groups, job),
            false => self.load(scenario, reactor, &groups, job),
        }
    }

    fn load(
        &self,
        scenario: &Scenario,
        reactor: &mut Reactor,
        groups: &[u32],
        job: Job,
    ) -> Result<Measured, String> {
        reactor.begin(job);
        reactor.run(self.warm_up, Clients::is_hopeless)?;
        if let Some(clients) = reactor.clients() {
            clients.tally.reset();
        }
        let opened = reactor.upstream.opened;
        let (used, idle, start) = (Used::by(groups)?, reactor.idle, Instant::now());
        reactor.run(self.duration, Clients::is_hopeless)?;
        let (wall, idle) = (start.elapsed().as_secs_f64(), reactor.idle - idle);
        let cpu = Used::by(groups)?.since(&used);
        let opened = reactor.upstream.opened - opened;
        let resident = resident(groups)? as f64;

        let clients = reactor.end().ok_or("no clients")?;
        let (errors, first_error) = all_errors(reactor, Some(&clients));
        let tally = &clients.tally;
        let requests = match scenario.bulk() {
            Some(size) => tally.bytes as f64 / size as f64,
            None => tally.requests as f64,
        };
        if requests == 0.0 {
            return Err(first_error.unwrap_or_else(|| "no request was answered".to_owned()));
        }
        Ok(Measured {
            requests,
            rate: requests / wall,
            user: cpu.user / requests * 1e6,
            system: cpu.system / requests * 1e6,
            p50: tally.within(0.5),
            p99: tally.within(0.99),
            resident,
            growth: 0.0,
            proxy_busy: cpu.total() / wall,
            load_busy: 1.0 - idle.as_secs_f64() / wall,
            opened: opened as f64 / requests,
            closed: tally.closed,
            errors,
            first_error,
        })
    }

    fn idle(&self, reactor: &mut Reactor, groups: &[u32], job: Job) -> Result<Measured, String> {
        let connections = job.connections;
        let before = resident(groups)?;
        reactor.begin(job);
        let all = reactor.run(PATIENCE, |clients| {
            clients.tally.requests >= connections as u64 || clients.is_hopeless()
        })?;
        reactor.run(SETTLE, Clients::is_hopeless)?;
        let after = resident(groups)?;
        let clients = reactor.end().ok_or("no clients")?;
        let (errors, first_error) = all_errors(reactor, Some(&clients));
        if !all {
            return Err("not all connections were answered".to_owned());
        }
        Ok(Measured {
            resident: after as f64,
            growth: (after as f64 - before as f64) / connections as f64,
            closed: clients.tally.closed,
            errors,
            first_error,
            ..Measured::default()
        })
    }
}

/// The head of the request that everybody sends. For a file of the drop, the file is uploaded first.
fn request(scenario: &Scenario, front: SocketAddr) -> Result<String, String> {
    let mut more = String::new();
    let path = match scenario.service {
        Service::Upstream { .. } | Service::Files => format!("/{}", size_name(scenario.download)),
        Service::Drop { page: true } => "/".to_owned(),
        Service::Drop { page: false } => {
            let (path, owner) = upload(front, scenario.download)?;
            more = format!("Truehop-Owner: {owner}\r\n");
            path
        }
    };
    if scenario.after == After::Reopen {
        more.push_str("Connection: close\r\n");
    }
    let method = match scenario.upload {
        0 => "GET",
        length => {
            more.push_str(&format!(
                "Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n"
            ));
            "POST"
        }
    };
    Ok(format!(
        "{method} {path} HTTP/1.1\r\nHost: {front}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\r\n\
         Accept: text/html,*/*;q=0.8\r\n{more}\r\n"
    ))
}

/// What a body of this length is called in paths.
pub fn size_name(length: u64) -> String {
    match length {
        128 => "small".to_owned(),
        length if length >= 1 << 20 => format!("{}m", length >> 20),
        length => format!("{}k", length >> 10),
    }
}

/// Uploads a file to the drop: its path, and what makes its owner known, for whom the file stays.
fn upload(front: SocketAddr, length: u64) -> Result<(String, String), String> {
    let failed = |error: std::io::Error| format!("the upload failed: {error}");
    let mut stream = TcpStream::connect(front).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    write!(
        stream,
        "PUT /file HTTP/1.1\r\nHost: {front}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    .and_then(|()| write_body(&stream, length))
    .map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    let head = &answer[..head_length(&answer).unwrap_or_default()];
    let path = field(head, "location").and_then(|link| link.find("/d/").map(|at| &link[at..]));
    match (
        head.starts_with(b"HTTP/1.1 201 "),
        path,
        field(head, "truehop-owner"),
    ) {
        (true, Some(path), Some(owner)) => Ok((format!("{path}/raw"), owner.to_owned())),
        _ => Err(format!(
            "the upload was answered: {}",
            String::from_utf8_lossy(&answer)
        )),
    }
}

/// Whether the upstream was told who asks, and asked twice on one connection.
fn check_upstream(reactor: &Reactor) -> Result<(), String> {
    let head = &reactor.upstream.last_head;
    for name in ["x-forwarded-for", "x-real-ip"] {
        if field(head, name) != Some("127.0.0.1") {
            let head = String::from_utf8_lossy(head);
            return Err(format!("the upstream got no {name}: {head}"));
        }
    }
    match reactor.upstream.opened {
        1 => Ok(()),
        opened => Err(format!(
            "{opened} connections to the upstream instead of one that is kept"
        )),
    }
}

/// Whether there is a log of about as many lines as there were requests; the last may still wait in a buffer.
fn check_log(measured: Measured, log: &Path) -> Result<Measured, String> {
    let text = fs::read(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let lines = text.iter().filter(|&&byte| byte == b'\n').count();
    match lines as f64 >= measured.requests * 0.9 {
        true => Ok(measured),
        false => Err(format!(
            "{lines} lines in the access log for {} requests",
            measured.requests
        )),
    }
}

fn all_errors(reactor: &Reactor, clients: Option<&Clients>) -> (u64, Option<String>) {
    let upstream = &reactor.upstream;
    let tally = clients.map(|clients| &clients.tally);
    let errors = upstream.errors + tally.map_or(0, |tally| tally.errors);
    let first = tally.and_then(|tally| tally.first_error.clone());
    (errors, first.or_else(|| upstream.first_error.clone()))
}
