//! Small files that a worker has at hand: sent with their head in one call, without opening them again.
//!
//! Invariants: a file on the shelf is looked at again before it is used, unless it was looked at a moment ago, so that
//! a change shows within [`TRUSTED`]; one that was changed lately is not put there, because a second change within the
//! same tick of a file system's clock would not show.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use rustix::fs::Stat;

use super::About;

/// What is larger goes from the file to the socket inside the kernel.
const LARGEST: u64 = 16 * 1024;
/// The most that a worker keeps; when they are more, it begins anew.
const MOST: usize = 1024;
/// How long it is taken for granted that a file is what it was.
const TRUSTED: Duration = Duration::from_millis(100);
/// How long a file must have been left alone: longer than a tick of any file system's clock.
const SETTLED: Duration = Duration::from_secs(3);

/// The small files of one worker, by path.
#[derive(Debug, Default)]
pub(crate) struct Shelf(RefCell<HashMap<PathBuf, Rc<Small>>>);

/// A file and its contents.
#[derive(Debug)]
pub(crate) struct Small {
    stamp: Stamp,
    looked_at: Cell<Instant>,
    pub(super) about: About,
    /// The head of an answer that has all of it, but for the lines that every answer has.
    pub(crate) head: Vec<u8>,
    pub(crate) bytes: Bytes,
}

/// What changes when a file does.
#[derive(Debug, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Shelf {
    /// The file of that path, if it is what it was.
    pub(super) fn find(&self, path: &Path) -> Option<Rc<Small>> {
        let small = Rc::clone(self.0.borrow().get(path)?);
        let now = Instant::now();
        if now.duration_since(small.looked_at.get()) < TRUSTED {
            return Some(small);
        }
        small.looked_at.set(now);
        if rustix::fs::stat(path).is_ok_and(|stat| Stamp::of(&stat) == small.stamp) {
            return Some(small);
        }
        self.0.borrow_mut().remove(path);
        None
    }

    /// Puts a file there, unless it is not for the shelf.
    pub(super) fn put(
        &self,
        path: PathBuf,
        file: &File,
        metadata: &Metadata,
        about: &About,
    ) -> Option<Rc<Small>> {
        let len = metadata.len();
        let changed = Duration::new(u64::try_from(metadata.ctime()).unwrap_or(0), 0);
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed);
        if len > LARGEST || !age.is_ok_and(|age| age > SETTLED) {
            return None;
        }
        let mut bytes = vec![0; len as usize];
        if file.read_exact_at(&mut bytes, 0).is_err() {
            return None;
        }
        let small = Rc::new(Small {
            stamp: Stamp {
                device: metadata.dev(),
                inode: metadata.ino(),
                len,
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            },
            looked_at: Cell::new(Instant::now()),
            head: about.head(),
            about: about.clone(),
            bytes: bytes.into(),
        });
        let mut shelf = self.0.borrow_mut();
        if shelf.len() >= MOST {
            shelf.clear();
        }
        shelf.insert(path, Rc::clone(&small));
        Some(small)
    }
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }
}
