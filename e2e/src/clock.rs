//! A clock that can be set while a process looks at it (libfaketime).
//!
//! Only the wall clock: what counts time by the monotonic one, as the runtime's timers do, is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::missing;
use crate::truehop::binary;

/// The clock of the processes that it starts.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    dir: TempDir,
}

impl Clock {
    /// One that is right. `None`, told as skipped, where libfaketime is missing.
    pub fn right() -> Option<Self> {
        if missing(&["faketime"]) {
            return None;
        }
        let clock = Self {
            library: library().expect("Debian's faketime comes with its library"),
            dir: tempfile::tempdir().unwrap(),
        };
        clock.set("+0");
        Some(clock)
    }

    /// Sets it this far from the true time: `+2h`, `-1d`.
    pub fn set(&self, offset: &str) {
        // In one step, so that nobody reads half of it.
        let new = self.dir.path().join("new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    /// The built binary, by this clock.
    pub fn binary(&self) -> Command {
        let mut command = binary();
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            // By its new name and its old one.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        command
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }
}

/// The variant for programs with threads, in Debian's directory of this architecture.
fn library() -> Option<PathBuf> {
    let directories = fs::read_dir(Path::new("/usr/lib")).ok()?;
    let paths = directories.filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")));
    paths.into_iter().find(|path| path.is_file())
}
