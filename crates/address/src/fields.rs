//! Where header fields come from: anything that can list the values of a name, in wire order.
//!
//! Invariant: a name is matched exactly, without case (RFC 9110 section 5.1). `X_Real_IP` is another name.

use std::slice;

/// The header fields of one request.
///
/// Implemented for slices of name and value pairs in wire order, and with the feature `http` for `http::HeaderMap`.
pub trait Fields {
    /// The lines of one name; see [`lines`](Self::lines).
    type Lines<'a>: DoubleEndedIterator<Item = &'a [u8]>
    where
        Self: 'a;

    /// The value of every field line called `name` (compared without case), in wire order.
    fn lines<'a>(&'a self, name: &'a str) -> Self::Lines<'a>;
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Fields for [(N, V)] {
    type Lines<'a>
        = NamedLines<'a, N, V>
    where
        Self: 'a;

    fn lines<'a>(&'a self, name: &'a str) -> Self::Lines<'a> {
        NamedLines {
            pairs: self.iter(),
            name,
        }
    }
}

/// The lines of one name in a slice of pairs.
#[derive(Debug)]
pub struct NamedLines<'a, N, V> {
    pairs: slice::Iter<'a, (N, V)>,
    name: &'a str,
}

impl<'a, N: AsRef<[u8]>, V: AsRef<[u8]>> NamedLines<'a, N, V> {
    fn matching(name: &str, (field, value): &'a (N, V)) -> Option<&'a [u8]> {
        field
            .as_ref()
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| value.as_ref())
    }
}

impl<'a, N: AsRef<[u8]>, V: AsRef<[u8]>> Iterator for NamedLines<'a, N, V> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.name;
        self.pairs.find_map(|pair| Self::matching(name, pair))
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> DoubleEndedIterator for NamedLines<'_, N, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let name = self.name;
        self.pairs
            .by_ref()
            .rev()
            .find_map(|pair| Self::matching(name, pair))
    }
}

#[cfg(feature = "http")]
impl Fields for http::HeaderMap {
    type Lines<'a> =
        std::iter::Map<http::header::ValueIter<'a, http::HeaderValue>, fn(&'a http::HeaderValue) -> &'a [u8]>;

    fn lines<'a>(&'a self, name: &'a str) -> Self::Lines<'a> {
        // A name that is known beforehand need not be checked and folded for each request.
        static X_FORWARDED_FOR: http::HeaderName = http::HeaderName::from_static("x-forwarded-for");
        static X_REAL_IP: http::HeaderName = http::HeaderName::from_static("x-real-ip");
        static CF_CONNECTING_IP: http::HeaderName = http::HeaderName::from_static("cf-connecting-ip");
        let lines = match name {
            "connection" => self.get_all(http::header::CONNECTION),
            "forwarded" => self.get_all(http::header::FORWARDED),
            "x-forwarded-for" => self.get_all(&X_FORWARDED_FOR),
            "x-real-ip" => self.get_all(&X_REAL_IP),
            "cf-connecting-ip" => self.get_all(&CF_CONNECTING_IP),
            other => self.get_all(other),
        };
        lines.into_iter().map(http::HeaderValue::as_bytes)
    }
}

/// Without the optional blanks of RFC 9110 section 5.6.3.
#[inline]
pub(crate) fn trim_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a list over all lines of one field, from the right; empty ones never appear (RFC 9110 section
/// 5.6.1.2). What stands left of the last element taken does not matter.
pub(crate) trait Elements<'a>: Iterator<Item = &'a [u8]> {
    /// What is left of the last element taken on its own line, and whether lines stand before that one.
    fn unread(self) -> (&'a [u8], bool);
}

/// Elements between commas, whatever else they hold. What stands left of the last one taken has not been looked at.
#[derive(Debug)]
pub(crate) struct FromRight<'a, I> {
    lines: I,
    /// What is left of the line that is walked; nothing before the first, and nothing at a line's end.
    line: &'a [u8],
}

impl<'a, I: DoubleEndedIterator<Item = &'a [u8]>> FromRight<'a, I> {
    pub(crate) fn new(lines: I) -> Self {
        Self { lines, line: &[] }
    }
}

impl<'a, I: DoubleEndedIterator<Item = &'a [u8]>> Elements<'a> for FromRight<'a, I> {
    fn unread(self) -> (&'a [u8], bool) {
        let mut lines = self.lines;
        (self.line, lines.next_back().is_some())
    }
}

impl<'a, I: DoubleEndedIterator<Item = &'a [u8]>> Iterator for FromRight<'a, I> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.line.is_empty() {
                self.line = self.lines.next_back()?;
            }
            let element = trim_ows(take_last(&mut self.line));
            if !element.is_empty() {
                return Some(element);
            }
        }
    }
}

/// Takes what follows the last comma off, with the comma.
#[inline]
pub(crate) fn take_last<'a>(line: &mut &'a [u8]) -> &'a [u8] {
    match line.iter().rposition(|&b| b == b',') {
        Some(comma) => {
            let element = &line[comma + 1..];
            *line = &line[..comma];
            element
        }
        None => std::mem::take(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_from_the_right_over_all_lines() {
        let headers = [("x-f", "a, b ,,"), ("other", "z"), ("X-F", ""), ("X-f", "\t c")];
        let elements: Vec<_> = FromRight::new(headers[..].lines("X-F")).collect();
        assert_eq!(elements, [b"c", b"b", b"a"]);
    }

    #[test]
    fn the_unread_part_is_what_was_not_walked() {
        let headers = [("X-F", "a"), ("X-F", "b, c")];
        let mut walk = FromRight::new(headers[..].lines("X-F"));
        assert_eq!(walk.next(), Some(&b"c"[..]));
        assert_eq!(walk.unread(), (&b"b"[..], true));
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_header_map_lists_every_line() {
        let mut map = http::HeaderMap::new();
        map.append("x-f", http::HeaderValue::from_static("a"));
        map.append("x-f", http::HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(map.lines("X-F").collect::<Vec<_>>(), [&b"a"[..], b"\xff"]);
        assert_eq!(map.lines("not a name").next(), None);
    }
}
