//! Looking at the disk, and making it small.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::skipped;

/// The names in a directory, sorted; none when it does not exist.
pub fn files_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// How many files the catalog of a data directory knows, which no instance may be using.
pub fn rows_in(data: &Path) -> u64 {
    let path = data.join("catalog.sqlite");
    let catalog = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let count = catalog.query_row("SELECT count(*) FROM file", [], |row| row.get::<_, i64>(0));
    u64::try_from(count.unwrap()).unwrap()
}

/// A file system in memory that is full soon. Unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    dir: TempDir,
}

impl Tmpfs {
    /// Mounts one of `size` (as mount says it: `2m`). `None`, told as skipped, where this user may not mount.
    pub fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "none"])
            .arg(dir.path());
        match command.output() {
            Ok(output) if output.status.success() => Some(Self { dir }),
            _ => {
                skipped("this user may not mount a tmpfs");
                None
            }
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Uses up all that is left, by a file whose path is returned.
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let error = fs::write(&path, vec![0; 64 << 20]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: on a panic a child may still hold a file open for a moment.
        let _ = Command::new("umount").arg("--lazy").arg(self.dir.path()).output();
    }
}
