//! Small files that a worker has at hand: sent with their head in one call, without opening them again.
//!
//! Invariants: a file on the shelf is looked at before each use, so that a change shows at once; one that was changed a
//! moment ago is not put there, because a second change within the same tick of the clock would not show.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::fs::Stat;

use super::About;

/// What is larger goes from the file to the socket inside the kernel.
const LARGEST: u64 = 16 * 1024;
/// The most that a worker keeps; when they are more, it begins anew.
const MOST: usize = 1024;
/// How long a file must have been left alone: longer than a tick of any file system's clock.
const SETTLED: Duration = Duration::from_secs(3);

/// The small files of one worker, by path.
#[derive(Debug, Default)]
pub(crate) struct Shelf(RefCell<HashMap<PathBuf, Rc<Small>>>);

/// A file and its contents.
#[derive(Debug)]
pub(super) struct Small {
    stamp: Stamp,
    pub(super) about: About,
    pub(super) bytes: Bytes,
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
        if rustix::fs::stat(path).is_ok_and(|stat| Stamp::of(&stat) == small.stamp) {
            return Some(small);
        }
        self.0.borrow_mut().remove(path);
        None
    }

    /// Puts a file there. Gives `about` back when it is not for the shelf.
    pub(super) fn put(
        &self,
        path: PathBuf,
        file: &File,
        metadata: &Metadata,
        about: About,
    ) -> Result<Rc<Small>, About> {
        let len = metadata.len();
        let changed = Duration::new(u64::try_from(metadata.ctime()).unwrap_or(0), 0);
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed);
        if len > LARGEST || !age.is_ok_and(|age| age > SETTLED) {
            return Err(about);
        }
        let mut bytes = vec![0; len as usize];
        if file.read_exact_at(&mut bytes, 0).is_err() {
            return Err(about);
        }
        let small = Rc::new(Small {
            stamp: Stamp {
                device: metadata.dev(),
                inode: metadata.ino(),
                len,
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            },
            about,
            bytes: bytes.into(),
        });
        let mut shelf = self.0.borrow_mut();
        if shelf.len() >= MOST {
            shelf.clear();
        }
        shelf.insert(path, Rc::clone(&small));
        Ok(small)
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
