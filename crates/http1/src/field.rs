//! One field line (RFC 9112 section 5), read and kept as offsets.
//!
//! Invariant: what is kept was valid: the name is a token directly before its colon, the value has no control byte but
//! HTAB, and the line is one line.

use std::iter::FusedIterator;
use std::ops::Range;
use std::slice;

use crate::bytes::{ascii, is_token_byte, is_value, trim, trim_end, trim_start};
use crate::head::BadHead;
use crate::known::Known;

/// A field line of a head or a trailer section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    /// As sent; a token.
    pub name: &'a str,
    /// Without the whitespace around; may be empty, may hold bytes from 0x80 on.
    pub value: &'a [u8],
    /// Which field it is, when it is one that somebody looks for.
    pub known: Option<Known>,
    /// Where the whole line stands in the buffer it was read from, its CRLF included.
    pub line: Span,
}

impl Field<'_> {
    /// Whether this is the field `name`, compared without case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// A range of a buffer, small and `Copy`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One behind the last byte.
    pub end: u32,
}

impl Span {
    /// Bytes in it.
    pub fn len(self) -> usize {
        self.range().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// For indexing.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The bytes; none when the buffer is not the one that the span is of.
    #[inline]
    pub(crate) fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.range()).unwrap_or_default()
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.range()
    }
}

/// A field line as offsets into its buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) known: Option<Known>,
    line: Span,
    name_end: u32,
    value: Span,
}

impl Line {
    /// Reads a line that stands at `start`, `text` being the line without its CRLF, and not empty.
    ///
    /// `first`: no field stands before it.
    pub(crate) fn parse(text: &[u8], start: u32, first: bool) -> Result<Self, BadHead> {
        let name_length = text
            .iter()
            .position(|&byte| !is_token_byte(byte))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(name_length);
        let Some((b':', after_colon)) = rest.split_first() else {
            return Err(Self::fault(text, first));
        };
        if name.is_empty() || !is_value(after_colon) {
            return Err(Self::fault(text, first));
        }
        let name_end = start + length(name);
        let from_value = trim_start(after_colon);
        let value_start = name_end + 1 + length(after_colon) - length(from_value);
        Ok(Self {
            known: Known::of(name),
            line: Span {
                start,
                end: start + length(text) + 2,
            },
            name_end,
            value: Span {
                start: value_start,
                end: value_start + length(trim_end(from_value)),
            },
        })
    }

    #[inline]
    pub(crate) fn value<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        self.value.of(buffer)
    }

    #[inline]
    pub(crate) fn field<'a>(&self, buffer: &'a [u8]) -> Field<'a> {
        Field {
            name: ascii(self.name(buffer)),
            value: self.value(buffer),
            known: self.known,
            line: self.line,
        }
    }

    #[inline]
    fn name<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        let name = Span {
            start: self.line.start,
            end: self.name_end,
        };
        name.of(buffer)
    }

    /// What is wrong with a line that is no field.
    #[cold]
    fn fault(text: &[u8], first: bool) -> BadHead {
        if text.contains(&b'\r') {
            return BadHead::BareCr;
        }
        let colon = text.iter().position(|&byte| byte == b':');
        match (text, colon) {
            ([b' ' | b'\t', ..], _) if first => BadHead::LeadingSpace,
            ([b' ' | b'\t', ..], _) => BadHead::ObsFold,
            (_, None) => BadHead::NoColon,
            (_, Some(0)) => BadHead::EmptyName,
            (_, Some(colon)) => {
                let name = &text[..colon];
                let trimmed = trim(name);
                if !trimmed.iter().all(|&byte| is_token_byte(byte)) {
                    BadHead::Name
                } else if trimmed.len() < name.len() {
                    BadHead::SpaceBeforeColon
                } else {
                    BadHead::Value
                }
            }
        }
    }
}

/// The length of a part of a head, whose offsets were made to fit 32 bits before.
#[inline]
fn length(part: &[u8]) -> u32 {
    part.len() as u32
}

/// The field lines of a head, in order; see [`Request::fields`](crate::Request::fields).
#[derive(Clone, Debug)]
pub struct FieldLines<'a> {
    buffer: &'a [u8],
    lines: slice::Iter<'a, Line>,
}

impl<'a> FieldLines<'a> {
    pub(crate) fn new(buffer: &'a [u8], lines: &'a [Line]) -> Self {
        Self {
            buffer,
            lines: lines.iter(),
        }
    }
}

impl<'a> Iterator for FieldLines<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.lines.next().map(|line| line.field(self.buffer))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.lines.size_hint()
    }
}

impl DoubleEndedIterator for FieldLines<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.lines.next_back().map(|line| line.field(self.buffer))
    }
}

impl ExactSizeIterator for FieldLines<'_> {}
impl FusedIterator for FieldLines<'_> {}

/// The values of all lines of one name, in order; see [`Request::lines`](crate::Request::lines).
#[derive(Clone, Debug)]
pub struct NamedFieldLines<'a> {
    buffer: &'a [u8],
    lines: slice::Iter<'a, Line>,
    name: &'a str,
    known: Option<Known>,
}

impl<'a> NamedFieldLines<'a> {
    pub(crate) fn new(buffer: &'a [u8], lines: &'a [Line], name: &'a str) -> Self {
        Self {
            buffer,
            lines: lines.iter(),
            name,
            known: Known::of(name.as_bytes()),
        }
    }

    pub(crate) fn of(buffer: &'a [u8], lines: &'a [Line], known: Known) -> Self {
        Self {
            buffer,
            lines: lines.iter(),
            name: known.name(),
            known: Some(known),
        }
    }

    #[inline]
    fn is_named(&self, line: &Line) -> bool {
        // Either both are known or neither is: then letters decide.
        line.known == self.known
            && (self.known.is_some() || line.name(self.buffer).eq_ignore_ascii_case(self.name.as_bytes()))
    }
}

impl<'a> Iterator for NamedFieldLines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.lines.next()?;
            if self.is_named(line) {
                return Some(line.value(self.buffer));
            }
        }
    }
}

impl DoubleEndedIterator for NamedFieldLines<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.lines.next_back()?;
            if self.is_named(line) {
                return Some(line.value(self.buffer));
            }
        }
    }
}

impl FusedIterator for NamedFieldLines<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_found() {
        for (text, name, value) in [
            ("Host: a", "Host", "a"),
            ("x:", "x", ""),
            ("x: \t ", "x", ""),
            ("x:y", "x", "y"),
            ("x:\ta\tb c \t", "x", "a\tb c"),
            ("x::", "x", ":"),
        ] {
            let buffer = format!("...{text}\r\n");
            let line = Line::parse(text.as_bytes(), 3, true).unwrap();
            let field = line.field(buffer.as_bytes());
            assert_eq!((field.name, field.value), (name, value.as_bytes()), "{text:?}");
            assert_eq!(&buffer[field.line.range()], &buffer[3..]);
        }
        let latin = Line::parse(b"x: \xe9\xa0 ", 0, true).unwrap();
        assert_eq!(latin.value(b"x: \xe9\xa0 "), b"\xe9\xa0");
    }

    #[test]
    fn each_fault_has_its_name() {
        for (text, fault) in [
            ("a: b\rc", BadHead::BareCr),
            ("a\r: b", BadHead::BareCr),
            (" a: b", BadHead::ObsFold),
            ("\tb", BadHead::ObsFold),
            (" ", BadHead::ObsFold),
            ("a : b", BadHead::SpaceBeforeColon),
            ("a\t: b", BadHead::SpaceBeforeColon),
            ("a b", BadHead::NoColon),
            ("abc", BadHead::NoColon),
            (": b", BadHead::EmptyName),
            ("a b: c", BadHead::Name),
            ("a\0: c", BadHead::Name),
            ("é: c", BadHead::Name),
            ("\"a\": c", BadHead::Name),
            ("a: \0", BadHead::Value),
            ("a: b\x7f", BadHead::Value),
            ("a: 1234567\x0b", BadHead::Value),
            ("a: \x1b[2J", BadHead::Value),
        ] {
            assert_eq!(
                Line::parse(text.as_bytes(), 0, false).unwrap_err(),
                fault,
                "{text:?}"
            );
        }
        assert_eq!(Line::parse(b" a: b", 0, true).unwrap_err(), BadHead::LeadingSpace);
    }
}
