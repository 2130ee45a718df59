//! How long a message's body says it is (RFC 9112 section 6).
//!
//! Invariant: a message has one length. What two readers could frame differently is an error: both ways to say it, one
//! way twice, a number that is not only digits, a coding that is not exactly `chunked`.
//!
//! What the RFC leaves open is decided so: `chunked` alone, in any case, is read; a well-formed list of other codings, with
//! or without `chunked` at its end, is [`BadHead::UnknownCoding`] (501, section 6.1), although section 6.3 would also allow
//! 400; everything else in the field (`chunked` twice, before another, with parameters or with empty elements around) is
//! [`BadHead::TransferEncoding`] (400).

use crate::bytes::{is_token, trim};
use crate::head::{BadHead, Version};

/// What the framing fields of a message say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    content_length: Option<u64>,
    coding: Option<Coding>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Coding {
    Chunked,
    Unknown,
}

impl Framing {
    /// The declared length.
    pub(crate) fn content_length(self) -> Option<u64> {
        self.content_length
    }

    /// Whether the body is chunked.
    pub(crate) fn is_chunked(self) -> bool {
        self.coding.is_some()
    }

    /// Reads a `Content-Length` line.
    pub(crate) fn note_length(&mut self, value: &[u8]) -> Result<(), BadHead> {
        if self.content_length.is_some() {
            return Err(BadHead::SeveralContentLengths);
        }
        self.content_length = Some(length(value)?);
        Ok(())
    }

    /// Reads a `Transfer-Encoding` line.
    pub(crate) fn note_encoding(&mut self, value: &[u8]) -> Result<(), BadHead> {
        if self.coding.is_some() {
            return Err(BadHead::SeveralTransferEncodings);
        }
        self.coding = Some(coding(value)?);
        Ok(())
    }

    /// Looks at what only all fields together say.
    pub(crate) fn check(self, version: Version) -> Result<(), BadHead> {
        match self.coding {
            None => Ok(()),
            Some(_) if version == Version::Http10 => Err(BadHead::TransferEncodingInHttp10),
            Some(_) if self.content_length.is_some() => Err(BadHead::LengthAndEncoding),
            Some(Coding::Unknown) => Err(BadHead::UnknownCoding),
            Some(Coding::Chunked) => Ok(()),
        }
    }
}

/// `1*DIGIT`.
fn length(value: &[u8]) -> Result<u64, BadHead> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(BadHead::ContentLength);
    }
    value
        .iter()
        .try_fold(0_u64, |length, digit| {
            length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .ok_or(BadHead::ContentLengthTooLarge)
}

/// `transfer-coding *( OWS "," OWS transfer-coding )`, `chunked` at most once, and then last.
fn coding(value: &[u8]) -> Result<Coding, BadHead> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Coding::Chunked);
    }
    // Commas and semicolons inside quoted parameters would need a tokenizer; no such coding exists, and 400 is as good.
    let mut elements = value.split(|&byte| byte == b',').map(trim).peekable();
    while let Some(element) = elements.next() {
        let name = element.split(|&byte| byte == b';').next().unwrap_or_default();
        let is_last = elements.peek().is_none();
        if !is_token(trim(name))
            || (trim(name).eq_ignore_ascii_case(b"chunked") && (!is_last || name.len() < element.len()))
        {
            return Err(BadHead::TransferEncoding);
        }
    }
    Ok(Coding::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_digits_only() {
        for (value, read) in [
            ("0", Ok(0)),
            ("42", Ok(42)),
            ("0042", Ok(42)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("18446744073709551616", Err(BadHead::ContentLengthTooLarge)),
            ("99999999999999999999999", Err(BadHead::ContentLengthTooLarge)),
        ] {
            assert_eq!(length(value.as_bytes()), read, "{value:?}");
        }
        for value in [
            "", "+1", "-1", "1 2", "1,1", "0x10", "1.0", "1e3", "1_0", "\u{661}", "1;",
        ] {
            assert_eq!(length(value.as_bytes()), Err(BadHead::ContentLength), "{value:?}");
        }
    }

    #[test]
    fn only_chunked_alone_is_read() {
        for value in ["chunked", "Chunked", "CHUNKED"] {
            assert_eq!(coding(value.as_bytes()), Ok(Coding::Chunked), "{value:?}");
        }
        for value in [
            "gzip",
            "gzip, chunked",
            "identity",
            "xchunked",
            "gzip;q=1 ,chunked",
            "chunke",
        ] {
            assert_eq!(coding(value.as_bytes()), Ok(Coding::Unknown), "{value:?}");
        }
        for value in [
            "",
            ",",
            "chunked,",
            ",chunked",
            "chunked, chunked",
            "chunked, gzip",
            "chunked;q=1",
            "chunked ;",
            "\"chunked\"",
            "chun ked",
            "gzip chunked",
            "gzip,,chunked",
            "=",
        ] {
            assert_eq!(
                coding(value.as_bytes()),
                Err(BadHead::TransferEncoding),
                "{value:?}"
            );
        }
    }

    #[test]
    fn te_cl() {
        let framing = |length: &[&str], encoding: &[&str], version| {
            let mut framing = Framing::default();
            for value in length {
                framing.note_length(value.as_bytes())?;
            }
            for value in encoding {
                framing.note_encoding(value.as_bytes())?;
            }
            framing.check(version)
        };
        use Version::{Http10, Http11};
        assert_eq!(framing(&["1"], &[], Http11), Ok(()));
        assert_eq!(framing(&[], &["chunked"], Http11), Ok(()));
        assert_eq!(
            framing(&["0"], &["chunked"], Http11),
            Err(BadHead::LengthAndEncoding)
        );
        assert_eq!(
            framing(&["1"], &["gzip"], Http11),
            Err(BadHead::LengthAndEncoding)
        );
        assert_eq!(
            framing(&["1", "1"], &[], Http11),
            Err(BadHead::SeveralContentLengths)
        );
        assert_eq!(
            framing(&[], &["chunked", "chunked"], Http11),
            Err(BadHead::SeveralTransferEncodings)
        );
        assert_eq!(
            framing(&[], &["chunked"], Http10),
            Err(BadHead::TransferEncodingInHttp10)
        );
        assert_eq!(
            framing(&[], &["gzip, chunked"], Http11),
            Err(BadHead::UnknownCoding)
        );
    }
}
