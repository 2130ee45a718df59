//! The lines of a head, found one after the other, and what its fields say together.
//!
//! Invariant: each byte is searched for a line's end once, however the head arrives, and each line is read once.

use memchr::memchr;

use crate::bytes::trim;
use crate::field::{Field, FieldLines, Line, NamedFieldLines};
use crate::framing::Framing;
use crate::head::{BadHead, Limits, Version};
use crate::hop_by_hop::{ends_always, is_never_nominated};
use crate::known::Known;

/// `Connection` values longer than this together are refused: each other field is compared with each option.
const CONNECTION_BYTES: usize = 512;

/// Where the next line starts, and how far its end was searched for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    line: usize,
    searched: usize,
}

impl Cursor {
    /// Where the next line starts.
    pub(crate) fn at(self) -> usize {
        self.line
    }

    /// The next line without its CRLF; nothing when its end is not there yet.
    #[inline]
    pub(crate) fn line<'a>(&mut self, buffer: &'a [u8]) -> Result<Option<&'a [u8]>, BadHead> {
        let unsearched = buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr(b'\n', unsearched) else {
            self.searched = self.searched.max(buffer.len());
            return Ok(None);
        };
        let end = self.searched + found;
        match buffer.get(self.line..end) {
            Some([line @ .., b'\r']) => {
                self.line = end + 1;
                self.searched = self.line;
                Ok(Some(line))
            }
            _ => Err(BadHead::BareLf),
        }
    }
}

/// The fields of a head that is being read, and then of the head.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldSection {
    lines: Vec<Line>,
    pub(crate) framing: Framing,
    pub(crate) connection: Options,
}

/// What the `Connection` lines say, apart from the names themselves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// A field is named that would go on otherwise.
    nominates: bool,
    bytes: usize,
}

impl FieldSection {
    /// Keeps the room for lines, not the lines.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.framing = Framing::default();
        self.connection = Options::default();
    }

    /// Reads on; true when the empty line was met.
    pub(crate) fn parse(
        &mut self,
        cursor: &mut Cursor,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<bool, BadHead> {
        loop {
            let start = cursor.at();
            match cursor.line(buffer)? {
                None => return Ok(false),
                Some([]) => return Ok(true),
                Some(_) if self.lines.len() >= limits.fields => return Err(BadHead::TooManyFields),
                // Heads are bounded so that offsets fit.
                Some(text) => self.note(Line::parse(text, start as u32, self.lines.is_empty())?, buffer)?,
            }
        }
    }

    fn note(&mut self, line: Line, buffer: &[u8]) -> Result<(), BadHead> {
        match line.known {
            Some(Known::ContentLength) => self.framing.note_length(line.value(buffer))?,
            Some(Known::TransferEncoding) => self.framing.note_encoding(line.value(buffer))?,
            Some(Known::Connection) => self.connection.note(line.value(buffer))?,
            _ => {}
        }
        self.lines.push(line);
        Ok(())
    }
}

impl Options {
    /// Whether the connection lasts after this message (RFC 9112 section 9.3).
    pub(crate) fn persists(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    fn note(&mut self, value: &[u8]) -> Result<(), BadHead> {
        self.bytes += value.len();
        if self.bytes > CONNECTION_BYTES {
            return Err(BadHead::ConnectionTooLong);
        }
        for option in options(value) {
            match Known::of(option) {
                Some(Known::KeepAlive) => self.keep_alive = true,
                Some(Known::Upgrade) => self.upgrade = true,
                Some(known) if ends_always(known) || is_never_nominated(known) => {}
                None if option.eq_ignore_ascii_case(b"close") => self.close = true,
                _ => self.nominates = true,
            }
        }
        Ok(())
    }
}

/// The elements of a list, without the whitespace around, without empty ones.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|option| !option.is_empty())
}

/// The fields of a head beside the buffer they stand in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) section: &'a FieldSection,
    pub(crate) buffer: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn all(self) -> FieldLines<'a> {
        FieldLines::new(self.buffer, &self.section.lines)
    }

    pub(crate) fn named(self, name: &'a str) -> NamedFieldLines<'a> {
        NamedFieldLines::new(self.buffer, &self.section.lines, name)
    }

    pub(crate) fn known(self, known: Known) -> NamedFieldLines<'a> {
        NamedFieldLines::of(self.buffer, &self.section.lines, known)
    }

    pub(crate) fn nominated(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.known(Known::Connection).flat_map(options)
    }

    pub(crate) fn ends_here(self, field: Field<'_>) -> bool {
        match field.known {
            Some(known) if ends_always(known) => true,
            Some(known) if is_never_nominated(known) => false,
            _ if !self.section.connection.nominates => false,
            // `close` is an option, never a nomination.
            _ if field.is("close") => false,
            _ => self
                .nominated()
                .any(|option| option.eq_ignore_ascii_case(field.name.as_bytes())),
        }
    }

    /// The one `Upgrade` value that `Connection` nominates, when it is printable.
    pub(crate) fn upgrade(self) -> Option<&'a str> {
        if !self.section.connection.upgrade {
            return None;
        }
        let mut lines = self.known(Known::Upgrade);
        match (lines.next(), lines.next()) {
            (Some(value), None) if !value.is_empty() && value.is_ascii() => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }
}
