//! What somebody would get who asked for bytes now: one file, or an archive of those that they may have.
//!
//! Invariant: an offer is made of files of which nothing keeps this visitor. The entity tag names the bytes: two offers
//! with the same one are the same bytes.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::catalog::{FileRecord, Which};
use crate::collection::outline::{Outline, Segment};
use crate::lifecycle::{Asker, Phase, Refused};
use crate::web::answer::Refusal;
use crate::web::visit::Visit;
use crate::web::words;
use crate::zip::{self, Entry};

/// The name of an archive.
const ARCHIVE: &str = "files.zip";

pub(super) struct Offer {
    /// The files, in their order.
    pub(super) numbers: Vec<u32>,
    pub(super) body: Outline,
    /// With its quotes.
    pub(super) etag: String,
    pub(super) name: String,
    /// Of the bytes, when it is known.
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) is_archive: bool,
    /// Whether it is an archive of all that was ever in the drop.
    pub(super) is_complete: bool,
    /// Where it is, below the site.
    pub(super) path: String,
}

impl Offer {
    /// The bytes of the file that is asked for; of all of them when it is the drop.
    pub(super) fn of(visit: &Visit) -> Result<Self, Refusal> {
        let files = available(visit)?;
        match (visit.which, visit.is_single(), files.as_slice()) {
            (Which::One(_), _, [file]) | (Which::All, true, [file]) => Self::of_file(visit, file),
            _ => Self::of_archive(visit, &files),
        }
    }

    fn of_file(visit: &Visit, file: &FileRecord) -> Result<Self, Refusal> {
        // It is erased with the bytes, and those are there.
        let sha256 = file.sha256.ok_or_else(Refusal::gone)?;
        Ok(Self {
            numbers: vec![file.number],
            body: Outline::file(file.number, file.life.size),
            etag: format!("\"{}\"", HEXLOWER.encode(&sha256)),
            name: name_of(file).to_owned(),
            sha256: Some(sha256),
            is_archive: false,
            is_complete: false,
            path: format!("{}/{}/raw", visit.path(), file.number),
        })
    }

    fn of_archive(visit: &Visit, files: &[&FileRecord]) -> Result<Self, Refusal> {
        // They are erased with the bytes, and those are there.
        let entries: Option<Vec<_>> = files.iter().map(|file| entry(file)).collect();
        let body = zip::archive(&entries.ok_or_else(Refusal::all_gone)?);
        Ok(Self {
            numbers: files.iter().map(|file| file.number).collect(),
            etag: etag(&body, files),
            body,
            name: ARCHIVE.to_owned(),
            sha256: None,
            is_archive: true,
            is_complete: files.len() == visit.record.files.len(),
            path: format!("{}/zip", visit.path()),
        })
    }
}

fn entry(file: &FileRecord) -> Option<Entry<'_>> {
    Some(Entry {
        number: file.number,
        name: file.name.as_deref()?,
        size: file.life.size,
        crc32: file.crc32?,
    })
}

/// The bytes of an archive are its headers and the files'.
fn etag(body: &Outline, files: &[&FileRecord]) -> String {
    let mut hash = Sha256::new();
    let mut files = files.iter();
    for segment in body.clone().into_segments() {
        match segment {
            Segment::Bytes(bytes) => hash.update(&bytes),
            // They are in the same order.
            Segment::File { .. } => {
                hash.update(files.next().and_then(|file| file.sha256).unwrap_or_default());
            }
        }
    }
    format!("\"{}\"", HEXLOWER.encode(&hash.finalize()))
}

/// Those of the files that are asked for that this visitor may have now, at least one: those that nobody else is
/// collecting. When all that are left are being collected, why there is none.
pub(super) fn available(visit: &Visit) -> Result<Vec<&FileRecord>, Refusal> {
    let asker = as_one(visit, visit.files());
    let mut files = Vec::new();
    let mut refused = None;
    for file in visit.files() {
        match may_have(visit, &asker, file) {
            Ok(()) => files.push(file),
            Err(Refused::Gone) => {}
            Err(why) => refused = refused.or(Some((file, why))),
        }
    }
    match (files.is_empty(), refused) {
        (false, _) => Ok(not_spent(visit, &asker, files)),
        (true, Some((file, why))) => Err(refusal(visit, file, why)),
        (true, None) => Err(gone(visit)),
    }
}

/// Those that a recipient could have the whole of in one archive now.
pub(super) fn together(visit: &Visit) -> Vec<&FileRecord> {
    let files = &visit.record.files;
    let asker = as_one(visit, files.iter());
    let may = |file: &&FileRecord| visit.would_get_as(&asker, file, file.life.size).is_ok();
    files.iter().filter(may).collect()
}

/// Of several files, those that the recipient has not repeated too often, if there are any. Who asks for a part goes on
/// with what has them all.
fn not_spent<'v>(visit: &Visit, asker: &Asker, files: Vec<&'v FileRecord>) -> Vec<&'v FileRecord> {
    if visit.owner().is_some() || visit.asking.has_range || files.len() == 1 {
        return files;
    }
    let may = |file: &&FileRecord| visit.would_get_as(asker, file, file.life.size).is_ok();
    let whole: Vec<&FileRecord> = files.iter().copied().filter(may).collect();
    if whole.is_empty() { files } else { whole }
}

/// An archive is taken in one collection: that which they show, or the first that they are known to belong to. So says the
/// catalog too.
fn as_one<'v>(visit: &Visit, files: impl Iterator<Item = &'v FileRecord>) -> Asker {
    let asker = visit.asker();
    let held = |file: &FileRecord| {
        let hold = file.life.hold.as_ref()?;
        hold.belongs(&asker, file.is_alive, &(0..0))
            .then_some(hold.collection)
    };
    // Of what is gone, nothing is claimed.
    let mut claimed = files.filter(|file| visit.would_get(file, 0).is_ok());
    Asker {
        shown: asker.shown.or_else(|| claimed.find_map(held)),
        ..asker
    }
}

/// Whether the visitor may have bytes of the file.
fn may_have(visit: &Visit, asker: &Asker, file: &FileRecord) -> Result<(), Refused> {
    match (visit.owner(), visit.phase(file)) {
        (None, _) => visit.would_get_as(asker, file, 0),
        (Some(_), Phase::Ready | Phase::Collecting { .. } | Phase::Uncertain | Phase::Closing { .. }) => {
            Ok(())
        }
        (Some(_), Phase::Receiving | Phase::Due(_) | Phase::Over) => Err(Refused::Gone),
    }
}

/// Whether a recipient could have all bytes of these files now.
pub(super) fn all_of(visit: &Visit, numbers: &[u32]) -> Result<(), Refusal> {
    let asker = as_one(visit, visit.files());
    // They are in the same order.
    let mut numbers = numbers.iter().peekable();
    let mut is_meant = |file: &&FileRecord| numbers.next_if(|&&number| number == file.number).is_some();
    for file in visit.record.files.iter().filter(|file| is_meant(file)) {
        visit
            .would_get_as(&asker, file, file.life.size)
            .map_err(|refused| refusal(visit, file, refused))?;
    }
    Ok(())
}

pub(super) fn gone(visit: &Visit) -> Refusal {
    match (visit.which, visit.is_single()) {
        (Which::All, false) => Refusal::all_gone(),
        (Which::One(_), _) | (Which::All, true) => Refusal::gone(),
    }
}

fn refusal(visit: &Visit, file: &FileRecord, refused: Refused) -> Refusal {
    match refused {
        Refused::Busy { until } => {
            let rest = until.after(visit.record.now);
            match visit.phase(file) {
                Phase::Uncertain => Refusal::uncertain(rest),
                _ if file.is_alive => Refusal::busy(rest),
                _ => Refusal::stopped(&words::stopped(visit, file, until), rest),
            }
            .seen_at(visit.path())
        }
        Refused::Spent => Refusal::spent(visit.shared.terms.lease).seen_at(visit.path()),
        Refused::Gone => gone(visit),
    }
}

/// Names are erased with the bytes.
fn name_of(file: &FileRecord) -> &str {
    file.name.as_deref().unwrap_or("file")
}
