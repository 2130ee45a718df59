//! The bytes of the files: `incoming/` while they arrive, `files/` once they are complete.
//!
//! Invariant: what stands in `files/` is complete and durable. It got there by fsync, rename, fsync of both
//! directories; nothing is ever written there. All calls block.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::id::FileId;

/// The two directories.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    incoming: PathBuf,
    files: PathBuf,
}

impl Blobs {
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            incoming: data.join("incoming"),
            files: data.join("files"),
        }
    }

    pub(crate) fn directories(&self) -> [&Path; 2] {
        [&self.incoming, &self.files]
    }

    /// A new file to write to.
    pub(crate) fn create(&self, id: &FileId) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.incoming.join(id.as_str()))
    }

    /// Makes what was written durable, and only then visible.
    pub(crate) fn publish(&self, id: &FileId, written: &File) -> io::Result<()> {
        written.sync_all()?;
        fs::rename(self.incoming.join(id.as_str()), self.files.join(id.as_str()))?;
        sync(&self.files)?;
        sync(&self.incoming)
    }

    pub(crate) fn open(&self, id: &FileId) -> io::Result<File> {
        File::open(self.files.join(id.as_str()))
    }

    /// The size on disk; `None` when there is no such file.
    pub(crate) fn size(&self, id: &FileId) -> io::Result<Option<u64>> {
        match fs::symlink_metadata(self.files.join(id.as_str())) {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a complete file; one that is gone already is no error. Durable when it returns.
    pub(crate) fn unlink(&self, id: &FileId) -> io::Result<()> {
        remove(&self.files, id)
    }

    /// Removes a file that was not to be, wherever it had got to.
    pub(crate) fn discard(&self, id: &FileId) -> io::Result<()> {
        remove(&self.incoming, id)?;
        remove(&self.files, id)
    }

    /// Names in either directory that `keep` does not want are removed. Names that this program does not make are left
    /// alone: somebody else's files are not ours to delete.
    pub(crate) fn remove_orphans(&self, keep: impl Fn(&FileId) -> bool) -> io::Result<usize> {
        let mut removed = 0;
        for (directory, complete) in [(&self.incoming, false), (&self.files, true)] {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                match id_of(&entry) {
                    Some(id) if complete && keep(&id) => {}
                    Some(_) => {
                        fs::remove_file(entry.path())?;
                        removed += 1;
                    }
                    None => {
                        tracing::warn!(path = %entry.path().display(), "not a file of the drop; left alone")
                    }
                }
            }
            sync(directory)?;
        }
        Ok(removed)
    }
}

fn id_of(entry: &DirEntry) -> Option<FileId> {
    FileId::parse(entry.file_name().to_str()?)
}

fn remove(directory: &Path, id: &FileId) -> io::Result<()> {
    match fs::remove_file(directory.join(id.as_str())) {
        Ok(()) => sync(directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Whether an error means that no more bytes fit.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
