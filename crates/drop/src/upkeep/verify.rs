//! Each row against its bytes, and each byte against the rows.
//!
//! Invariant: a difference is told only if it is still there when both are looked at once more: the service may have ended a
//! file, or begun one, between two looks.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Place, Progress, UpkeepError, live_bytes};
use crate::catalog::Listed;
use crate::id::{BlobId, DropId};
use crate::lifecycle::State;

/// Rows at a time.
const PAGE: u32 = 256;

/// What is read at once.
const CHUNK: usize = 1024 * 1024;

/// What a [`verify`] has found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Files that were read to their end.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What does not agree.
    pub differences: Vec<Difference>,
}

/// A disagreement between the catalog and the disk. Told in one line, without the drop's link.
#[derive(Clone, Debug)]
pub struct Difference {
    path: PathBuf,
    /// The drop's tag, as in the log, and the file's number; `None` for bytes of no file.
    of: Option<(String, u32)>,
    problem: Problem,
}

#[derive(Clone, Debug)]
enum Problem {
    Missing,
    Size { expected: u64, found: u64 },
    Changed,
    Unreadable(String),
    Stray,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some((tag, number)) = &self.of {
            write!(f, " (file {number} of drop {tag})")?;
        }
        match &self.problem {
            Problem::Missing => f.write_str(" is missing"),
            Problem::Size { expected, found } => write!(f, " has {found} bytes instead of {expected}"),
            Problem::Changed => {
                f.write_str(" does not have the bytes that were uploaded: its SHA-256 differs")
            }
            Problem::Unreadable(error) => write!(f, " cannot be read: {error}"),
            Problem::Stray => f.write_str(" belongs to no file"),
        }
    }
}

/// Reads every file that somebody may still collect, and compares it with what the catalog says; and looks for bytes that
/// belong to no file. Changes nothing.
///
/// # Errors
///
/// [`UpkeepError`] when that cannot be done. A file that cannot be read is a difference.
pub fn verify(data: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Verified, UpkeepError> {
    let place = Place::at(data)?;
    let mut total = live_bytes(&place.asked(place.rows.census())?);
    let mut verified = Verified::default();
    let mut after = None;
    progress(Progress { done: 0, total });
    loop {
        let page = place.asked(place.rows.list(after, PAGE))?;
        after = page.last().map(|last| (last.id.clone(), last.number));
        for file in page.iter().filter(|file| is_wanted(file)) {
            let mut done = verified.bytes;
            let looked = look(&place, file, &mut |more| {
                done += more;
                total = total.max(done);
                progress(Progress { done, total });
            });
            verified.bytes = done;
            match looked {
                None => verified.files += 1,
                Some(problem) => verified.differences.extend(still(&place, file, problem)?),
            }
        }
        if after.is_none() {
            break;
        }
    }
    place.strays(&mut |complete, stray| {
        let path = match complete {
            true => place.blobs.path(stray),
            false => data.join("incoming").join(stray.as_str()),
        };
        if path.try_exists()? {
            verified.differences.push(Difference {
                path,
                of: None,
                problem: Problem::Stray,
            });
        }
        Ok(())
    })?;
    Ok(verified)
}

/// Whether somebody may still collect it: also within the grace, for so long it has its digest.
pub(super) fn is_wanted(file: &Listed) -> bool {
    match file.state {
        State::Ready | State::Collecting => true,
        State::Delivered => file.sha256.is_some(),
        State::Receiving | State::Expired | State::Withdrawn | State::Failed | State::Deleted => false,
    }
}

/// The difference, if it is one at a second look.
fn still(place: &Place, file: &Listed, problem: Problem) -> Result<Option<Difference>, UpkeepError> {
    let before = (file.id.clone(), file.number.saturating_sub(1));
    let again = place.asked(place.rows.list(Some(before), 1))?;
    let is_there = again
        .first()
        .is_some_and(|again| (&again.id, again.number) == (&file.id, file.number) && is_wanted(again));
    if !is_there || look(place, file, &mut |_| ()).is_none() {
        return Ok(None);
    }
    Ok(Some(Difference {
        path: shown(place, &file.id, &file.blob),
        of: Some((file.id.tag(), file.number)),
        problem,
    }))
}

/// Where a blob is, without its drop's link: files of the versions before drops are called like that.
fn shown(place: &Place, id: &DropId, blob: &BlobId) -> PathBuf {
    let path = place.blobs.path(blob);
    match id.as_str() == blob.as_str() {
        true => path.with_file_name(format!("{}...", &blob.as_str()[..4])),
        false => path,
    }
}

fn look(place: &Place, file: &Listed, read: &mut dyn FnMut(u64)) -> Option<Problem> {
    match compare(&place.blobs.path(&file.blob), file, read) {
        Ok(problem) => problem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Problem::Missing),
        Err(error) => Some(Problem::Unreadable(error.to_string())),
    }
}

fn compare(path: &Path, file: &Listed, read: &mut dyn FnMut(u64)) -> io::Result<Option<Problem>> {
    let mut bytes = File::open(path)?;
    let found = bytes.metadata()?.len();
    if found != file.size {
        let expected = file.size;
        return Ok(Some(Problem::Size { expected, found }));
    }
    let (mut sha256, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match bytes.read(&mut chunk) {
            Ok(0) => break,
            Ok(some) => {
                sha256.update(&chunk[..some]);
                read(some as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let is_same = file
        .sha256
        .is_none_or(|expected| sha256.finalize().as_slice() == expected);
    Ok((!is_same).then_some(Problem::Changed))
}
