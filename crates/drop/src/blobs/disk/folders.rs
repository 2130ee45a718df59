//! The folders of `files/`: two levels, so that none grows long.
//!
//! Invariant: a blob's name is durable only if its folders' names are; so before the first blob is put into one, its
//! parents have been synchronised, by this process.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{names, sync};
use crate::id::BlobId;

/// What a folder is called: the characters of a blob's name.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A file in `files/` that tells it from the empty directory that something is to be mounted at.
const MARK: &str = ".truehop";

#[derive(Debug)]
pub(super) struct Folders {
    files: PathBuf,
    /// Folders that are known to be there and durable.
    known: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub(super) fn new(files: PathBuf) -> Self {
        Self {
            files,
            known: Mutex::default(),
        }
    }

    pub(super) fn files(&self) -> &Path {
        &self.files
    }

    pub(super) fn mark(&self) -> PathBuf {
        self.files.join(MARK)
    }

    /// Where a blob is, whether there is one or not.
    pub(super) fn path(&self, blob: &BlobId) -> PathBuf {
        let name = blob.as_str();
        let mut path = self.files.join(&name[..1]);
        path.push(&name[1..2]);
        path.push(name);
        path
    }

    /// The same, in a folder that is there.
    pub(super) fn made(&self, blob: &BlobId) -> io::Result<PathBuf> {
        let path = self.path(blob);
        let folder = path.parent().unwrap_or(&self.files);
        // Held while it is made: who finds it known must find it durable.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(folder) {
            for made in [folder.parent().unwrap_or(&self.files), folder] {
                if known.contains(made) {
                    continue;
                }
                match DirBuilder::new().mode(0o700).create(made) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
                // Also when it was there: who made it may not have come to this.
                self.sync_of(made)?;
                known.insert(made.to_owned());
            }
        }
        Ok(path)
    }

    /// Makes durable what has become of the name `path`.
    pub(super) fn sync_of(&self, path: &Path) -> io::Result<()> {
        sync(path.parent().unwrap_or(&self.files))
    }

    /// The blobs in a folder, counted from 0; `None` after the last one.
    pub(super) fn list(&self, folder: u32) -> io::Result<Option<Vec<BlobId>>> {
        let letters = LETTERS.len();
        let at = |place: usize| LETTERS.get(place).map(|letter| char::from(*letter).to_string());
        let folder = folder as usize;
        match (at(folder / letters), at(folder % letters)) {
            (Some(one), Some(two)) => {
                // Whatever else is called like a blob does not belong here, and is not found under its name.
                let found = names(&self.files.join(&one).join(&two))?;
                Ok(Some(
                    found
                        .into_iter()
                        .filter(|blob| blob.as_str().starts_with(&(one.clone() + &two)))
                        .collect(),
                ))
            }
            _ => Ok(None),
        }
    }

    /// Moves the blobs that stand directly in `files/` to where they belong. How many.
    pub(super) fn bring_up(&self) -> io::Result<u64> {
        let (mut moved, mut into) = (0, HashSet::new());
        for entry in fs::read_dir(&self.files)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            match BlobId::parse(name) {
                Some(blob) => {
                    let path = self.made(&blob)?;
                    fs::rename(entry.path(), &path)?;
                    into.extend(path.parent().map(Path::to_owned));
                    moved += 1;
                }
                None if name == MARK => {}
                None if name.len() == 1 && LETTERS.contains(&name.as_bytes()[0]) => {}
                None => tracing::warn!(path = %entry.path().display(), "not a file of the drop; left alone"),
            }
        }
        // Their names are durable where they are going before they are gone from where they were.
        into.iter().try_for_each(|folder| sync(folder))?;
        if moved > 0 {
            sync(&self.files)?;
        }
        Ok(moved)
    }
}
