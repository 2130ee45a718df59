//! The chunked coding (RFC 9112 section 7.1), decoded where it stands.
//!
//! Invariant: a body has one end. Sizes are hexadecimal digits and nothing else, every line ends with CRLF, the data of a
//! chunk is followed by CRLF. Chunk extensions must be well-formed and are then forgotten: they belong to this hop
//! (section 7.1.1), and whoever sends the data on frames it anew.

use memchr::memchr;
use thiserror::Error;

use crate::bytes::{is_token_byte, is_value_byte};
use crate::field::{Field, Line};
use crate::head::BadHead;
use crate::known::Known;
use crate::section::Cursor;

/// Digits that always fit in 64 bits.
const SIZE_DIGITS: usize = 16;
/// Bytes of the extensions of one chunk.
const EXTENSION_BYTES: usize = 256;
const CRLF: usize = 2;

/// A decoder for one chunked body.
///
/// ```
/// use truehop_http1::{Chunked, Step, trailer_fields};
///
/// let body = b"5\r\nhello\r\n0\r\nDigest: x\r\n\r\n";
/// let mut chunked = Chunked::default();
/// assert_eq!(chunked.decode(body), Ok(Step::Data { skip: 3, data: 5 }));
/// let rest = &body[8..];
/// assert_eq!(chunked.decode(rest), Ok(Step::End { skip: 5, trailers: 11 }));
/// assert_eq!(trailer_fields(&rest[5..16]).next().unwrap().value, b"x");
/// ```
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    trailer_limit: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// At a chunk's size; so many bytes of its extensions were searched for the line's end.
    Size {
        searched: usize,
    },
    /// So many bytes of the chunk's data are still to come; never 0.
    Data {
        rest: u64,
    },
    /// At the CRLF behind the data.
    AfterData,
    /// In the trailer section, whose start the caller keeps.
    Trailers(Cursor),
    Over(BadChunk),
}

/// What stands next in a chunked body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// `skip` bytes of framing, then `data` bytes of content, at least one; the caller consumes both.
    Data {
        /// Bytes of framing.
        skip: usize,
        /// Bytes of content behind them.
        data: usize,
    },
    /// `skip` bytes of framing, which the caller consumes. What stands behind them it keeps, and comes again with more.
    More {
        /// Bytes of framing.
        skip: usize,
    },
    /// The end: `skip` bytes of framing, `trailers` bytes of field lines, each with its CRLF, and the two bytes of the
    /// empty line.
    End {
        /// Bytes of framing.
        skip: usize,
        /// Bytes of field lines, for [`trailer_fields`].
        trailers: usize,
    },
}

/// A fault of a chunked body. The connection cannot be used further.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadChunk {
    /// A chunk does not start with a hexadecimal digit.
    #[error("a chunk has no size")]
    NoSize,
    /// The size has more than 16 digits.
    #[error("the size of a chunk is too large")]
    SizeTooLarge,
    /// Something that is neither a line's end nor an extension follows the size; also whitespace.
    #[error("the size of a chunk is malformed")]
    Size,
    /// A line ends with LF alone.
    #[error("a line of the chunked coding ends without a carriage return")]
    BareLf,
    /// A CR that no LF follows.
    #[error("a carriage return stands alone in the chunked coding")]
    BareCr,
    /// The extensions are not `*( ";" token [ "=" ( token / quoted-string ) ] )`; also with whitespace between.
    #[error("the extension of a chunk is malformed")]
    Extension,
    /// The extensions of a chunk are longer than 256 bytes.
    #[error("the extension of a chunk is too long")]
    ExtensionTooLong,
    /// No CRLF stands behind a chunk's data.
    #[error("the data of a chunk is longer than its size")]
    DataEnd,
    /// A line of the trailer section is no field.
    #[error(transparent)]
    Trailer(BadHead),
    /// A field that frames or routes a message stands in the trailer section (RFC 9110 section 6.5.1).
    #[error("a field cannot stand in a trailer section")]
    ForbiddenTrailer,
    /// The trailer section is longer than the limit.
    #[error("the trailer section is too long")]
    TrailersTooLong,
    /// The body has ended before; a decoder is for one body.
    #[error("the body is over")]
    Over,
}

impl BadChunk {
    /// A stable name for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoSize => "no-chunk-size",
            Self::SizeTooLarge => "chunk-size-too-large",
            Self::Size => "bad-chunk-size",
            Self::BareLf => "bare-lf",
            Self::BareCr => "bare-cr",
            Self::Extension => "bad-chunk-extension",
            Self::ExtensionTooLong => "chunk-extension-too-long",
            Self::DataEnd => "bad-chunk-end",
            Self::Trailer(fault) => fault.code(),
            Self::ForbiddenTrailer => "forbidden-trailer",
            Self::TrailersTooLong => "trailers-too-long",
            Self::Over => "body-over",
        }
    }
}

impl Default for Chunked {
    /// With 8 KiB for the trailer section.
    fn default() -> Self {
        Self::new(8 * 1024)
    }
}

impl Chunked {
    /// A decoder for one body, whose trailer section may have so many bytes, its final empty line not counted.
    pub fn new(trailer_limit: usize) -> Self {
        Self {
            state: State::Size { searched: 0 },
            trailer_limit: trailer_limit.min(u32::MAX as usize - CRLF),
        }
    }

    /// Looks at the bytes of the body that were not consumed yet. Data is not copied, nor looked at.
    ///
    /// # Errors
    ///
    /// [`BadChunk`], again with each further call.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Step, BadChunk> {
        let result = self.step(bytes);
        match result {
            Err(fault) => self.state = State::Over(fault),
            Ok(Step::End { .. }) => self.state = State::Over(BadChunk::Over),
            Ok(_) => {}
        }
        result
    }

    /// Bytes of data of the present chunk that are announced and still to come.
    pub fn announced(&self) -> u64 {
        match self.state {
            State::Data { rest } => rest,
            _ => 0,
        }
    }

    fn step(&mut self, bytes: &[u8]) -> Result<Step, BadChunk> {
        let mut skip = 0;
        loop {
            let rest = bytes.get(skip..).unwrap_or_default();
            match &mut self.state {
                State::Over(fault) => return Err(*fault),
                State::Data { .. } if rest.is_empty() => return Ok(Step::More { skip }),
                State::Data { rest: expected } => {
                    let data = usize::try_from(*expected).map_or(rest.len(), |all| all.min(rest.len()));
                    *expected -= data as u64;
                    if *expected == 0 {
                        self.state = State::AfterData;
                    }
                    return Ok(Step::Data { skip, data });
                }
                State::AfterData => match rest {
                    [b'\r', b'\n', ..] => {
                        skip += CRLF;
                        self.state = State::Size { searched: 0 };
                    }
                    [] | [b'\r'] => return Ok(Step::More { skip }),
                    _ => return Err(BadChunk::DataEnd),
                },
                State::Size { searched } => {
                    let Some((size, length)) = size_line(rest, searched)? else {
                        return Ok(Step::More { skip });
                    };
                    skip += length;
                    self.state = match size {
                        0 => State::Trailers(Cursor::default()),
                        rest => State::Data { rest },
                    };
                }
                State::Trailers(cursor) => {
                    let longest = self.trailer_limit + CRLF;
                    let within = &rest[..rest.len().min(longest)];
                    return match trailer_section(cursor, within)? {
                        Some(trailers) => Ok(Step::End { skip, trailers }),
                        None if within.len() < longest => Ok(Step::More { skip }),
                        None => Err(BadChunk::TrailersTooLong),
                    };
                }
            }
        }
    }
}

/// The fields of a trailer section that [`Chunked::decode`] has accepted; their lines' spans are in `section`.
///
/// Of other bytes, the fields before the first line that is none.
pub fn trailer_fields(section: &[u8]) -> impl Iterator<Item = Field<'_>> + Clone {
    let mut cursor = Cursor::default();
    std::iter::from_fn(move || trailer(&mut cursor, section).ok().flatten()).map(|line| line.field(section))
}

/// A chunk's size and the length of its line, when the line is there.
fn size_line(bytes: &[u8], searched: &mut usize) -> Result<Option<(u64, usize)>, BadChunk> {
    let mut size = 0;
    let mut digits = 0;
    while let Some(digit) = bytes.get(digits).and_then(|&byte| char::from(byte).to_digit(16)) {
        if digits == SIZE_DIGITS {
            return Err(BadChunk::SizeTooLarge);
        }
        size = size << 4 | u64::from(digit);
        digits += 1;
    }
    let rest = &bytes[digits..];
    match rest {
        [] => Ok(None),
        _ if digits == 0 => Err(BadChunk::NoSize),
        [b'\r', b'\n', ..] => Ok(Some((size, digits + CRLF))),
        [b'\r'] => Ok(None),
        [b'\r', ..] => Err(BadChunk::BareCr),
        [b'\n', ..] => Err(BadChunk::BareLf),
        [b';', ..] => Ok(extensions(rest, searched)?.map(|length| (size, digits + length))),
        _ => Err(BadChunk::Size),
    }
}

/// The length of the extensions with the line's end.
fn extensions(bytes: &[u8], searched: &mut usize) -> Result<Option<usize>, BadChunk> {
    let within = &bytes[..bytes.len().min(EXTENSION_BYTES + CRLF)];
    let Some(found) = memchr(b'\n', within.get(*searched..).unwrap_or_default()) else {
        *searched = within.len();
        return if within.len() < EXTENSION_BYTES + CRLF {
            Ok(None)
        } else {
            Err(BadChunk::ExtensionTooLong)
        };
    };
    let end = *searched + found;
    match &within[..end] {
        [extensions @ .., b'\r'] if are_extensions(extensions) => Ok(Some(end + 1)),
        [extensions @ .., b'\r'] if extensions.contains(&b'\r') => Err(BadChunk::BareCr),
        [.., b'\r'] => Err(BadChunk::Extension),
        _ => Err(BadChunk::BareLf),
    }
}

/// `*( ";" chunk-ext-name [ "=" chunk-ext-val ] )`. The grammar has whitespace around `;` and `=`, but as "bad" whitespace,
/// which nothing may send (RFC 9110 section 5.6.3).
fn are_extensions(mut bytes: &[u8]) -> bool {
    while let [b';', rest @ ..] = bytes {
        let Some(rest) = after_token(rest) else {
            return false;
        };
        bytes = match rest {
            [b'=', b'"', rest @ ..] => match after_quoted(rest) {
                Some(rest) => rest,
                None => return false,
            },
            [b'=', rest @ ..] => match after_token(rest) {
                Some(rest) => rest,
                None => return false,
            },
            _ => rest,
        };
    }
    bytes.is_empty()
}

fn after_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|&&byte| is_token_byte(byte)).count();
    if length == 0 { None } else { bytes.get(length..) }
}

/// What stands behind the closing quote of a string whose opening quote was read (RFC 9110 section 5.6.4).
fn after_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', byte, rest @ ..] if is_value_byte(*byte) => rest,
            [b'\\', ..] => return None,
            [byte, rest @ ..] if is_value_byte(*byte) => rest,
            _ => return None,
        };
    }
}

/// The length of the field lines, when the section is complete.
fn trailer_section(cursor: &mut Cursor, bytes: &[u8]) -> Result<Option<usize>, BadChunk> {
    loop {
        let start = cursor.at();
        match trailer(cursor, bytes).map_err(BadChunk::Trailer)? {
            Some(line) if is_forbidden(line.known) => return Err(BadChunk::ForbiddenTrailer),
            Some(_) => {}
            // Either the empty line or nothing was read.
            None => return Ok((cursor.at() > start).then_some(start)),
        }
    }
}

/// The next field line; nothing at the empty line, which is then read, and where a line's end is missing.
fn trailer(cursor: &mut Cursor, bytes: &[u8]) -> Result<Option<Line>, BadHead> {
    let start = cursor.at();
    match cursor.line(bytes)? {
        None | Some([]) => Ok(None),
        Some(text) => Line::parse(text, start as u32, start == 0).map(Some),
    }
}

/// Whether the field would change how a message is framed or routed, were it merged into a head.
fn is_forbidden(known: Option<Known>) -> bool {
    matches!(
        known,
        Some(Known::ContentLength | Known::Host | Known::TransferEncoding)
    )
}

#[cfg(test)]
mod tests;
