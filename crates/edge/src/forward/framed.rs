//! A piece of a body with the framing that its receiver needs, behind a head or alone, in one call.
//!
//! Invariant: only what this server writes frames a body; the sender's chunks and their extensions end here.

use std::io::{IoSlice, Write as _};
use std::time::Duration;

use truehop_http1::trailer_fields;

use crate::outward;
use crate::stream::Stream;
use crate::wire::{Clock, Content, Unwritten, write_all};

/// Content on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framed<'a> {
    pub(super) content: &'a [u8],
    /// Whether the receiver gets chunks.
    pub(super) chunked: bool,
    /// The body ends here: the trailer section that came with its end.
    pub(super) ended: Option<&'a [u8]>,
}

/// Up to this size it is cheaper to put the parts together than to have the kernel collect them.
const SMALL: usize = 4 * 1024;

/// Whoever gets a message, and how long it may take nothing.
pub(super) struct Receiver<'a> {
    pub(super) stream: &'a Stream,
    pub(super) clock: &'a mut Clock,
    pub(super) limit: Duration,
}

impl Receiver<'_> {
    /// Writes a head and what there is of its body. `text` is room to put small things together; `count` tells how much
    /// has left also when it fails.
    pub(super) async fn write_head<'a>(
        self,
        text: &mut Vec<u8>,
        head: impl Iterator<Item = &'a [u8]> + Clone,
        framed: Framed<'a>,
        count: &mut usize,
    ) -> Result<(), Unwritten> {
        match framed.small(head.clone(), text) {
            Some(small) => {
                write_all(
                    self.stream,
                    self.clock,
                    self.limit,
                    &mut [IoSlice::new(small)],
                    count,
                )
                .await
            }
            None => self.write(head, framed, count).await,
        }
    }

    /// Writes `head`, which may be nothing, and then `framed`.
    pub(super) async fn write<'a>(
        self,
        head: impl Iterator<Item = &'a [u8]>,
        framed: Framed<'a>,
        count: &mut usize,
    ) -> Result<(), Unwritten> {
        let mut size = [0; 18];
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
            slices.push(IoSlice::new(b"0\r\n"));
            slices.push(IoSlice::new(trailers));
            slices.push(IoSlice::new(b"\r\n"));
        }
        write_all(self.stream, self.clock, self.limit, &mut slices, count).await
    }
}

impl<'a> Framed<'a> {
    /// What a body's reader has gathered at the front of `bytes`.
    pub(super) fn new(bytes: &'a [u8], content: &'a Content, chunked: bool) -> Self {
        Self {
            content: bytes.get(..content.len).unwrap_or_default(),
            chunked,
            ended: content.trailers.as_deref(),
        }
    }

    /// All in one piece, unless it is large.
    fn small<'h, 't>(
        &self,
        mut head: impl Iterator<Item = &'h [u8]>,
        text: &'t mut Vec<u8>,
    ) -> Option<&'t [u8]> {
        if self.ended.is_some() || self.content.len() > SMALL {
            return None;
        }
        text.clear();
        head.try_for_each(|piece| {
            text.extend_from_slice(piece);
            (text.len() <= SMALL).then_some(())
        })?;
        if self.chunked && !self.content.is_empty() {
            // Writing to a Vec cannot fail.
            let _ = write!(text, "{:x}\r\n", self.content.len());
            text.extend_from_slice(self.content);
            text.extend_from_slice(b"\r\n");
        } else {
            text.extend_from_slice(self.content);
        }
        Some(text)
    }
}

/// The trailer fields that may go on (RFC 9110 section 6.5.1): none that frames, routes, or claims an address. `reads` is
/// the header that the policy reads.
pub(super) fn kept_trailers(section: &[u8], reads: Option<&str>) -> Vec<u8> {
    let mut kept = Vec::new();
    for field in trailer_fields(section) {
        if is_forbidden(field.name) || outward::is_claim(field, reads) {
            continue;
        }
        for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
            kept.extend_from_slice(part);
        }
    }
    kept
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
