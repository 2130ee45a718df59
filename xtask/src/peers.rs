//! The real peers that tests talk to: found, installed where that is possible, and passed on by path.
//!
//! Invariant: nothing is installed that is there already, and nothing outside of `target/` but Debian packages.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{Steps, succeeds};
use crate::{target, workspace};

/// Programs, and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 8] = [
    ("apache2", "apache2"),
    ("caddy", "caddy"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx"),
    ("node", "nodejs"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("chromium", "chromium"),
];

/// Programs that come with the Python packages of `e2e/requirements.txt`.
const IN_VENV: [&str; 2] = ["gunicorn", "websockets"];

/// What is there.
#[derive(Debug)]
pub(crate) struct Peers {
    /// Names and, unless missing, paths.
    found: Vec<(&'static str, Option<PathBuf>)>,
}

impl Peers {
    /// Installs what is missing, as far as this user may.
    pub(crate) fn set_up(steps: &mut Steps) -> Self {
        let mut packages: Vec<&str> = PROGRAMS
            .iter()
            .filter(|(program, _)| which(program).is_none())
            .map(|(_, package)| *package)
            .collect();
        let venv_is_ready = venv_is_ready();
        // Debian splits the module off Python, with the pip that it puts into a venv.
        if !venv_is_ready && !succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
            packages.extend(["python3", "python3-venv"]);
        }
        if !packages.is_empty() && is_root() && which("apt-get").is_some() {
            install(steps, &packages);
        }
        if !venv_is_ready {
            make_venv(steps);
        }

        let programs = PROGRAMS.iter().map(|(program, _)| (*program, which(program)));
        let venv_is_ready = self::venv_is_ready();
        let in_venv = IN_VENV.iter().map(|program| {
            let path = venv().join("bin").join(program);
            (
                *program,
                Some(path).filter(|path| path.is_file() && venv_is_ready),
            )
        });
        Self {
            found: programs.chain(in_venv).collect(),
        }
    }

    /// The names of those that are not there.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &'static str> {
        self.found
            .iter()
            .filter(|(_, path)| path.is_none())
            .map(|(name, _)| *name)
    }

    /// What the tests are told: `TRUEHOP_NGINX` and so on.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (String, &Path)> {
        let found = self
            .found
            .iter()
            .filter_map(|(name, path)| Some((name, path.as_deref()?)));
        found.map(|(name, path)| (format!("TRUEHOP_{}", name.to_uppercase()), path))
    }
}

fn install(steps: &mut Steps, packages: &[&str]) {
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive");
        // A package's own service must not start: the tests run their own, on ports of their own.
        command.env("RUNLEVEL", "1");
        command
    };
    steps.run("package lists", &mut apt(&["update"]));
    let args = [&["install", "-y", "--no-install-recommends"], packages].concat();
    steps.run("packages", &mut apt(&args));
}

fn make_venv(steps: &mut Steps) {
    let made = steps.run(
        "venv",
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(venv()),
    );
    let mut pip = Command::new(venv().join("bin/pip"));
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
    ])
    .arg(requirements());
    if made && steps.run("Python packages", &mut pip) {
        // Last of all: the copy says that everything in it is installed. Without it, the next run starts again.
        let _ = fs::copy(requirements(), venv().join("requirements.txt"));
    }
}

/// Whether the venv has what the tests ask for now.
fn venv_is_ready() -> bool {
    let installed = fs::read(venv().join("requirements.txt")).ok();
    installed.is_some() && installed == fs::read(requirements()).ok()
}

fn venv() -> PathBuf {
    target().join("venv")
}

fn requirements() -> PathBuf {
    workspace().join("e2e/requirements.txt")
}

/// Where a program is; servers hide from users in `/usr/sbin`.
fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    places
        .map(|place| place.join(program))
        .find(|path| path.is_file())
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}
