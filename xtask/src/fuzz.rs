//! `cargo xtask fuzz`: each parser under a fuzzer for a bounded time.
//!
//! The inputs in `fuzz/corpus` are where each run starts; what a run finds goes under `target/`, so the tree does not
//! change. An input that crashes stays there too, and its path is said.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;

use crate::steps::{Steps, say, succeeds};
use crate::{target, workspace};

/// How long one target runs unless told otherwise.
const SECONDS: u64 = 60;
/// Longer inputs find nothing that shorter ones do not, more slowly.
const LONGEST_INPUT: u32 = 4096;

/// What to run, and how long each.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    only: Vec<&'a str>,
    seconds: u64,
}

impl<'a> Plan<'a> {
    /// Reads `[TARGET...] [--seconds N]`.
    pub(crate) fn parse(args: &[&'a str]) -> Option<Self> {
        let mut plan = Self {
            only: Vec::new(),
            seconds: SECONDS,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match *arg {
                "--seconds" => plan.seconds = args.next()?.parse().ok().filter(|&seconds| seconds > 0)?,
                flag if flag.starts_with('-') => return None,
                name => plan.only.push(name),
            }
        }
        Some(plan)
    }
}

/// Builds all targets and runs them one after the other.
///
/// # Errors
///
/// Names the targets that do not exist, do not build, or crashed.
pub(crate) fn run(plan: &Plan<'_>) -> Result<(), String> {
    let targets = targets()?;
    if let Some(unknown) = plan.only.iter().find(|name| !targets.iter().any(|t| t == *name)) {
        return Err(format!("no target {unknown}; there are {}", targets.join(", ")));
    }
    let mut steps = Steps::default();
    if !succeeds(Command::new("cargo").args(["+nightly", "fuzz", "--version"])) {
        say(
            "\ncargo-fuzz is missing and is now compiled, once. It needs a nightly compiler: rustup toolchain add nightly",
        );
        steps.run(
            "install cargo-fuzz",
            Command::new("cargo").args(["+nightly", "install", "cargo-fuzz", "--locked"]),
        );
    }
    // No memory sanitizer: nothing here is unsafe, and twice as many inputs are tried without.
    let dir = target().join("fuzz");
    let mut build = Command::new("cargo");
    build.args(["+nightly", "fuzz", "build", "--sanitizer", "none", "--target-dir"]);
    if !steps.run("build", build.arg(&dir)) {
        return steps.finish();
    }
    let mut tried = Vec::new();
    for name in targets
        .iter()
        .filter(|name| plan.only.is_empty() || plan.only.contains(&name.as_str()))
    {
        let found = dir.join("found").join(name);
        fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        let mut fuzz = Command::new("cargo");
        fuzz.args(["+nightly", "fuzz", "run", "--sanitizer", "none", "--target-dir"]);
        fuzz.arg(&dir)
            .arg(name)
            .args([&found, &workspace().join("fuzz/corpus").join(name)]);
        fuzz.arg("--").args([
            format!("-max_total_time={}", plan.seconds),
            format!("-max_len={LONGEST_INPUT}"),
            format!("-artifact_prefix={}/crash-{name}-", dir.display()),
            "-print_final_stats=1".to_owned(),
        ]);
        let log = dir.join(format!("{name}.log"));
        tried.push((name.as_str(), executions(&mut steps, name, &mut fuzz, &log)?));
    }
    say("");
    for (name, executions) in tried {
        say(&format!("{executions:>12} executions  {name}"));
    }
    steps.finish()
}

/// Runs one target, with its own words in `log`; how many inputs it tried.
fn executions(steps: &mut Steps, name: &str, fuzz: &mut Command, log: &Path) -> Result<u64, String> {
    let unwritable = |error: io::Error| format!("{}: {error}", log.display());
    let well = steps.run(name, fuzz.stderr(File::create(log).map_err(unwritable)?));
    let text = fs::read_to_string(log).map_err(unwritable)?;
    if !well {
        say(&text);
    }
    let executions = text
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    Ok(executions
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_default())
}

/// Every target has a binary of its name.
fn targets() -> Result<Vec<String>, String> {
    let manifest = workspace().join("fuzz/Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let paths = text
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    let mut targets: Vec<_> = paths
        .filter_map(|path| path.strip_suffix(".rs\""))
        .map(str::to_owned)
        .collect();
    targets.sort();
    Ok(targets)
}
