//! `cargo xtask bench edge`: what a request costs here, in nginx and in HAProxy, side by side.
//!
//! Invariants: all contenders of a scenario have the same features and each its best configuration; they take turns, in
//! an order that rotates; an error of any of them is shown and fails the run. All sockets are on loopback; every wait
//! has an end; no process or file outlives the run.

#[path = "edge/chart.rs"]
mod chart;
#[path = "edge/clients.rs"]
mod clients;
#[path = "edge/config.rs"]
mod config;
#[path = "edge/programs.rs"]
mod programs;
#[path = "edge/reactor.rs"]
mod reactor;
#[path = "edge/scenario.rs"]
mod scenario;
#[path = "edge/summary.rs"]
mod summary;
#[path = "edge/table.rs"]
mod table;
#[path = "edge/turn.rs"]
mod turn;
#[path = "edge/upstream.rs"]
mod upstream;

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use truehop_bench::{message, process, results, text};

use programs::Programs;
use scenario::{Contender, Scenario, Service};
use summary::{Line, Outcome};
use table::Heading;
use turn::{Bench, Measured};

const USAGE: &str =
    "edge [SCENARIO...] [--rounds N] [--seconds S] [--quick] [--check] [--results FILE] [--chart FILE]";

/// What the command line asks for.
struct Plan {
    names: Vec<String>,
    rounds: usize,
    seconds: f64,
    warm_up: f64,
    /// Only says whether everything is there.
    check: bool,
    /// For trying out: too short to be written down.
    quick: bool,
    results: Option<PathBuf>,
    chart: Option<PathBuf>,
    command: String,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == process::BECOME => process::become_another(rest),
        _ => parse(&arguments).and_then(|plan| run(&plan)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[OsString]) -> Result<Plan, String> {
    let mut plan = Plan {
        names: Vec::new(),
        rounds: 5,
        seconds: 3.0,
        warm_up: 0.5,
        check: false,
        quick: false,
        results: None,
        chart: None,
        command: "cargo xtask bench edge".to_owned(),
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
            }
            "--check" => plan.check = true,
            "--results" => plan.results = Some(value()?.into()),
            "--chart" => plan.chart = Some(value()?.into()),
            flag if flag.starts_with('-') => return Err(format!("{flag} is unknown; {USAGE}")),
            _ => plan.names.push(argument),
        }
    }
    let usual = (plan.rounds, plan.seconds) == (5, 3.0);
    if !usual {
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
    let scenarios = scenario::select(&plan.names)?;
    let mut needed: Vec<Contender> = Vec::new();
    for &contender in scenarios.iter().flat_map(Scenario::contenders) {
        if !needed.contains(&contender) {
            needed.push(contender);
        }
    }
    if plan.check {
        // It may not be built yet.
        needed.retain(|&contender| contender != Contender::Ours);
    }
    let programs = Programs::find(&needed)?;
    let cores = process::Cores::take()?;
    let files = process::allow_files();
    if files < process::FILES && scenarios.iter().any(Scenario::is_idle) {
        return Err(format!(
            "idle needs {} open files; the limit (ulimit -n) is {files}",
            process::FILES
        ));
    }
    if plan.check {
        return Ok(());
    }

    process::end_with_parent().map_err(|error| error.to_string())?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(|error| error.to_string())?;
    }
    let directory = tempfile::Builder::new().prefix("truehop-bench-").tempdir();
    let directory = directory.map_err(|error| format!("no directory for the run: {error}"))?;
    let heading = Heading {
        command: plan.command.clone(),
        versions: programs.versions(),
        rounds: plan.rounds,
        seconds: plan.seconds,
    };
    eprintln!(
        "{}; proxies on core {}, load on core {}",
        heading.versions, cores.server, cores.load
    );
    let bench = Bench {
        programs,
        cores,
        directory: directory.path(),
        files: &directory.path().join("files"),
        warm_up: Duration::from_secs_f64(plan.warm_up),
        duration: Duration::from_secs_f64(plan.seconds),
        interrupted: &interrupted,
    };
    write_files(bench.files, &scenarios)?;
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        outcomes.push(measure(&bench, scenario, plan.rounds));
        if interrupted.load(Ordering::Relaxed) {
            return Err("interrupted; nothing was written".to_owned());
        }
    }
    report(plan, &heading, &outcomes)
}

/// Writes the static files that the scenarios ask for, down to the disk, so that nothing is written back later.
fn write_files(directory: &Path, scenarios: &[Scenario]) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", directory.display());
    fs::create_dir(directory).map_err(failed)?;
    for scenario in scenarios
        .iter()
        .filter(|scenario| scenario.service == Service::Files)
    {
        let file = File::create(directory.join(turn::size_name(scenario.download))).map_err(failed)?;
        message::write_body(&file, scenario.download).map_err(failed)?;
        file.sync_all().map_err(failed)?;
    }
    Ok(())
}

fn measure(bench: &Bench, scenario: Scenario, rounds: usize) -> Outcome {
    eprintln!("\n{}: {}", scenario.name, scenario.what);
    let contenders = scenario.contenders();
    let lines = contenders.iter().map(|&contender| Line {
        contender,
        turns: Vec::new(),
    });
    let mut outcome = Outcome {
        lines: lines.collect(),
        failed: None,
        scenario,
    };
    for round in 0..rounds {
        for place in 0..contenders.len() {
            let index = (round + place) % contenders.len();
            let label = outcome.scenario.label(contenders[index]);
            match bench.turn(&outcome.scenario, contenders[index]) {
                Ok(measured) => {
                    eprintln!(
                        "  {}/{rounds}  {label:<21} {}",
                        round + 1,
                        progress(&outcome, &measured)
                    );
                    outcome.lines[index].turns.push(measured);
                }
                Err(why) => {
                    eprintln!("  {}/{rounds}  {label:<21} failed: {why}", round + 1);
                    outcome.failed = Some(format!("{label}: {why}"));
                    return outcome;
                }
            }
        }
    }
    if let Some(ratio) = outcome.ratio() {
        eprintln!(
            "  ratio {:.2} ({:.2}..{:.2})",
            ratio.median, ratio.least, ratio.most
        );
    }
    outcome
}

fn progress(outcome: &Outcome, turn: &Measured) -> String {
    let figure = text::figure;
    let errors = match &turn.first_error {
        Some(error) => format!("  {} ERRORS: {error}", turn.errors),
        None => String::new(),
    };
    if outcome.scenario.is_idle() {
        return format!("{:>9} KiB a connection{errors}", figure(turn.growth));
    }
    format!(
        "{:>9} µs CPU ({} user)  {:>9}/s  p99 {} ms  RSS {:.1} MiB  busy {:.0} % / load {:.0} %{errors}",
        figure(outcome.cost(turn)),
        figure(turn.user),
        figure(turn.rate),
        figure(turn.p99),
        turn.resident / 1024.0,
        turn.proxy_busy * 100.0,
        turn.load_busy * 100.0,
    )
}

/// Prints the results, and writes them down when everything was measured.
fn report(plan: &Plan, heading: &Heading, outcomes: &[Outcome]) -> Result<(), String> {
    let text = table::table(heading, outcomes);
    println!("\n{text}");
    match (&plan.results, &plan.chart) {
        (Some(results), Some(chart)) if plan.names.is_empty() && !plan.quick => {
            results::write_section(results, "edge", &text)?;
            fs::write(chart, chart::chart(outcomes))
                .map_err(|error| format!("{}: {error}", chart.display()))?;
        }
        _ => eprintln!("not a whole run: nothing was written"),
    }
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.has_errors()).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => {
            let names: Vec<_> = failed.iter().map(|outcome| outcome.scenario.name).collect();
            Err(format!("there were errors in {}", names.join(", ")))
        }
    }
}
