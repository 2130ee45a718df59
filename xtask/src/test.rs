//! `cargo xtask test`: the binary is built once, and every test runs, those with real peers among them.

use std::env;
use std::process::Command;

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
    let peers = Peers::set_up(&mut steps);
    for missing in peers.missing() {
        say(&format!("\nmissing: {missing}; tests that need it are skipped"));
    }
    if env::var("CI").as_deref() == Ok("true") && peers.missing().next().is_some() {
        let missing: Vec<&str> = peers.missing().collect();
        return Err(format!("{} must be there in CI", missing.join(", ")));
    }

    // The features that are shipped, whatever the tests turn on.
    if steps.run(
        "build",
        Command::new(cargo()).args(["build", "--package", "truehop-cli"]),
    ) {
        let mut tests = Command::new(cargo());
        tests
            .args(["test", "--workspace", "--all-features", "--no-fail-fast", "--"])
            .args(filters);
        tests
            .env("TRUEHOP_BIN", target().join("debug/truehop"))
            .envs(peers.environment());
        steps.run("tests", &mut tests);
    }
    steps.finish()
}
