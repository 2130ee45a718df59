//! `cargo xtask soak`: the edge under load for a bounded time, with clients and servers that break off at random.
//!
//! The binary is the one that the tests run: its checks of arithmetic and its assertions are worth more here than speed.

use std::process::Command;

use crate::cargo;
use crate::steps::Steps;
use crate::test::{built, ready};

/// How long unless told otherwise.
pub(crate) const SECONDS: u64 = 600;

/// Builds the binary and soaks it.
///
/// # Errors
///
/// Names what failed: a peer that CI must have, the build, or the soak.
pub(crate) fn run(seconds: u64) -> Result<(), String> {
    let mut steps = Steps::default();
    let peers = ready(&mut steps)?;
    if let Some(binary) = built(&mut steps)? {
        let mut soak = Command::new(cargo());
        soak.args([
            "test",
            "--package",
            "truehop-e2e",
            "--test",
            "soak",
            "--",
            "--ignored",
        ]);
        soak.env("TRUEHOP_SOAK_SECONDS", seconds.to_string())
            .env("TRUEHOP_BIN", binary)
            .envs(peers.environment());
        steps.run("soak", &mut soak);
    }
    steps.finish()
}
