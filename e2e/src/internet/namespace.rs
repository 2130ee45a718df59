//! Network namespaces by name, as `ip netns` has them.
//!
//! A name says whose it is: `truehop-<process>-<instance>-<role>`. When there is no such process any more, nobody will
//! ever remove it, and so anybody may.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::peers::find;

const PREFIX: &str = "truehop-";
/// Where `ip netns` keeps the names.
const NAMES: &str = "/run/netns";

/// A namespace, removed when dropped.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

/// How the names of one more instance begin.
pub(super) fn next_instance() -> String {
    static INSTANCES: AtomicU32 = AtomicU32::new(0);
    let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{instance}-", std::process::id())
}

impl Namespace {
    pub(super) fn add(instance: &str, role: &str) -> Result<Self, String> {
        let name = format!("{instance}{role}");
        ip(None, &format!("netns add {name}\n"))?;
        Ok(Self { name })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub(super) fn path(&self) -> String {
        format!("{NAMES}/{}", self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Runs lines of `ip`'s own language, in a namespace or in ours.
pub(super) fn ip(namespace: Option<&str>, lines: &str) -> Result<(), String> {
    let mut command = Command::new(find("ip").ok_or("ip is missing")?);
    if let Some(name) = namespace {
        command.args(["-n", name]);
    }
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let written = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    match output.status.success() && matches!(written, Some(Ok(()))) {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")),
    }
}

/// Removes what processes that are gone have left behind.
pub(super) fn remove_leftovers() {
    let Ok(names) = fs::read_dir(NAMES) else { return };
    for name in names
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
    {
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let is_gone = |maker: &str| !Path::new("/proc").join(maker).exists();
        if maker.is_some_and(|maker| maker.parse::<u32>().is_ok() && is_gone(maker)) {
            end_programs_of(&name);
            remove(&name);
        }
    }
}

/// Whoever was started in there by a run that was killed would stay for ever.
fn end_programs_of(name: &str) {
    let Some(ip) = find("ip") else { return };
    let Ok(listed) = Command::new(ip).args(["netns", "pids", name]).output() else {
        return;
    };
    let numbers = String::from_utf8_lossy(&listed.stdout).into_owned();
    for pid in numbers
        .lines()
        .filter_map(|line| Pid::from_raw(line.trim().parse().ok()?))
    {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Also on the way out of a panic, hence no complaint: somebody else may have been faster.
fn remove(name: &str) {
    let _ = ip(None, &format!("netns delete {name}\n"));
}
