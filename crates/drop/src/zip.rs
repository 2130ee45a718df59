//! Several files as one archive, laid out before a byte of them is read (APPNOTE.TXT 6.3.10 of the ZIP format).
//!
//! 1. Per file: a local header (section 4.3.7) and the bytes as they are (method 0). Size and CRC-32 are known, so there
//!    is no data descriptor.
//! 2. The central directory (4.3.12) and its end (4.3.16), with the ZIP64 records (4.3.14, 4.3.15) where a number does not
//!    fit without them.
//!
//! Invariant: the same files give the same archive, to the byte, so that a range of it can be asked for later. An entry's
//! name is a name, never a path, and no two are the same where case does not count.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::collection::outline::{Outline, Segment};
use crate::name::LONGEST;

/// Numbers from here on stand in a ZIP64 record.
const LARGE: u64 = 0xFFFF_FFFF;
/// More entries than this need one, too.
const MANY: u64 = 0xFFFF;

/// The first day that the format knows. Nobody keeps when the files were written.
const DATE: u16 = (1 << 5) | 1;
/// Names are UTF-8 (bit 11).
const FLAGS: u16 = 1 << 11;
/// A regular file that its owner may write and all may read, as Unix says it.
const ATTRIBUTES: u32 = 0o100_644 << 16;
const UNIX: u16 = 3 << 8;
/// What a reader must know: version 2.0, or 4.5 for ZIP64.
const PLAIN: u16 = 20;
const ZIP64: u16 = 45;

/// A file to be archived.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) number: u32,
    /// Cleaned already.
    pub(crate) name: &'a str,
    pub(crate) size: u64,
    pub(crate) crc32: u32,
}

/// The archive of these files, in this order.
pub(crate) fn archive(entries: &[Entry<'_>]) -> Outline {
    let mut segments = Vec::with_capacity(2 * entries.len() + 1);
    let mut directory = Vec::new();
    let mut names = Names::default();
    let mut offset = 0;
    for entry in entries {
        let name = names.unique(entry.name);
        let header = local_header(entry, &name);
        central_header(&mut directory, entry, &name, offset);
        offset += header.len() as u64 + entry.size;
        segments.push(Segment::Bytes(header.into()));
        segments.push(Segment::File {
            number: entry.number,
            range: 0..entry.size,
        });
    }
    end_of_directory(&mut directory, entries.len() as u64, offset);
    segments.push(Segment::Bytes(Bytes::from(directory)));
    Outline::new(segments)
}

fn local_header(entry: &Entry<'_>, name: &str) -> Vec<u8> {
    let large = entry.size >= LARGE;
    let mut to = Vec::with_capacity(50 + name.len());
    to.extend(b"PK\x03\x04");
    short(&mut to, if large { ZIP64 } else { PLAIN });
    description(&mut to, entry);
    short(&mut to, name.len() as u16);
    // Here both sizes stand in the record, or none (4.5.3).
    short(&mut to, if large { 20 } else { 0 });
    to.extend(name.as_bytes());
    if large {
        extra(&mut to, &[entry.size, entry.size]);
    }
    to
}

fn central_header(to: &mut Vec<u8>, entry: &Entry<'_>, name: &str, offset: u64) {
    let mut numbers = Vec::new();
    if entry.size >= LARGE {
        numbers.extend([entry.size, entry.size]);
    }
    if offset >= LARGE {
        numbers.push(offset);
    }
    let needed = if numbers.is_empty() { PLAIN } else { ZIP64 };
    to.extend(b"PK\x01\x02");
    short(to, UNIX | needed);
    short(to, needed);
    description(to, entry);
    short(to, name.len() as u16);
    let extra_len = if numbers.is_empty() {
        0
    } else {
        4 + 8 * numbers.len() as u16
    };
    short(to, extra_len);
    // No comment, the first disk, no internal attributes.
    to.extend([0; 6]);
    long(to, ATTRIBUTES);
    long(to, offset.min(LARGE) as u32);
    to.extend(name.as_bytes());
    if !numbers.is_empty() {
        extra(to, &numbers);
    }
}

/// What both headers have: flags, method, time, checksum and sizes.
fn description(to: &mut Vec<u8>, entry: &Entry<'_>) {
    short(to, FLAGS);
    short(to, 0);
    short(to, 0);
    short(to, DATE);
    long(to, entry.crc32);
    let size = entry.size.min(LARGE) as u32;
    long(to, size);
    long(to, size);
}

/// The extra field that holds what does not fit into 32 bits (4.5.3).
fn extra(to: &mut Vec<u8>, numbers: &[u64]) {
    short(to, 1);
    short(to, 8 * numbers.len() as u16);
    for number in numbers {
        to.extend(number.to_le_bytes());
    }
}

/// What follows the headers of the directory, which begins at `offset`.
fn end_of_directory(to: &mut Vec<u8>, count: u64, offset: u64) {
    let size = to.len() as u64;
    if count > MANY || size >= LARGE || offset >= LARGE {
        to.extend(b"PK\x06\x06");
        to.extend(44u64.to_le_bytes());
        short(to, UNIX | ZIP64);
        short(to, ZIP64);
        to.extend([0; 8]);
        for number in [count, count, size, offset] {
            to.extend(number.to_le_bytes());
        }
        to.extend(b"PK\x06\x07");
        long(to, 0);
        to.extend((offset + size).to_le_bytes());
        long(to, 1);
    }
    to.extend(b"PK\x05\x06");
    to.extend([0; 4]);
    short(to, count.min(MANY) as u16);
    short(to, count.min(MANY) as u16);
    long(to, size.min(LARGE) as u32);
    long(to, offset.min(LARGE) as u32);
    short(to, 0);
}

fn short(to: &mut Vec<u8>, number: u16) {
    to.extend(number.to_le_bytes());
}

fn long(to: &mut Vec<u8>, number: u32) {
    to.extend(number.to_le_bytes());
}

/// What is cut off a long name at most, for a number of files that there cannot be.
const LONGEST_MARK: usize = " (4294967295)".len();
/// A longer end of a name is no extension.
const LONGEST_EXTENSION: usize = 32;

/// Names that were given out, in lower case.
#[derive(Default)]
struct Names {
    given: HashSet<String>,
    /// How often a name was asked for, so that no number is tried twice. Names that are the same once they are cut are one.
    counts: HashMap<String, u32>,
}

impl Names {
    /// `a.txt`, or `a (2).txt` when there is one already.
    fn unique(&mut self, name: &str) -> String {
        // What no file may be called somewhere would keep the archive from being unpacked there.
        let name = name.replace(['<', '>', ':', '"', '|', '?', '*', '/', '\\'], "_");
        let (stem, extension) = match name.rfind('.') {
            Some(dot) if dot > 0 && name.len() - dot <= LONGEST_EXTENSION => name.split_at(dot),
            _ => (name.as_str(), ""),
        };
        if self.given.insert(name.to_lowercase()) {
            return name;
        }
        let end = stem.floor_char_boundary(LONGEST - LONGEST_MARK - extension.len());
        let same = format!("{}{extension}", &stem[..end]).to_lowercase();
        let count = self.counts.entry(same).or_insert(1);
        loop {
            *count += 1;
            let mark = format!(" ({count}){extension}");
            let end = stem.floor_char_boundary(LONGEST.saturating_sub(mark.len()));
            let given = format!("{}{mark}", &stem[..end]);
            if self.given.insert(given.to_lowercase()) {
                return given;
            }
        }
    }
}

#[cfg(test)]
mod tests;
