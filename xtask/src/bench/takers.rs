//! Other programs that take files, which the drop is compared with.
//!
//! Invariant: one that is there already, or that the environment names, is not installed; one that cannot be had takes
//! no part, and nothing else suffers from that.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::peers::{Venv, install, which};
use crate::steps::{Steps, say};
use crate::{cargo, target};

/// From crates.io, with the versions that the results speak of.
const CRATES: [(&str, &str); 3] = [
    ("dufs", "0.47.0"),
    ("miniserve", "0.35.0"),
    ("rustypaste", "0.18.1"),
];

/// From PyPI; its version stands in the list.
const COPYPARTY: &str = "copyparty";
const REQUIREMENTS: &str = "bench/requirements.txt";

/// Longer than it ever takes on one slow core.
const PATIENCE: &str = "45m";

/// Installs those that are missing.
pub(super) fn set_up(steps: &mut Steps) {
    if is_missing("nginx") && which("nginx").is_none() {
        install(&["nginx"], |name, command| steps.attempt(name, command));
    }
    for (name, version) in CRATES {
        if is_missing(name) && !installed(name).is_file() {
            say(&format!("\n{name} is built once, which takes minutes"));
            // What others do on this machine goes first, and no build goes on for ever.
            let mut build = Command::new("timeout");
            build.args([PATIENCE, "nice", "-n", "15"]).arg(cargo());
            build.args(["install", "--locked", "--version", version, name, "--root"]);
            build.arg(root()).arg("--target-dir").arg(root().join("build"));
            steps.attempt(&format!("install {name}"), &mut build);
        }
    }
    let venv = venv();
    if is_missing(COPYPARTY) && !venv.is_ready() {
        install(Venv::packages(), |name, command| steps.attempt(name, command));
        venv.make(|name, command| steps.attempt(name, command));
    }
}

/// Where those are that were installed: `TRUEHOP_DUFS` and so on, unless the user says otherwise.
pub(super) fn environment() -> Vec<(String, PathBuf)> {
    let crates = CRATES.map(|(name, _)| (name, Some(installed(name)).filter(|path| path.is_file())));
    let python = [(COPYPARTY, venv().program(COPYPARTY))];
    let found = crates.into_iter().chain(python);
    let found = found.filter(|(name, _)| is_missing(name));
    found
        .filter_map(|(name, path)| Some((variable(name), path?)))
        .collect()
}

/// Whether the user has not named one.
fn is_missing(name: &str) -> bool {
    env::var_os(variable(name)).is_none_or(|path| path.is_empty())
}

fn variable(name: &str) -> String {
    format!("TRUEHOP_{}", name.to_uppercase())
}

fn installed(name: &str) -> PathBuf {
    root().join("bin").join(name)
}

fn root() -> PathBuf {
    target().join("peers")
}

fn venv() -> Venv {
    Venv::new("bench-venv", REQUIREMENTS)
}
