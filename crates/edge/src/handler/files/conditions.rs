//! Which version and part of a file a client wants, if any (RFC 9110 sections 13 and 14).

use std::time::SystemTime;

use truehop_delivery::Range;
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

/// The one range that a GET asks for (RFC 9110 section 14.2).
pub(super) fn range(request: Request<'_>, etag: &[u8], len: u64) -> Range {
    let asked = texts(request.lines("range"))
        .next()
        .filter(|_| request.method() == Method::Get);
    truehop_delivery::range(asked, request.lines("if-range").next(), etag, len)
}
