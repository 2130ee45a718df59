//! Real servers that tell what they were sent: gunicorn, node and nginx, each as lenient as it can be made.
//!
//! Invariant: what a server took for a request is told, whole or not, also when its answer went nowhere. So silence
//! means that nothing arrived.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::peers::{Nginx, find};
use crate::process::{Process, Stream};
use crate::workspace;

/// Which server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// gunicorn, with `apps/record.py`.
    Gunicorn,
    /// node, with `apps/record.js`.
    Node,
    /// nginx, with `apps/record.nginx`.
    Nginx,
}

/// A server that runs and records.
#[derive(Debug)]
pub struct Recorder {
    kind: Kind,
    address: SocketAddr,
    server: Server,
}

#[derive(Debug)]
enum Server {
    /// The directory is gunicorn's; node has none.
    Child(Process, Option<TempDir>),
    Nginx(Nginx),
}

/// What a server took for a request.
#[derive(Clone)]
pub struct Seen {
    /// How much of it.
    pub part: Part,
    /// The method.
    pub method: String,
    /// The target, as it was written.
    pub target: String,
    /// The header lines in order; of nginx, those that its log format names.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: String,
    /// The trailer lines; none of nginx, which drops them.
    pub trailers: Vec<(String, String)>,
    /// The line that told it.
    line: String,
}

/// How much of a request a server saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// Its head; of nginx, less than the whole request.
    Head,
    /// All of it.
    Whole,
    /// Bytes that it could not make sense of.
    Broken,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gunicorn, Self::Node, Self::Nginx];

    /// Its name, as the first part of a path too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gunicorn => "gunicorn",
            Self::Node => "node",
            Self::Nginx => "nginx",
        }
    }
}

impl Recorder {
    /// Starts one on a free port of `127.0.0.1`.
    #[track_caller]
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[])
    }

    /// Starts one that answers and tells nothing, for loads.
    #[track_caller]
    pub fn start_quiet(kind: Kind) -> Self {
        Self::start_with(kind, &[("QUIET", "1")])
    }

    #[track_caller]
    fn start_with(kind: Kind, environment: &[(&str, &str)]) -> Self {
        let (address, server) = match kind {
            Kind::Gunicorn => gunicorn(environment),
            Kind::Node => node(environment),
            Kind::Nginx => nginx(!environment.is_empty()),
        };
        Self {
            kind,
            address,
            server,
        }
    }

    /// Which server it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything so far whose telling contains `mark`.
    pub fn seen(&self, mark: &str) -> Vec<Seen> {
        let said = self.process().said(Stream::Out);
        said.lines()
            .filter(|line| line.contains(mark))
            .filter_map(read)
            .collect()
    }

    /// Waits for a whole request whose target contains `mark`.
    #[track_caller]
    pub fn wait_for(&self, mark: &str) -> Seen {
        let what = format!("a whole request with {mark}");
        self.process().wait_until(&what, |lines| {
            let mut seen = lines
                .iter()
                .filter(|(of, line)| *of == Stream::Out && line.contains(mark))
                .filter_map(|(_, line)| read(line));
            seen.find(|seen| seen.part == Part::Whole && seen.target.contains(mark))
        })
    }

    /// What it took for no request and told about, also when it is quiet. nginx keeps such things to itself then.
    pub fn complaints(&self) -> Vec<String> {
        let (stream, sign) = match self.kind {
            Kind::Gunicorn => (Stream::Err, "Invalid request"),
            Kind::Node => (Stream::Out, "\"what\":\"broken\""),
            Kind::Nginx => return Vec::new(),
        };
        let said = self.process().said(stream);
        let complaints = said.lines().filter(|line| line.contains(sign));
        complaints.map(str::to_owned).collect()
    }

    fn process(&self) -> &Process {
        match &self.server {
            Server::Child(process, _) => process,
            Server::Nginx(nginx) => nginx.process(),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // gunicorn's arbiter ends its workers only when asked.
        if let Server::Child(process, Some(_)) = &mut self.server {
            process.end();
        }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.part, self.method, self.target)
    }
}

impl Seen {
    /// The values of all lines `name`, with `_` in names as good as `-`: so does every CGI and WSGI application.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let folded = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        let lines = self.headers.iter().filter(|(had, _)| folded(had) == folded(name));
        lines.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether this text stands anywhere in it.
    pub fn mentions(&self, text: &str) -> bool {
        self.line.contains(text)
    }
}

#[track_caller]
fn gunicorn(environment: &[(&str, &str)]) -> (SocketAddr, Server) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(find("gunicorn").expect("the test asked whether gunicorn is missing"));
    command.args(["--config", "python:record", "record:app", "--worker-tmp-dir"]);
    command.arg(dir.path());
    command
        .env("PYTHONPATH", workspace().join("e2e/apps"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(environment.iter().copied());
    let process = Process::start("gunicorn", command);
    let line = process.wait_for(Stream::Err, "its address", |line| line.contains("Listening at: "));
    process.wait_for(Stream::Err, "a worker", |line| line.contains("Booting worker"));
    let address = line
        .split_once("http://")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    (
        address.expect("the address of gunicorn"),
        Server::Child(process, Some(dir)),
    )
}

#[track_caller]
fn node(environment: &[(&str, &str)]) -> (SocketAddr, Server) {
    let mut command = Command::new(find("node").expect("the test asked whether node is missing"));
    command
        .arg(workspace().join("e2e/apps/record.js"))
        .envs(environment.iter().copied());
    let process = Process::start("node", command);
    let line = process.wait_for(Stream::Out, "its address", |line| {
        line.starts_with("listening on ")
    });
    let address = line.rsplit(' ').next().and_then(|address| address.parse().ok());
    (
        address.expect("the address of node"),
        Server::Child(process, None),
    )
}

#[track_caller]
fn nginx(quiet: bool) -> (SocketAddr, Server) {
    let headers = [
        "Host",
        "Connection",
        "Upgrade",
        "Content-Length",
        "Transfer-Encoding",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "X-Harmless",
    ]
    .map(|name| {
        let variable = name.to_lowercase().replace('-', "_");
        format!(r#"["{name}","$http_{variable}"]"#)
    });
    let format = format!(
        r#"map $status $part {{ 200 whole; default head; }}
        log_format record escape=json '{{"what":"$part","method":"$request_method","target":"$request_uri","headers":[{}],"body":"$request_body","trailers":[],"line":"$request"}}';"#,
        headers.join(",")
    );
    let mut blocks = fs::read_to_string(workspace().join("e2e/apps/record.nginx")).unwrap();
    if quiet {
        blocks = blocks.replace("/dev/stdout record", "off");
    }
    let nginx = Nginx::configured(&format, &blocks);
    (nginx.address(), Server::Nginx(nginx))
}

/// `None` for a line that tells of no request.
fn read(line: &str) -> Option<Seen> {
    let told: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    let pairs = |key: &str| -> Vec<(String, String)> {
        let pairs = told[key].as_array().into_iter().flatten();
        let pairs = pairs.map(|pair| {
            let part = |n: usize| pair[n].as_str().unwrap_or_default().to_owned();
            (part(0), part(1))
        });
        // nginx names a header that is not there, too.
        pairs.filter(|(_, value)| !value.is_empty()).collect()
    };
    Some(Seen {
        part: match told["what"].as_str()? {
            "whole" => Part::Whole,
            "head" => Part::Head,
            _ => Part::Broken,
        },
        method: text("method"),
        target: text("target"),
        headers: pairs("headers"),
        body: text("body"),
        trailers: pairs("trailers"),
        line: line.to_owned(),
    })
}
