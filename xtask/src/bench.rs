//! `cargo xtask bench`: side by side with peers, and the tables in `bench/RESULTS.md`.
//!
//! The peers of the address library are other people's crates; they have a lock file of their own, so that nobody who
//! only builds needs them. Those of the edge are Debian's nginx and HAProxy, or whatever the environment names; those of
//! the drop are installed below `target/` when they are missing.

mod takers;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::Steps;
use crate::{cargo, target, workspace};

/// What can be measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    Address,
    /// With the arguments that the benchmark reads itself.
    Edge(&'a [&'a str]),
    /// The same.
    Drop(&'a [&'a str]),
}

impl<'a> Subject<'a> {
    pub(crate) fn parse(args: &'a [&'a str]) -> Option<Self> {
        match args {
            ["address"] => Some(Self::Address),
            ["edge", args @ ..] if !args.contains(&"--help") => Some(Self::Edge(args)),
            ["drop", args @ ..] if !args.contains(&"--help") => Some(Self::Drop(args)),
            _ => None,
        }
    }
}

/// Builds the benchmark as the binary is shipped, and runs it.
///
/// # Errors
///
/// Names what failed: the build, or the run.
pub(crate) fn run(subject: Subject<'_>) -> Result<(), String> {
    let mut steps = Steps::default();
    match subject {
        Subject::Address => {
            if let Some(bench) = build(&mut steps, "address") {
                let mut measure = Command::new(bench);
                steps.run("measure", measure.arg("--out").arg(results("RESULTS.md")));
            }
        }
        Subject::Edge(args) => measure_edge(&mut steps, args),
        Subject::Drop(args) => measure_drop(&mut steps, args),
    }
    steps.finish()
}

/// Whether everything is there is asked before the long build.
fn measure_edge(steps: &mut Steps, args: &[&str]) {
    let Some(bench) = build(steps, "edge") else {
        return;
    };
    if !steps.run("look", Command::new(&bench).args(args).arg("--check")) {
        return;
    }
    let Some(ours) = ours(steps) else {
        return;
    };
    let mut measure = Command::new(bench);
    measure.args(args).env("TRUEHOP_BINARY", ours);
    measure.arg("--results").arg(results("RESULTS.md"));
    measure.arg("--chart").arg(results("edge.svg"));
    steps.run("measure", &mut measure);
}

/// With `--check` nothing is installed and nothing measured: it says who would take part.
fn measure_drop(steps: &mut Steps, args: &[&str]) {
    let Some(bench) = build(steps, "drop") else {
        return;
    };
    let is_check = args.contains(&"--check");
    if !is_check {
        takers::set_up(steps);
    }
    // On the disk of this tree: in /tmp, the disk may be memory.
    let look = |args: &[&str]| {
        let mut look = Command::new(&bench);
        look.args(args).envs(takers::environment());
        look.arg("--directory").arg(target().join("bench"));
        look
    };
    if !steps.run("look", &mut look(&[args, &["--check"]].concat())) || is_check {
        return;
    }
    let Some(ours) = ours(steps) else {
        return;
    };
    let mut measure = look(args);
    measure.env("TRUEHOP_BINARY", ours);
    measure.arg("--results").arg(results("RESULTS.md"));
    steps.run("measure", &mut measure);
}

/// The binary to measure: that of `TRUEHOP_BINARY`, or this tree's as it is shipped.
fn ours(steps: &mut Steps) -> Option<PathBuf> {
    if let Some(binary) = env::var_os("TRUEHOP_BINARY").filter(|binary| !binary.is_empty()) {
        return Some(workspace().join(binary));
    }
    let mut build = Command::new(cargo());
    build.args(["build", "--release", "--locked", "--package", "truehop-cli"]);
    steps
        .run("build truehop", &mut build)
        .then(|| target().join("release/truehop"))
}

/// One of the benchmark's binaries, built.
fn build(steps: &mut Steps, name: &str) -> Option<PathBuf> {
    let dir = target().join("bench");
    let mut build = Command::new(cargo());
    build.args(["build", "--release", "--locked", "--bin", name, "--manifest-path"]);
    build.arg(workspace().join("bench/Cargo.toml"));
    build.arg("--target-dir").arg(&dir);
    steps
        .run("build", &mut build)
        .then(|| dir.join("release").join(name))
}

fn results(file: &str) -> PathBuf {
    workspace().join(Path::new("bench").join(file))
}
