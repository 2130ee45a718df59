//! `Forwarded` (RFC 7239): elements, their parameters, and the quotes that make both hard.
//!
//! A value may be quoted, and commas, semicolons and escaped quotes inside quotes are data. So an element's borders are
//! known only when the line is read from its start.
//!
//! Invariants: a line whose quotes do not balance voids the whole field, whoever wrote it ([`is_balanced`]): otherwise
//! a client could open a quote that swallows what a proxy appends, or close one that a proxy opened. Lines are balanced
//! each for itself, so no quoted value crosses a line. Within a balanced field nothing left of the answer matters.

use crate::fields::{Elements, trim_ows};
use crate::node::{self, Hop, NodeFault};
use crate::policy::OnZone;

pub(crate) const FORWARDED: &str = "forwarded";

/// Commas remembered in one pass over a line. More elements than that are found by further passes.
const REMEMBERED: usize = 32;
/// The longest node with escapes that can be an address, with room to spare.
const LONGEST_NODE: usize = 80;

/// Whether every quote in `line` is closed.
pub(crate) fn is_balanced(line: &[u8]) -> bool {
    // Most lines have no quote; that is found out a word at a time.
    if !line.contains(&b'"') {
        return true;
    }
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

/// The elements of all lines from the right; empty ones never appear. The lines must be [balanced](is_balanced).
#[derive(Debug)]
pub(crate) struct FromRight<'a, I> {
    lines: I,
    line: Option<Line<'a>>,
}

/// What is left of one line, and where its last commas are.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would allocate, and there is one at a time"
)]
enum Line<'a> {
    /// Without a quote: every comma separates, so the line is read from the right.
    Plain(&'a [u8]),
    Quoted(Quoted<'a>),
}

impl<'a> Line<'a> {
    fn new(line: &'a [u8]) -> Self {
        match line.contains(&b'"') {
            false => Self::Plain(line),
            true => Self::Quoted(Quoted::new(line)),
        }
    }

    /// Takes the rightmost element off; the flag says whether any is left.
    fn take(&mut self) -> (&'a [u8], bool) {
        match self {
            Self::Quoted(line) => line.take(),
            Self::Plain(rest) => match rest.iter().rposition(|&b| b == b',') {
                Some(comma) => {
                    let element = &rest[comma + 1..];
                    *rest = &rest[..comma];
                    (element, true)
                }
                None => (std::mem::take(rest), false),
            },
        }
    }

    fn rest(&self) -> &'a [u8] {
        match self {
            Self::Plain(rest) => rest,
            Self::Quoted(line) => line.rest,
        }
    }
}

/// What is left of a line with quotes, and where its last commas are.
#[derive(Debug)]
struct Quoted<'a> {
    rest: &'a [u8],
    commas: [usize; REMEMBERED],
    remembered: usize,
    /// Whether commas stand left of those that are remembered.
    more: bool,
}

impl<'a> Quoted<'a> {
    fn new(rest: &'a [u8]) -> Self {
        let mut line = Self {
            rest,
            commas: [0; REMEMBERED],
            remembered: 0,
            more: false,
        };
        line.look();
        line
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

    /// Takes the rightmost element off; the flag says whether any is left.
    fn take(&mut self) -> (&'a [u8], bool) {
        if self.remembered == 0 && self.more {
            self.look();
        }
        match self.remembered.checked_sub(1).map(|last| self.commas[last]) {
            Some(comma) => {
                self.remembered -= 1;
                let element = &self.rest[comma + 1..];
                self.rest = &self.rest[..comma];
                (element, true)
            }
            None => (std::mem::take(&mut self.rest), false),
        }
    }
}

impl<'a, I: DoubleEndedIterator<Item = &'a [u8]>> FromRight<'a, I> {
    pub(crate) fn new(lines: I) -> Self {
        Self { lines, line: None }
    }
}

impl<'a, I: DoubleEndedIterator<Item = &'a [u8]>> Iterator for FromRight<'a, I> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = match self.line.take() {
                Some(line) => line,
                None => Line::new(self.lines.next_back()?),
            };
            let (element, more) = line.take();
            self.line = more.then_some(line);
            let element = trim_ows(element);
            if !element.is_empty() {
                return Some(element);
            }
        }
    }
}

impl<'a, I: DoubleEndedIterator<Item = &'a [u8]>> Elements<'a> for FromRight<'a, I> {
    fn unread(self) -> (&'a [u8], bool) {
        let mut lines = self.lines;
        (
            self.line.map(|line| line.rest()).unwrap_or_default(),
            lines.next_back().is_some(),
        )
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
            let (pair, next) = split_pair(rest);
            let pair = trim_ows(pair);
            if !pair.is_empty() {
                element.add(pair)?;
            }
            match next {
                Some(next) => rest = next,
                None => return Some(element),
            }
        }
    }

    fn add(&mut self, pair: &'a [u8]) -> Option<()> {
        let equals = pair.iter().position(|&b| b == b'=')?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        if name.is_empty() || !name.iter().all(|&b| is_token(b)) {
            return None;
        }
        let is_for = name.eq_ignore_ascii_case(b"for");
        let value = Value::parse(value, is_for)?;
        let slot = match name {
            _ if is_for => &mut self.for_,
            name if name.eq_ignore_ascii_case(b"by") => &mut self.by,
            name if name.eq_ignore_ascii_case(b"host") => &mut self.host,
            name if name.eq_ignore_ascii_case(b"proto") => &mut self.proto,
            _ => return Some(()),
        };
        // Each parameter must not occur more than once in an element (section 4).
        slot.replace(value).is_none().then_some(())
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
    /// Reads a token or a quoted string (RFC 9110 sections 5.6.2 and 5.6.4). Outside of `for`, an unquoted colon is
    /// allowed: `host=example.com:8080` is as common as it is wrong.
    fn parse(text: &'a [u8], is_for: bool) -> Option<Self> {
        if let Some(rest) = text.strip_prefix(b"\"") {
            let inside = rest.strip_suffix(b"\"")?;
            let (mut escaped, mut has_escapes) = (false, false);
            for &byte in inside {
                match byte {
                    // Neither in the open nor behind a backslash.
                    0..0x20 | 0x7f if byte != b'\t' => return None,
                    _ if escaped => escaped = false,
                    b'\\' => (escaped, has_escapes) = (true, true),
                    b'"' => return None,
                    _ => {}
                }
            }
            return (!escaped).then_some(Self {
                text: inside,
                has_escapes,
            });
        }
        let plain = |&b: &u8| is_token(b) || (b == b':' && !is_for);
        (!text.is_empty() && text.iter().all(plain)).then_some(Self {
            text,
            has_escapes: false,
        })
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

/// The first pair and what follows its semicolon. The text's quotes are balanced.
fn split_pair(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut quotes = Quotes::default();
    for (at, &byte) in text.iter().enumerate() {
        if byte == b';' && !quotes.open {
            return (&text[..at], Some(&text[at + 1..]));
        }
        quotes.step(byte);
    }
    (text, None)
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
            assert!(is_balanced(line.as_bytes()), "{line}");
        }
        for line in ["\"", "\"\\\"", "a\"\"\"", "host=\""] {
            assert!(!is_balanced(line.as_bytes()), "{line}");
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
