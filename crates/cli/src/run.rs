//! `truehop run`: check, open, bind, tell, serve, drain.
//!
//! Invariant: each step happens only when the ones before it succeeded, and a step that fails leaves nothing of the
//! earlier ones behind: no port, no lock, no data directory that was not there before. Nothing is ever removed for
//! that: what could be in the way is looked at before a directory is made.

use std::fmt::Display;
use std::future;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use prometheus_client::registry::Registry;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use truehop_drop::{DropConfig, FileDrop};
use truehop_edge::{Bound, Service};

use crate::args::RunArgs;
use crate::config::{Checked, Config, data_directory};
use crate::output::{complain, say, say_without_waiting};
use crate::reload;
use crate::status::{Failure, Status};
use crate::summary;

/// What a shell reports of a process that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Serves until a signal.
pub(crate) fn run(args: RunArgs) -> Result<Status, Failure> {
    log_to_stderr(args.verbose);
    let mut config = Config::read(args.config.as_deref())?;
    if !args.listen.is_empty() {
        config.listen_on(args.listen);
    }
    let config = config.check()?;

    let opened = match (config.drop(), args.data) {
        (Some(words), data) => Some(open(&config, words, data)?),
        (None, Some(_)) => return Err(data_for_nothing(&config)),
        (None, None) => None,
    };
    let (bound, registry) = bind(&config, opened.as_ref())?;
    tell(&config, &bound, opened.as_ref());
    serve(&config, bound, registry, opened.map(|opened| opened.files))
}

/// Standard output belongs to the summary and the access log.
fn log_to_stderr(verbose: bool) {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    tracing_subscriber::registry()
        .with(levels(verbose))
        .with(lines)
        .init();
}

/// What is told. Nothing in the environment changes it: the warning of a proxy that nobody wrote down must not depend on
/// what somebody has exported for another program.
fn levels(verbose: bool) -> Targets {
    let ours = match verbose {
        true => LevelFilter::DEBUG,
        false => LevelFilter::INFO,
    };
    // Targets are prefixes: this one stands for all our crates, whose names start with it.
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("truehop", ours)
}

fn data_for_nothing(config: &Checked) -> Failure {
    let problem = format!(
        "error: --data says where the drop keeps its files, and in {} no route leads to the drop",
        config.name()
    );
    let help = "help: leave --data out, or add a [[route]] with to = \"drop\"";
    Failure::new(Status::Usage, format!("{problem}\n{help}"))
}

/// The drop, and where it lives. Dropping it closes it.
struct Opened {
    files: FileDrop,
    directory: PathBuf,
}

fn open(config: &Checked, words: &DropConfig, data: Option<PathBuf>) -> Result<Opened, Failure> {
    let cannot = |problem: &str| {
        let help = "help: --data DIR, or data = \"DIR\" in the table [drop], chooses another directory";
        Failure::new(Status::DataDirectory, format!("error: {problem}\n{help}"))
    };
    let directory =
        data_directory(data, words).ok_or_else(|| cannot("this system names no directory for data"))?;
    if !directory.exists() {
        // Opening will make it; a port that is taken must be seen before. The ports are free again after this line.
        bind(config, None)?;
    }
    let files = FileDrop::open(words, &directory).map_err(|error| cannot(&error.to_string()))?;
    Ok(Opened { files, directory })
}

/// Builds the edge, around the drop if it is open, and binds its listeners.
fn bind(config: &Checked, opened: Option<&Opened>) -> Result<(Bound, Registry), Failure> {
    let mut registry = Registry::default();
    let service = match opened {
        Some(Opened { files, .. }) => {
            files.register(&mut registry);
            Service::new(files.router())
        }
        None => Service::unmounted(),
    };
    let edge = config.edge(vec![("drop", service)])?;
    edge.register(&mut registry);
    let bound = edge
        .bind()
        .map_err(|error| Failure::new(Status::Unavailable, format!("error: {error}")))?;
    Ok((bound, registry))
}

/// Says what is served, where, and who is believed. Serving does not depend on anybody reading it.
fn tell(config: &Checked, bound: &Bound, opened: Option<&Opened>) {
    let mut lines = vec![concat!("truehop ", env!("CARGO_PKG_VERSION")).to_owned()];
    lines.extend(bound.listeners().iter().map(|url| format!("listening on {url}")));
    lines.push(summary::line("config", config.name()));
    lines.extend(summary::policy_and_routes(config));
    lines.extend(opened.map(|opened| summary::line("data", opened.directory.display())));
    lines.extend(bound.admin().map(summary::admin));
    let _ = say(lines.join("\n"));
}

/// Runs the workers and, on this thread, the drop's sweep, until a signal; then drains.
fn serve(
    config: &Checked,
    bound: Bound,
    registry: Registry,
    files: Option<FileDrop>,
) -> Result<Status, Failure> {
    let (runtime, mut signals) = signals()?;
    let live = bound.policy();
    let running = bound.start(registry).map_err(|error| {
        Failure::new(
            Status::System,
            format!("error: the workers cannot start: {error}"),
        )
    })?;
    let _ = say("ready");

    // A task of its own, so that a panic of it is an end like any other and what is under way is still finished.
    let sweep = files.as_ref().map(|files| runtime.spawn(files.sweep_forever()));
    let told = runtime.block_on(async {
        tokio::select! {
            told = until_told(signals.next(), end_of(sweep)) => told,
            never = reload::follow(config, &live) => match never {},
        }
    });
    let status = match told {
        None => Status::Done,
        Some(why) => {
            // A supervisor must hear of it: without the sweep files outlive their time.
            complain(format_args!(
                "error: the drop's sweep has ended while the server ran: {why}"
            ));
            Status::Software
        }
    };

    if let Some(files) = &files {
        files.stopping();
    }
    say_without_waiting("stopping");
    runtime.block_on(async {
        let drained = tokio::task::spawn_blocking(move || running.stop());
        tokio::select! {
            _ = drained => {}
            () = signals.next() => std::process::exit(INTERRUPTED),
        }
    });
    if let Some(files) = files {
        files.close();
    }
    Ok(status)
}

/// Waits for the signal to stop; `Some` when the sweep ended first, with its reason.
async fn until_told(signal: impl Future<Output = ()>, sweep: impl Future<Output = String>) -> Option<String> {
    tokio::select! {
        () = signal => None,
        why = sweep => Some(why),
    }
}

/// Why the sweep has ended, which it never does while the drop is open.
async fn end_of<E: Display>(sweep: Option<JoinHandle<Result<(), E>>>) -> String {
    match sweep {
        None => future::pending().await,
        Some(sweep) => match sweep.await {
            Ok(Ok(())) => "the drop was closed".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        },
    }
}

/// The signals that stop the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Takes the signals over before anybody is told that the server is ready.
fn signals() -> Result<(Runtime, Signals), Failure> {
    let refused = |error| {
        Failure::new(
            Status::System,
            format!("error: signals cannot be handled: {error}"),
        )
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(refused)?;
    let guard = runtime.enter();
    let signals = Signals {
        terminate: signal(SignalKind::terminate()).map_err(refused)?,
        interrupt: signal(SignalKind::interrupt()).map_err(refused)?,
    };
    drop(guard);
    Ok((runtime, signals))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn verbose_tells_more_of_our_own_crates_only() {
        for (verbose, target, level, told) in [
            (false, "truehop_edge::front", Level::WARN, true),
            (false, "truehop_edge::server", Level::DEBUG, false),
            (true, "truehop_edge::server", Level::DEBUG, true),
            (true, "truehop_drop", Level::DEBUG, true),
            (true, "truehop_drop", Level::TRACE, false),
            (true, "hyper", Level::DEBUG, false),
            (false, "hyper", Level::INFO, true),
        ] {
            assert_eq!(
                levels(verbose).would_enable(target, &level),
                told,
                "{verbose} {target} {level}"
            );
        }
    }

    #[test]
    fn a_sweep_that_ends_by_itself_is_told_with_its_reason_and_a_signal_is_no_failure() {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let ended = |sweep: JoinHandle<Result<(), &'static str>>| {
            runtime
                .block_on(until_told(future::pending(), end_of(Some(sweep))))
                .unwrap()
        };
        assert_eq!(ended(runtime.spawn(async { Err("no disk") })), "no disk");
        assert_eq!(ended(runtime.spawn(async { Ok(()) })), "the drop was closed");
        assert!(ended(runtime.spawn(async { panic!("a bug") })).contains("panicked"));
        let no_drop = end_of::<&str>(None);
        assert_eq!(runtime.block_on(until_told(async {}, no_drop)), None);
    }
}
