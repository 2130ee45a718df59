//! The programs that are compared: where they are, which version, how they are started.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scenario::Contender;

pub struct Programs {
    found: Vec<(Contender, PathBuf)>,
}

impl Programs {
    /// Finds all that are needed.
    ///
    /// # Errors
    ///
    /// Names every one that is missing.
    pub fn find(needed: &[Contender]) -> Result<Self, String> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for &contender in needed {
            match path(contender) {
                Some(path) => found.push((contender, path)),
                None => missing.push(absent(contender)),
            }
        }
        match missing.is_empty() {
            true => Ok(Self { found }),
            false => Err(missing.join("; ")),
        }
    }

    pub fn path(&self, contender: Contender) -> Result<&Path, String> {
        let found = self.found.iter().find(|(known, _)| *known == contender);
        found
            .map(|(_, path)| path.as_path())
            .ok_or_else(|| absent(contender))
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

/// The name of the program, and the variable that names another one.
fn names(contender: Contender) -> (&'static str, &'static str) {
    match contender {
        Contender::Ours => ("truehop", "TRUEHOP_BINARY"),
        Contender::Nginx => ("nginx", "TRUEHOP_NGINX"),
        Contender::Haproxy => ("haproxy", "TRUEHOP_HAPROXY"),
    }
}

fn absent(contender: Contender) -> String {
    let (name, variable) = names(contender);
    match contender {
        Contender::Ours => format!("{name} is missing: {variable} must name the binary"),
        Contender::Nginx | Contender::Haproxy => {
            format!(
                "{name} is missing: install Debian's package {name}, or name another binary in {variable}"
            )
        }
    }
}

fn path(contender: Contender) -> Option<PathBuf> {
    let (name, variable) = names(contender);
    if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path)).filter(|path| path.is_file());
    }
    if contender == Contender::Ours {
        return None;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    // Servers hide from users in /usr/sbin.
    let mut places = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    places.find_map(|place| Some(place.join(name)).filter(|path| path.is_file()))
}

fn version(contender: Contender, path: &Path) -> String {
    let flag = match contender {
        Contender::Ours => "--version",
        Contender::Nginx | Contender::Haproxy => "-v",
    };
    let said = Command::new(path).arg(flag).output();
    let said = said.map_or_else(
        |error| error.to_string().into_bytes(),
        |said| [said.stdout, said.stderr].concat(),
    );
    let said = String::from_utf8_lossy(&said);
    // "nginx version: nginx/1.22.1", "HAProxy version 2.6.12-1 2026/10/17 - https://haproxy.org/", "truehop 0.1.0".
    let line = said.lines().next().unwrap_or("of an unknown version");
    let line = line.trim_start_matches("nginx version: ").replace('/', " ");
    let mut words: Vec<_> = line.split(' ').filter(|word| *word != "version").collect();
    words.truncate(2);
    words.join(" ")
}
