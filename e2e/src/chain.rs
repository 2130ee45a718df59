//! Two real proxies in front of an application server, on the hosts of an [`Internet`].
//!
//! ```text
//! client ── first proxy :80 :443 ── second proxy :8080 ── application server :8080   whoami, drop; Flask behind
//!                       :81 ─────────────────── :8081 ─────────────────── :3000      an axum application
//! ```
//!
//! Each proxy is configured in its own words: as its documentation says for one that passes the client on, or as
//! `truehop recipe` prints it. Nothing else is set but where to listen and where to connect.
//!
//! Invariant: a configuration changes in addresses only; a recipe that has not the address any more that is replaced
//! here is a failure.

mod apache;
mod applications;
mod caddy;
mod edge;
mod haproxy;
mod nginx;

use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

pub use applications::{App, Applications};

use crate::eventually;
use crate::internet::{Family, Internet, Machine};
use crate::peers::find;
use crate::process::Process;
use crate::tls::Certificate;
use crate::truehop::binary;

/// A program that stands in a chain.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Proxy {
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Caddy.
    Caddy,
    /// Apache httpd with mod_proxy.
    Apache,
    /// Ours.
    Edge,
}

/// Whose words configure the proxies.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Words {
    /// Each proxy's own documentation.
    Documentation,
    /// `truehop recipe`, where it has one for the place.
    Recipe,
}

/// How it is told who connected.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Joint {
    /// In a header of each request.
    Header,
    /// In front of the connection, by the PROXY protocol; the bytes of HTTP pass through.
    Preface,
    /// In a header; but the second one passes bytes through, and tells the application by the PROXY protocol who the
    /// first one is. Then the application must understand both.
    PrefaceBehind,
}

/// Which proxies, and how they are set up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Pair {
    /// The one that clients connect to.
    pub first: Proxy,
    /// The one behind it.
    pub second: Proxy,
    /// How they are configured.
    pub words: Words,
    /// How they are linked.
    pub link: Joint,
}

/// A pair that runs. It ends when dropped.
#[derive(Debug)]
pub struct Chain {
    _first: Running,
    _second: Running,
}

/// One proxy's place in the chain.
#[derive(Debug)]
struct Place<'a> {
    /// The proxies before it, which it believes; none before the first.
    before: Vec<IpAddr>,
    words: Words,
    lanes: Vec<Lane>,
    certificate: &'a Certificate,
}

/// What comes in here goes out there.
#[derive(Clone, Copy, Debug)]
struct Lane {
    listen: SocketAddr,
    to: SocketAddr,
    tls: bool,
    preface: Preface,
}

/// What a lane has to do with the PROXY protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Preface {
    None,
    Sent,
    Received,
}

/// A proxy that runs: as many processes as it needs, and its files.
#[derive(Debug)]
struct Running {
    _processes: Vec<Process>,
    _dir: TempDir,
}

impl Proxy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Haproxy, Self::Caddy, Self::Apache, Self::Edge];

    /// Its program, as [`missing`](crate::missing) knows it; none for ours.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Nginx => Some("nginx"),
            Self::Haproxy => Some("haproxy"),
            Self::Caddy => Some("caddy"),
            Self::Apache => Some("apache2"),
            Self::Edge => None,
        }
    }

    /// Whether clients may speak HTTP/2 with it.
    pub fn speaks_http2(self) -> bool {
        self != Self::Edge
    }

    /// Whether it can begin a connection with a PROXY header. Caddy can from 2.7 on.
    pub fn sends_preface(self) -> bool {
        matches!(self, Self::Nginx | Self::Haproxy)
    }

    /// Whether it can take a PROXY header. Caddy can from 2.7 on.
    pub fn receives_preface(self) -> bool {
        self != Self::Caddy
    }

    /// What it needs beside its program and has not.
    pub fn lacks(self) -> Option<&'static str> {
        (self == Self::Nginx && !nginx::has_stream())
            .then_some("the stream module of nginx (libnginx-mod-stream) is missing")
    }

    /// Its version, as it tells it itself.
    #[track_caller]
    pub fn version(self) -> String {
        version(self.program().unwrap_or_default())
    }

    #[track_caller]
    fn start(self, machine: &Machine, place: &Place<'_>) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let mut processes = match self {
            Self::Nginx => nginx::start(machine, place, dir.path()),
            Self::Haproxy => haproxy::start(machine, place, dir.path()),
            Self::Caddy => caddy::start(machine, place, dir.path()),
            Self::Apache => apache::start(machine, place, dir.path()),
            Self::Edge => edge::start(machine, place, dir.path()),
        };
        for lane in &place.lanes {
            eventually(&format!("{self} to listen at {}", lane.listen), || {
                for process in &mut processes {
                    assert!(process.is_running(), "{self} ended: {}", process.wait().stderr);
                }
                machine.inside(|| TcpStream::connect(lane.listen)).ok()
            });
        }
        Running {
            _processes: processes,
            _dir: dir,
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Caddy => "Caddy",
            Self::Apache => "Apache httpd",
            Self::Edge => "Truehop",
        })
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.link {
            Joint::Header | Joint::PrefaceBehind => "→",
            Joint::Preface => "→ PROXY →",
        };
        let words = match self.words {
            Words::Documentation => "as documented",
            Words::Recipe => "by recipe",
        };
        let behind = match self.link {
            Joint::PrefaceBehind => " → PROXY",
            Joint::Header | Joint::Preface => "",
        };
        write!(f, "{} {arrow} {}{behind}, {words}", self.first, self.second)
    }
}

impl Pair {
    /// Every pair, in every way in which it can be set up and that differs from the others.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for first in Proxy::ALL {
            for second in Proxy::ALL {
                let pair = |words, link| Self {
                    first,
                    second,
                    words,
                    link,
                };
                all.push(pair(Words::Documentation, Joint::Header));
                // Our edge has no recipe, it is one; and there is one for a second proxy that is nginx only.
                if first != Proxy::Edge || second == Proxy::Nginx {
                    all.push(pair(Words::Recipe, Joint::Header));
                }
                if first.sends_preface() && second.receives_preface() {
                    all.push(pair(Words::Documentation, Joint::Preface));
                    all.push(pair(Words::Recipe, Joint::Preface));
                }
                if second.sends_preface() {
                    all.push(pair(Words::Documentation, Joint::PrefaceBehind));
                }
            }
        }
        all
    }

    /// Starts both, in front of `app`.
    #[track_caller]
    pub fn start(self, net: &Internet, certificate: &Certificate) -> Chain {
        let (towards, at, behind) = match self.link {
            Joint::Header => (Preface::None, Preface::None, Preface::None),
            Joint::Preface => (Preface::Sent, Preface::Received, Preface::None),
            Joint::PrefaceBehind => (Preface::None, Preface::None, Preface::Sent),
        };
        let (mut front, mut back) = (Vec::new(), Vec::new());
        let lane = |listen: (IpAddr, u16), to: (IpAddr, u16), preface| Lane {
            listen: listen.into(),
            to: to.into(),
            tls: false,
            preface,
        };
        for family in Family::BOTH {
            let (first, second, app) = (
                net.first.address(family),
                net.second.inner(family),
                net.app.inner(family),
            );
            for app_at in App::PORTS {
                let lane_in = lane((first, app_at.front), (second, app_at.back), towards);
                front.push(lane_in);
                if app_at == App::Whoami.ports() && self.link != Joint::Preface {
                    let listen = (first, 443).into();
                    front.push(Lane {
                        listen,
                        tls: true,
                        ..lane_in
                    });
                }
                let (port, preface) = match (behind, app_at == App::Whoami.ports()) {
                    (Preface::Sent, true) => (App::PREFACED, behind),
                    _ => (app_at.app, at),
                };
                back.push(lane((second, app_at.back), (app, port), preface));
            }
        }
        let place = |before: Vec<IpAddr>, lanes| Place {
            before,
            words: self.words,
            lanes,
            certificate,
        };
        let before = Family::BOTH.map(|family| net.first.inner(family)).to_vec();
        let second = self.second.start(&net.second, &place(before, back));
        let first = self.first.start(&net.first, &place(Vec::new(), front));
        Chain {
            _first: first,
            _second: second,
        }
    }
}

impl Place<'_> {
    fn is_first(&self) -> bool {
        self.before.is_empty()
    }
}

/// The proxy's part of what `truehop recipe` prints, with other addresses in it.
#[track_caller]
fn recipe(name: &str, swaps: &[(&str, String)]) -> String {
    let output = binary().args(["recipe", name]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let config = told
        .split_once("# The proxy:\n\n")
        .and_then(|(_, rest)| rest.split_once("# truehop.toml:"))
        .unwrap_or_else(|| panic!("no proxy in the recipe {name}: {told}"))
        .0;
    // In two rounds, because what is put in may look like what is to be replaced.
    let mark = |n: usize| format!("\0{n}\0");
    let marked = swaps
        .iter()
        .enumerate()
        .fold(config.to_owned(), |config, (n, (from, _))| {
            assert!(
                config.contains(from),
                "no {from:?} in the recipe {name}: {config}"
            );
            config.replace(from, &mark(n))
        });
    swaps
        .iter()
        .enumerate()
        .fold(marked, |config, (n, (_, to))| config.replace(&mark(n), to))
}

/// A peer's program, ready for arguments.
///
/// # Panics
/// When it is [missing](crate::missing).
#[track_caller]
pub fn peer(name: &str) -> Command {
    Command::new(find(name).expect("the test asked whether it is missing"))
}

/// A peer's version, as it tells it itself; ours when it has no name.
///
/// # Panics
/// When it is missing, or tells none.
#[track_caller]
pub fn version(name: &str) -> String {
    let mut command = if name.is_empty() { binary() } else { peer(name) };
    let argument = match name {
        "nginx" | "haproxy" | "apache2" => "-v",
        "caddy" => "version",
        _ => "--version",
    };
    let output = command.arg(argument).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // "nginx version: nginx/1.22.1", "HAProxy version 2.6.12-1+deb12u4 2026/10/17", "gunicorn (version 27.0.1)".
    let mut words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let version = words.find_map(|word| {
        let word = word.trim_start_matches('v').trim_end_matches('.');
        (word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')).then_some(word)
    });
    version.unwrap_or_else(|| panic!("no version: {said}")).to_owned()
}

/// The file `name` with this text in it.
#[track_caller]
fn write(dir: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let file = dir.join(name);
    std::fs::write(&file, text).unwrap();
    file
}
