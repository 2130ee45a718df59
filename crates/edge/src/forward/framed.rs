//! A piece of a body with the framing that its receiver needs, behind a head or alone, in one call.
//!
//! Invariant: only what this server writes frames a body; the sender's chunks and their extensions end here.

use std::io::{self, IoSlice, Write as _};

use truehop_http1::trailer_fields;

use crate::outward;
use crate::stream::Stream;

/// Content on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framed<'a> {
    pub(super) content: &'a [u8],
    /// Whether the receiver gets chunks.
    pub(super) chunked: bool,
    /// The body ends here: the trailer section that came with its end.
    pub(super) ended: Option<&'a [u8]>,
}

/// A write that failed.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) error: io::Error,
    /// Whether anything had left before.
    pub(super) begun: bool,
}

/// Writes `head`, which may be nothing, and then `framed`.
pub(super) async fn write_framed<'a>(
    stream: &Stream,
    head: impl Iterator<Item = &'a [u8]>,
    framed: Framed<'a>,
) -> Result<(), Stopped> {
    let mut size = [0; 18];
    let mut last = Vec::new();
    let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(16);
    slices.extend(head.map(|piece: &[u8]| IoSlice::new(piece)));
    if !framed.chunked {
        slices.push(IoSlice::new(framed.content));
    } else if !framed.content.is_empty() {
        let mut rest = &mut size[..];
        // Sixteen digits and a line end fit.
        let _ = write!(rest, "{:x}\r\n", framed.content.len());
        let unused = rest.len();
        slices.push(IoSlice::new(&size[..size.len() - unused]));
        slices.push(IoSlice::new(framed.content));
        slices.push(IoSlice::new(b"\r\n"));
    }
    if let (true, Some(trailers)) = (framed.chunked, framed.ended) {
        last.extend_from_slice(b"0\r\n");
        keep_trailers(trailers, &mut last);
        last.extend_from_slice(b"\r\n");
        slices.push(IoSlice::new(&last));
    }
    let mut written = 0;
    match stream.write_all_counting(&mut slices, &mut written).await {
        Ok(()) => Ok(()),
        Err(error) => Err(Stopped {
            error,
            begun: written > 0,
        }),
    }
}

/// Copies the trailer fields that may go on (RFC 9110 section 6.5.1): none that frames, routes, or claims an address.
fn keep_trailers(section: &[u8], kept: &mut Vec<u8>) {
    for field in trailer_fields(section) {
        // No policy reads trailers, so the names that everybody knows are enough.
        if is_forbidden(field.name) || outward::is_claim(field, None) {
            continue;
        }
        for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
            kept.extend_from_slice(part);
        }
    }
}

/// Fields that a receiver which merges trailers into the head would obey.
fn is_forbidden(name: &str) -> bool {
    const NAMES: [&str; 24] = [
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "location",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "www-authenticate",
        "x-request-id",
    ];
    NAMES.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}
