//! A response's head (RFC 9112 sections 4, 5 and 6).
//!
//! Invariant: as for requests: what is accepted has one reading. Nothing may stand before the status line, and a response
//! that its status or version does not allow to have a body must not declare one.

use std::fmt;

use thiserror::Error;

use crate::bytes::is_value;
use crate::field::{Field, FieldLines, NamedFieldLines, Span};
use crate::head::{BadHead, Limits, Version};
use crate::known::Known;
use crate::section::{Cursor, FieldSection, Fields};
use crate::target::Method;

/// A response head, as offsets into the buffer it was parsed from. Reusable: what it has allocated it keeps.
///
/// ```
/// use truehop_http1::{Limits, Method, ResponseBody, ResponseHead};
///
/// let buffer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
/// let mut head = ResponseHead::default();
/// assert_eq!(head.parse(buffer, &Limits::default()), Ok(true));
///
/// let response = head.view(buffer);
/// assert_eq!((response.status(), response.reason()), (200, &b"OK"[..]));
/// assert_eq!(response.body(Method::Get), ResponseBody::Length(2));
/// assert_eq!(response.body(Method::Head), ResponseBody::Empty);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    progress: Progress,
    cursor: Cursor,
    version: Version,
    status: u16,
    reason: Span,
    section: FieldSection,
}

#[derive(Clone, Copy, Debug, Default)]
enum Progress {
    #[default]
    Line,
    Fields,
    Complete,
    Failed(BadResponse),
}

/// How long a response's body is (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResponseBody {
    /// There is none, whatever the fields say, or it is declared to have no bytes.
    Empty,
    /// So many bytes, at least one.
    Length(u64),
    /// In the chunked coding.
    Chunked,
    /// Up to the end of the connection: nobody can tell whether it is whole.
    UntilClose,
}

/// A fault of a response head. Nothing that the connection still brings can be trusted.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadResponse {
    /// A fault that requests may have too.
    #[error(transparent)]
    Head(#[from] BadHead),
    /// The first line is no status line (RFC 9112 section 4).
    #[error("the status line is malformed")]
    StatusLine,
    /// The status is not three digits from 100 to 599 (RFC 9110 section 15).
    #[error("the status is malformed")]
    Status,
    /// A control byte in the reason phrase.
    #[error("the reason phrase has a control byte")]
    Reason,
    /// `Transfer-Encoding` with a 1xx or 204 (RFC 9112 section 6.1).
    #[error("a response without a body has a transfer encoding")]
    EncodingWithoutBody,
}

impl BadResponse {
    /// A stable name for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Head(fault) => fault.code(),
            Self::StatusLine => "bad-status-line",
            Self::Status => "bad-status",
            Self::Reason => "bad-reason",
            Self::EncodingWithoutBody => "encoding-without-body",
        }
    }
}

impl ResponseHead {
    /// Goes on where the last call, with a shorter prefix of the same buffer, stopped.
    ///
    /// True: the head is complete; see [`len`](Self::len) and [`view`](Self::view). False: it needs more bytes. What
    /// follows the head in the buffer is not looked at.
    ///
    /// # Errors
    ///
    /// [`BadResponse`], again with each further call. [`clear`](Self::clear) alone forgets it.
    pub fn parse(&mut self, buffer: &[u8], limits: &Limits) -> Result<bool, BadResponse> {
        match self.progress {
            Progress::Complete => return Ok(true),
            Progress::Failed(fault) => return Err(fault),
            Progress::Line | Progress::Fields => {}
        }
        let result = self.go_on(buffer, limits);
        match result {
            Ok(true) => self.progress = Progress::Complete,
            Ok(false) => {}
            Err(fault) => self.progress = Progress::Failed(fault),
        }
        result
    }

    /// Bytes that the complete head takes in the buffer, the final empty line included.
    #[expect(clippy::len_without_is_empty, reason = "a complete head is never empty")]
    pub fn len(&self) -> usize {
        self.cursor.at()
    }

    /// Forgets the head, before the next one.
    pub fn clear(&mut self) {
        let mut section = std::mem::take(&mut self.section);
        section.clear();
        *self = Self {
            section,
            ..Self::default()
        };
    }

    /// The head beside the buffer it was parsed from, which must still hold the same bytes.
    pub fn view<'a>(&'a self, buffer: &'a [u8]) -> Response<'a> {
        Response { head: self, buffer }
    }

    fn go_on(&mut self, buffer: &[u8], limits: &Limits) -> Result<bool, BadResponse> {
        let limit = limits.head_bytes();
        let within = &buffer[..buffer.len().min(limit)];
        let complete = self.read_line(within)? && self.section.parse(&mut self.cursor, within, limits)?;
        if !complete {
            return if within.len() < limit {
                Ok(false)
            } else {
                Err(BadHead::TooLong.into())
            };
        }
        self.look_at_all()?;
        Ok(true)
    }

    fn read_line(&mut self, buffer: &[u8]) -> Result<bool, BadResponse> {
        if matches!(self.progress, Progress::Fields) {
            return Ok(true);
        }
        // An upstream that speaks something else may never send a line end.
        if buffer.first().is_some_and(|&byte| byte != b'H') {
            return Err(BadResponse::StatusLine);
        }
        let Some(text) = self.cursor.line(buffer)? else {
            return Ok(false);
        };
        self.status_line(text)?;
        self.progress = Progress::Fields;
        Ok(true)
    }

    /// `HTTP-version SP status-code SP [ reason-phrase ]`.
    ///
    /// The second space may be missing when no reason phrase follows, as several servers write it: the line has one
    /// reading, and is always written anew.
    fn status_line(&mut self, text: &[u8]) -> Result<(), BadResponse> {
        if text.contains(&b'\r') {
            return Err(BadHead::BareCr.into());
        }
        let Some((version, [b' ', rest @ ..])) = text.split_first_chunk::<8>() else {
            return Err(BadResponse::StatusLine);
        };
        self.version = Version::parse(*version)?;
        let reason: &[u8] = match rest {
            [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9', reason @ ..] => reason,
            _ => return Err(BadResponse::Status),
        };
        self.status = rest
            .iter()
            .take(3)
            .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        let reason = match reason {
            [] => reason,
            [b' ', reason @ ..] => reason,
            _ => return Err(BadResponse::Status),
        };
        if !is_value(reason) {
            return Err(BadResponse::Reason);
        }
        let end = text.len() as u32;
        self.reason = Span {
            start: end - reason.len() as u32,
            end,
        };
        Ok(())
    }

    /// What no line says alone.
    fn look_at_all(&self) -> Result<(), BadResponse> {
        let framing = self.section.framing;
        framing.check(self.version)?;
        if has_no_content(self.status) && framing.is_chunked() {
            return Err(BadResponse::EncodingWithoutBody);
        }
        Ok(())
    }
}

/// Whether a response with this status has no body and must not declare one; 304 may declare what 200 would have had.
/// A `Content-Length` that is there all the same is no fault that two readers could take for two things: RFC 9112
/// section 6.3 ends such a message with its head, whatever it declares.
fn has_no_content(status: u16) -> bool {
    status < 200 || status == 204
}

/// A complete response head beside its buffer.
#[derive(Clone, Copy)]
pub struct Response<'a> {
    head: &'a ResponseHead,
    buffer: &'a [u8],
}

impl<'a> Response<'a> {
    /// The status, from 100 to 599.
    pub fn status(self) -> u16 {
        self.head.status
    }

    /// The reason phrase as sent; may be empty.
    pub fn reason(self) -> &'a [u8] {
        self.head.reason.of(self.buffer)
    }

    /// The version.
    pub fn version(self) -> Version {
        self.head.version
    }

    /// All field lines, in order.
    pub fn fields(self) -> FieldLines<'a> {
        self.all().all()
    }

    /// The values of all lines of the field `name`, compared without case, in order.
    pub fn lines(self, name: &'a str) -> NamedFieldLines<'a> {
        self.all().named(name)
    }

    /// The values of all lines of a known field, in order.
    pub fn known_lines(self, known: Known) -> NamedFieldLines<'a> {
        self.all().known(known)
    }

    /// How long the body is, `method` being the request's: there is none after `HEAD`, with a 1xx, 204 or 304, or with a
    /// 2xx to `CONNECT`, behind which the tunnel starts. Whoever sends a 1xx or 204 on leaves a `Content-Length` out.
    pub fn body(self, method: Method) -> ResponseBody {
        let status = self.status();
        let framing = self.head.section.framing;
        if has_no_content(status)
            || status == 304
            || method == Method::Head
            || (method == Method::Connect && status < 300)
        {
            return ResponseBody::Empty;
        }
        match framing.content_length() {
            _ if framing.is_chunked() => ResponseBody::Chunked,
            None => ResponseBody::UntilClose,
            Some(0) => ResponseBody::Empty,
            Some(length) => ResponseBody::Length(length),
        }
    }

    /// The declared length, whether such a body follows or not.
    pub fn content_length(self) -> Option<u64> {
        self.head.section.framing.content_length()
    }

    /// Whether the server means to read another request (RFC 9112 section 9.3): `close` says no; otherwise HTTP/1.1 does,
    /// and HTTP/1.0 with `keep-alive`. A body that lasts until the connection ends says no too, which
    /// [`body`](Self::body) knows.
    pub fn keep_alive(self) -> bool {
        self.head.section.connection.persists(self.version())
    }

    /// What the server changes to, or would (RFC 9110 section 7.8): the value of `Upgrade`, when `Connection` names it, it
    /// is one line, and the version is not HTTP/1.0.
    pub fn upgrade(self) -> Option<&'a str> {
        match self.version() {
            Version::Http10 => None,
            Version::Http11 => self.all().upgrade(),
        }
    }

    /// The options of all `Connection` lines, without the whitespace around; `close` and `keep-alive` too.
    pub fn nominated(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.all().nominated()
    }

    /// Whether `field` ends at this hop; as [`Request::ends_here`](crate::Request::ends_here).
    pub fn ends_here(self, field: Field<'a>) -> bool {
        self.all().ends_here(field)
    }

    fn all(self) -> Fields<'a> {
        Fields {
            section: &self.head.section,
            buffer: self.buffer,
        }
    }
}

impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status())
            .field("version", &self.version())
            .field("fields", &self.fields().len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
