//! What a body is made of, before any file is opened: bytes at hand and ranges of files, one after the other.
//!
//! Invariant: a slice of an outline is that slice of the body; nothing is in it twice, and no byte is lost.

use std::ops::Range;

use bytes::Bytes;

/// The segments of a body, in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Outline {
    segments: Vec<Segment>,
    len: u64,
}

/// A part of an [`Outline`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Segment {
    Bytes(Bytes),
    /// These bytes of the file with this number; also none, of an empty file.
    File {
        number: u32,
        range: Range<u64>,
    },
}

/// Where bytes of a file stand in a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Placed {
    pub(crate) number: u32,
    /// Which bytes of the file.
    pub(crate) range: Range<u64>,
    /// How many bytes of the body are before them.
    pub(crate) at: u64,
}

impl Outline {
    pub(crate) fn new(segments: Vec<Segment>) -> Self {
        let len = segments.iter().map(Segment::len).sum();
        Self { segments, len }
    }

    /// The whole of one file.
    pub(crate) fn file(number: u32, size: u64) -> Self {
        Self::new(vec![Segment::File {
            number,
            range: 0..size,
        }])
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn into_segments(self) -> Vec<Segment> {
        self.segments
    }

    /// The `len` bytes that start at `offset`. An empty file is in it if the byte before it is.
    pub(crate) fn slice(&self, offset: u64, len: u64) -> Self {
        let cut = offset..offset.saturating_add(len);
        let mut at = 0;
        let mut segments = Vec::new();
        for segment in &self.segments {
            let start = cut.start.clamp(at, at + segment.len()) - at;
            let end = cut.end.clamp(at, at + segment.len()) - at;
            match segment {
                Segment::Bytes(bytes) if start < end => {
                    // It is in memory, so it has a length that fits.
                    segments.push(Segment::Bytes(bytes.slice(start as usize..end as usize)));
                }
                Segment::File { number, range }
                    if start < end || (range.is_empty() && cut.start < at && at <= cut.end) =>
                {
                    segments.push(Segment::File {
                        number: *number,
                        range: range.start + start..range.start + end,
                    });
                }
                Segment::Bytes(_) | Segment::File { .. } => {}
            }
            at += segment.len();
        }
        Self::new(segments)
    }

    /// Where the files are.
    pub(crate) fn files(&self) -> impl Iterator<Item = Placed> {
        let mut next = 0;
        self.segments.iter().filter_map(move |segment| {
            let at = next;
            next += segment.len();
            match segment {
                Segment::Bytes(_) => None,
                Segment::File { number, range } => Some(Placed {
                    number: *number,
                    range: range.clone(),
                    at,
                }),
            }
        })
    }
}

impl Placed {
    /// Where in the file a part of the body begins that has nothing of it, and begins at `offset`: at its start, or behind
    /// all of it.
    pub(crate) fn begun_at(&self, offset: u64) -> u64 {
        let is_behind = self.at + (self.range.end - self.range.start) <= offset;
        if is_behind {
            self.range.end
        } else {
            self.range.start
        }
    }

    /// The end of those bytes of the file that are among the first `count` of the body; `None` when those do not reach up
    /// to it.
    pub(crate) fn end_within(&self, count: u64) -> Option<u64> {
        let within = count.checked_sub(self.at)?.min(self.range.end - self.range.start);
        Some(self.range.start + within)
    }
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { range, .. } => range.end - range.start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline() -> Outline {
        Outline::new(vec![
            Segment::Bytes(Bytes::from_static(b"<<")),
            Segment::File {
                number: 1,
                range: 0..3,
            },
            Segment::Bytes(Bytes::from_static(b"|")),
            Segment::File {
                number: 2,
                range: 0..0,
            },
            Segment::Bytes(Bytes::from_static(b"||")),
            Segment::File {
                number: 3,
                range: 0..4,
            },
            Segment::Bytes(Bytes::from_static(b">>")),
        ])
    }

    /// What the body would be, if file 1 is `012`, and so on.
    fn written(outline: Outline) -> String {
        let files = ["012", "", "abcd"];
        let text = |segment| match segment {
            Segment::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Segment::File { number, range } => {
                files[number as usize - 1][range.start as usize..range.end as usize].to_owned()
            }
        };
        outline.into_segments().into_iter().map(text).collect()
    }

    #[test]
    fn every_slice_is_that_slice_of_the_whole() {
        let whole = written(outline());
        assert_eq!(whole, "<<012|||abcd>>");
        for from in 0..=whole.len() {
            for len in 0..=whole.len() - from {
                let slice = outline().slice(from as u64, len as u64);
                assert_eq!(slice.len(), len as u64);
                assert_eq!(written(slice), whole[from..from + len], "{len} from {from}");
            }
        }
        assert_eq!(outline().slice(0, u64::MAX), outline());
    }

    #[test]
    fn files_are_found_in_a_slice_and_an_empty_one_with_the_byte_before_it() {
        let placed = |outline: Outline| -> Vec<(u32, Range<u64>, u64)> {
            let files = outline.files();
            files
                .map(|placed| (placed.number, placed.range, placed.at))
                .collect()
        };
        assert_eq!(placed(outline()), [(1, 0..3, 2), (2, 0..0, 6), (3, 0..4, 8)]);
        assert_eq!(placed(outline().slice(4, 2)), [(1, 2..3, 0), (2, 0..0, 2)]);
        assert_eq!(placed(outline().slice(6, 3)), [(3, 0..1, 2)]);
        assert_eq!(placed(Outline::file(1, 0)), [(1, 0..0, 0)]);
    }

    #[test]
    fn what_arrived_of_a_body_is_told_for_each_file() {
        let placed = Placed {
            number: 1,
            range: 10..15,
            at: 4,
        };
        for (count, end) in [(3, None), (4, Some(10)), (6, Some(12)), (99, Some(15))] {
            assert_eq!(placed.end_within(count), end);
        }
    }
}
