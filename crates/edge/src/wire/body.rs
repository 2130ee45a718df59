//! What is left of a message's body on a socket (RFC 9112 section 6).
//!
//! Invariant: a byte is content or framing, never both, and nothing is passed on as a body's end but its end.

use truehop_http1::{BadChunk, Chunked, RequestBody, ResponseBody, Step};

/// The most that the trailer section of a chunked body may have.
const TRAILERS: usize = 8 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) enum BodyLeft {
    Nothing,
    /// So many bytes, more than none.
    Length(u64),
    Chunked(Chunked),
    /// All that comes until the other side ends.
    UntilClose,
}

/// The content at the front of some bytes.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// So many bytes at the front.
    pub(crate) len: usize,
    /// So many bytes are to be consumed when the content was used.
    pub(crate) consumed: usize,
    /// The field lines behind a chunked body, which is over then.
    pub(crate) trailers: Option<Vec<u8>>,
}

impl BodyLeft {
    pub(crate) fn of_request(body: RequestBody) -> Self {
        match body {
            RequestBody::Empty => Self::Nothing,
            RequestBody::Length(length) => Self::Length(length),
            RequestBody::Chunked => Self::Chunked(Chunked::new(TRAILERS)),
        }
    }

    pub(crate) fn of_response(body: ResponseBody) -> Self {
        match body {
            ResponseBody::Empty => Self::Nothing,
            ResponseBody::Length(length) => Self::Length(length),
            ResponseBody::Chunked => Self::Chunked(Chunked::new(TRAILERS)),
            ResponseBody::UntilClose => Self::UntilClose,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Bytes that are known to come.
    pub(crate) fn announced(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(chunked) => chunked.announced(),
            Self::Nothing | Self::UntilClose => 0,
        }
    }

    /// Moves the content in `bytes` to their front, and counts it as taken.
    pub(crate) fn gather(&mut self, bytes: &mut [u8]) -> Result<Content, BadChunk> {
        let there = bytes.len();
        match self {
            Self::Nothing => Ok(Content::default()),
            Self::UntilClose => Ok(Content {
                len: there,
                consumed: there,
                trailers: None,
            }),
            Self::Length(left) => {
                let len = usize::try_from(*left).map_or(there, |left| left.min(there));
                *left -= len as u64;
                if *left == 0 {
                    *self = Self::Nothing;
                }
                Ok(Content {
                    len,
                    consumed: len,
                    trailers: None,
                })
            }
            Self::Chunked(chunked) => {
                let mut content = Content::default();
                let over = gather_chunks(chunked, bytes, &mut content)?;
                if over {
                    *self = Self::Nothing;
                }
                Ok(content)
            }
        }
    }

    /// The other side has ended: whether that was this body's end.
    pub(crate) fn ended_by_close(&mut self) -> bool {
        let ended = matches!(self, Self::UntilClose | Self::Nothing);
        if ended {
            *self = Self::Nothing;
        }
        ended
    }
}

fn gather_chunks(chunked: &mut Chunked, bytes: &mut [u8], content: &mut Content) -> Result<bool, BadChunk> {
    loop {
        let at = content.consumed;
        match chunked.decode(bytes.get(at..).unwrap_or_default())? {
            Step::Data { skip, data } => {
                let from = at + skip;
                if from != content.len {
                    bytes.copy_within(from..from + data, content.len);
                }
                content.len += data;
                content.consumed = from + data;
            }
            Step::More { skip } => {
                content.consumed += skip;
                return Ok(false);
            }
            Step::End { skip, trailers } => {
                let section = at + skip;
                content.trailers = Some(bytes[section..section + trailers].to_vec());
                content.consumed = section + trailers + 2;
                return Ok(true);
            }
        }
    }
}
