//! `cargo xtask bench`: side by side with peers, and the table in `bench/RESULTS.md`.
//!
//! The peers are other people's crates; they have a lock file of their own, so that nobody who only builds needs them.

use std::process::Command;

use crate::steps::Steps;
use crate::{cargo, target, workspace};

/// What can be measured.
pub(crate) const SUBJECTS: [&str; 1] = ["address"];

/// Builds the benchmark as the binary is shipped, and runs it.
///
/// # Errors
///
/// Names what failed: the build, or the run.
pub(crate) fn run(subject: &str) -> Result<(), String> {
    let mut steps = Steps::default();
    let manifest = workspace().join("bench/Cargo.toml");
    let dir = target().join("bench");
    let mut build = Command::new(cargo());
    build.args([
        "build",
        "--release",
        "--locked",
        "--bin",
        subject,
        "--manifest-path",
    ]);
    build.arg(manifest).arg("--target-dir").arg(&dir);
    if steps.run("build", &mut build) {
        let mut measure = Command::new(dir.join("release").join(subject));
        steps.run(
            "measure",
            measure.arg("--out").arg(workspace().join("bench/RESULTS.md")),
        );
    }
    steps.finish()
}
