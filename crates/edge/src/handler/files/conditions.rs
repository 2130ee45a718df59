//! Which part of a file a client wants, if any (RFC 9110 sections 13 and 14).

use std::time::SystemTime;

use truehop_http1::{Known, Method, Request};

/// Whether a request is for all of a file, whatever version there is.
pub(super) fn wants_all(request: Request<'_>) -> bool {
    let asks_more = |known| {
        matches!(
            known,
            Known::IfMatch
                | Known::IfModifiedSince
                | Known::IfNoneMatch
                | Known::IfRange
                | Known::IfUnmodifiedSince
                | Known::Range
        )
    };
    request.method() == Method::Get && !request.fields().any(|field| field.known.is_some_and(asks_more))
}

/// Whether the client wants another version than there is (RFC 9110 sections 13.1.1 and 13.1.4).
pub(super) fn is_unwanted(request: Request<'_>, etag: &[u8], modified: SystemTime) -> bool {
    let mut tags = request.lines("if-match").peekable();
    if tags.peek().is_some() {
        return !texts(tags)
            .flat_map(|line| line.split(','))
            .any(|tag| matches!(tag.trim(), tag if tag == "*" || tag.as_bytes() == etag));
    }
    date(request, "if-unmodified-since").is_some_and(|since| modified > since)
}

fn texts<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a str> {
    lines.filter_map(|line| std::str::from_utf8(line).ok())
}

fn date(request: Request<'_>, name: &'static str) -> Option<SystemTime> {
    let line = request.lines(name).next()?;
    httpdate::parse_http_date(std::str::from_utf8(line).ok()?).ok()
}

/// Whether the client's copy is still good (RFC 9110 section 13.2.2: `If-None-Match` goes before the date).
pub(super) fn is_fresh(request: Request<'_>, etag: &[u8], modified: SystemTime) -> bool {
    let mut tags = request.lines("if-none-match").peekable();
    if tags.peek().is_some() {
        let same = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag;
        return texts(tags)
            .flat_map(|line| line.split(','))
            .any(|tag| same(tag.trim()));
    }
    date(request, "if-modified-since").is_some_and(|since| modified <= since)
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Range {
    Whole,
    /// Offset and length.
    Part(u64, u64),
    Unsatisfiable,
}

/// The one range that a GET asks for (RFC 9110 section 14.2); several ranges, or one that is malformed, mean the whole
/// file.
pub(super) fn range(request: Request<'_>, etag: &[u8], len: u64) -> Range {
    let Some(text) = texts(request.lines("range")).next() else {
        return Range::Whole;
    };
    // Only a strong tag is compared: a date is too coarse to promise that the bytes are the same.
    let unchanged = request.lines("if-range").next().is_none_or(|tag| tag == etag);
    if request.method() != Method::Get || !unchanged {
        return Range::Whole;
    }
    parse_range(text, len).unwrap_or(Range::Whole)
}

fn parse_range(text: &str, len: u64) -> Option<Range> {
    let number = |digits: &str| -> Option<u64> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first, last) {
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
    if first >= len {
        return Some(Range::Unsatisfiable);
    }
    Some(Range::Part(first, last.min(len - 1) - first + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (text, expected) in [
            ("bytes=0-0", Some(Range::Part(0, 1))),
            ("bytes=2-", Some(Range::Part(2, 8))),
            ("bytes=2-99", Some(Range::Part(2, 8))),
            ("bytes=-3", Some(Range::Part(7, 3))),
            ("bytes=-99", Some(Range::Part(0, 10))),
            ("bytes=10-", Some(Range::Unsatisfiable)),
            ("bytes=-0", Some(Range::Unsatisfiable)),
            ("bytes=99999999999999999999-", Some(Range::Unsatisfiable)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=+1-2", None),
            ("lines=1-2", None),
            ("bytes=", None),
        ] {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(Range::Unsatisfiable));
    }
}
