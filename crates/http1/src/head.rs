//! What request and response heads have in common: bounds, versions, and the faults that either may have.
//!
//! Invariant: one fault, one variant, one code. Nothing that is wrong is repaired.

use thiserror::Error;

/// How large a head may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a whole head, its final empty line included; more than 4 GiB count as 4 GiB.
    pub head: usize,
    /// Field lines.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 32 * 1024,
            fields: 128,
        }
    }
}

impl Limits {
    /// Offsets are kept in 32 bits.
    pub(crate) fn head_bytes(self) -> usize {
        self.head.min(u32::MAX as usize)
    }
}

/// The version of a message, as far as it changes its meaning (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`, and any later minor version, which a recipient reads as the latest that it knows.
    #[default]
    Http11,
}

impl Version {
    /// Reads `HTTP/1.1`, in this case only.
    pub(crate) fn parse(text: [u8; 8]) -> Result<Self, BadHead> {
        match text {
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                match (major, minor) {
                    (b'1', b'0') => Ok(Self::Http10),
                    (b'1', _) => Ok(Self::Http11),
                    _ => Err(BadHead::UnsupportedVersion),
                }
            }
            _ => Err(BadHead::Version),
        }
    }
}

/// A fault that a request, a response and partly a trailer section may have.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadHead {
    /// A line ends with LF alone (RFC 9112 section 2.2 lets a recipient accept it; two recipients then differ).
    #[error("a line ends without a carriage return")]
    BareLf,
    /// A CR that no LF follows (RFC 9112 section 2.2).
    #[error("a carriage return stands alone")]
    BareCr,
    /// Not `HTTP/` digit `.` digit (RFC 9112 section 2.3).
    #[error("the version is malformed")]
    Version,
    /// A major version other than 1.
    #[error("the version is not supported")]
    UnsupportedVersion,
    /// The head is longer than [`Limits::head`].
    #[error("the head is too long")]
    TooLong,
    /// There are more field lines than [`Limits::fields`].
    #[error("there are too many fields")]
    TooManyFields,
    /// A line starts with whitespace, and so continues the one before (RFC 9112 section 5.2).
    #[error("a field is folded over several lines")]
    ObsFold,
    /// Whitespace before the first field (RFC 9112 section 2.2).
    #[error("whitespace stands before the first field")]
    LeadingSpace,
    /// Whitespace between a field's name and its colon (RFC 9112 section 5.1).
    #[error("whitespace stands before a field's colon")]
    SpaceBeforeColon,
    /// A line that is no field.
    #[error("a field has no colon")]
    NoColon,
    /// A field whose name is empty.
    #[error("a field has no name")]
    EmptyName,
    /// A field name that is no token (RFC 9110 section 5.1).
    #[error("a field's name is no token")]
    Name,
    /// A control byte in a field value (RFC 9110 section 5.5).
    #[error("a field's value has a control byte")]
    Value,
    /// The values of all `Connection` lines are longer together than any honest sender's.
    #[error("there are too many connection options")]
    ConnectionTooLong,
    /// `Content-Length` is not one number of at least one digit (RFC 9110 section 8.6).
    #[error("the content length is malformed")]
    ContentLength,
    /// `Content-Length` does not fit in 64 bits.
    #[error("the content length is too large")]
    ContentLengthTooLarge,
    /// More than one `Content-Length` line, equal or not.
    #[error("there are several content lengths")]
    SeveralContentLengths,
    /// `Transfer-Encoding` is malformed, or `chunked` is in it without being its only and last word (RFC 9112 section 6.1).
    #[error("the transfer encoding is malformed")]
    TransferEncoding,
    /// More than one `Transfer-Encoding` line.
    #[error("there are several transfer encodings")]
    SeveralTransferEncodings,
    /// A transfer coding other than `chunked`.
    #[error("the transfer coding is unknown")]
    UnknownCoding,
    /// `Transfer-Encoding` in HTTP/1.0, which does not have it.
    #[error("a transfer encoding stands in an old version")]
    TransferEncodingInHttp10,
    /// `Content-Length` and `Transfer-Encoding` (RFC 9112 section 6.3): the mark of request smuggling.
    #[error("there are a content length and a transfer encoding")]
    LengthAndEncoding,
}

impl BadHead {
    /// The status to answer a request with.
    pub fn status(self) -> u16 {
        match self {
            Self::TooLong | Self::TooManyFields | Self::ConnectionTooLong => 431,
            Self::UnknownCoding => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }

    /// A stable name for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::BareLf => "bare-lf",
            Self::BareCr => "bare-cr",
            Self::Version => "bad-version",
            Self::UnsupportedVersion => "unsupported-version",
            Self::TooLong => "head-too-long",
            Self::TooManyFields => "too-many-fields",
            Self::ObsFold => "obs-fold",
            Self::LeadingSpace => "leading-space",
            Self::SpaceBeforeColon => "space-before-colon",
            Self::NoColon => "no-colon",
            Self::EmptyName => "empty-name",
            Self::Name => "bad-name",
            Self::Value => "bad-value",
            Self::ConnectionTooLong => "connection-too-long",
            Self::ContentLength => "bad-content-length",
            Self::ContentLengthTooLarge => "content-length-too-large",
            Self::SeveralContentLengths => "several-content-lengths",
            Self::TransferEncoding => "bad-transfer-encoding",
            Self::SeveralTransferEncodings => "several-transfer-encodings",
            Self::UnknownCoding => "unknown-transfer-coding",
            Self::TransferEncodingInHttp10 => "transfer-encoding-in-http10",
            Self::LengthAndEncoding => "length-and-encoding",
        }
    }
}
