//! `Forwarded` (RFC 7239): elements, their parameters, and the quotes that make both hard.
//!
//! A value may be quoted, and commas, semicolons and escaped quotes inside quotes are data. So an element's borders are
//! known only when the line is read from its start.
//!
//! Invariants: a line whose quotes do not balance voids the whole field, whoever wrote it ([`quotes`]): otherwise
//! a client could open a quote that swallows what a proxy appends, or close one that a proxy opened. Lines are balanced
//! each for itself, so no quoted value crosses a line. Within a balanced field nothing left of the answer matters.

use crate::fields::{Elements, take_last, trim_ows};
use crate::node::{self, Hop, NodeFault};
use crate::policy::OnZone;

pub(crate) const FORWARDED: &str = "forwarded";

/// Commas remembered in one pass over a line. More elements than that are found by further passes.
const REMEMBERED: usize = 32;
/// The longest node with escapes that can be an address, with room to spare.
const LONGEST_NODE: usize = 80;

/// What the quotes of a field are like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Quoting {
    /// There are none.
    None,
    /// Each is closed on its line.
    Balanced,
    /// One stays open at the end of its line.
    Unbalanced,
}

/// Looks for quotes in all lines of a field.
pub(crate) fn quotes<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Quoting {
    let mut found = Quoting::None;
    for line in lines.filter(|line| has_quote(line)) {
        match is_balanced(line) {
            true => found = Quoting::Balanced,
            false => return Quoting::Unbalanced,
        }
    }
    found
}

/// Whether there is a quote in `line`. Most lines have none, and this is all that is ever done with what a client wrote
/// into them, however much it is: without a branch for each byte, so that many are looked at at once.
fn has_quote(line: &[u8]) -> bool {
    line.chunks(256)
        .any(|part| part.iter().fold(false, |found, &byte| found | (byte == b'"')))
}

/// Whether every quote in `line` is closed.
fn is_balanced(line: &[u8]) -> bool {
    let mut quotes = Quotes::default();
    line.iter().for_each(|&byte| quotes.step(byte));
    !quotes.open
}

/// Follows quotes and escapes from the start of a line.
#[derive(Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    fn step(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.open => self.escaped = true,
            b'"' => self.open = !self.open,
            _ => {}
        }
    }
}

/// The elements of all lines from the right; empty ones never appear. The lines must be [balanced](Quoting::Balanced).
#[derive(Debug)]
pub(crate) struct FromRight<'a, I> {
    lines: I,
    line: Line<'a>,
}

/// What is left of one line, and where its last commas are.
#[derive(Debug)]
struct Line<'a> {
    rest: &'a [u8],
    /// The commas outside of quotes, the rightmost last. Not looked for in a line without quotes, where all are.
    commas: [usize; REMEMBERED],
    remembered: usize,
    /// Whether commas stand left of those that are remembered.
    more: bool,
    has_quote: bool,
}

impl<'a> Line<'a> {
    const EMPTY: Self = Self {
        rest: &[],
        commas: [0; REMEMBERED],
        remembered: 0,
        more: false,
        has_quote: false,
    };

    /// Goes on with another line.
    fn begin(&mut self, line: &'a [u8]) {
        self.rest = line;
        self.has_quote = has_quote(line);
        if self.has_quote {
            self.look();
        }
    }

    /// Reads the line from its start and remembers the last commas outside of quotes.
    fn look(&mut self) {
        let (mut quotes, mut seen) = (Quotes::default(), 0);
        for (at, &byte) in self.rest.iter().enumerate() {
            if byte == b',' && !quotes.open {
                self.commas[seen % REMEMBERED] = at;
                seen += 1;
            }
            quotes.step(byte);
        }
        self.remembered = seen.min(REMEMBERED);
        self.more = seen > REMEMBERED;
        // The oldest first, so that the last one is the rightmost.
        if self.more {
            self.commas.rotate_left(seen % REMEMBERED);
        }
    }

    /// Takes the rightmost element off.
    fn take(&mut self) -> &'a [u8] {
        if !self.has_quote {
            return take_last(&mut self.rest);
        }
        if self.remembered == 0 && self.more {
            self.look();
        }
        match self.remembered.checked_sub(1) {
            Some(last) => {
                self.remembered = last;
                let comma = self.commas[last];
                let element = &self.rest[comma + 1..];
                self.rest = &self.rest[..comma];
                element
            }
            None => std::mem::take(&mut self.rest),
        }
    }
}

impl<'a, I: DoubleEndedIterator<Item = &'a [u8]>> FromRight<'a, I> {
    pub(crate) fn new(lines: I) -> Self {
        Self {
            lines,
            line: Line::EMPTY,
        }
    }
}

impl<'a, I: DoubleEndedIterator<Item = &'a [u8]>> Iterator for FromRight<'a, I> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // What is left when nothing is left of a line cannot be an element.
            if self.line.rest.is_empty() {
                self.line.begin(self.lines.next_back()?);
            }
            let element = trim_ows(self.line.take());
            if !element.is_empty() {
                return Some(element);
            }
        }
    }
}

impl<'a, I: DoubleEndedIterator<Item = &'a [u8]>> Elements<'a> for FromRight<'a, I> {
    fn unread(self) -> (&'a [u8], bool) {
        let mut lines = self.lines;
        (self.line.rest, lines.next_back().is_some())
    }
}

/// The parameters of one element that mean something here, still as written but for their quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Element<'a> {
    for_: Option<Value<'a>>,
    by: Option<Value<'a>>,
    host: Option<Value<'a>>,
    proto: Option<Value<'a>>,
}

impl<'a> Element<'a> {
    /// Reads `[ pair ] *( ";" [ pair ] )` (RFC 7239 section 4). Blanks around `;` are common and allowed.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let mut element = Self::default();
        let mut rest = text;
        loop {
            rest = match skip_blanks(rest) {
                [] => return Some(element),
                [b';', after @ ..] => after,
                pair => match skip_blanks(element.read_pair(pair)?) {
                    [] => return Some(element),
                    [b';', after @ ..] => after,
                    _ => return None,
                },
            };
        }
    }

    /// Reads `token "=" value` and gives back what follows.
    fn read_pair(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        let (name, rest) = split_while(text, is_token);
        let value = rest.strip_prefix(b"=").filter(|_| !name.is_empty())?;
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let is_for = is(b"for");
        let (value, rest) = Value::read(value, is_for)?;
        let slot = if is_for {
            &mut self.for_
        } else if is(b"by") {
            &mut self.by
        } else if is(b"host") {
            &mut self.host
        } else if is(b"proto") {
            &mut self.proto
        } else {
            return Some(rest);
        };
        // Each parameter must not occur more than once in an element (section 4).
        slot.replace(value).is_none().then_some(rest)
    }

    /// The address in `for`.
    pub(crate) fn node(&self, zone: OnZone) -> Result<Hop, NodeFault> {
        let mut buffer = [0; LONGEST_NODE];
        let value = self.for_.ok_or(NodeFault::NoFor)?;
        node::parse_rfc7239(value.unescaped(&mut buffer).ok_or(NodeFault::Malformed)?, zone)
    }

    /// `host` as the client sent it.
    pub(crate) fn host(&self) -> Option<Value<'a>> {
        self.host
    }

    /// `proto` as the client sent it.
    pub(crate) fn proto(&self) -> Option<Value<'a>> {
        self.proto
    }
}

/// Reads the address of one element.
pub(crate) fn parse(text: &[u8], zone: OnZone) -> Result<Hop, NodeFault> {
    Element::parse(text).ok_or(NodeFault::Malformed)?.node(zone)
}

/// A parameter's value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    text: &'a [u8],
    has_escapes: bool,
}

impl<'a> Value<'a> {
    /// Reads a token or a quoted string (RFC 9110 sections 5.6.2 and 5.6.4), and gives back what follows. Outside of
    /// `for`, an unquoted colon is allowed: `host=example.com:8080` is as common as it is wrong.
    fn read(text: &'a [u8], is_for: bool) -> Option<(Self, &'a [u8])> {
        let Some(inside) = text.strip_prefix(b"\"") else {
            let (text, rest) = split_while(text, |byte| is_token(byte) || (byte == b':' && !is_for));
            let has_escapes = false;
            return (!text.is_empty()).then_some((Self { text, has_escapes }, rest));
        };
        let (mut escaped, mut has_escapes) = (false, false);
        for (at, &byte) in inside.iter().enumerate() {
            match byte {
                // Neither in the open nor behind a backslash.
                0..0x20 | 0x7f if byte != b'\t' => return None,
                _ if escaped => escaped = false,
                b'\\' => (escaped, has_escapes) = (true, true),
                b'"' => {
                    let text = &inside[..at];
                    return Some((Self { text, has_escapes }, &inside[at + 1..]));
                }
                _ => {}
            }
        }
        None
    }

    /// The value without its escapes, or `None` when it is longer than `buffer`.
    pub(crate) fn unescaped<'b>(self, buffer: &'b mut [u8]) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        if !self.has_escapes {
            return Some(self.text);
        }
        let (mut len, mut escaped) = (0, false);
        for &byte in self.text {
            if byte == b'\\' && !escaped {
                escaped = true;
                continue;
            }
            escaped = false;
            *buffer.get_mut(len)? = byte;
            len += 1;
        }
        buffer.get(..len)
    }

    /// The value when it needs no unescaping.
    pub(crate) fn plain(self) -> Option<&'a [u8]> {
        (!self.has_escapes).then_some(self.text)
    }
}

/// Without the blanks at its start (RFC 9110 section 5.6.3).
fn skip_blanks(text: &[u8]) -> &[u8] {
    split_while(text, |byte| matches!(byte, b' ' | b'\t')).1
}

/// The bytes at the start that are such, and what follows.
#[inline]
fn split_while(text: &[u8], is: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !is(byte)).unwrap_or(text.len());
    text.split_at(end)
}

fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// The bytes of a token (RFC 9110 section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let (mut byte, others) = (0, b"!#$%&'*+-.^_`|~");
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut other = 0;
    while other < others.len() {
        table[others[other] as usize] = true;
        other += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(lines: &[&'static str]) -> Vec<&'static str> {
        let lines = lines.iter().map(|line| line.as_bytes());
        FromRight::new(lines)
            .map(|element| std::str::from_utf8(element).unwrap())
            .collect()
    }

    #[test]
    fn commas_inside_quotes_are_data() {
        assert_eq!(
            elements(&["a=\"x, y\", b=c,, ", "d=\"\\\",\\\\\", e"]),
            ["e", "d=\"\\\",\\\\\"", "b=c", "a=\"x, y\""]
        );
    }

    #[test]
    fn a_line_of_more_elements_than_are_remembered_is_walked_whole() {
        for count in [REMEMBERED - 1, REMEMBERED, REMEMBERED + 1, 5 * REMEMBERED + 7] {
            let line = (0..count)
                .map(|n| format!("for=10.0.0.{n};x=\",\""))
                .collect::<Vec<_>>()
                .join(",");
            let walked: Vec<_> = FromRight::new([line.as_bytes()].into_iter()).collect();
            assert_eq!(walked.len(), count);
            let expected = format!("for=10.0.0.{};x=\",\"", count - 1);
            assert_eq!(walked[0], expected.as_bytes());
            assert_eq!(walked[count - 1], b"for=10.0.0.0;x=\",\"");
        }
    }

    #[test]
    fn quotes_balance_or_not() {
        for line in ["", "a", "\"\"", "\"\\\"\"", "\\\"\"", "a=\"b\", c=\"d\""] {
            let expected = if line.contains('"') {
                Quoting::Balanced
            } else {
                Quoting::None
            };
            assert_eq!(quotes([line.as_bytes()].into_iter()), expected, "{line}");
        }
        for line in ["\"", "\"\\\"", "a\"\"\"", "host=\""] {
            // On any line, wherever it stands.
            let lines = [&b"a=\"b\""[..], line.as_bytes(), b"c"];
            assert_eq!(quotes(lines.into_iter()), Quoting::Unbalanced, "{line}");
        }
        for at in [0, 1, 255, 256, 1000] {
            let line = [&vec![b'a'; at][..], b"\"", &vec![b'a'; 300]].concat();
            assert_eq!(quotes([&line[..]].into_iter()), Quoting::Unbalanced, "{at}");
        }
    }

    #[test]
    fn escapes_are_undone_in_a_node() {
        let hop = parse(b"for=\"1\\92.0.2.1\\:80\"", OnZone::Reject).unwrap();
        assert_eq!(hop.to_string(), "192.0.2.1:80");
        assert_eq!(parse(b"for=\"\\\"\"", OnZone::Reject), Err(NodeFault::Malformed));
        let long = format!("for=\"\\1{}\"", "2".repeat(200));
        assert_eq!(parse(long.as_bytes(), OnZone::Reject), Err(NodeFault::Malformed));
    }
}
