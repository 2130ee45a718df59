//! `cargo xtask check`: what can be said of the tree without running it.

use std::process::Command;

use crate::cargo;
use crate::steps::{Steps, say, succeeds};

/// The version that `deny.toml` is written for.
const DENY: &str = "0.20.2";

/// Runs every check, also after one failed.
///
/// # Errors
///
/// Names the checks that failed.
pub(crate) fn run() -> Result<(), String> {
    let mut steps = Steps::default();
    steps.run("rustfmt", Command::new(cargo()).args(["fmt", "--all", "--check"]));
    steps.run(
        "clippy",
        Command::new(cargo()).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]),
    );
    steps.run(
        "rustdoc",
        Command::new(cargo())
            .args(["doc", "--workspace", "--all-features", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    );
    if !succeeds(Command::new(cargo()).args(["deny", "--version"])) {
        say(
            "\ncargo-deny is missing and is now compiled, once; it checks licences and sources of dependencies.",
        );
        steps.run(
            "install cargo-deny",
            Command::new(cargo()).args(["install", "cargo-deny", "--locked", "--version", DENY]),
        );
    }
    steps.run(
        "deny",
        Command::new(cargo()).args(["deny", "check", "bans", "licenses", "sources"]),
    );
    steps.finish()
}
