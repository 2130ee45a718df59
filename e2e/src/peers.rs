//! The real peers: nginx, gunicorn with Flask, Chromium. Each runs in a temporary directory of its own.
//!
//! Invariant: a peer that is missing is told by name, and in CI it is a failure, never a silent skip.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, Stream};
use crate::{DEADLINE, eventually, skipped, workspace};

/// Those that are programs of Python packages.
const IN_VENV: [&str; 3] = ["gunicorn", "uvicorn", "websockets"];

/// Whether one of these peers (`nginx`, `gunicorn`, `chromium`, `strace`...) is not installed, which is then told.
///
/// # Panics
/// When one is missing and `CI=true`.
pub fn missing(peers: &[&str]) -> bool {
    let missing: Vec<&str> = peers
        .iter()
        .copied()
        .filter(|peer| find(peer).is_none())
        .collect();
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        skipped(&format!("{} {verb} missing", missing.join(" and ")));
    }
    !missing.is_empty()
}

/// nginx in front of one upstream.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    address: SocketAddr,
    _dir: TempDir,
}

/// gunicorn serving `apps/echo.py`, a Flask application that tells what it sees.
#[derive(Debug)]
pub struct Gunicorn {
    process: Process,
    address: Option<SocketAddr>,
    socket: Option<PathBuf>,
    _dir: TempDir,
}

/// Chromium without a window.
#[derive(Debug)]
pub struct Browser {
    profile: TempDir,
}

/// What the browser made of a page.
#[derive(Debug)]
pub struct Page {
    /// The document after scripts ran.
    pub dom: String,
    /// What it logged; violations of the content security policy among it.
    pub console: String,
}

impl Nginx {
    /// Starts one that passes everything on to `upstream`. `directives` are nginx's own words for that location, as
    /// in its documentation.
    ///
    /// # Panics
    /// When it does not come up.
    #[track_caller]
    pub fn start(upstream: SocketAddr, directives: &str) -> Self {
        Self::serving(&format!(
            "location / {{
                client_max_body_size 0;
                proxy_pass http://{upstream};
                proxy_set_header Host $http_host;
                {directives}
            }}"
        ))
    }

    /// Starts one whose server has these blocks and nothing else: every other setting is nginx's own default.
    ///
    /// # Panics
    /// When it does not come up.
    #[track_caller]
    pub fn serving(blocks: &str) -> Self {
        Self::configured("", blocks)
    }

    /// As [`Nginx::serving`], with blocks around the server too.
    ///
    /// # Panics
    /// When it does not come up.
    #[track_caller]
    pub fn configured(around: &str, blocks: &str) -> Self {
        // nginx tells nobody which port the kernel chose, so one is chosen for it. Somebody may be faster.
        for _ in 0..20 {
            if let Some(nginx) = Self::try_configured(around, blocks) {
                return nginx;
            }
        }
        panic!("nginx finds no free port");
    }

    /// `None` when the port was taken by somebody else.
    fn try_configured(around: &str, blocks: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let chosen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = chosen.local_addr().unwrap();
        drop(chosen);
        let temp = dir.path().display();
        // The answer to this path says that it is this nginx and not whoever else has got the port.
        let sign = dir.path().file_name().unwrap().to_string_lossy().into_owned();
        // One process instead of master and workers: then there is exactly one to end.
        let config = format!(
            "daemon off;
            master_process off;
            error_log stderr warn;
            pid {temp}/pid;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path {temp}/body;
                proxy_temp_path {temp}/proxy;
                fastcgi_temp_path {temp}/fastcgi;
                uwsgi_temp_path {temp}/uwsgi;
                scgi_temp_path {temp}/scgi;
                {around}
                server {{
                    listen {address};
                    location = /{sign} {{ return 200 {sign}; }}
                    {blocks}
                }}
            }}\n"
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(find("nginx").expect("the test asked whether nginx is missing"));
        command
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"]);
        let mut process = Process::start("nginx", command);
        let is_up = eventually("nginx to listen", || {
            if !process.is_running() {
                let told = process.wait().stderr;
                assert!(told.contains("Address already in use"), "nginx ended: {told}");
                return Some(false);
            }
            answers(address, &sign).then_some(true)
        });
        is_up.then(|| Self {
            process,
            address,
            _dir: dir,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it says.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

impl Gunicorn {
    /// Starts one on a free port of `127.0.0.1`, for an application that knows of `proxies` proxies in front.
    #[track_caller]
    pub fn start(proxies: usize) -> Self {
        Self::start_at("127.0.0.1:0", None, proxies, tempfile::tempdir().unwrap())
    }

    /// Starts one on a Unix socket.
    #[track_caller]
    pub fn start_unix() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("app.sock");
        let bind = format!("unix:{}", socket.display());
        Self::start_at(&bind, Some(socket), 1, dir)
    }

    /// Its TCP address.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.address.expect("it listens on a Unix socket")
    }

    /// Its Unix socket.
    #[track_caller]
    pub fn socket(&self) -> &Path {
        self.socket.as_deref().expect("it listens on TCP")
    }

    fn start_at(bind: &str, socket: Option<PathBuf>, proxies: usize, dir: TempDir) -> Self {
        let mut command = Command::new(find("gunicorn").expect("the test asked whether gunicorn is missing"));
        // gthread keeps connections; `dangerous` lets underscore twins through, so that only the edge can stop them.
        command.args([
            "--bind",
            bind,
            "--workers",
            "1",
            "--worker-class",
            "gthread",
            "--threads",
            "4",
        ]);
        command.args([
            "--keep-alive",
            "30",
            "--header-map",
            "dangerous",
            "--no-control-socket",
        ]);
        command
            .arg("--worker-tmp-dir")
            .arg(dir.path())
            .arg("--chdir")
            .arg(workspace().join("e2e/apps"));
        command
            .arg("echo:app")
            .env("PROXIES", proxies.to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let process = Process::start("gunicorn", command);
        let line = process.wait_for(Stream::Err, "its address", |line| line.contains("Listening at: "));
        process.wait_for(Stream::Err, "a worker", |line| line.contains("Booting worker"));
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        Self {
            process,
            address,
            socket,
            _dir: dir,
        }
    }
}

impl Drop for Gunicorn {
    fn drop(&mut self) {
        // Its arbiter ends the workers only when asked; killed at once it would leave them behind for a while.
        self.process.end();
    }
}

impl Browser {
    /// One with an empty profile.
    #[expect(clippy::new_without_default, reason = "makes a directory")]
    pub fn new() -> Self {
        Self {
            profile: tempfile::tempdir().unwrap(),
        }
    }

    /// Opens `url`, waits until it is loaded, and closes.
    #[track_caller]
    pub fn open(&self, url: &str) -> Page {
        let exit = self.run(&["--dump-dom".to_owned()], url);
        assert_eq!(exit.status, Some(0), "chromium failed: {}", exit.stderr);
        Page {
            dom: exit.stdout,
            console: exit.stderr,
        }
    }

    /// Takes a picture of `url` as `width` × 900 pixels; returns the PNG.
    #[track_caller]
    pub fn screenshot(&self, url: &str, width: u16) -> Vec<u8> {
        let path = self.profile.path().join("page.png");
        let exit = self.run(
            &[
                format!("--screenshot={}", path.display()),
                format!("--window-size={width},900"),
            ],
            url,
        );
        fs::read(&path).unwrap_or_else(|error| panic!("no screenshot: {error}: {}", exit.stderr))
    }

    #[track_caller]
    fn run(&self, what: &[String], url: &str) -> crate::Exit {
        let mut command = Command::new(find("chromium").expect("the test asked whether chromium is missing"));
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ]);
        command.args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]);
        command.args([
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--enable-logging=stderr",
        ]);
        command.arg(format!(
            "--user-data-dir={}",
            self.profile.path().join("profile").display()
        ));
        command.args(what).arg(url);
        Process::start("chromium", command).wait()
    }
}

/// Whether the server at this address answers `GET /sign` with that sign.
pub(crate) fn answers(address: SocketAddr, sign: &str) -> bool {
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(format!("GET /{sign} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    });
    asked.is_ok_and(|answer| answer.ends_with(sign.as_bytes()))
}

/// Where a peer is: as `cargo xtask test` says, else in the venv that it made, else on the path.
pub(crate) fn find(peer: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os(format!("TRUEHOP_{}", peer.to_uppercase())) {
        return Some(PathBuf::from(path)).filter(|path| path.is_file());
    }
    let mut places = vec![workspace().join("target/venv/bin")];
    if !IN_VENV.contains(&peer) {
        places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        places.push("/usr/sbin".into());
    }
    places
        .into_iter()
        .map(|place| place.join(peer))
        .find(|path| path.is_file())
}
