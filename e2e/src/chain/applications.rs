//! The applications behind a chain: each answers with the client that it believes in, as JSON. Where `whoami` is, the
//! drop is too.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{edge, peer, write};
use crate::internet::{Family, Internet, Machine};
use crate::process::{Process, Stream};
use crate::workspace;

/// An application that tells who its client is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum App {
    /// Truehop's own `whoami`.
    Whoami,
    /// axum with the layer of truehop-tower.
    Axum,
    /// Flask with ProxyFix under gunicorn, on a Unix socket behind our edge.
    Flask,
}

/// The ports by which an application is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    /// At the first proxy.
    pub front: u16,
    /// At the second proxy.
    pub back: u16,
    /// At the application server.
    pub app: u16,
}

/// The applications of a picture, which do not care which proxies stand before them.
#[derive(Debug)]
pub struct Applications {
    _processes: Vec<Process>,
    /// Ended last, and gently: its arbiter must end its worker.
    _gunicorn: Gently,
    _dir: TempDir,
}

#[derive(Debug)]
struct Gently(Process);

impl App {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Whoami, Self::Axum, Self::Flask];

    /// All ports that lead somewhere.
    pub(super) const PORTS: [Ports; 2] = [Self::Whoami.ports(), Self::Axum.ports()];

    /// Where `whoami` listens to a second proxy that speaks the PROXY protocol.
    pub const PREFACED: u16 = 8090;

    /// The path of its answer.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Whoami | Self::Axum => "/whoami",
            Self::Flask => "/flask",
        }
    }

    /// Where it is reached.
    pub const fn ports(self) -> Ports {
        match self {
            Self::Whoami | Self::Flask => Ports {
                front: 80,
                back: 8080,
                app: 8080,
            },
            Self::Axum => Ports {
                front: 81,
                back: 8081,
                app: 3000,
            },
        }
    }
}

impl Applications {
    /// Starts all of them. `axum` is the program of the axum application.
    #[track_caller]
    pub fn start(net: &Internet, axum: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("flask.sock");
        let flask = flask(&socket, dir.path());
        let gunicorn = Process::start("gunicorn", net.app.command(&flask));
        gunicorn.wait_for(Stream::Err, "a worker", |line| line.contains("Booting worker"));

        let proxies = [&net.first, &net.second];
        let trusted = Family::BOTH
            .map(|family| proxies.map(|proxy| proxy.inner(family).to_string()))
            .concat();
        let at = |port: u16| {
            Family::BOTH
                .map(|family| (net.app.inner(family), port).into())
                .map(|at: std::net::SocketAddr| at.to_string())
        };

        let quoted = |words: &[String]| {
            words
                .iter()
                .map(|word| format!("\"{word}\""))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let config = format!(
            "workers = 1\naccess_log = false\nlisten = [{}]\n\n\
             [client]\nfrom = \"x-forwarded-for\"\ntrusted = [{}]\n\n\
             [[route]]\npath = \"/whoami\"\nto = \"whoami\"\n\n\
             [[route]]\npath = \"/flask\"\nproxy = [\"unix:{}\"]\n\n{}",
            quoted(&at(App::Whoami.ports().app)),
            quoted(&trusted),
            socket.display(),
            drop_at(&dir.path().join("drop"))
        );
        let truehop = edge::run(&net.app, &write(dir.path(), "truehop.toml", &config));

        // In two steps: the second proxy says who the first one is, and the first one who the client is.
        let only = |proxy: &Machine| quoted(&Family::BOTH.map(|family| proxy.inner(family).to_string()));
        let config = format!(
            "workers = 1\naccess_log = false\nlisten = [{}]\n\n\
             [[client]]\nfrom = \"proxy-protocol\"\ntrusted = [{}]\n\n\
             [[client]]\nfrom = \"x-forwarded-for\"\ntrusted = [{}]\n\n\
             [[route]]\npath = \"/whoami\"\nto = \"whoami\"\n\n{}",
            quoted(&at(App::PREFACED)),
            only(&net.second),
            only(&net.first),
            drop_at(&dir.path().join("prefaced"))
        );
        let prefaced = edge::run(&net.app, &write(dir.path(), "prefaced.toml", &config));

        let mut command = Command::new(axum);
        command.args([at(App::Axum.ports().app).join(","), trusted.join(",")]);
        let axum = Process::start("axum", net.app.command(&command));
        axum.wait_for(Stream::Out, "the line `ready`", |line| line == "ready");
        Self {
            _processes: vec![truehop, prefaced, axum],
            _gunicorn: Gently(gunicorn),
            _dir: dir,
        }
    }
}

/// A drop at every path that nobody else has; all else is as it comes.
fn drop_at(data: &Path) -> String {
    format!(
        "[[route]]\npath = \"/\"\nto = \"drop\"\n\n[drop]\ndata = \"{}\"\n",
        data.display()
    )
}

/// `dangerous` lets underscore twins through, so that only the edge can stop them.
fn flask(socket: &Path, dir: &Path) -> Command {
    let mut gunicorn = peer("gunicorn");
    gunicorn.arg("--bind").arg(format!("unix:{}", socket.display()));
    gunicorn.args([
        "--worker-class",
        "gthread",
        "--threads",
        "4",
        "--keep-alive",
        "30",
    ]);
    gunicorn.args(["--header-map", "dangerous", "--no-control-socket"]);
    gunicorn.arg("--worker-tmp-dir").arg(dir);
    gunicorn.arg("--chdir").arg(workspace().join("e2e/apps"));
    // The two proxies of the chain and the edge before it.
    gunicorn
        .arg("whoami:app")
        .env("PROXIES", "3")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    gunicorn
}

impl Drop for Gently {
    fn drop(&mut self) {
        self.0.end();
    }
}
