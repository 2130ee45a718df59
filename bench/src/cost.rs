//! What processes have used, as the kernel counts it in `/proc`.
//!
//! The time of each thread is exact (`schedstat`, nanoseconds that it ran). How it divides between program and kernel
//! is sampled by the clock's ticks (`stat`), so only the share is taken from there.
//!
//! Invariant: time of threads and children that ended meanwhile is not lost: then the ticks are taken for the whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

/// Seconds of CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Cpu {
    pub fn total(self) -> f64 {
        self.user + self.system
    }
}

/// Seconds of CPU that something costs this thread, and what came of it.
pub fn of_this_thread<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let used = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let before = used();
    let done = work();
    (done, used() - before)
}

/// What some processes have used up to now.
pub struct Used {
    /// By process and thread.
    nanos: BTreeMap<(u32, u32), u64>,
    /// Ticks in the program and in the kernel, of all threads and children, those that ended too.
    ticks: (u64, u64),
    /// Those of children that ended.
    ended: u64,
}

impl Used {
    /// Nothing yet, as before a start.
    pub fn none() -> Self {
        Self {
            nanos: BTreeMap::new(),
            ticks: (0, 0),
            ended: 0,
        }
    }

    /// Of all processes of these groups.
    pub fn by(groups: &[u32]) -> Result<Self, String> {
        let mut used = Self::none();
        for process in members(groups)? {
            let stat = read(format!("/proc/{process}/stat"))?;
            let (user, system) = (number(&stat, 11)?, number(&stat, 12)?);
            let (their_user, their_system) = (number(&stat, 13)?, number(&stat, 14)?);
            used.ticks.0 += user + their_user;
            used.ticks.1 += system + their_system;
            used.ended += their_user + their_system;
            for thread in numbered(Path::new(&format!("/proc/{process}/task")))? {
                // A thread may end while the others are read.
                if let Ok(text) = read(format!("/proc/{process}/task/{thread}/schedstat")) {
                    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
                    used.nanos
                        .insert((process, thread), nanos.ok_or("schedstat cannot be read")?);
                }
            }
        }
        Ok(used)
    }

    /// What was used between an earlier look and this one.
    pub fn since(&self, earlier: &Self) -> Cpu {
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        let user = self.ticks.0.saturating_sub(earlier.ticks.0) as f64 * tick;
        let system = self.ticks.1.saturating_sub(earlier.ticks.1) as f64 * tick;
        let nobody_ended =
            self.ended == earlier.ended && earlier.nanos.keys().all(|thread| self.nanos.contains_key(thread));
        if !nobody_ended {
            return Cpu { user, system };
        }
        let nanos = self
            .nanos
            .iter()
            .map(|(thread, &now)| now - earlier.nanos.get(thread).unwrap_or(&0));
        let total = nanos.sum::<u64>() as f64 / 1e9;
        // What is too short for a tick is the kernel's, which every request asks for something.
        let share = match user + system > 0.0 {
            true => user / (user + system),
            false => 0.0,
        };
        Cpu {
            user: total * share,
            system: total * (1.0 - share),
        }
    }
}

/// KiB of memory that all processes of these groups hold.
pub fn resident(groups: &[u32]) -> Result<u64, String> {
    let mut sum = 0;
    for process in members(groups)? {
        let text = read(format!("/proc/{process}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        sum += kib.ok_or("smaps_rollup cannot be read")?;
    }
    Ok(sum)
}

/// KiB of memory that the processes of these groups have held at most, each at its own time.
pub fn peak(groups: &[u32]) -> Result<u64, String> {
    let mut sum = 0;
    for process in members(groups)? {
        let text = read(format!("/proc/{process}/status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        sum += kib.ok_or("status has no VmHWM")?;
    }
    Ok(sum)
}

/// Begins anew with the peak.
pub fn forget_peak(groups: &[u32]) -> Result<(), String> {
    for process in members(groups)? {
        let path = format!("/proc/{process}/clear_refs");
        // proc_pid_clear_refs(5): 5 resets the peak resident set size to the present one.
        fs::write(&path, "5").map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// The processes of these groups: those that were started, and their children.
fn members(groups: &[u32]) -> Result<Vec<u32>, String> {
    let mut members = numbered(Path::new("/proc"))?;
    members.retain(|process| {
        let stat = read(format!("/proc/{process}/stat")).unwrap_or_default();
        number(&stat, 2).is_ok_and(|group| groups.contains(&(group as u32)))
    });
    Ok(members)
}

/// A number of `stat`, counted from the state, which follows the name in brackets.
fn number(stat: &str, at: usize) -> Result<u64, String> {
    let fields = stat
        .rsplit_once(") ")
        .map(|(_, fields)| fields)
        .unwrap_or_default();
    let field = fields.split(' ').nth(at).and_then(|field| field.parse().ok());
    field.ok_or_else(|| "stat cannot be read".to_owned())
}

fn numbered(directory: &Path) -> Result<Vec<u32>, String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(names.collect())
}

fn read(path: String) -> Result<String, String> {
    fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
}
