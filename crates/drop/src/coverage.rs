//! Which bytes of a file somebody has: a union of ranges.
//!
//! Invariant: of more than [`MOST`] pieces some are given up, in the direction that is harmless. What somebody surely has
//! ([`add`](Coverage::add)) loses its smallest piece: then a byte more is asked for than is missing, never one less. What
//! somebody may have ([`widen`](Coverage::widen)) loses its smallest gap: then a byte is thought gone that is not.

use std::ops::Range;

/// Pieces that are kept: more than a tool has that fetches a file in parts at the same time or in any order.
const MOST: usize = 1024;

/// Sorted ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Coverage(Vec<Range<u64>>);

impl Coverage {
    /// Puts the bytes of `range` in; a byte is in it only if it was put in. What had to be given up for that.
    pub(crate) fn add(&mut self, range: Range<u64>) -> Option<Range<u64>> {
        self.merge(range);
        if self.0.len() <= MOST {
            return None;
        }
        let pieces = self.0.iter().enumerate();
        let (smallest, _) = pieces.min_by_key(|(_, piece)| piece.end - piece.start)?;
        Some(self.0.remove(smallest))
    }

    /// Whether a byte of `range` is in it.
    pub(crate) fn meets(&self, range: &Range<u64>) -> bool {
        let at = self.0.partition_point(|piece| piece.end <= range.start);
        !range.is_empty() && self.0.get(at).is_some_and(|piece| piece.start < range.end)
    }

    /// Whether every byte of `range` is in it.
    pub(crate) fn has(&self, range: &Range<u64>) -> bool {
        let at = self.0.partition_point(|piece| piece.end < range.end);
        range.is_empty() || self.0.get(at).is_some_and(|piece| piece.start <= range.start)
    }

    /// Puts the bytes of `range` in; each byte that was put in is in it.
    pub(crate) fn widen(&mut self, range: Range<u64>) {
        self.merge(range);
        if self.0.len() > MOST {
            let gaps = self.0.windows(2).map(|pair| pair[1].start - pair[0].end);
            if let Some((at, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) {
                self.0[at].end = self.0[at + 1].end;
                self.0.remove(at + 1);
            }
        }
    }

    /// The same with all of `other`.
    pub(crate) fn widen_by(&mut self, other: &Self) {
        for piece in &other.0 {
            self.widen(piece.clone());
        }
    }

    fn merge(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let from = self.0.partition_point(|piece| piece.end < range.start);
        let to = self.0.partition_point(|piece| piece.start <= range.end);
        let merged = match self.0.get(from..to) {
            Some([first, .., last]) => range.start.min(first.start)..range.end.max(last.end),
            Some([only]) => range.start.min(only.start)..range.end.max(only.end),
            _ => range,
        };
        self.0.splice(from..to, [merged]);
    }

    /// Whether every one of the first `size` bytes is in it.
    pub(crate) fn is_whole(&self, size: u64) -> bool {
        size == 0
            || self
                .0
                .first()
                .is_some_and(|piece| piece.start == 0 && piece.end >= size)
    }

    /// How many bytes are in it.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.end - piece.start).sum()
    }

    /// For the catalog: `0-500,900-1000`, ends excluded; empty for nothing.
    pub(crate) fn text(&self) -> String {
        let pieces: Vec<String> = self
            .0
            .iter()
            .map(|piece| format!("{}-{}", piece.start, piece.end))
            .collect();
        pieces.join(",")
    }

    /// Reads what [`text`](Self::text) has written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut coverage = Self::default();
        for piece in text.split(',').filter(|piece| !piece.is_empty()) {
            let (start, end) = piece.split_once('-')?;
            coverage.add(start.parse().ok()?..end.parse().ok()?);
        }
        Some(coverage)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_touches_becomes_one() {
        let mut coverage = Coverage::default();
        for range in [10..20, 30..40, 20..30, 0..5, 100..100] {
            coverage.add(range);
        }
        assert_eq!(coverage.text(), "0-5,10-40");
        assert!(!coverage.is_whole(40));
        coverage.add(4..11);
        assert!(coverage.is_whole(40) && !coverage.is_whole(41) && coverage.len() == 40);
        assert!(Coverage::default().is_whole(0) && !Coverage::default().is_whole(1));
    }

    #[test]
    fn of_too_many_pieces_the_smallest_is_forgotten() {
        let mut coverage = Coverage::default();
        for n in 0..5000 {
            coverage.add(n * 10..n * 10 + 2 + n % 3);
        }
        assert_eq!(coverage.0.len(), MOST);
        coverage.add(0..50_000);
        assert!(coverage.is_whole(50_000));
    }

    #[test]
    fn of_too_many_gaps_the_smallest_is_filled() {
        let mut coverage = Coverage::default();
        for n in 0..5000 {
            coverage.widen(n * 10..n * 10 + 1 + n % 3);
        }
        assert_eq!(coverage.0.len(), MOST);
        for n in 0..5000 {
            let range = n * 10..n * 10 + 1 + n % 3;
            assert!(
                coverage
                    .0
                    .iter()
                    .any(|piece| piece.start <= range.start && range.end <= piece.end)
            );
        }
    }

    proptest! {
        #[test]
        fn it_is_a_union(ranges in prop::collection::vec((0u64..200, 0u64..60), 0..40)) {
            let mut coverage = Coverage::default();
            let mut bytes = [false; 260];
            for (start, len) in ranges {
                coverage.add(start..start + len);
                bytes[start as usize..(start + len) as usize].fill(true);
            }
            prop_assert_eq!(coverage.len(), bytes.iter().filter(|byte| **byte).count() as u64);
            let whole = bytes.iter().position(|byte| !byte).unwrap_or(260) as u64;
            prop_assert!(coverage.is_whole(whole) && !coverage.is_whole(whole + 1));
            prop_assert_eq!(Coverage::parse(&coverage.text()), Some(coverage));
        }
    }
}
