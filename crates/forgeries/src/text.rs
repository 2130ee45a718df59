//! Texts with words between braces, which stand for what is known only when a request is sent.
//!
//! Invariant: a text has no word that nobody knows and no character that is not a byte, so replacing cannot fail.

use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use thiserror::Error;

use crate::request::{Cast, Place};

/// How often a word may be said at once.
const MOST: usize = 10_000;

/// A text of the file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub(crate) struct Text(Vec<Piece>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Said(Vec<u8>),
    Word(Word, usize),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word {
    Forged(Spelling),
    Trusted,
    Host,
    Path,
}

/// How an address is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spelling {
    Usual,
    Mapped,
    MappedHex,
    SixToFour,
    Nat64,
    Octal,
    Zeros,
    Hex,
    Integer,
    Bytes,
}

/// Why a text of the file has no meaning.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum BadText {
    /// A brace that is not closed.
    #[error("a brace stays open in {0:?}")]
    OpenBrace(String),
    /// A word that is not explained, or is to be said too often.
    #[error("nobody knows the word {{{0}}}")]
    UnknownWord(String),
    /// A character above U+00FF.
    #[error("no single byte is the character {0:?}")]
    NoByte(char),
}

impl Text {
    /// This text, without words.
    pub(crate) fn plain(text: &'static str) -> Self {
        Self(vec![Piece::Said(text.as_bytes().to_vec())])
    }

    /// The path that is asked for.
    pub(crate) fn path() -> Self {
        Self(vec![Piece::Word(Word::Path, 1)])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text as the name of a header, in lower case; words, which no name has, are left out.
    pub(crate) fn header(&self) -> String {
        let said: String = self.said().collect();
        said.trim_start_matches('^').to_ascii_lowercase()
    }

    /// The text, if it can be the name of a header as it is.
    pub(crate) fn token(&self) -> Option<&str> {
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        match self.0.as_slice() {
            [Piece::Said(bytes)] if bytes.iter().all(is_token) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Whether it is the forged address as proxies write it: alone, with a port, or as `Forwarded` wants it.
    pub(crate) fn is_plain_claim(&self) -> bool {
        self.plain_claim_of(Ipv4Addr::UNSPECIFIED.into(), "").is_some()
    }

    /// This claim with another address, as the proxies write it that have the header, which is in lower case. None if this is
    /// no plain claim.
    pub(crate) fn plain_claim_of(&self, ip: IpAddr, header: &str) -> Option<String> {
        let is_port = |said: &[u8]| {
            said.strip_prefix(b":")
                .is_some_and(|port| (1..=4).contains(&port.len()) && port.iter().all(u8::is_ascii_digit))
        };
        match self.0.as_slice() {
            [Piece::Word(Word::Forged(Spelling::Usual), 1)] => Some(ip.to_string()),
            [Piece::Word(Word::Forged(Spelling::Usual), 1), Piece::Said(port)] if is_port(port) => {
                let port = String::from_utf8_lossy(port);
                // CloudFront writes no brackets.
                Some(match ip.is_ipv4() || header == "cloudfront-viewer-address" {
                    true => format!("{ip}{port}"),
                    false => format!("[{ip}]{port}"),
                })
            }
            [Piece::Said(begin), Piece::Word(Word::Forged(Spelling::Usual), 1)] if begin == b"for=" => {
                Some(match ip {
                    IpAddr::V4(ip) => format!("for={ip}"),
                    // RFC 7239, section 6.
                    IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
                })
            }
            _ => None,
        }
    }

    /// Whether a line of it is a field of this name, in lower case.
    pub(crate) fn has_line_of(&self, name: &str) -> bool {
        let said: String = self.said().collect();
        said.split('\n')
            .filter_map(|line| line.split_once(':'))
            .any(|(had, _)| had.eq_ignore_ascii_case(name))
    }

    fn said(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Said(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Piece::Word(..) => None,
        })
    }

    /// The text's bytes, with every word replaced.
    pub(crate) fn say(&self, cast: &Cast, place: &Place<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Said(said) => bytes.extend_from_slice(said),
                Piece::Word(word, times) => {
                    let meaning = word.meaning(cast, place);
                    bytes.extend(vec![meaning; *times].join(&b", "[..]));
                }
            }
        }
        bytes
    }
}

impl TryFrom<String> for Text {
    type Error = BadText;

    fn try_from(text: String) -> Result<Self, BadText> {
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, from)) = rest.split_once('{') {
            let (word, after) = from
                .split_once('}')
                .ok_or_else(|| BadText::OpenBrace(text.clone()))?;
            pieces.push(Piece::Said(latin1(before)?));
            pieces.push(repeated(word).ok_or_else(|| BadText::UnknownWord(word.to_owned()))?);
            rest = after;
        }
        pieces.push(Piece::Said(latin1(rest)?));
        pieces.retain(|piece| !matches!(piece, Piece::Said(said) if said.is_empty()));
        Ok(Self(pieces))
    }
}

/// `word`, or `word*3`.
fn repeated(word: &str) -> Option<Piece> {
    let (word, times) = match word.split_once('*') {
        Some((word, times)) => (word, times.parse().ok().filter(|times| *times <= MOST)?),
        None => (word, 1),
    };
    Some(Piece::Word(Word::find(word)?, times))
}

/// One byte for each character, as the file means it.
fn latin1(text: &str) -> Result<Vec<u8>, BadText> {
    text.chars()
        .map(|c| u8::try_from(c).map_err(|_| BadText::NoByte(c)))
        .collect()
}

impl Word {
    fn find(word: &str) -> Option<Self> {
        Some(match word {
            "forged" => Self::Forged(Spelling::Usual),
            "forged.mapped" => Self::Forged(Spelling::Mapped),
            "forged.mapped-hex" => Self::Forged(Spelling::MappedHex),
            "forged.6to4" => Self::Forged(Spelling::SixToFour),
            "forged.nat64" => Self::Forged(Spelling::Nat64),
            "forged.octal" => Self::Forged(Spelling::Octal),
            "forged.zeros" => Self::Forged(Spelling::Zeros),
            "forged.hex" => Self::Forged(Spelling::Hex),
            "forged.integer" => Self::Forged(Spelling::Integer),
            "forged.bytes" => Self::Forged(Spelling::Bytes),
            "trusted" => Self::Trusted,
            "host" => Self::Host,
            "path" => Self::Path,
            _ => return None,
        })
    }

    fn meaning(self, cast: &Cast, place: &Place<'_>) -> Vec<u8> {
        match self {
            Self::Forged(Spelling::Bytes) => cast.forged.octets().to_vec(),
            Self::Forged(spelling) => spelling.of(cast.forged).into_bytes(),
            Self::Trusted => cast.trusted.to_string().into_bytes(),
            Self::Host => place.host.as_bytes().to_vec(),
            Self::Path => place.path.as_bytes().to_vec(),
        }
    }
}

impl Spelling {
    fn of(self, ip: Ipv4Addr) -> String {
        let [a, b, c, d] = ip.octets();
        match self {
            Self::Usual => ip.to_string(),
            Self::Mapped => format!("::ffff:{ip}"),
            Self::MappedHex => format!("::ffff:{:x}:{:x}", ip.to_bits() >> 16, ip.to_bits() & 0xffff),
            Self::SixToFour => format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
            Self::Nat64 => format!("64:ff9b::{ip}"),
            Self::Octal => format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            Self::Zeros => format!("{a:03}.{b:03}.{c:03}.{d:03}"),
            Self::Hex => format!("0x{:08x}", ip.to_bits()),
            Self::Integer => ip.to_bits().to_string(),
            Self::Bytes => [a, b, c, d].map(char::from).iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_the_same_address_in_many_spellings() {
        let cast = Cast {
            forged: Ipv4Addr::new(203, 0, 113, 96),
            trusted: Ipv4Addr::new(192, 168, 0, 10),
        };
        let place = Place {
            host: "edge.test",
            path: "/whoami",
            beside: &[],
        };
        for (word, meaning) in [
            ("forged", &b"203.0.113.96"[..]),
            ("forged.mapped", b"::ffff:203.0.113.96"),
            ("forged.mapped-hex", b"::ffff:cb00:7160"),
            ("forged.6to4", b"2002:cb00:7160::1"),
            ("forged.nat64", b"64:ff9b::203.0.113.96"),
            ("forged.octal", b"0313.00.0161.0140"),
            ("forged.zeros", b"203.000.113.096"),
            ("forged.hex", b"0xcb007160"),
            ("forged.integer", b"3405803872"),
            ("forged.bytes", b"\xcb\x00\x71\x60"),
            ("trusted*2", b"192.168.0.10, 192.168.0.10"),
            ("host", b"edge.test"),
            ("path", b"/whoami"),
        ] {
            let text = Text::try_from(format!("<{{{word}}}\u{e9}>")).unwrap();
            let said = text.say(&cast, &place);
            assert_eq!(said, [b"<", meaning, b"\xe9>"].concat(), "{word}");
        }
    }

    #[test]
    fn a_word_that_is_said_without_end_is_none() {
        for word in ["{forged*10001}", "{forged*}", "{forged*-1}", "{}"] {
            let bad = Text::try_from(word.to_owned()).unwrap_err();
            assert!(matches!(bad, BadText::UnknownWord(_)), "{bad}");
        }
    }
}
