//! Room on the disk that is kept for ends.
//!
//! On a full disk SQLite cannot even write down that a file is over, so nothing could ever be freed. Hence a file of
//! noise in the data directory: when the catalog finds the disk full it is given up, and the catalog tries again.
//!
//! Invariant: what was given up is for ends only: while it is gone no upload begins.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::blobs::disk::sync;
use crate::blobs::is_full;
use crate::id::random;

/// A few hundred small transactions.
const SIZE: u64 = 1024 * 1024;

/// The file `reserve` of a data directory.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    /// The disk was too full to keep it.
    is_short: bool,
}

impl Reserve {
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            path: data.join("reserve"),
            is_short: false,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether uploads must wait until there is room for the reserve again.
    pub(crate) fn is_short(&self) -> bool {
        self.is_short
    }

    /// Gives the room up. Whether there was any.
    pub(crate) fn release(&mut self) -> bool {
        match fs::remove_file(&self.path) {
            Ok(()) => {
                self.is_short = true;
                tracing::warn!("the disk is full; the reserve is used up for what must be written down");
                // Some file systems hand out freed blocks only after their journal has been written.
                if let Some(Err(error)) = self.path.parent().map(sync) {
                    tracing::warn!(%error, "the data directory could not be synchronised");
                }
                true
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::error!(%error, "the reserve could not be released");
                }
                false
            }
        }
    }

    /// Takes the room again if it is not held and there is enough.
    pub(crate) fn restore(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.len() == SIZE) {
            self.is_short = false;
            return;
        }
        let restored = self.allocate();
        if let Err(error) = &restored {
            // A part of it would be of no use.
            let _ = fs::remove_file(&self.path);
            if !is_full(error) {
                tracing::warn!(%error, "no reserve could be set aside; a full disk will stop deletions too");
            } else if !self.is_short {
                tracing::warn!("there is no room for the reserve; no upload is taken until there is");
            }
        } else if self.is_short {
            tracing::info!("there is room again");
        }
        self.is_short = restored.is_err_and(|error| is_full(&error));
    }

    fn allocate(&self) -> io::Result<()> {
        let mut file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.path)?;
        // Noise: file systems that compress or leave holes would keep no room for zeros.
        for _ in 0..SIZE / 4096 {
            file.write_all(&random::<4096>().map_err(io::Error::other)?)?;
        }
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn room_is_really_taken_and_given_up_once() {
        let data = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::new(data.path());
        assert!(!reserve.release());
        reserve.restore();
        let found = fs::metadata(reserve.path()).unwrap();
        assert_eq!((found.len(), found.permissions().mode() & 0o777), (SIZE, 0o600));
        assert!(found.blocks() * 512 >= SIZE);
        assert!(reserve.release() && reserve.is_short() && !reserve.release());
        // What a crash in the middle leaves is not taken for the whole.
        fs::write(reserve.path(), "short").unwrap();
        reserve.restore();
        assert_eq!(fs::metadata(reserve.path()).unwrap().len(), SIZE);
        assert!(!reserve.is_short());
    }
}
