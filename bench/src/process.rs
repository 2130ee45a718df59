//! Processes under measurement: started on a core of their own, and gone with us.
//!
//! Each is started through this very program, which binds itself to the core, asks the kernel to be killed when its
//! parent ends, and then becomes the other program. Each has a process group; whatever it starts is in there too.
//!
//! Invariant: no process outlives its [`Running`], nor this program, however that ends.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, kill_process, kill_process_group,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The first argument of a call that is to become another program.
pub const BECOME: &str = "--become";

/// Open files for 10,000 connections and what else a process has open.
pub const FILES: u64 = 12_000;

/// The two cores: what is measured has one for itself.
#[derive(Clone, Copy)]
pub struct Cores {
    pub server: usize,
    pub load: usize,
}

impl Cores {
    /// The first two that this process may use; binds the caller to the second.
    pub fn take() -> Result<Self, String> {
        let allowed = sched_getaffinity(None).map_err(|error| error.to_string())?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (Some(server), Some(load)) = (cores.next(), cores.next()) else {
            return Err("two cores are needed: one for the server, one for the load".to_owned());
        };
        bind_to(load).map_err(|error| format!("core {load}: {error}"))?;
        Ok(Self { server, load })
    }
}

fn bind_to(core: usize) -> rustix::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
}

/// Allows as many open files as the scenarios need, or as the system lets us have; how many that is.
pub fn allow_files() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= FILES);
    if !enough(now.current) {
        let raised = Rlimit {
            current: Some(FILES),
            maximum: if enough(now.maximum) {
                now.maximum
            } else {
                Some(FILES)
            },
        };
        let most = Rlimit {
            current: now.maximum,
            ..now
        };
        // Only root may raise the hard limit; who cannot gets what it allows.
        let _ = setrlimit(Resource::Nofile, raised).or_else(|_| setrlimit(Resource::Nofile, most));
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Has the kernel tell us when whoever started us is gone, as if a user had ended the run.
pub fn end_with_parent() -> rustix::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))
}

/// A program that runs.
pub struct Running {
    child: Child,
    errors: PathBuf,
}

impl Running {
    /// Starts a program on a core, with more in its environment. What it says goes to files in `directory`.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[impl AsRef<OsStr>],
        environment: &[(&str, PathBuf)],
        core: usize,
        directory: &Path,
    ) -> Result<Self, String> {
        let errors = directory.join(format!("{name}.err"));
        let start = || -> io::Result<Child> {
            Command::new(env::current_exe()?)
                .arg(BECOME)
                .args([core.to_string(), std::process::id().to_string()])
                .arg(program)
                .args(arguments)
                .envs(environment.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::null())
                .stdout(File::create(directory.join(format!("{name}.out")))?)
                .stderr(File::create(&errors)?)
                .process_group(0)
                .spawn()
        };
        let child = start().map_err(|error| format!("{name} cannot start: {error}"))?;
        Ok(Self { child, errors })
    }

    /// Its process id, which is that of its group too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end by itself, and waits for that.
    pub fn end(mut self, patience: Duration) -> Result<(), String> {
        if let Some(process) = Pid::from_raw(self.child.id() as i32) {
            kill_process(process, Signal::TERM).map_err(|error| error.to_string())?;
        }
        let deadline = Instant::now() + patience;
        while self.ended().is_none() {
            if Instant::now() > deadline {
                return Err("it does not end".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Its last words, if it has ended.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let words = fs::read_to_string(&self.errors).unwrap_or_default();
        Some(format!("{status}: {}", words.trim()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Becomes another program: `CORE PARENT PROGRAM ARGUMENT...`. Returns only if that fails.
pub fn become_another(arguments: &[OsString]) -> Result<(), String> {
    let number = |at: usize| arguments.get(at)?.to_str()?.parse::<usize>().ok();
    let (Some(core), Some(parent), Some(program)) = (number(0), number(1), arguments.get(2)) else {
        return Err(format!("{BECOME} CORE PARENT PROGRAM ARGUMENT..."));
    };
    bind_to(core).map_err(|error| format!("core {core}: {error}"))?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    // It may have ended before the kernel was asked.
    if getppid().map(Pid::as_raw_nonzero).map(|pid| pid.get() as usize) != Some(parent) {
        return Err("the parent has ended".to_owned());
    }
    let error = Command::new(program).args(&arguments[3..]).exec();
    Err(format!("{}: {error}", program.display()))
}
