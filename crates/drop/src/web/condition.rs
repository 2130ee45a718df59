//! Conditional requests (RFC 9110 section 13), for a strong entity tag.
//!
//! Invariant: a condition that fails keeps the request from having any effect.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use truehop_delivery::{Range, range};

/// What a request demands before it is answered with bytes.
#[derive(Clone, Debug)]
pub(super) struct Conditions(HeaderMap);

/// What the conditions come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Answer(Range),
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Conditions {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.clone())
    }

    /// For a representation of `len` bytes. The order is that of section 13.2.2.
    pub(super) fn against(&self, etag: &str, len: u64) -> Outcome {
        let names = |name: &HeaderName, is_same: fn(&str, &str) -> bool| {
            let mut fields = self.0.get_all(name).iter().peekable();
            fields.peek()?;
            let found = fields
                .filter_map(|field| field.to_str().ok())
                .flat_map(|field| field.split(','))
                .any(|tag| tag.trim() == "*" || is_same(tag.trim(), etag));
            Some(found)
        };
        if names(&header::IF_MATCH, |tag, etag| tag == etag) == Some(false) {
            return Outcome::Failed;
        }
        // The weak comparison: 13.1.2.
        if names(&header::IF_NONE_MATCH, |tag, etag| {
            tag.strip_prefix("W/").unwrap_or(tag) == etag
        }) == Some(true)
        {
            return Outcome::NotModified;
        }
        let mut ranges = self.0.get_all(header::RANGE).iter();
        let asked = match (ranges.next(), ranges.next()) {
            (Some(only), None) => only.to_str().ok(),
            _ => None,
        };
        let if_range = self.0.get(header::IF_RANGE).map(HeaderValue::as_bytes);
        Outcome::Answer(range(asked, if_range, etag.as_bytes(), len))
    }

    /// Whether a range is asked for of what the client knows by its tag, and of nothing else.
    pub(super) fn is_pinned(&self) -> bool {
        self.0.contains_key(header::IF_RANGE) || self.0.contains_key(header::IF_MATCH)
    }

    /// The same, as if no range was asked for.
    pub(super) fn without_range(mut self) -> Self {
        self.0.remove(header::RANGE);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_comes_to_what_the_rfc_says() {
        let whole = Outcome::Answer(Range::Whole);
        let part = Outcome::Answer(Range::Part { offset: 2, len: 8 });
        for (fields, outcome) in [
            (&[][..], whole),
            (&[("range", "bytes=2-")], part),
            (&[("range", "bytes=2-"), ("range", "bytes=3-")], whole),
            (&[("range", "bytes=10-")], Outcome::Answer(Range::Unsatisfiable)),
            (&[("range", "bytes=2-"), ("if-range", "\"tag\"")], part),
            (&[("range", "bytes=2-"), ("if-range", "\"old\"")], whole),
            (
                &[("if-none-match", "\"tag\""), ("range", "bytes=99-")],
                Outcome::NotModified,
            ),
            (&[("if-none-match", "\"a\", W/\"tag\"")], Outcome::NotModified),
            (
                &[("if-none-match", "\"a\""), ("if-none-match", "*")],
                Outcome::NotModified,
            ),
            (&[("if-none-match", "\"a\"")], whole),
            (&[("if-match", "\"tag\""), ("range", "bytes=2-")], part),
            (&[("if-match", "*")], whole),
            (
                &[("if-match", "\"a\""), ("if-none-match", "\"tag\"")],
                Outcome::Failed,
            ),
            (&[("if-match", "W/\"tag\"")], Outcome::Failed),
        ] {
            let headers = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .fold(HeaderMap::new(), |mut headers, (name, value)| {
                    headers.append(name, value);
                    headers
                });
            assert_eq!(
                Conditions::of(&headers).against("\"tag\"", 10),
                outcome,
                "{fields:?}"
            );
        }
    }
}
