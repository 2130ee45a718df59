//! The programs that are compared: where they are, and which version.
//!
//! Invariant: a peer that is not there is named; only ours must be.

use std::path::{Path, PathBuf};
use std::process::Command;

use truehop_bench::program;

use crate::contender::{ALL, Contender};

pub struct Programs {
    found: Vec<(Contender, PathBuf)>,
    /// Names of peers, and why they take no part.
    pub missing: Vec<(Contender, String)>,
}

impl Programs {
    pub fn find() -> Self {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for contender in ALL {
            match path(contender) {
                Ok(path) => found.push((contender, path)),
                Err(why) => missing.push((contender, why)),
            }
        }
        Self { found, missing }
    }

    /// Those that take part, ours first.
    pub fn contenders(&self) -> Vec<Contender> {
        self.found.iter().map(|(contender, _)| *contender).collect()
    }

    pub fn path(&self, contender: Contender) -> Result<&Path, String> {
        let found = self.found.iter().find(|(known, _)| *known == contender);
        let missing = || format!("{} is missing", contender.name());
        found.map(|(_, path)| path.as_path()).ok_or_else(missing)
    }

    /// Names and versions.
    pub fn versions(&self) -> String {
        let versions: Vec<_> = self
            .found
            .iter()
            .map(|(contender, path)| version(*contender, path))
            .collect();
        versions.join(", ")
    }
}

fn path(contender: Contender) -> Result<PathBuf, String> {
    let (name, variable) = (contender.name(), contender.variable());
    let path = match contender {
        Contender::Ours => program::named_by(variable),
        _ => program::find(name, variable),
    };
    let path = path.ok_or_else(|| format!("not installed, and {variable} names none"))?;
    match contender {
        Contender::Nginx if !says(&path, &["-V"]).contains("http_dav_module") => {
            Err("built without its WebDAV module".to_owned())
        }
        _ => Ok(path),
    }
}

fn version(contender: Contender, path: &Path) -> String {
    match contender {
        Contender::Nginx => program::version(path, "-v"),
        Contender::Copyparty => program::version(path, "--version").replace(" v", " "),
        // It has no flag for that, but where it is installed by Cargo the list beside it knows.
        Contender::Rustypaste => installed(path, contender.name()),
        Contender::Ours | Contender::Dufs | Contender::Miniserve => program::version(path, "--version"),
    }
}

/// The version that `cargo install` has written down, in `.crates.toml` beside `bin`.
fn installed(path: &Path, name: &str) -> String {
    let list = path.ancestors().nth(2).map(|root| root.join(".crates.toml"));
    let list = list
        .and_then(|list| std::fs::read_to_string(list).ok())
        .unwrap_or_default();
    let version = list.lines().find_map(|line| {
        let rest = line.strip_prefix(&format!("\"{name} "))?;
        rest.split(' ').next()
    });
    format!("{name} {}", version.unwrap_or("of an unknown version"))
}

fn says(path: &Path, arguments: &[&str]) -> String {
    let said = Command::new(path).args(arguments).output();
    said.map_or_else(
        |_| String::new(),
        |said| String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned(),
    )
}
