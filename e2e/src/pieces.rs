//! What somebody has of a file, put together from what came.

use std::ops::Range;

/// Ranges of a file, of which the bytes were the right ones.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    /// In order, and none touches another.
    ranges: Vec<Range<usize>>,
}

impl Pieces {
    /// Adds bytes that came from `offset` on, of a file that has this content.
    ///
    /// # Errors
    ///
    /// When they are not the file's.
    pub fn add(&mut self, content: &[u8], offset: usize, bytes: &[u8]) -> Result<(), String> {
        let range = offset..offset + bytes.len();
        if content.get(range.clone()) != Some(bytes) {
            return Err(format!("{range:?} are other bytes than those uploaded"));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let touching = |had: &Range<usize>| had.start <= range.end && range.start <= had.end;
        let (mut start, mut end) = (range.start, range.end);
        for had in self.ranges.iter().filter(|had| touching(had)) {
            (start, end) = (start.min(had.start), end.max(had.end));
        }
        self.ranges.retain(|had| !touching(had));
        self.ranges.push(start..end);
        self.ranges.sort_by_key(|range| range.start);
        Ok(())
    }

    /// Whether that is all of a file of `size` bytes.
    pub fn is_whole(&self, size: usize) -> bool {
        size == 0 || self.ranges.first() == Some(&(0..size))
    }

    /// The first bytes that are missing of a file of `size` bytes.
    pub fn gap(&self, size: usize) -> Range<usize> {
        match self.ranges.as_slice() {
            [] => 0..size,
            [first, ..] if first.start > 0 => 0..first.start,
            [only] => only.end..size,
            [first, second, ..] => first.end..second.start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_together() {
        let content: Vec<u8> = (0..100).collect();
        let mut pieces = Pieces::default();
        for (range, gap) in [
            (50..60, 0..50),
            (0..10, 10..50),
            (10..50, 60..100),
            (55..100, 100..100),
        ] {
            pieces.add(&content, range.start, &content[range]).unwrap();
            assert_eq!(pieces.gap(100), gap);
        }
        assert!(pieces.is_whole(100) && !pieces.is_whole(101));
        assert!(pieces.add(&content, 3, &content[4..9]).is_err());
    }
}
