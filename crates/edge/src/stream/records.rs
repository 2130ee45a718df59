//! Which content the bytes of a TLS connection stand for (RFC 8446 section 5): what leaves is read as records, whose
//! heads tell their lengths.
//!
//! Invariant: content counts when its record is whole. Messages of TLS's own that look like content do not count.

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
    /// Ends of records in the socket's bytes, and the content up to there.
    unacknowledged: VecDeque<(u64, u64)>,
    /// Content of all records that are acknowledged.
    acknowledged: u64,
    many: usize,
}

impl Records {
    pub(super) fn new(overhead: usize) -> Self {
        Self {
            overhead,
            header: [0; HEADER],
            in_header: 0,
            left: 0,
            content: 0,
            unacknowledged: VecDeque::new(),
            acknowledged: 0,
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
                    self.unacknowledged.push_back((at, self.content));
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
        let content = self.len().saturating_sub(self.overhead);
        if self.header[0] != APPLICATION_DATA || OWN.contains(&content) {
            return 0;
        }
        content
    }

    /// The first `acknowledged` bytes of the connection have arrived: so much content has.
    pub(super) fn arrived(&mut self, acknowledged: u64) -> u64 {
        while let Some((_, content)) = self.unacknowledged.pop_front_if(|(end, _)| *end <= acknowledged) {
            self.acknowledged = content;
        }
        self.many = MANY.max(self.unacknowledged.len() * 2);
        self.acknowledged
    }

    /// How much content the first `left` bytes of the connection hold in whole records; at least that of those acknowledged.
    pub(super) fn within(&self, left: u64) -> u64 {
        let mut latest = self.unacknowledged.iter().rev();
        let last = latest.find(|(end, _)| *end <= left);
        last.map_or(self.acknowledged, |&(_, content)| content)
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
        }
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
