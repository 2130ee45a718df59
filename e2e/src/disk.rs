//! Looking at the disk, and making it small.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::skipped;
use crate::visitor::Link;

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

/// The names of complete files on the disk of a drop, in whatever folders they lie; sorted.
pub fn blobs_in(data: &Path) -> Vec<String> {
    let mut names = Vec::new();
    collect(&data.join("files"), &mut names);
    names.sort();
    names
}

/// The names of files on the disk of a drop that are not complete; sorted.
pub fn incoming_in(data: &Path) -> Vec<String> {
    files_in(&data.join("incoming"))
}

/// Everything that lies in the data directory beside the catalog.
pub fn leftovers_in(data: &Path) -> Vec<String> {
    [incoming_in(data), blobs_in(data)].concat()
}

fn collect(directory: &Path, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.map(Result::unwrap) {
        // It may be gone by now: the server works on.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), names),
            // The mark by which the drop knows its directory.
            Ok(_) if entry.file_name() == ".truehop" => {}
            Ok(_) => names.push(entry.file_name().to_string_lossy().into_owned()),
            Err(_) => {}
        }
    }
}

/// What the catalog of a data directory knows: how many files are in which state. No instance may be using it.
pub fn states_in(data: &Path) -> BTreeMap<String, u64> {
    let copy = Copy::of(data);
    let mut query = copy
        .catalog
        .prepare("SELECT state, count(*) FROM files GROUP BY state")
        .unwrap();
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
    let rows = rows.unwrap().map(Result::unwrap);
    rows.map(|(state, count)| (state, u64::try_from(count).unwrap()))
        .collect()
}

/// How many files are done with, in a data directory that an instance is using: unlinked, and their rows say so.
pub fn deleted_in(data: &Path) -> usize {
    let catalog = data.join("catalog.sqlite");
    let catalog = Connection::open_with_flags(&catalog, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT count(*) FROM files WHERE state = 'deleted'";
    catalog.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// How many files the catalog of a data directory knows, which no instance may be using.
pub fn rows_in(data: &Path) -> u64 {
    states_in(data).values().sum()
}

/// The links of all drops that a catalog knows, which no instance may be using.
pub fn links_in(data: &Path) -> Vec<Link> {
    let copy = Copy::of(data);
    let mut query = copy
        .catalog
        .prepare("SELECT DISTINCT drop_id FROM files")
        .unwrap();
    let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|id| Link::of_id(&id.unwrap())).collect()
}

/// A copy of the catalog of a data directory, to be asked.
///
/// A copy, because the last one to close a catalog tidies its log away, and the next instance is to find what a crash has
/// left.
struct Copy {
    catalog: Connection,
    _dir: TempDir,
}

impl Copy {
    fn of(data: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["catalog.sqlite", "catalog.sqlite-wal"] {
            let (from, to) = (data.join(name), dir.path().join(name));
            if from.exists() {
                fs::copy(&from, to).unwrap();
            }
        }
        let path = dir.path().join("catalog.sqlite");
        let catalog = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .unwrap_or_else(|error| panic!("{}: {error}", data.display()));
        Self { catalog, _dir: dir }
    }
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
