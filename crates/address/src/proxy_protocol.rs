//! The PROXY protocol, versions 1 and 2, without I/O.
//!
//! A proxy that works below HTTP writes a header in front of the connection's bytes; its specification is
//! `proxy-protocol.txt` of HAProxy. [`parse`] reads one from the start of what has arrived so far; [`Preface`] does so
//! under a [`Policy`](crate::Policy), which requires the header from some peers and forbids it to all others.
//!
//! Invariants: the header is required or forbidden, never guessed (section 2 of the specification). Nothing beyond the
//! length that the header itself announces is consumed or looked at, and no header is longer than [`MAX_V1`] or
//! [`MAX_V2`]. A header that breaks a rule is an error even when its address could be read.

mod crc32c;
mod preface;
mod tlv;
mod v1;
mod v2;

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;

pub use preface::{Preface, Progress, RefusedPreface};
pub use tlv::{Ssl, Tlv, Tlvs};

/// The longest header of version 1 in bytes, its line end included (section 2.1).
pub const MAX_V1: usize = 107;
/// The longest header of version 2 in bytes that is read, where the specification would allow 65,551.
pub const MAX_V2: usize = 4096;

/// Which versions may be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Versions {
    /// The line of text.
    pub v1: bool,
    /// The binary header.
    pub v2: bool,
}

impl Versions {
    /// Both versions.
    pub const BOTH: Self = Self { v1: true, v2: true };
}

/// What the bytes so far amount to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Parsed<'a> {
    /// So far so good; at least so many bytes in all are needed.
    NeedMore(usize),
    /// A whole header, which takes up the first `consumed` bytes.
    Done {
        /// The header's length; what follows is the connection's own.
        consumed: usize,
        /// What it says.
        header: Header<'a>,
    },
}

/// What a header says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header<'a> {
    /// 1 or 2.
    pub version: u8,
    /// Whether the proxy speaks for itself (`LOCAL`), as for its own health checks. All else that such a header carries,
    /// its family too, is skipped unread.
    pub local: bool,
    /// Source and destination of the proxied connection. `None` when there are none, or none that this connection can
    /// have: `LOCAL`, `UNKNOWN`, `UNSPEC`, Unix sockets and datagrams.
    pub addresses: Option<Addresses>,
    /// What else it tells, in version 2.
    pub tlvs: Tlvs<'a>,
}

/// The two ends of the proxied connection, as the proxy saw them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Addresses {
    /// Who connected to the proxy.
    pub source: SocketAddr,
    /// Where the proxy was connected to.
    pub destination: SocketAddr,
}

/// Reads a header from the start of `bytes`, which hold all that has arrived so far.
///
/// # Errors
///
/// [`BadHeader`]: a wrong signature at its first wrong byte, a line when it has ended or is too long, a binary header
/// when its fixed part is wrong or all of it has come.
///
/// # Examples
///
/// ```
/// use truehop::proxy_protocol::{Parsed, Versions, parse};
///
/// let bytes = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n";
/// let Parsed::Done { consumed, header } = parse(bytes, Versions::BOTH)? else { panic!("it is whole") };
/// assert_eq!(header.addresses.unwrap().source, "192.0.2.1:56324".parse().unwrap());
/// assert_eq!(&bytes[consumed..], b"GET / HTTP/1.1\r\n");
/// # Ok::<(), truehop::proxy_protocol::BadHeader>(())
/// ```
#[inline]
pub fn parse(bytes: &[u8], versions: Versions) -> Result<Parsed<'_>, BadHeader> {
    match (signature(bytes), versions) {
        (Signature::V1, Versions { v1: true, .. }) => v1::parse(bytes),
        (Signature::V2, Versions { v2: true, .. }) => v2::parse(bytes),
        (Signature::V1 | Signature::V2, _) => Err(BadHeader::Version),
        (Signature::Partial(needed), _) => Ok(Parsed::NeedMore(needed)),
        (Signature::None, _) => Err(BadHeader::NoHeader),
    }
}

/// What the first bytes show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Signature {
    V1,
    V2,
    /// The beginning of one; so many bytes decide.
    Partial(usize),
    None,
}

#[inline]
fn signature(bytes: &[u8]) -> Signature {
    if bytes.starts_with(&v1::SIGNATURE) {
        Signature::V1
    } else if bytes.starts_with(&v2::SIGNATURE) {
        Signature::V2
    } else if bytes.is_empty() {
        Signature::Partial(1)
    } else if v1::SIGNATURE.starts_with(bytes) {
        Signature::Partial(v1::SIGNATURE.len())
    } else if v2::SIGNATURE.starts_with(bytes) {
        Signature::Partial(v2::SIGNATURE.len())
    } else {
        Signature::None
    }
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BadHeader {
    /// They do not start with a signature.
    NoHeader,
    /// A header of a version that is not allowed, or not known.
    Version,
    /// Version 1: the line does not end within [`MAX_V1`] bytes, or not with CR LF.
    LineEnd,
    /// Version 1: not `PROXY`, family, two addresses of it and two ports, single blanks between.
    Line,
    /// Version 2: a command that is not assigned, or beside `PROXY` a family or transport that is not.
    Unassigned,
    /// Version 2: longer than [`MAX_V2`], or shorter than the addresses of its family.
    Length,
    /// Version 2: the additional values do not fill the header exactly, or one has an impossible length.
    Tlv,
    /// Version 2: the checksum is wrong.
    Checksum,
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "no PROXY header where one is required",
            Self::Version => "a PROXY header of a version that is not allowed",
            Self::LineEnd => "the PROXY line does not end in CR LF within 107 bytes",
            Self::Line => "the PROXY line is malformed",
            Self::Unassigned => "the PROXY header has an unassigned command, family or transport",
            Self::Length => "the PROXY header's length is impossible",
            Self::Tlv => "the PROXY header's additional values are malformed",
            Self::Checksum => "the PROXY header's checksum is wrong",
        })
    }
}

impl Error for BadHeader {}
