//! What the requests of one collection were granted of one file, request by request: of those under way, and of those
//! that ended without anybody knowing how much arrived.
//!
//! An acknowledgement can be lost with the connection: then the recipient has more than it has acknowledged. It says so
//! itself when it resumes, for it asks for what is behind what it has. So of two requests of a collection, the later one
//! that begins within what the earlier one was sent is the recipient's *word* for all before.
//!
//! Invariant: a word counts for one request only, from what was acknowledged of it up to where the later one begins, and only
//! where bytes are known to have left. Whoever fetches a file in several parts, or begins with its end, says nothing by that:
//! one part is no word for its neighbour, and after a crash, when nobody knows how much had left, none is taken.

use std::ops::Range;

use truehop_delivery::LAST_PIECE;

/// Requests of each kind that are remembered, at most: more than a tool makes at a time.
const MOST: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Passages {
    /// In the order in which they were granted.
    under_way: Vec<Passage>,
    /// Who begins behind the start of one of these, and before its end, has what is before.
    resumable: Vec<Range<u64>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Passage {
    /// The catalog's number for it.
    request: u64,
    range: Range<u64>,
    /// Its last piece waits for the catalog's word.
    is_gated: bool,
    /// Where the next request that began within it has begun.
    resumed_at: Option<u64>,
}

impl Passages {
    /// A request is granted `range`. What had to be forgotten for that: it may have left.
    pub(super) fn begin(&mut self, request: u64, range: Range<u64>, is_gated: bool) -> Option<Range<u64>> {
        let full = self.under_way.len() >= MOST;
        let forgotten = full.then(|| self.under_way.remove(0).ungated());
        self.under_way.push(Passage {
            request,
            range,
            is_gated,
            resumed_at: None,
        });
        forgotten
    }

    /// A request begins at `start`, which is `size` for a request of an archive that begins behind the file. What the
    /// recipient says by that to have of requests that have ended; what it says of others counts when they end.
    pub(super) fn resumed_at(&mut self, start: u64, size: u64) -> Vec<Range<u64>> {
        for Passage {
            range, resumed_at, ..
        } in &mut self.under_way
        {
            let is_behind_all = start == size && start == range.end;
            if range.start < start && (start < range.end || is_behind_all) {
                resumed_at.get_or_insert(start);
            }
        }
        let resumed = self
            .resumable
            .extract_if(.., |piece| piece.start < start && start < piece.end);
        resumed.map(|piece| piece.start..start).collect()
    }

    /// A request has ended: the recipient has acknowledged all of it before `acknowledged`, and nothing from `left` on has
    /// left, of a file of `size` bytes. What the recipient has said to have besides.
    pub(super) fn end(
        &mut self,
        request: u64,
        acknowledged: u64,
        left: u64,
        size: u64,
    ) -> Option<Range<u64>> {
        let mut under_way = self.under_way.iter();
        let at = under_way.position(|passage| passage.request == request)?;
        let Passage {
            range, resumed_at, ..
        } = self.under_way.remove(at);
        match resumed_at {
            Some(start) if acknowledged < start && start <= left => Some(acknowledged..start),
            _ => {
                // Whoever has all that had left begins behind it; but where a part ends that is not the last, its neighbour
                // may begin.
                let last = left.min(if range.end == size { size } else { range.end - 1 });
                self.may_resume(acknowledged..last + 1);
                None
            }
        }
    }

    fn may_resume(&mut self, piece: Range<u64>) {
        if piece.start + 1 < piece.end {
            if self.resumable.len() >= MOST {
                self.resumable.remove(0);
            }
            self.resumable.push(piece);
        }
    }

    /// None is under way.
    pub(super) fn clear(&mut self) {
        self.under_way.clear();
    }

    /// What may have left of those under way: all but the last pieces that wait.
    pub(crate) fn ungated(&self) -> impl Iterator<Item = Range<u64>> {
        self.under_way.iter().map(Passage::ungated)
    }

    /// Whether a byte of `range` was granted to one under way.
    pub(super) fn meets(&self, range: &Range<u64>) -> bool {
        let mut granted = self.under_way.iter().map(|passage| &passage.range);
        granted.any(|granted| granted.start < range.end && range.start < granted.end)
    }

    /// For the catalog, separated by commas: `7:0-500` is under way as request 7 (with `!` behind it if its last piece waits,
    /// with `@300` if another has begun at 300), `~40-80` may be resumed; ends excluded.
    pub(crate) fn text(&self) -> String {
        let under_way = self.under_way.iter().map(|passage| {
            let Range { start, end } = passage.range;
            let gated = if passage.is_gated { "!" } else { "" };
            let resumed = passage.resumed_at.map(|at| format!("@{at}"));
            format!(
                "{}:{start}-{end}{gated}{}",
                passage.request,
                resumed.unwrap_or_default()
            )
        });
        let resumable = self
            .resumable
            .iter()
            .map(|piece| format!("~{}-{}", piece.start, piece.end));
        under_way.chain(resumable).collect::<Vec<_>>().join(",")
    }

    /// Reads what [`text`](Self::text) has written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut passages = Self::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            match word.strip_prefix('~') {
                Some(piece) => passages.resumable.push(range(piece)?),
                None => passages.under_way.push(Passage::parse(word)?),
            }
        }
        Some(passages)
    }
}

impl Passage {
    /// All but a last piece that waits.
    fn ungated(&self) -> Range<u64> {
        let Range { start, end } = self.range;
        let held_back = if self.is_gated { LAST_PIECE } else { 0 };
        start..end.saturating_sub(held_back).max(start)
    }

    /// Earlier versions have written no number; their requests are over.
    fn parse(word: &str) -> Option<Self> {
        let (request, word) = match word.split_once(':') {
            Some((request, word)) => (request.parse().ok()?, word),
            None => (0, word),
        };
        let (word, resumed_at) = match word.split_once('@') {
            Some((word, at)) => (word, Some(at.parse().ok()?)),
            None => (word, None),
        };
        let open = word.strip_suffix('!');
        Some(Self {
            request,
            range: range(open.unwrap_or(word))?,
            is_gated: open.is_some(),
            resumed_at,
        })
    }
}

fn range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once('-')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behind all parts.
    const SIZE: u64 = 100_000;

    fn one(range: Range<u64>) -> Vec<Range<u64>> {
        Vec::from([range])
    }

    fn after(begun: &[(Range<u64>, bool)]) -> Passages {
        let mut passages = Passages::default();
        for (request, (range, is_gated)) in (0..).zip(begun) {
            passages.resumed_at(range.start, SIZE);
            passages.begin(request, range.clone(), *is_gated);
        }
        passages
    }

    #[test]
    fn who_resumes_has_what_had_left_before() {
        let mut passages = after(&[(0..100, false)]);
        assert_eq!(passages.end(0, 40, 60, SIZE), None);
        // Not what had not left; nor what was acknowledged, for that needs no word.
        for start in [0, 39, 40, 62, 99] {
            assert_eq!(passages.clone().resumed_at(start, SIZE), [], "{start}");
        }
        for start in [41, 59, 60] {
            assert_eq!(
                passages.clone().resumed_at(start, SIZE),
                one(40..start),
                "{start}"
            );
        }
        // Its word is taken once.
        passages.resumed_at(50, SIZE);
        assert_eq!(passages.resumed_at(55, SIZE), []);
    }

    #[test]
    fn a_word_that_comes_before_the_end_is_seen_counts_when_it_is() {
        // The recipient's connection is dead, and only the recipient knows.
        let mut passages = after(&[(0..100, false), (50..100, false)]);
        assert_eq!(passages.clone().end(0, 40, 60, SIZE), Some(40..50));
        assert_eq!(passages.clone().end(0, 40, 50, SIZE), Some(40..50));
        // It was acknowledged, or cannot be.
        assert_eq!(passages.clone().end(0, 50, 60, SIZE), None);
        assert_eq!(passages.end(0, 10, 49, SIZE), None);
    }

    #[test]
    fn a_word_for_one_request_is_none_for_another_like_it() {
        let mut passages = after(&[(0..100, false), (70..100, false), (0..100, false)]);
        assert_eq!(passages.clone().end(0, 0, 70, SIZE), Some(0..70));
        assert_eq!(passages.end(2, 0, 70, SIZE), None);
    }

    #[test]
    fn the_neighbour_of_a_part_is_no_word_for_it() {
        let mut passages = after(&[(0..50, false), (50..100, false)]);
        assert_eq!(passages.end(0, 40, 50, SIZE), None);
        assert_eq!(passages.resumed_at(50, SIZE), []);
        assert_eq!(passages.end(1, 60, 70, SIZE), None);
        // Nor is what is far behind it.
        assert_eq!(passages.resumed_at(65, SIZE), one(60..65));
    }

    #[test]
    fn whoever_goes_on_behind_the_file_has_what_had_left_of_it() {
        let mut passages = after(&[(0..100, false)]);
        assert_eq!(passages.clone().resumed_at(100, 100), []);
        let mut ended_before = passages.clone();
        ended_before.end(0, 40, 100, 100);
        assert_eq!(ended_before.resumed_at(100, 100), one(40..100));
        passages.resumed_at(100, 100);
        assert_eq!(passages.clone().end(0, 40, 100, 100), Some(40..100));
        // Not all of it had left.
        assert_eq!(passages.end(0, 40, 99, 100), None);
        assert_eq!(passages.resumed_at(100, 100), []);
    }

    #[test]
    fn a_text_is_read_as_it_was_written() {
        let mut passages = after(&[(0..100, true), (7..8, false), (50..100, false)]);
        passages.end(2, 60, 70, SIZE);
        assert_eq!(passages.text(), "0:0-100!@7,1:7-8,~60-71");
        assert_eq!(Passages::parse(&passages.text()), Some(passages));
        assert_eq!(Passages::parse(""), Some(Passages::default()));
        let of_before = Passages::parse("0-100!").unwrap();
        assert_eq!(of_before.text(), "0:0-100!");
        for foreign in ["0", "0-", "a-b", "~", "0-1?", "0-1@", "0-1@x!", ":0-1", "x:0-1"] {
            assert_eq!(Passages::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let mut passages = Passages::default();
        for at in 0..2 * MOST as u64 {
            let forgotten = passages.begin(at, at..at + 1000, false);
            assert_eq!(forgotten.is_some(), at >= MOST as u64);
            assert!(forgotten.is_none_or(|range| range.start == at - MOST as u64));
        }
        for at in MOST as u64..2 * MOST as u64 {
            passages.end(at, at, at + 5, SIZE);
            passages.begin(at, at..at + 1000, false);
            passages.end(at, at, at + 5, SIZE);
        }
        assert_eq!(passages.resumable.len(), MOST);
    }
}
