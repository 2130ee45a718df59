//! What a person does to a data directory from outside: look, check, clear up, copy.
//!
//! All of it may be done while the service runs, and all of it blocks.
//!
//! Invariant: whoever only looks changes nothing, and waits for nobody. What is removed while the service runs is what it
//! cannot need: a row is written before the first byte, so bytes that were there before somebody found no row are nobody's.

mod backup;
mod verify;

use std::error::Error;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub use backup::{Backup, backup};
pub use verify::{Difference, Verified, verify};

use crate::blobs::Blobs;
use crate::blobs::disk::DiskBlobs;
use crate::catalog::CatalogError;
use crate::catalog::sqlite::Readers;
use crate::clock::Clock;
use crate::config::DropConfig;
use crate::id::BlobId;
use crate::lifecycle::{State, Terms};
use crate::open::{self, OpenError, on_a_thread};

/// What a directory holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Census {
    /// Of each state, in the order of a file's life: its word, how many files, and how many bytes they have or had.
    pub states: Vec<(&'static str, u64, u64)>,
    /// Whether a service uses the directory now.
    pub is_running: bool,
}

/// Counts what the directory `data` holds.
///
/// # Errors
///
/// [`UpkeepError`].
pub fn stat(data: &Path) -> Result<Census, UpkeepError> {
    let place = Place::at(data)?;
    let census = place.asked(place.rows.census())?;
    let states = State::ALL.into_iter().map(|state| {
        let found = census.iter().find(|(found, ..)| *found == state);
        let (files, bytes) = found.map_or((0, 0), |(_, files, bytes)| (*files, *bytes));
        (state.word(), files, bytes)
    });
    Ok(Census {
        states: states.collect(),
        is_running: is_running(data)?,
    })
}

/// What a [`sweep`] has done.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Swept {
    /// Files that have come to their end: their time was up, or their bytes were not there. The service does this itself
    /// while it runs.
    pub ended: u64,
    /// Files that were over, and whose bytes are gone now. The service does this itself, too.
    pub unlinked: u64,
    /// Bytes that belonged to no file.
    pub strays: u64,
    /// Whether a service uses the directory.
    pub is_running: bool,
}

/// Does what there is to do in the directory `data`: without a service all that a start does, beside one only what it does
/// not do itself.
///
/// # Errors
///
/// [`UpkeepError`].
pub fn sweep(config: &DropConfig, data: &Path) -> Result<Swept, UpkeepError> {
    config
        .check()
        .map_err(OpenError::from)
        .map_err(UpkeepError::Open)?;
    // Opening would make one.
    let place = Place::at(data)?;
    match open::open(data, Terms::of(config), config.owner, &Clock::system()) {
        Ok(opened) => Ok(Swept {
            ended: opened.recovered.ended + opened.recovered.lost,
            unlinked: opened.recovered.unlinked,
            strays: opened.recovered.strays + opened.recovered.half_received,
            is_running: false,
        }),
        Err(OpenError::InUse { .. }) => {
            let mut strays = 0;
            place.strays(&mut |complete, stray| {
                on_a_thread(|| match complete {
                    true => place.blobs.unlink(stray),
                    false => place.blobs.discard_unfinished(stray),
                })?;
                strays += 1;
                Ok(())
            })?;
            Ok(Swept {
                strays,
                is_running: true,
                ..Swept::default()
            })
        }
        Err(error) => Err(UpkeepError::Open(error)),
    }
}

/// How far something that takes long has come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are done.
    pub done: u64,
    /// Bytes that there are to do, as far as is known; files come and go meanwhile.
    pub total: u64,
}

/// A directory that is read.
struct Place {
    data: PathBuf,
    rows: Readers,
    blobs: DiskBlobs,
}

impl Place {
    fn at(data: &Path) -> Result<Self, UpkeepError> {
        let path = open::database(data);
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => {
                return Err(UpkeepError::NoDrop {
                    data: data.to_owned(),
                });
            }
            Err(error) => return Err(UpkeepError::at(&path, error)),
        }
        Ok(Self {
            data: data.to_owned(),
            rows: Readers::new(&path),
            blobs: DiskBlobs::new(data),
        })
    }

    fn asked<T>(&self, answer: Result<T, CatalogError>) -> Result<T, UpkeepError> {
        answer.map_err(|error| UpkeepError::catalog(&open::database(&self.data), error))
    }

    /// Tells of each blob that belongs to no file, complete or not. The names are looked up before the rows.
    fn strays(&self, tell: &mut dyn FnMut(bool, &BlobId) -> io::Result<()>) -> Result<(), UpkeepError> {
        let of_disk = |error| UpkeepError::at(&self.data, error);
        for complete in [false, true] {
            let mut folder = 0;
            while let Some(names) = on_a_thread(|| self.blobs.list(complete, folder)).map_err(of_disk)? {
                folder += 1;
                if names.is_empty() {
                    continue;
                }
                // What has arrived and is not yet written down as that belongs to a file, too.
                let unreceived = self.asked(self.rows.strays(names, true))?;
                for stray in self.asked(self.rows.strays(unreceived, false))? {
                    tell(complete, &stray).map_err(of_disk)?;
                }
            }
        }
        Ok(())
    }
}

/// Bytes of the files that are waiting or being collected.
fn live_bytes(census: &[(State, u64, u64)]) -> u64 {
    let live = census
        .iter()
        .filter(|(state, ..)| matches!(state, State::Ready | State::Collecting));
    live.map(|(_, _, bytes)| bytes).sum()
}

/// Whether a service holds the lock. Asking takes it for a moment, together with others who ask.
fn is_running(data: &Path) -> Result<bool, UpkeepError> {
    let path = data.join("lock");
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(UpkeepError::at(&path, error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(UpkeepError::at(&path, error)),
    }
}

/// Why something could not be done to a data directory.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpkeepError {
    /// There is no catalog.
    NoDrop {
        /// The directory.
        data: PathBuf,
    },
    /// The catalog cannot be read.
    Catalog {
        /// The catalog.
        path: PathBuf,
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The directory cannot be taken into use.
    Open(OpenError),
    /// Something cannot be read or written.
    Unusable {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A copy is not put among other things.
    NotEmpty {
        /// Where it was to be.
        to: PathBuf,
    },
}

impl UpkeepError {
    fn at(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Unusable { path, source }
    }

    fn catalog(path: &Path, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let (path, source) = (path.to_owned(), error.into());
        Self::Catalog { path, source }
    }
}

impl fmt::Display for UpkeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDrop { data } => write!(f, "no drop keeps its files in {}", data.display()),
            Self::Catalog { path, source } => write!(f, "{} cannot be used: {source}", path.display()),
            Self::Open(error) => error.fmt(f),
            Self::Unusable { path, source } => {
                write!(f, "{} cannot be read or written: {source}", path.display())
            }
            Self::NotEmpty { to } => {
                write!(
                    f,
                    "{} is not an empty directory, and a copy goes into one of its own",
                    to.display()
                )
            }
        }
    }
}

impl Error for UpkeepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Catalog { source, .. } => Some(&**source),
            Self::Open(error) => Some(error),
            Self::Unusable { source, .. } => Some(source),
            Self::NoDrop { .. } | Self::NotEmpty { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
