//! Which part of a representation a request is for (RFC 9110 section 14).
//!
//! Invariant: whatever the fields hold, the answer lies within the representation; where they do not make sense, or
//! do not hold for this version of it, it is the whole.

/// What to answer a request with a `Range` field with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Range {
    /// All of it, with 200.
    Whole,
    /// The `len` bytes (never 0) that start at `offset`, with 206.
    Part {
        /// Bytes before the part.
        offset: u64,
        /// The part's length in bytes.
        len: u64,
    },
    /// There are no such bytes: 416.
    Unsatisfiable,
}

/// What a GET asks for with the fields `Range` and `If-Range`, of a representation of `len` bytes with the entity tag
/// `etag` (with its quotes).
///
/// Several ranges, and one that is malformed, mean the whole. `If-Range` holds only with the same strong tag: a date is
/// too coarse to promise that the bytes are the same.
pub fn range(range: Option<&str>, if_range: Option<&[u8]>, etag: &[u8], len: u64) -> Range {
    let same = |tag: &[u8]| tag == etag && tag.starts_with(b"\"");
    match range {
        Some(text) if if_range.is_none_or(same) => parse(text, len).unwrap_or(Range::Whole),
        _ => Range::Whole,
    }
}

fn parse(text: &str, len: u64) -> Option<Range> {
    let number = |digits: &str| -> Option<u64> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let (unit, set) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = match set.trim().split_once('-')? {
        ("", suffix) => match number(suffix)? {
            0 => return Some(Range::Unsatisfiable),
            suffix => (len.saturating_sub(suffix), u64::MAX),
        },
        (first, "") => (number(first)?, u64::MAX),
        (first, last) => (number(first)?, number(last)?),
    };
    if last < first {
        return None;
    }
    // Of what is empty, all of it is no part: there is none to be had, and nothing is missing.
    if first == 0 && len == 0 {
        return None;
    }
    if first >= len {
        return Some(Range::Unsatisfiable);
    }
    Some(Range::Part {
        offset: first,
        len: last.min(len - 1) - first + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        let part = |offset, len| Range::Part { offset, len };
        for (text, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("Bytes=2-", part(2, 8)),
            ("bytes= 2-99 ", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-99", part(0, 10)),
            ("bytes=0-99999999999999999999", part(0, 10)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=99999999999999999999-", Range::Unsatisfiable),
            ("bytes=3-2", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=+1-2", Range::Whole),
            ("lines=1-2", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=", Range::Whole),
            ("", Range::Whole),
        ] {
            assert_eq!(range(Some(text), None, b"\"tag\"", 10), expected, "{text}");
        }
        for (text, expected) in [
            ("bytes=0-", Range::Whole),
            ("bytes=0-99", Range::Whole),
            ("bytes=-5", Range::Whole),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=1-", Range::Unsatisfiable),
        ] {
            assert_eq!(
                range(Some(text), None, b"\"tag\"", 0),
                expected,
                "{text} of nothing"
            );
        }
        assert_eq!(range(None, None, b"\"tag\"", 10), Range::Whole);
    }

    #[test]
    fn a_range_holds_only_for_the_version_that_the_client_has() {
        let part = Range::Part { offset: 1, len: 9 };
        for (if_range, etag, expected) in [
            (&b"\"tag\""[..], &b"\"tag\""[..], part),
            (b"\"gat\"", b"\"tag\"", Range::Whole),
            (b"W/\"tag\"", b"\"tag\"", Range::Whole),
            (b"W/\"tag\"", b"W/\"tag\"", Range::Whole),
            (b"Thu, 01 Jan 1970 00:00:00 GMT", b"\"tag\"", Range::Whole),
        ] {
            let answer = range(Some("bytes=1-"), Some(if_range), etag, 10);
            assert_eq!(answer, expected, "{}", if_range.escape_ascii());
        }
    }
}
