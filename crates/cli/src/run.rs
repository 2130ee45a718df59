//! `truehop run`: check, open, bind, tell, serve, drain.
//!
//! Invariant: each step happens only when the ones before it succeeded, and a step that fails leaves nothing of the
//! earlier ones behind: no port, no lock, no data directory that was not there before. Nothing is ever removed for
//! that: what could be in the way is looked at before a directory is made.

use std::future;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use prometheus_client::registry::Registry;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use truehop_drop::{DropConfig, FileDrop};
use truehop_edge::{Bound, Service};

use crate::args::RunArgs;
use crate::config::{Checked, Config, data_directory};
use crate::output::say;
use crate::status::{Failure, Status};
use crate::summary;

/// What a shell reports of a process that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Serves until a signal.
pub(crate) fn run(args: RunArgs) -> Result<Status, Failure> {
    log_to_stderr();
    let mut config = Config::read(args.config.as_deref())?;
    if !args.listen.is_empty() {
        config.listen_on(args.listen);
    }
    let config = config.check()?;

    let opened = match config.drop() {
        Some(words) => Some(open(&config, words, args.data)?),
        None => None,
    };
    let (bound, registry) = bind(&config, opened.as_ref())?;
    tell(&config, &bound, opened.as_ref());
    serve(bound, registry, opened.map(|opened| opened.files))
}

/// Standard output belongs to the summary and the access log. `RUST_LOG` is read, as everywhere in Rust.
fn log_to_stderr() {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
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
fn serve(bound: Bound, registry: Registry, files: Option<FileDrop>) -> Result<Status, Failure> {
    let (runtime, mut signals) = signals()?;
    let running = bound.start(registry).map_err(|error| {
        Failure::new(
            Status::System,
            format!("error: the workers cannot start: {error}"),
        )
    })?;
    let _ = say("ready");

    runtime.block_on(async {
        let sweep = async {
            match &files {
                Some(files) => files.sweep_forever().await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            () = signals.next() => {}
            _ = sweep => {}
        }
    });

    let _ = say("stopping");
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
    Ok(Status::Done)
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
