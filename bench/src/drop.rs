//! `cargo xtask bench drop`: what uploads and downloads cost here and in other programs that take files, side by side.
//!
//! Invariants: all contenders do the same work on the same machine in the same run; they take turns, in an order that
//! rotates; an error of any of them is shown and fails the run; what they do not do beside it is said. All sockets are
//! on loopback; every wait has an end; no process, mount or file outlives the run.

#[path = "drop/answer.rs"]
mod answer;
#[path = "drop/bulk.rs"]
mod bulk;
#[path = "drop/clients.rs"]
mod clients;
#[path = "drop/contender.rs"]
mod contender;
#[path = "drop/crowd.rs"]
mod crowd;
#[path = "drop/disk.rs"]
mod disk;
#[path = "drop/load.rs"]
mod load;
#[path = "drop/programs.rs"]
mod programs;
#[path = "drop/rounds.rs"]
mod rounds;
#[path = "drop/seed.rs"]
mod seed;
#[path = "drop/stage.rs"]
mod stage;
#[path = "drop/summary.rs"]
mod summary;
#[path = "drop/table.rs"]
mod table;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use truehop_bench::message::MIB;
use truehop_bench::{process, results};

use contender::Contender;
use programs::Programs;
use rounds::Group;
use stage::Bench;
use summary::Outcome;
use table::Heading;

const USAGE: &str = "drop [bulk] [small] [durable] [rows] [--rounds N] [--seconds S] [--quick] [--check] \
                     [--directory DIR] [--results FILE]";

/// What the run needs on the disk at most, beside what is measured.
const SPARE: u64 = 3 << 30;

/// What the command line asks for.
struct Plan {
    groups: Vec<Group>,
    rounds: usize,
    seconds: f64,
    warm_up: f64,
    /// Bytes of the large file.
    large: u64,
    /// Files in the larger catalog.
    crowd: usize,
    /// Only says whether everything is there.
    check: bool,
    /// For trying out: too short to be written down.
    quick: bool,
    /// Where everything is written that is measured.
    directory: PathBuf,
    results: Option<PathBuf>,
    command: String,
    mounts_are_own: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == process::BECOME => process::become_another(rest),
        Some((first, rest)) if first == disk::OWN_MOUNTS => begin(rest, true),
        _ => {
            disk::own_mounts(&arguments);
            begin(&arguments, false)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn begin(arguments: &[OsString], mounts_are_own: bool) -> Result<(), String> {
    let mut plan = parse(arguments)?;
    plan.mounts_are_own = mounts_are_own;
    run(&plan)
}

fn parse(arguments: &[OsString]) -> Result<Plan, String> {
    let mut plan = Plan {
        groups: Vec::new(),
        rounds: 5,
        seconds: 3.0,
        warm_up: 0.5,
        large: 1024 * MIB,
        crowd: 1_000_000,
        check: false,
        quick: false,
        directory: env::temp_dir(),
        results: None,
        command: "cargo xtask bench drop".to_owned(),
        mounts_are_own: false,
    };
    let mut arguments = arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value; {USAGE}"))
        };
        match argument.as_str() {
            "--rounds" => plan.rounds = within(&argument, &value()?, 1.0, 100.0)? as usize,
            "--seconds" => plan.seconds = within(&argument, &value()?, 0.1, 60.0)?,
            "--quick" => {
                plan.quick = true;
                (plan.rounds, plan.seconds, plan.warm_up) = (1, 1.0, 0.2);
                (plan.large, plan.crowd) = (128 * MIB, 20_000);
            }
            "--check" => plan.check = true,
            "--directory" => plan.directory = value()?.into(),
            "--results" => plan.results = Some(value()?.into()),
            name => match Group::named(name) {
                Some(group) => plan.groups.push(group),
                None => return Err(format!("{name} is unknown; {USAGE}")),
            },
        }
    }
    if (plan.rounds, plan.seconds) != (5, 3.0) {
        plan.command += &format!(" --rounds {} --seconds {}", plan.rounds, plan.seconds);
    }
    Ok(plan)
}

fn within(name: &str, value: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = value
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{name} is a number from {least} to {most}"))
}

fn run(plan: &Plan) -> Result<(), String> {
    let programs = Programs::find();
    let cores = process::Cores::take()?;
    process::end_with_parent().map_err(|error| error.to_string())?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(|error| error.to_string())?;
    }
    let directory = tempfile::Builder::new()
        .prefix("truehop-bench-")
        .tempdir_in(&plan.directory);
    let directory = directory.map_err(|error| format!("{}: {error}", plan.directory.display()))?;
    let mountable = disk::can_mount(directory.path(), plan.mounts_are_own);
    let absent = absent(&programs, &mountable);
    let versions = programs.versions();
    eprintln!(
        "{versions}; servers on core {}, load on core {}; files on {} in {}",
        cores.server,
        cores.load,
        disk::kind(directory.path()),
        plan.directory.display()
    );
    absent
        .iter()
        .for_each(|absent| eprintln!("not measured: {absent}"));
    let (free, needed) = (disk::free(directory.path())?, 2 * plan.large + SPARE);
    if free < needed {
        return Err(format!(
            "{} has {} MiB left; {} are needed",
            plan.directory.display(),
            free / MIB,
            needed / MIB
        ));
    }
    if plan.check {
        return Ok(());
    }
    if let Some((_, why)) = programs
        .missing
        .iter()
        .find(|(missing, _)| *missing == Contender::Ours)
    {
        return Err(format!("truehop: {why}"));
    }

    let heading = Heading {
        command: plan.command.clone(),
        versions,
        rounds: plan.rounds,
        seconds: plan.seconds,
        large: plan.large,
        disk: disk::kind(directory.path()),
        contenders: programs.contenders(),
        absent,
    };
    let bench = Bench {
        programs,
        cores,
        directory: directory.path(),
        warm_up: Duration::from_secs_f64(plan.warm_up),
        duration: Duration::from_secs_f64(plan.seconds),
        interrupted: &interrupted,
    };
    let wanted = |group: Group| plan.groups.is_empty() || plan.groups.contains(&group);
    let mut outcomes = Vec::new();
    if wanted(Group::Bulk) {
        outcomes.extend(rounds::bulk(&bench, plan.rounds, plan.large)?);
    }
    if wanted(Group::Small) {
        outcomes.push(rounds::small(&bench, plan.rounds)?);
    }
    if wanted(Group::Durable) && mountable.is_ok() {
        outcomes.push(rounds::durable(&bench, plan.rounds)?);
    }
    if wanted(Group::Rows) {
        outcomes.extend(rounds::rows(&bench, plan.rounds, plan.crowd)?);
    }
    report(plan, &heading, &outcomes)
}

/// Peers and rows that take no part, and why.
fn absent(programs: &Programs, mountable: &Result<(), String>) -> Vec<String> {
    let missing = programs.missing.iter();
    let missing = missing.filter(|(contender, _)| *contender != Contender::Ours);
    let mut absent: Vec<_> = missing
        .map(|(contender, why)| format!("{}: {why}", contender.name()))
        .collect();
    if let Err(why) = mountable {
        absent.push(format!("`small-durable`: {why}"));
    }
    absent
}

/// Prints the results, and writes them down when everything was measured.
fn report(plan: &Plan, heading: &Heading, outcomes: &[Outcome]) -> Result<(), String> {
    let text = table::table(heading, outcomes);
    println!("\n{text}");
    match plan
        .results
        .as_deref()
        .filter(|_| plan.groups.is_empty() && !plan.quick)
    {
        Some(results) => results::write_section(Path::new(results), "drop", &text)?,
        None => eprintln!("not a whole run: nothing was written"),
    }
    let failed = outcomes.iter().filter(|outcome| outcome.has_errors());
    let failed: Vec<_> = failed.map(|outcome| outcome.row.name()).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("there were errors in {}", failed.join(", "))),
    }
}
