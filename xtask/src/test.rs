//! `cargo xtask test`: the binary is built once, and every test runs, those with real peers among them.
//!
//! Invariant: the tests run the binary with the features that are shipped. Testing with all features links another one
//! to the same place, so the first is copied aside before. That other one kills itself where a test wants it to
//! (`TRUEHOP_FAILPOINTS`); nothing else is tested with it.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, io};

use crate::peers::Peers;
use crate::steps::{Steps, say};
use crate::{cargo, target};

/// Runs all tests, or those whose name has one of `filters`.
///
/// # Errors
///
/// Names what failed: a peer that CI must have, the build, or the tests.
pub(crate) fn run(filters: &[&str]) -> Result<(), String> {
    let mut steps = Steps::default();
    let peers = ready(&mut steps)?;
    if let Some(binary) = built(&mut steps)? {
        let mut tests = Command::new(cargo());
        tests
            .args(["test", "--workspace", "--all-features", "--no-fail-fast", "--"])
            .args(filters);
        tests
            .env("TRUEHOP_BIN", binary)
            .env("TRUEHOP_FAILPOINTS", failpoints())
            .envs(peers.environment());
        steps.run("tests", &mut tests);
    }
    steps.finish()
}

/// The binary with all features, where Cargo puts it before any test of the workspace runs.
fn failpoints() -> PathBuf {
    target().join("debug/truehop")
}

/// The peers, and which are missing; in CI that is an error.
pub(crate) fn ready(steps: &mut Steps) -> Result<Peers, String> {
    let peers = Peers::set_up(steps);
    for missing in peers.missing() {
        say(&format!("\nmissing: {missing}; tests that need it are skipped"));
    }
    if env::var("CI").as_deref() == Ok("true") && peers.missing().next().is_some() {
        let missing: Vec<&str> = peers.missing().collect();
        return Err(format!("{} must be there in CI", missing.join(", ")));
    }
    Ok(peers)
}

/// Builds the binary that is tested. Where it is, if it could be built.
pub(crate) fn built(steps: &mut Steps) -> Result<Option<PathBuf>, String> {
    let mut build = Command::new(cargo());
    build.args(["build", "--package", "truehop-cli"]);
    if !steps.run("build", &mut build) {
        return Ok(None);
    }
    let binary = set_aside().map_err(|error| format!("the binary cannot be copied: {error}"))?;
    Ok(Some(binary))
}

/// Copies the binary to where nothing links over it. Returns where.
fn set_aside() -> io::Result<PathBuf> {
    let directory = target().join("e2e");
    fs::create_dir_all(&directory)?;
    let aside = directory.join("truehop");
    // Renamed over, because an instance of an earlier run may still be running from there.
    let new = directory.join("truehop.new");
    fs::copy(target().join("debug/truehop"), &new)?;
    fs::rename(&new, &aside)?;
    Ok(aside)
}
