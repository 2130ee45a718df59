//! The programs that are compared: where they are, which version, how they are started.

use std::path::{Path, PathBuf};

use truehop_bench::program;

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
    match contender {
        Contender::Ours => program::named_by(variable),
        Contender::Nginx | Contender::Haproxy => program::find(name, variable),
    }
}

fn version(contender: Contender, path: &Path) -> String {
    let flag = match contender {
        Contender::Ours => "--version",
        Contender::Nginx | Contender::Haproxy => "-v",
    };
    program::version(path, flag)
}
