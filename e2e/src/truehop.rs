//! The built binary: started in a home of its own, listened to, killed, started again.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::http::Host;
use crate::process::{Exit, Process, Stream};
use crate::{skipped, workspace};

/// A running `truehop run`.
#[derive(Debug)]
pub struct Truehop {
    process: Process,
    address: Option<SocketAddr>,
    home: Home,
}

/// The place of one instance: its config file and its data directory. Gone when dropped.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
    data: PathBuf,
}

impl Truehop {
    /// Starts with this config file, in a new home. Listens on a free port of `127.0.0.1`, unless the config says
    /// `listen`.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        Self::start_in(Home::new(), config)
    }

    /// As [`Truehop::start`], in a given home.
    #[track_caller]
    pub fn start_in(home: Home, config: &str) -> Self {
        Self::start_by(binary(), home, config)
    }

    /// As [`Truehop::start_in`], by a command to which the arguments are added: another binary, or one that starts ours.
    #[track_caller]
    pub fn start_by(command: Command, home: Home, config: &str) -> Self {
        let process = Process::start("truehop", home.run(command, config));
        Self::when_ready(process, home)
    }

    /// As [`Truehop::start_by`], for one that is to be killed before it serves anybody.
    #[track_caller]
    pub fn dies_by(command: Command, home: Home, config: &str) -> Home {
        let exit = Process::start("truehop", home.run(command, config)).wait();
        assert!(
            exit.is_killed() && !exit.stdout.contains("ready"),
            "it was not killed at its start: {exit:#?}"
        );
        home
    }

    /// As [`Truehop::start`], but each line of its standard output is shown to `take`, and only kept when that says
    /// false.
    #[track_caller]
    pub(crate) fn start_reading(config: &str, take: impl FnMut(&str) -> bool + Send + 'static) -> Self {
        let home = Home::new();
        let process = Process::start_reading("truehop", home.run(binary(), config), take);
        Self::when_ready(process, home)
    }

    #[track_caller]
    fn when_ready(process: Process, home: Home) -> Self {
        process.wait_for(Stream::Out, "the line `ready`", |line| line == "ready");
        let address = process.said(Stream::Out).lines().find_map(|line| {
            let (_, address) = line.strip_prefix("listening on ")?.split_once("://")?;
            address.trim_end_matches('/').parse().ok()
        });
        Self {
            process,
            address,
            home,
        }
    }

    /// Starts with a config or in a home that it must refuse, and waits until it has ended.
    #[track_caller]
    pub fn refused(home: &Home, config: &str) -> Exit {
        Self::ends(home.run(binary(), config))
    }

    /// As [`Truehop::refused`], as a user without any privilege. `None`, told as skipped, where that cannot be had.
    #[track_caller]
    pub fn refused_without_privileges(home: &Home, config: &str) -> Option<Exit> {
        let command = home.run(binary(), config);
        if !geteuid().is_root() {
            return Some(Self::ends(command));
        }
        // Home and binary may lie below directories that only root may enter, so all of it goes where anybody may.
        let binary = home.path().join("truehop");
        fs::copy(command.get_program(), &binary).unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
        let mut dropped = Command::new("setpriv");
        dropped
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary)
            .args(command.get_args())
            .current_dir(home.path());
        if Command::new("setpriv").arg("--version").output().is_err() {
            skipped("setpriv is missing, and root may do everything");
            return None;
        }
        let exit = Self::ends(dropped);
        fs::remove_file(binary).unwrap();
        Some(exit)
    }

    #[track_caller]
    fn ends(command: Command) -> Exit {
        let exit = Process::start("truehop", command).wait();
        assert!(
            !exit.stdout.contains("ready"),
            "it started all the same: {exit:#?}"
        );
        exit
    }

    /// The address of its first TCP listener.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.address
            .unwrap_or_else(|| panic!("no TCP listener in: {}", self.process.said(Stream::Out)))
    }

    /// The address of the operator's listener, as the summary tells it.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        let said = self.process.said(Stream::Out);
        let mut lines = said.lines();
        let admin = lines.find_map(|line| line.strip_prefix("admin:   http://")?.parse().ok());
        admin.unwrap_or_else(|| panic!("no [admin] listener in: {said}"))
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.home.data()
    }

    /// Waits until it has heard that it shall end.
    #[track_caller]
    pub fn wait_for_stopping(&self) {
        self.process
            .wait_for(Stream::Out, "the line `stopping`", |line| line == "stopping");
    }

    /// Waits for an access-log line that has all of these fields.
    #[track_caller]
    pub fn wait_for_access(&self, fields: &[&str]) -> String {
        self.process.wait_for(
            Stream::Out,
            &format!("an access-log line with {fields:?}"),
            |line| has(line, fields),
        )
    }

    /// Waits until so many access-log lines have all of these fields.
    #[track_caller]
    pub fn wait_for_accesses(&self, count: usize, fields: &[&str]) {
        self.process
            .wait_until(&format!("{count} access-log lines with {fields:?}"), |lines| {
                (lines.iter().filter(|(_, line)| has(line, fields)).count() >= count).then_some(())
            });
    }

    /// How many access-log lines have all of these fields so far.
    pub fn accesses(&self, fields: &[&str]) -> usize {
        self.process
            .said(Stream::Out)
            .lines()
            .filter(|line| has(line, fields))
            .count()
    }

    /// Waits for a diagnostic (standard error) that contains `part`.
    #[track_caller]
    pub fn wait_for_diagnostic(&self, part: &str) -> String {
        self.process
            .wait_for(Stream::Err, &format!("a diagnostic with `{part}`"), |line| {
                line.contains(part)
            })
    }

    /// What it said so far on its standard error.
    pub fn diagnostics(&self) -> String {
        self.process.said(Stream::Err)
    }

    /// Ends it as a power cut would (SIGKILL). What is on the disk stays.
    pub fn kill(mut self) -> Home {
        self.process.kill();
        self.home
    }

    /// Waits until it has killed itself, at the point that it was told.
    ///
    /// # Panics
    /// When it lives on, or ends in another way.
    #[track_caller]
    pub fn killed_itself(mut self) -> Home {
        let exit = self.process.wait();
        assert!(exit.is_killed(), "it was not killed: {exit:#?}");
        self.home
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// What it counts, by name and labels; needs an `[admin]` listener.
    #[track_caller]
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        let text = Host::at(127, 0, 0, 1).get(self.admin(), "/metrics").text();
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }

    /// How many files were delivered, as it counts them.
    #[track_caller]
    pub fn delivered(&self) -> u64 {
        self.metrics()["truehop_drop_endings_total{outcome=\"delivered\"}"]
    }

    /// How many requests of recipients are under way, as it counts them.
    #[track_caller]
    pub fn collecting(&self) -> u64 {
        self.metrics()["truehop_drop_collecting"]
    }

    /// Has it stand still, while its kernel goes on, until it may [go on](Self::go_on).
    #[track_caller]
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Has it go on.
    #[track_caller]
    pub fn go_on(&self) {
        self.process.go_on();
    }

    /// Asks it to end, as an operator would (SIGTERM).
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait(mut self) -> (Exit, Home) {
        (self.process.wait(), self.home)
    }

    /// Asks it to end, and waits until it has.
    #[track_caller]
    pub fn stop(self) -> (Exit, Home) {
        self.terminate();
        self.wait()
    }
}

impl Home {
    /// An empty home.
    #[expect(clippy::new_without_default, reason = "makes a directory")]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Self { dir, data }
    }

    /// A home whose data directory is elsewhere.
    pub fn with_data(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            ..Self::new()
        }
    }

    /// Looks whether the disk holds what the catalog says, byte for byte, with the operator's own tool.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn verify(&self) {
        let mut command = binary();
        command.args(["drop", "verify", "--data"]).arg(self.data());
        let exit = Process::start("truehop drop verify", command).wait();
        assert_eq!(exit.status, Some(0), "{exit:#?}");
    }

    /// The directory for whatever a test needs beside the instance.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory, which the instance makes.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where the config file is.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("truehop.toml")
    }

    fn run(&self, mut command: Command, config: &str) -> Command {
        fs::write(self.config(), config).unwrap();
        command
            .current_dir(self.path())
            .arg("run")
            .arg("--config")
            .arg(self.config());
        // Without a route to the drop, the option would be an error.
        if !config.contains("[[route]]") || config.contains("to = \"drop\"") {
            command.arg("--data").arg(self.data());
        }
        let mut top = config.lines().take_while(|line| !line.starts_with('['));
        if !top.any(|line| line.starts_with("listen ")) {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command
    }
}

/// Whether a line of logfmt has all of these fields.
fn has(line: &str, fields: &[&str]) -> bool {
    fields
        .iter()
        .all(|field| line.split(' ').any(|had| had == *field))
}

/// The binary that kills itself (SIGKILL) when it comes to the point `name` (`name:3`: for the third time). `None`, told
/// as skipped, where it is not built.
pub fn failing_at(name: &str) -> Option<Command> {
    let Some(path) = env::var_os("TRUEHOP_FAILPOINTS").map(PathBuf::from) else {
        skipped("TRUEHOP_FAILPOINTS names no binary with failpoints: `cargo xtask test` builds it");
        return None;
    };
    assert!(path.is_file(), "{} is missing", path.display());
    let mut command = Command::new(path);
    command.env("NO_COLOR", "1").env("TRUEHOP_FAILPOINT", name);
    Some(command)
}

/// The built binary, ready for arguments.
///
/// # Panics
/// When it is not built.
pub fn binary() -> Command {
    let path = env::var_os("TRUEHOP_BIN").map_or_else(beside_this_test, PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask test`",
        path.display()
    );
    let mut command = Command::new(path);
    command.env("NO_COLOR", "1");
    command
}

/// Cargo puts test executables into `<target>/<profile>/deps`, and binaries above.
fn beside_this_test() -> PathBuf {
    let test = env::current_exe().unwrap();
    let built = test
        .parent()
        .and_then(Path::parent)
        .map(|profile| profile.join("truehop"));
    built
        .filter(|path| path.is_file())
        .unwrap_or_else(|| workspace().join("target/debug/truehop"))
}
