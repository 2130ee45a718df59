//! `cargo xtask test | check | fuzz | soak | bench`: the commands that say whether the tree is good, and how good.
//!
//! Invariant: each sets up what it needs, says what it does and how long it took, and ends with the one status that
//! counts. Only the standard library, so that it compiles in a second.
#![forbid(unsafe_code)]

mod bench;
mod check;
mod fuzz;
mod peers;
mod soak;
mod steps;
mod test;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use steps::say;

const HELP: &str = "\
cargo xtask test [FILTER...]   set up what is missing, build the binary, run all tests (or those whose name has FILTER)
cargo xtask check              rustfmt, clippy, rustdoc, cargo deny: all of them, then which failed
cargo xtask fuzz [TARGET...] [--seconds N]   every fuzz target, or those named, for a minute each or N seconds
cargo xtask soak [--seconds N]   load through the edge with aborts on both sides, for ten minutes or N seconds
cargo xtask bench address      what an answer costs, beside other crates; its part of bench/RESULTS.md
cargo xtask bench edge [SCENARIO...] [--rounds N] [--seconds S] [--quick]
                               what a request costs, beside nginx and HAProxy; its part of bench/RESULTS.md, and
                               bench/edge.svg, when all scenarios run. 5 rounds of 3 s: about 15 minutes.
                               --quick is one round of 1 s, which is not written down
cargo xtask bench drop [bulk] [small] [durable] [rows] [--rounds N] [--seconds S] [--quick] [--check]
                               what uploads and downloads cost, beside nginx, dufs, miniserve, rustypaste and copyparty;
                               its part of bench/RESULTS.md, when nothing is named. 5 rounds of 3 s: about 15 minutes.
                               --quick is one round with less of everything, which is not written down; --check only
                               says who would take part

Scenarios of the edge, by name or by what stands before the hyphen: small-16 small-64 small-512 small-log small-unix connect post
  response-1m response-100m request-1m request-100m static-1k static-1m static-100m drop-page drop-4k drop-1m idle
What is measured runs on the first core that we may use (taskset chooses), the load on the second. Others should be quiet.

Environment:
  CI=true   a peer that is missing is a failure instead of skipped tests
  TRUEHOP_BINARY, TRUEHOP_NGINX, TRUEHOP_HAPROXY   what the benchmarks start instead of this tree and Debian's
  TRUEHOP_DUFS, TRUEHOP_MINISERVE, TRUEHOP_RUSTYPASTE, TRUEHOP_COPYPARTY   the same for those of `bench drop`

The real peers of the tests (nginx, node, curl, openssl, Chromium, Python) are Debian packages, installed when the user
is root; gunicorn, Flask and websockets come into target/venv. Those of `bench drop` are built by Cargo in target/peers
and come into target/bench-venv. Everything else is Cargo's.";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["test", filters @ ..] if !filters.iter().any(|filter| filter.starts_with('-')) => test::run(filters),
        ["check"] => check::run(),
        ["fuzz", args @ ..] if let Some(plan) = fuzz::Plan::parse(args) => fuzz::run(&plan),
        ["soak"] => soak::run(soak::SECONDS),
        ["soak", "--seconds", seconds] if let Ok(seconds) = seconds.parse() => soak::run(seconds),
        ["bench", args @ ..] if let Some(subject) = bench::Subject::parse(args) => bench::run(subject),
        ["--help" | "-h" | "help"] => {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        _ => {
            say(HELP);
            // EX_USAGE of sysexits.h.
            return ExitCode::from(64);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("\nfailed: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace; every command runs there.
fn workspace() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or_else(|| xtask.clone(), PathBuf::from)
}

/// Cargo's target directory.
fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

/// The Cargo that runs us.
fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
