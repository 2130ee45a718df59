//! Taking a data directory into use.
//!
//! 1. The directory and its parts are created where missing (0700).
//! 2. The lock is taken: one instance per directory.
//! 3. The database is opened and its schema brought up; when the disk is too full for that, once more without the reserve.
//!    The catalog's thread starts; it keeps the lock, too.
//! 4. Blobs of an older layout are moved to where they belong.
//! 5. The mark in `files/` is looked for ([`Made::mark`]).
//! 6. What a crash left behind is put right ([`mod@recover`]). The reserve is set aside again when there is room.
//!
//! Invariant: when a step fails, everything that this call itself created is removed again, and nothing else. The lock
//! stays where the directory was there before: a process that waits at it would hold a lock that nobody else sees.

mod recover;
mod wait;

use std::error::Error;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::blobs::disk::{self, DiskBlobs};
use crate::blobs::is_full;
use crate::catalog::CatalogError;
use crate::catalog::sqlite::{OpenFault, SchemaError, SqliteCatalog};
use crate::clock::Clock;
use crate::config::{BadConfig, OwnerRule};
use crate::lifecycle::Terms;
use crate::reserve::Reserve;
pub(crate) use recover::{Fault, Recovered, lacks_all, recover};
pub(crate) use wait::on_a_thread;

/// A data directory in use.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) catalog: SqliteCatalog,
    pub(crate) blobs: DiskBlobs,
    pub(crate) recovered: Recovered,
}

/// How long to wait for the lock: who asks whether it is held has it for a moment.
const PATIENCE: Duration = Duration::from_millis(200);
/// When to look again.
const PAUSE: Duration = Duration::from_millis(10);

/// Where the database is.
pub(crate) fn database(data: &Path) -> PathBuf {
    data.join("catalog.sqlite")
}

pub(crate) fn open(data: &Path, terms: Terms, rule: OwnerRule, clock: &Clock) -> Result<Opened, OpenError> {
    // Dropped in the reverse order when a step fails: the database is closed, then what was made is removed, and only
    // then the lock is released, so that nobody else can have begun to use it.
    let held;
    let mut made = Made::default();
    let is_new = made.directory(data)?;
    held = Arc::new(lock(data)?);
    if is_new {
        made.paths.push(data.join("lock"));
    }
    let blobs = DiskBlobs::new(data);
    for directory in blobs.directories() {
        made.directory(&directory)?;
    }
    let path = database(data);
    made.file(&path)?;
    let reserve = Reserve::new(data);
    if !reserve.path().exists() {
        made.paths.push(reserve.path().to_owned());
    }
    let take_up = |reserve| {
        let lock = Some(Arc::clone(&held));
        let opened = SqliteCatalog::open(&path, terms, rule, clock, reserve, lock);
        opened.map_err(|fault| OpenError::fault(&path, fault))
    };
    let catalog = match take_up(reserve) {
        Err(OpenError::Full { path }) => {
            let mut reserve = Reserve::new(data);
            match reserve.release() {
                true => take_up(reserve)?,
                false => return Err(OpenError::Full { path }),
            }
        }
        opened => opened?,
    };
    let moved = blobs.bring_up().map_err(|error| OpenError::at(data, error))?;
    if moved > 0 {
        tracing::info!(
            moved,
            "the files of an older version were moved to where this one keeps them"
        );
    }
    let of_fault = |fault| match fault {
        Fault::Catalog(error) => OpenError::catalog(&path, error),
        Fault::Blobs(error) => OpenError::at(data, error),
    };
    let mark = blobs.mark();
    if !mark.try_exists().map_err(|error| OpenError::at(&mark, error))? {
        if on_a_thread(|| lacks_all(&catalog, &blobs)).map_err(of_fault)? {
            return Err(OpenError::NoFiles { mark });
        }
        made.mark(&blobs)?;
    }
    let recovered = on_a_thread(|| recover(&catalog, &blobs)).map_err(of_fault)?;
    made.keep();
    Ok(Opened {
        catalog,
        blobs,
        recovered,
    })
}

/// The lock goes with the open file, so that a crash cannot leave it behind; the number in it is for people.
pub(crate) fn lock(data: &Path) -> Result<File, OpenError> {
    let path = data.join("lock");
    let at = |error| OpenError::at(&path, error);
    let until = Instant::now() + PATIENCE;
    // Somebody else may be making and removing the directory; not more often than this.
    for _ in 0..100 {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(at)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                thread::sleep(PAUSE);
                continue;
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Best effort: the pid only helps a person.
                let _ = file.read_to_string(&mut text);
                return Err(OpenError::InUse {
                    data: data.to_owned(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(at(error)),
        }
        if has_name(&file, &path).map_err(at)? {
            // Best effort again: on a full disk there may be no room for a number.
            let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", process::id()));
            return Ok(file);
        }
    }
    Err(OpenError::InUse {
        data: data.to_owned(),
        pid: None,
    })
}

/// Whether `path` still leads to the open `file`. Who made the directory and failed has removed both, and a lock without a
/// name keeps nobody out.
fn has_name(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    Ok(fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())))
}

/// What this call has created so far; removed again unless it is kept.
#[derive(Default)]
struct Made {
    paths: Vec<PathBuf>,
}

impl Made {
    /// Whether it was missing.
    fn directory(&mut self, path: &Path) -> Result<bool, OpenError> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {
                self.paths.push(path.to_owned());
                // The new name must survive a crash, or the files in it do not.
                parent_of(path)
                    .map_or(Ok(()), |parent| disk::sync(&parent))
                    .map_err(|error| OpenError::at(path, error))?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match parent_of(path) {
                Some(parent) if !parent.exists() => {
                    self.directory(&parent)?;
                    self.directory(path)
                }
                _ => Err(OpenError::at(path, error)),
            },
            Err(error) => Err(OpenError::at(path, error)),
        }
    }

    /// An empty file is an empty database, and SQLite gives its companions the same mode.
    fn file(&mut self, path: &Path) -> Result<(), OpenError> {
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(_) => {
                for suffix in ["-wal", "-shm", ""] {
                    let mut name = path.as_os_str().to_owned();
                    name.push(suffix);
                    self.paths.push(name.into());
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(OpenError::at(path, error)),
        }
    }

    /// Marks `files/` as the directory that the catalog speaks of. Without the mark, and without any of the files that it
    /// knows of, it is more likely the place where a disk has not been mounted; to go on would give up all of them.
    fn mark(&mut self, blobs: &DiskBlobs) -> Result<(), OpenError> {
        let mark = blobs.mark();
        self.paths.push(mark.clone());
        match blobs.put_mark() {
            // A full disk must not keep anybody from the files; the next start tries again.
            Err(error) if is_full(&error) => {
                tracing::warn!(path = %mark.display(), "there is no room for the mark of the directory");
                Ok(())
            }
            put => put.map_err(|error| OpenError::at(&mark, error)),
        }
    }

    fn keep(mut self) {
        self.paths.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            // A directory that is not empty any more holds somebody else's work.
            let _ = if path.is_dir() {
                fs::remove_dir(path)
            } else {
                fs::remove_file(path)
            };
        }
    }
}

pub(crate) fn parent_of(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    })
}

/// Why a data directory cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration makes no sense.
    Config(BadConfig),
    /// Another instance uses the directory.
    InUse {
        /// The directory.
        data: PathBuf,
        /// The process that uses it, as it wrote down itself.
        pid: Option<u32>,
    },
    /// A part of the directory cannot be created, read or written.
    Unusable {
        /// The part.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full.
    Full {
        /// What was to be written.
        path: PathBuf,
    },
    /// The catalog knows of files, and where their bytes should be there are none, nor the mark that was left there.
    NoFiles {
        /// The mark, in the directory of the files.
        mark: PathBuf,
    },
    /// The database cannot be used.
    Database {
        /// The database.
        path: PathBuf,
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database was written by a newer version of this program.
    TooNew {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The newest version that this program knows.
        known: usize,
    },
}

impl OpenError {
    fn at(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match is_full(&source) {
            true => Self::Full { path },
            false => Self::Unusable { path, source },
        }
    }

    fn fault(path: &Path, fault: OpenFault) -> Self {
        match fault {
            OpenFault::Schema(SchemaError::Database(error)) => Self::catalog(path, error.into()),
            OpenFault::Schema(
                SchemaError::TooNew { found, known } | SchemaError::TooOld { found, known },
            ) => {
                let path = path.to_owned();
                Self::TooNew { path, found, known }
            }
            OpenFault::Thread(error) => Self::at(path, error),
        }
    }

    fn catalog(path: &Path, error: CatalogError) -> Self {
        let path = path.to_owned();
        match error {
            CatalogError::Full(_) => Self::Full { path },
            CatalogError::Broken(source) => Self::Database { path, source },
            error @ (CatalogError::Closed | CatalogError::Died) => Self::Database {
                path,
                source: error.into(),
            },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(bad) => bad.fmt(f),
            Self::InUse { data, pid: Some(pid) } => {
                write!(
                    f,
                    "{} is in use by another instance, process {pid}",
                    data.display()
                )
            }
            Self::InUse { data, pid: None } => write!(f, "{} is in use by another instance", data.display()),
            Self::Unusable { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "{} cannot be written: permission denied", path.display())
            }
            Self::Unusable { path, source } => {
                write!(f, "{} cannot be created or used: {source}", path.display())
            }
            Self::Full { path } => write!(f, "{} cannot be written: the disk is full", path.display()),
            Self::NoFiles { mark } => write!(
                f,
                "{} holds none of the files that the catalog knows of: if a disk belongs there, mount it; if the files are \
                 gone for good, create the empty file {}, and the next start gives them up",
                mark.parent().unwrap_or(mark).display(),
                mark.display()
            ),
            Self::Database { path, source } => {
                write!(f, "{} cannot be used as catalog: {source}", path.display())
            }
            Self::TooNew { path, found, known } => write!(
                f,
                "{} has schema {found}, this version knows {known}: it was written by a newer version",
                path.display()
            ),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(bad) => Some(bad),
            Self::Unusable { source, .. } => Some(source),
            Self::Database { source, .. } => Some(&**source),
            Self::InUse { .. } | Self::Full { .. } | Self::NoFiles { .. } | Self::TooNew { .. } => None,
        }
    }
}

impl From<BadConfig> for OpenError {
    fn from(bad: BadConfig) -> Self {
        Self::Config(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_counts_only_under_its_name() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("lock");
        let file = lock(data.path()).unwrap();
        assert!(has_name(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!has_name(&file, &path).unwrap());
        let other = lock(data.path()).unwrap();
        assert!(!has_name(&file, &path).unwrap() && has_name(&other, &path).unwrap());
        assert!(matches!(
            lock(data.path()),
            Err(OpenError::InUse { pid: Some(_), .. })
        ));
    }

    #[test]
    fn who_has_the_lock_for_a_moment_only_is_waited_for() {
        let data = tempfile::tempdir().unwrap();
        let held = lock(data.path()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(PAUSE * 3);
                drop(held);
            });
            lock(data.path()).unwrap();
        });
    }
}
