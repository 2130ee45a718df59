//! Which content the bytes of a TLS connection stand for (RFC 8446 section 5): what leaves is read as records, whose
//! heads tell their lengths.
//!
//! Invariant: of what has arrived, content counts when its record is whole, and messages of TLS's own that look like content
//! do not count. Of what may have arrived, all of a record counts from its first byte on, for somebody who wants to can
//! open a part of one; and what may be content does.

use std::collections::VecDeque;
use std::io::IoSlice;

use rustls::{CipherSuite, ProtocolVersion};

const HEADER: usize = 5;
const APPLICATION_DATA: u8 = 23;
/// In TLS 1.3 an alert and a key update look like application data of so many bytes.
const OWN: [usize; 2] = [2, 5];
/// From so many on that nobody has acknowledged, it is worth asking the kernel whether they are still as many.
const MANY: usize = 64;

/// The records that have left since a record's border.
#[derive(Debug)]
pub(super) struct Records {
    /// What is in a record beside its header and its content.
    overhead: usize,
    header: [u8; HEADER],
    /// Bytes of the header that have left.
    in_header: usize,
    /// Bytes behind the header that have not left.
    left: usize,
    /// Content of all records that have left.
    content: u64,
    /// The same with what may be none.
    most: u64,
    unacknowledged: VecDeque<Record>,
    /// Content of all records that are acknowledged, and the same with what may be none.
    acknowledged: u64,
    most_acknowledged: u64,
    many: usize,
}

/// A record that has left.
#[derive(Debug)]
struct Record {
    /// Where it begins and ends in the socket's bytes.
    begin: u64,
    end: u64,
    /// The content up to there, and the same with what may be none.
    content: u64,
    most: u64,
}

impl Records {
    pub(super) fn new(overhead: usize) -> Self {
        Self {
            overhead,
            header: [0; HEADER],
            in_header: 0,
            left: 0,
            content: 0,
            most: 0,
            unacknowledged: VecDeque::new(),
            acknowledged: 0,
            most_acknowledged: 0,
            many: MANY,
        }
    }

    pub(super) fn content(&self) -> u64 {
        self.content
    }

    /// The first `n` bytes of `slices` have left, behind `at` others.
    pub(super) fn left(&mut self, mut at: u64, slices: &[IoSlice<'_>], mut n: usize) {
        for slice in slices {
            let mut bytes = &slice[..n.min(slice.len())];
            n -= bytes.len();
            while !bytes.is_empty() {
                let taken = self.take(bytes);
                bytes = &bytes[taken..];
                at += taken as u64;
                if self.in_header == HEADER && self.left == 0 {
                    self.in_header = 0;
                    self.content += self.content_of_last() as u64;
                    self.most += self.most_of_last() as u64;
                    self.unacknowledged.push_back(Record {
                        begin: at - (HEADER + self.len()) as u64,
                        end: at,
                        content: self.content,
                        most: self.most,
                    });
                }
            }
        }
    }

    /// Takes bytes of the record under way: the rest of its header, or of what follows.
    fn take(&mut self, bytes: &[u8]) -> usize {
        if self.in_header == HEADER {
            let taken = bytes.len().min(self.left);
            self.left -= taken;
            return taken;
        }
        let taken = bytes.len().min(HEADER - self.in_header);
        self.header[self.in_header..][..taken].copy_from_slice(&bytes[..taken]);
        self.in_header += taken;
        if self.in_header == HEADER {
            self.left = self.len();
        }
        taken
    }

    fn len(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[3], self.header[4]]))
    }

    fn content_of_last(&self) -> usize {
        let content = self.most_of_last();
        if OWN.contains(&content) { 0 } else { content }
    }

    fn most_of_last(&self) -> usize {
        match self.header[0] {
            APPLICATION_DATA => self.len().saturating_sub(self.overhead),
            _ => 0,
        }
    }

    /// The first `acknowledged` bytes of the connection have arrived: so much content has.
    pub(super) fn arrived(&mut self, acknowledged: u64) -> u64 {
        while let Some(record) = self
            .unacknowledged
            .pop_front_if(|record| record.end <= acknowledged)
        {
            self.acknowledged = record.content;
            self.most_acknowledged = record.most;
        }
        self.many = MANY.max(self.unacknowledged.len() * 2);
        self.acknowledged
    }

    /// How much content the records have at most whose first byte is among the first `left` of the connection; no fewer than
    /// are acknowledged.
    pub(super) fn begun_within(&self, left: u64) -> u64 {
        let begun = self.unacknowledged.partition_point(|record| record.begin < left);
        if begun < self.unacknowledged.len() {
            let last = begun.checked_sub(1);
            return last.map_or(self.most_acknowledged, |last| self.unacknowledged[last].most);
        }
        // Before its length is known, no content of that which is under way has left.
        let is_under_way =
            self.in_header == HEADER && self.unacknowledged.back().is_none_or(|record| record.end < left);
        self.most
            + if is_under_way {
                self.most_of_last() as u64
            } else {
                0
            }
    }

    pub(super) fn are_many(&self) -> bool {
        self.unacknowledged.len() >= self.many
    }
}

/// What sealing adds to a record's content: in TLS 1.3 the content's type and a tag (RFC 8446 section 5.2), in 1.2 a tag
/// and, but for ChaCha20 (RFC 7905), a nonce (RFC 5288 section 3).
pub(super) fn overhead(version: Option<ProtocolVersion>, suite: Option<CipherSuite>) -> usize {
    match (version, suite) {
        (Some(ProtocolVersion::TLSv1_3), _) => 1 + 16,
        (
            _,
            Some(
                CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ),
        ) => 16,
        _ => 8 + 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, content: usize, overhead: usize) -> Vec<u8> {
        let len = (content + overhead) as u16;
        let mut record = vec![kind, 3, 3];
        record.extend(len.to_be_bytes());
        record.resize(HEADER + usize::from(len), 0);
        record
    }

    #[test]
    fn content_counts_when_its_record_is_whole_however_it_leaves() {
        let sizes = [
            (APPLICATION_DATA, 300),
            (APPLICATION_DATA, 5),
            (22, 70),
            (APPLICATION_DATA, 1),
            (21, 2),
        ];
        let stream: Vec<u8> = sizes
            .iter()
            .flat_map(|&(kind, content)| record(kind, content, 17))
            .collect();
        let ends = [322, 349, 441, 464, 488];
        for step in 1..=stream.len() {
            let mut records = Records::new(17);
            let mut at = 1000;
            for piece in stream.chunks(step) {
                let (first, second) = piece.split_at(piece.len() / 2);
                let slices = [
                    IoSlice::new(first),
                    IoSlice::new(second),
                    IoSlice::new(b"not yet"),
                ];
                records.left(at, &slices, piece.len());
                at += piece.len() as u64;
            }
            assert_eq!(records.content(), 301, "in pieces of {step}");
            for (left, most) in [
                (1000, 0),
                (1001, 300),
                (1000 + ends[0], 300),
                (1001 + ends[0], 305),
                (1000 + ends[2], 305),
                (1001 + ends[2], 306),
                (u64::MAX, 306),
            ] {
                assert_eq!(records.begun_within(left), most, "{left} in pieces of {step}");
            }
            for (acknowledged, content) in [
                (0, 0),
                (1000 + ends[0] - 1, 0),
                (1000 + ends[0], 300),
                (1000 + ends[3] - 1, 300),
                (1000 + ends[3], 301),
                (u64::MAX, 301),
            ] {
                assert_eq!(records.arrived(acknowledged), content, "in pieces of {step}");
            }
            assert_eq!(records.begun_within(0), 306, "what is acknowledged has left");
        }
    }

    #[test]
    fn a_record_may_be_had_when_it_has_begun_to_leave() {
        let mut records = Records::new(17);
        let first = record(APPLICATION_DATA, 100, 17);
        let second = record(APPLICATION_DATA, 40, 17);
        records.left(0, &[IoSlice::new(&first)], first.len());
        let at = first.len() as u64;
        records.left(at, &[IoSlice::new(&second)], HEADER - 1);
        assert_eq!(records.begun_within(at + 4), 100);
        records.left(at + 4, &[IoSlice::new(&second[HEADER - 1..])], 2);
        assert_eq!((records.begun_within(at + 6), records.content()), (140, 100));
        // Of the first, nothing has left yet.
        assert_eq!((records.begun_within(0), records.begun_within(1)), (0, 100));
    }

    #[test]
    fn what_is_acknowledged_is_forgotten() {
        let mut records = Records::new(24);
        let record = record(APPLICATION_DATA, 10, 24);
        let mut at = 0;
        for _ in 0..MANY {
            assert!(!records.are_many());
            records.left(at, &[IoSlice::new(&record)], record.len());
            at += record.len() as u64;
        }
        assert!(records.are_many());
        assert_eq!(records.arrived(at - 1), 10 * (MANY as u64 - 1));
        assert!(!records.are_many());
        assert_eq!(records.unacknowledged.len(), 1);
    }
}
