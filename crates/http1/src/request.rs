//! A request's head (RFC 9112 sections 3, 5 and 6).
//!
//! Invariant: what is accepted has one reading: one method, one target, one host, one body length. Everything else is a
//! [`BadRequest`], found as soon as the line with the fault is there, however the bytes arrive.
//!
//! 1. One empty line before the request line is skipped (section 2.2); it counts as part of the head.
//! 2. The request line is read when its end is there, then each field line.
//! 3. At the empty line the fields are looked at together: framing, host, expectation.

use std::fmt;

use crate::bad_request::BadRequest;
use crate::bytes::{ascii, is_target, is_token, is_token_byte};
use crate::field::{Field, FieldLines, NamedFieldLines, Span};
use crate::head::{BadHead, Limits, Version};
use crate::host::{Host, effective_host};
use crate::known::Known;
use crate::section::{Cursor, FieldSection, Fields};
use crate::target::{Method, Path, Target};

/// A request head, as offsets into the buffer it was parsed from. Reusable: what it has allocated it keeps.
///
/// ```
/// use truehop_http1::{Limits, Method, RequestBody, RequestHead};
///
/// let buffer = b"POST /drop?x=1 HTTP/1.1\r\nHost: Example.org\r\nContent-Length: 2\r\n\r\nhi";
/// let mut head = RequestHead::default();
/// assert_eq!(head.parse(&buffer[..40], &Limits::default()), Ok(false));
/// assert_eq!(head.parse(buffer, &Limits::default()), Ok(true));
/// assert_eq!(&buffer[head.len()..], b"hi");
///
/// let request = head.view(buffer);
/// assert_eq!((request.method(), request.path(), request.query()), (Method::Post, "/drop", Some("x=1")));
/// assert_eq!(request.host().name(), "example.org");
/// assert_eq!(request.body(), RequestBody::Length(2));
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    progress: Progress,
    cursor: Cursor,
    method: Method,
    method_text: Span,
    target: Target,
    version: Version,
    section: FieldSection,
    host: Host,
    expects_continue: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Progress {
    #[default]
    Line,
    Fields,
    Complete,
    Failed(BadRequest),
}

/// How long a request's body is (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestBody {
    /// There is none, or it is declared to have no bytes.
    Empty,
    /// So many bytes, at least one.
    Length(u64),
    /// In the chunked coding.
    Chunked,
}

impl RequestHead {
    /// Goes on where the last call, with a shorter prefix of the same buffer, stopped.
    ///
    /// True: the head is complete; see [`len`](Self::len) and [`view`](Self::view). False: it needs more bytes. What
    /// follows the head in the buffer is not looked at.
    ///
    /// # Errors
    ///
    /// [`BadRequest`], again with each further call. [`clear`](Self::clear) alone forgets it.
    pub fn parse(&mut self, buffer: &[u8], limits: &Limits) -> Result<bool, BadRequest> {
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
    pub fn view<'a>(&'a self, buffer: &'a [u8]) -> Request<'a> {
        Request { head: self, buffer }
    }

    fn go_on(&mut self, buffer: &[u8], limits: &Limits) -> Result<bool, BadRequest> {
        let limit = limits.head_bytes();
        // Nothing behind the limit is looked at, so that the answer does not hang on how the bytes arrive.
        let within = &buffer[..buffer.len().min(limit)];
        if matches!(self.progress, Progress::Line) {
            if !self.read_line(within)? {
                return if within.len() < limit {
                    Ok(false)
                } else {
                    Err(BadRequest::LineTooLong)
                };
            }
            self.progress = Progress::Fields;
        }
        if !self.section.parse(&mut self.cursor, within, limits)? {
            return if within.len() < limit {
                Ok(false)
            } else {
                Err(BadHead::TooLong.into())
            };
        }
        self.look_at_all(within)?;
        Ok(true)
    }

    fn read_line(&mut self, buffer: &[u8]) -> Result<bool, BadRequest> {
        loop {
            let start = self.cursor.at();
            // No line end may ever come from who speaks something else, such as TLS.
            if buffer.get(start).is_some_and(speaks_otherwise) {
                return Err(BadRequest::Method);
            }
            match self.cursor.line(buffer)? {
                None => return Ok(false),
                Some([]) if start == 0 => {}
                Some([]) => return Err(BadRequest::EmptyLine),
                Some(text) => {
                    self.request_line(text, start as u32)?;
                    return Ok(true);
                }
            }
        }
    }

    /// `method SP request-target SP HTTP-version`.
    fn request_line(&mut self, text: &[u8], start: u32) -> Result<(), BadRequest> {
        let Some((rest, &[b' ', ref version @ ..])) = text.split_last_chunk::<9>() else {
            return Err(line_fault(text));
        };
        let method_length = rest
            .iter()
            .position(|&byte| !is_token_byte(byte))
            .unwrap_or(rest.len());
        let (method, target) = match rest.split_at(method_length) {
            (method @ [_, ..], [b' ', target @ ..]) if !target.is_empty() && is_target(target) => {
                (method, target)
            }
            _ => return Err(line_fault(text)),
        };
        self.version = Version::parse(*version).map_err(|fault| match fault {
            BadHead::Version => line_fault(text),
            other => other.into(),
        })?;
        self.method = Method::of(method);
        self.method_text = Span {
            start,
            end: start + method.len() as u32,
        };
        self.target = Target::parse(self.method, target, self.method_text.end + 1)?;
        Ok(())
    }

    /// What no line says alone.
    fn look_at_all(&mut self, buffer: &[u8]) -> Result<(), BadRequest> {
        self.section.framing.check(self.version)?;
        let fields = Fields {
            section: &self.section,
            buffer,
        };
        let authority = self.target.authority.map(|span| ascii(span.of(buffer)));
        self.host = effective_host(authority, fields.known(Known::Host))?;
        let mut expectations = fields.known(Known::Expect);
        if let Some(expectation) = expectations.next() {
            if !expectation.eq_ignore_ascii_case(b"100-continue") || expectations.next().is_some() {
                return Err(BadRequest::Expectation);
            }
            self.expects_continue = true;
        }
        Ok(())
    }
}

/// Whether a byte can start no request, nor the end of an empty line.
fn speaks_otherwise(byte: &u8) -> bool {
    !byte.is_ascii() || (byte.is_ascii_control() && !b"\r\n".contains(byte))
}

/// What is wrong with a line that is no request line.
#[cold]
fn line_fault(text: &[u8]) -> BadRequest {
    if text.contains(&b'\r') {
        return BadHead::BareCr.into();
    }
    let mut parts = text.split(|&byte| byte == b' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), ..) if !is_token(method) => BadRequest::Method,
        (_, None | Some([]), None, _) => BadRequest::NoTarget,
        (_, _, None, _) => BadRequest::NoVersion,
        (_, Some([]), ..) | (_, _, Some([]), _) | (.., Some(_)) => BadRequest::ExtraSpace,
        (_, Some(target), ..) if !is_target(target) => BadRequest::Target,
        _ => BadHead::Version.into(),
    }
}

/// A complete request head beside its buffer.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    head: &'a RequestHead,
    buffer: &'a [u8],
}

impl<'a> Request<'a> {
    /// The method.
    pub fn method(self) -> Method {
        self.head.method
    }

    /// The method as sent.
    pub fn method_text(self) -> &'a str {
        ascii(self.head.method_text.of(self.buffer))
    }

    /// The target as sent, in whichever form.
    pub fn target(self) -> &'a str {
        ascii(self.head.target.text.of(self.buffer))
    }

    /// The target in origin form: from the path on, with the query; `/` for an absolute form without a path, `*` as sent,
    /// empty for `CONNECT`.
    pub fn path_and_query(self) -> &'a str {
        match self.head.target.path {
            Path::Here { whole, .. } => ascii(whole.of(self.buffer)),
            Path::Root => "/",
            Path::None => "",
        }
    }

    /// The same without the query.
    pub fn path(self) -> &'a str {
        match self.head.target.path {
            Path::Here { without_query, .. } => ascii(without_query.of(self.buffer)),
            Path::Root => "/",
            Path::None => "",
        }
    }

    /// What follows the first `?`; may be empty.
    pub fn query(self) -> Option<&'a str> {
        self.path_and_query()
            .get(self.path().len()..)
            .and_then(|rest| rest.strip_prefix('?'))
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

    /// Which host the request is for (RFC 9112 section 3.2): there is exactly one `Host`, and an absolute or authority
    /// form says the same. A port is not left out: `http://a:80/` and `Host: a` differ.
    pub fn host(self) -> Host {
        self.head.host.clone()
    }

    /// How long the body is.
    pub fn body(self) -> RequestBody {
        let framing = self.head.section.framing;
        match framing.content_length() {
            _ if framing.is_chunked() => RequestBody::Chunked,
            None | Some(0) => RequestBody::Empty,
            Some(length) => RequestBody::Length(length),
        }
    }

    /// Whether the client means to send another request (RFC 9112 section 9.3): `close` says no; otherwise HTTP/1.1 does,
    /// and HTTP/1.0 with `keep-alive`.
    pub fn keep_alive(self) -> bool {
        self.head.section.connection.persists(self.version())
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    pub fn expects_continue(self) -> bool {
        self.head.expects_continue && self.version() == Version::Http11 && self.body() != RequestBody::Empty
    }

    /// The protocols that the client would change to (RFC 9110 section 7.8): the value of `Upgrade`, when `Connection`
    /// names it, it is one line, and the version is not HTTP/1.0.
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

    /// Whether `field` ends at this hop (RFC 9110 section 7.6.1): it always does, or `Connection` names it. Nominations of
    /// `Host`, `Content-Length` and `Content-Type` are not obeyed: the message would mean something else without them.
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

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method_text())
            .field("target", &self.target())
            .field("version", &self.version())
            .field("fields", &self.fields().len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
