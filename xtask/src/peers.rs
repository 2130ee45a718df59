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
const PROGRAMS: [(&str, &str); 11] = [
    ("apache2", "apache2"),
    ("caddy", "caddy"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx"),
    ("node", "nodejs"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("openssl", "openssl"),
    ("strace", "strace"),
    ("faketime", "faketime"),
    ("chromium", "chromium"),
];

/// What programs need beside themselves, and the Debian packages that have it: whoever has installed the one may not have
/// installed the other.
const MODULES: [(&str, &str); 1] = [(
    "/usr/lib/nginx/modules/ngx_stream_module.so",
    "libnginx-mod-stream",
)];

/// Programs that come with the Python packages of `e2e/requirements.txt`.
const IN_VENV: [&str; 3] = ["gunicorn", "uvicorn", "websockets"];

/// What is there.
#[derive(Debug)]
pub(crate) struct Peers {
    /// Names and, unless missing, paths.
    found: Vec<(&'static str, Option<PathBuf>)>,
}

impl Peers {
    /// Installs what is missing, as far as this user may.
    pub(crate) fn set_up(steps: &mut Steps) -> Self {
        let programs = PROGRAMS.iter().filter(|(program, _)| which(program).is_none());
        let modules = MODULES.iter().filter(|(file, _)| !Path::new(file).is_file());
        let mut packages: Vec<&str> = programs.chain(modules).map(|(_, package)| *package).collect();
        let venv = Venv::of_tests();
        if !venv.is_ready() {
            packages.extend(Venv::packages());
        }
        install(&packages, |name, command| steps.run(name, command));
        if !venv.is_ready() {
            venv.make(|name, command| steps.run(name, command));
        }

        let programs = PROGRAMS.iter().map(|(program, _)| (*program, which(program)));
        let in_venv = IN_VENV.iter().map(|program| (*program, venv.program(program)));
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

/// Installs Debian packages, if this user may, by steps that `run` runs.
pub(crate) fn install(packages: &[&str], mut run: impl FnMut(&str, &mut Command) -> bool) {
    if packages.is_empty() || !is_root() || which("apt-get").is_none() {
        return;
    }
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
    run("package lists", &mut apt(&["update"]));
    let args = [&["install", "-y", "--no-install-recommends"], packages].concat();
    run("packages", &mut apt(&args));
}

/// Python packages of their own.
#[derive(Debug)]
pub(crate) struct Venv {
    directory: PathBuf,
    requirements: PathBuf,
}

impl Venv {
    /// What the tests need.
    fn of_tests() -> Self {
        Self::new("venv", "e2e/requirements.txt")
    }

    /// A directory below `target/`, and the list of what is to be in it.
    pub(crate) fn new(directory: &str, requirements: &str) -> Self {
        Self {
            directory: target().join(directory),
            requirements: workspace().join(requirements),
        }
    }

    /// The Debian packages without which there is none: the module is split off Python there, with the pip that it puts
    /// into a venv.
    pub(crate) fn packages() -> &'static [&'static str] {
        match succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
            true => &[],
            false => &["python3", "python3-venv"],
        }
    }

    /// Whether everything that is asked for now is in it.
    pub(crate) fn is_ready(&self) -> bool {
        let installed = fs::read(self.mark()).ok();
        installed.is_some() && installed == fs::read(&self.requirements).ok()
    }

    /// Makes it anew, by steps that `run` runs.
    pub(crate) fn make(&self, mut run: impl FnMut(&str, &mut Command) -> bool) {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&self.directory);
        let mut pip = Command::new(self.directory.join("bin/pip"));
        pip.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ]);
        pip.arg(&self.requirements);
        if run("venv", &mut make) && run("Python packages", &mut pip) {
            // Last of all: the copy says that everything in it is installed. Without it, the next run starts again.
            let _ = fs::copy(&self.requirements, self.mark());
        }
    }

    /// One of its programs.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.directory.join("bin").join(name);
        Some(path).filter(|path| path.is_file() && self.is_ready())
    }

    fn mark(&self) -> PathBuf {
        self.directory.join("requirements.txt")
    }
}

/// Where a program is; servers hide from users in `/usr/sbin`.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
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
