//! A copy that a drop can be opened from.
//!
//! 1. The catalog, as it stands at one moment.
//! 2. The bytes of each file that somebody may still collect. By reflink where the file system has that, never by hard
//!    link: a file that is over is gone from its own directory only.
//! 3. A file whose bytes were not there any more: if it has come to an end meanwhile, the copy's row says which.
//! 4. The catalog gets its name. A directory without it is no copy.
//!
//! Invariant: each row of the copy tells the truth about the copy. What it cannot tell is what becomes of the files later: a
//! file that was delivered after the copy was made is there again when the copy is put to use.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::verify::is_wanted;
use super::{Place, Progress, UpkeepError, live_bytes};
use crate::blobs::disk::{self, DiskBlobs};
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Catalog, CatalogError, Listed, Which};
use crate::clock::Clock;
use crate::config::DropConfig;
use crate::id::BlobId;
use crate::lifecycle::Terms;
use crate::open::{self, on_a_thread};
use crate::reserve::Reserve;

/// Rows at a time.
const PAGE: u32 = 256;

/// What a copy holds.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Backup {
    /// Files whose bytes were copied.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Files that came to an end while the copy was made; it says so, and has no bytes of them.
    pub ended: u64,
    /// Files whose bytes were not there although they should have been. The copy calls them lost when it is put to use.
    pub missing: u64,
}

/// Copies the directory `data` to the directory `to`, which must not exist or must be empty.
///
/// The copy is a data directory: who puts it to use has the files that waited for their recipients at that time. Files that
/// were collected since are there again; whether that may be is for who puts it to use to decide.
///
/// # Errors
///
/// [`UpkeepError`]. What is in `to` then is no copy, for it has no catalog, and may be removed.
pub fn backup(data: &Path, to: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Backup, UpkeepError> {
    let place = Place::at(data)?;
    let copy = DiskBlobs::new(to);
    prepare(to, &copy)?;
    let unfinished = to.join("catalog.sqlite.unfinished");
    let at = |error| UpkeepError::at(&unfinished, error);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(at)?;
    place.asked(place.rows.copy(&unfinished))?;
    // Nothing that is decided here depends on the terms.
    let config = DropConfig::default();
    let (terms, clock, reserve) = (Terms::of(&config), Clock::system(), Reserve::new(to));
    let rows = SqliteCatalog::open(&unfinished, terms, config.owner, &clock, reserve, None)
        .map_err(|fault| UpkeepError::catalog(&unfinished, fault))?;
    let mut copied = Copied {
        place: &place,
        rows: &rows,
        blobs: &copy,
        backup: Backup::default(),
    };
    copied.all(progress)?;
    let backup = copied.backup;
    rows.close();
    // What stands in a log does not get the catalog's name with it.
    let log = to.join("catalog.sqlite.unfinished-wal");
    if log.try_exists().map_err(|error| UpkeepError::at(&log, error))? {
        return Err(UpkeepError::catalog(&unfinished, "its log could not be emptied"));
    }
    let path = open::database(to);
    File::open(&unfinished)
        .and_then(|file| file.sync_all())
        .map_err(at)?;
    fs::rename(&unfinished, &path)
        .and_then(|()| disk::sync(to))
        .map_err(|error| UpkeepError::at(&path, error))?;
    Ok(backup)
}

fn prepare(to: &Path, blobs: &DiskBlobs) -> Result<(), UpkeepError> {
    let make = |path: &Path| match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        made => made.map(|()| true).map_err(|error| UpkeepError::at(path, error)),
    };
    if make(to)? {
        // The new name must survive a crash, or the copy does not.
        open::parent_of(to)
            .map_or(Ok(()), |parent| disk::sync(&parent))
            .map_err(|error| UpkeepError::at(to, error))?;
    }
    let mut entries = fs::read_dir(to).map_err(|error| UpkeepError::at(to, error))?;
    if entries.next().is_some() {
        return Err(UpkeepError::NotEmpty { to: to.to_owned() });
    }
    blobs
        .directories()
        .iter()
        .try_for_each(|directory| make(directory).map(|_| ()))?;
    blobs
        .put_mark()
        .map_err(|error| UpkeepError::at(&blobs.mark(), error))
}

/// A copy that is being made.
struct Copied<'a> {
    place: &'a Place,
    rows: &'a SqliteCatalog,
    blobs: &'a DiskBlobs,
    backup: Backup,
}

impl Copied<'_> {
    /// The rows are the copy's own: what has come since is not in it.
    fn all(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), UpkeepError> {
        let mut total = live_bytes(&self.asked(on_a_thread(|| self.rows.census()))?);
        let mut after = None;
        loop {
            let page = self.asked(on_a_thread(|| self.rows.list(after, PAGE)))?;
            after = page.last().map(|last| (last.id.clone(), last.number));
            for file in page.iter().filter(|file| is_wanted(file)) {
                match self.one(&file.blob, file.size)? {
                    true => {
                        self.backup.files += 1;
                        self.backup.bytes += file.size;
                    }
                    false => self.settle(file)?,
                }
                let done = self.backup.bytes;
                total = total.max(done);
                progress(Progress { done, total });
            }
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether the bytes were there, all of them.
    fn one(&self, blob: &BlobId, size: u64) -> Result<bool, UpkeepError> {
        let from = self.place.blobs.path(blob);
        let mut bytes = match File::open(&from) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(UpkeepError::at(&from, error)),
        };
        let has = bytes
            .metadata()
            .map_err(|error| UpkeepError::at(&from, error))?
            .len();
        if has != size {
            return Ok(false);
        }
        let to = self.blobs.path(blob);
        self.blobs
            .copy(blob, &mut bytes)
            .map_err(|error| UpkeepError::at(&to, error))?;
        Ok(true)
    }

    /// The bytes are not there. What the original says now is true of the copy, too, if the file is over.
    fn settle(&mut self, file: &Listed) -> Result<(), UpkeepError> {
        let now = self.place.asked(self.place.rows.file(&file.id, file.number))?;
        let Some(ending) = now.and_then(|now| now.life.ending) else {
            self.backup.missing += 1;
            return Ok(());
        };
        self.asked(on_a_thread(|| {
            self.rows.end(&file.id, Which::One(file.number), ending)
        }))?;
        self.asked(on_a_thread(|| self.rows.unlinked(&file.blob)))?;
        self.backup.ended += 1;
        Ok(())
    }

    fn asked<T>(&self, answer: Result<T, CatalogError>) -> Result<T, UpkeepError> {
        answer.map_err(|error| UpkeepError::catalog(&open::database(&self.place.data), error))
    }
}
