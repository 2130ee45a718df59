//! Version 1: one line of text (section 2.1 of the specification).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str;

use super::{Addresses, BadHeader, Header, MAX_V1, Parsed, Tlvs};
use crate::node::{parse_port, read_v4};

pub(super) const SIGNATURE: [u8; 6] = *b"PROXY ";

/// Reads a line whose signature has been seen.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, BadHeader> {
    let window = &bytes[..bytes.len().min(MAX_V1)];
    let Some(line_feed) = window.iter().position(|&b| b == b'\n') else {
        return match bytes.len() {
            0..MAX_V1 => Ok(Parsed::NeedMore(bytes.len() + 1)),
            _ => Err(BadHeader::LineEnd),
        };
    };
    let line = window[..line_feed]
        .strip_suffix(b"\r")
        .ok_or(BadHeader::LineEnd)?;
    let (family, rest) = word(&line[SIGNATURE.len()..]);
    let addresses = match (family, rest) {
        // What follows is ignored, whatever it is: any bytes but a line feed.
        (b"UNKNOWN", _) => None,
        (b"TCP4", Some(rest)) => Some(addresses(rest, |text| read_v4(text).map(IpAddr::V4))?),
        (b"TCP6", Some(rest)) => Some(addresses(rest, read_v6)?),
        _ => return Err(BadHeader::Line),
    };
    let header = Header {
        version: 1,
        local: false,
        addresses,
        tlvs: Tlvs::EMPTY,
    };
    Ok(Parsed::Done {
        consumed: line_feed + 1,
        header,
    })
}

/// Two addresses and two ports, single blanks between.
fn addresses(text: &[u8], ip: impl Fn(&[u8]) -> Option<IpAddr>) -> Result<Addresses, BadHeader> {
    let four = || {
        let (source, rest) = word(text);
        let (destination, rest) = word(rest?);
        let (source_port, rest) = word(rest?);
        Some(Addresses {
            source: SocketAddr::new(ip(source)?, parse_port(source_port)?),
            destination: SocketAddr::new(ip(destination)?, parse_port(rest?)?),
        })
    };
    four().ok_or(BadHeader::Line)
}

/// The bytes up to the first blank, and what follows it; `None` when there is no blank.
fn word(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&b| b == b' ') {
        Some(blank) => (&text[..blank], Some(&text[blank + 1..])),
        None => (text, None),
    }
}

fn read_v6(text: &[u8]) -> Option<IpAddr> {
    let ip: Ipv6Addr = str::from_utf8(text).ok()?.parse().ok()?;
    Some(ip.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &[u8]) -> Result<Option<Addresses>, BadHeader> {
        match parse(line)? {
            Parsed::Done { consumed, header } => {
                assert_eq!((consumed, header.version), (line.len(), 1));
                Ok(header.addresses)
            }
            Parsed::NeedMore(_) => panic!("{} is whole", line.escape_ascii()),
        }
    }

    #[test]
    fn what_follows_unknown_is_ignored_whatever_it_is() {
        for ignored in [
            &b""[..],
            b" ",
            b" 1.2.3.4",
            b" \xff\xfe",
            b" \0\x01\r\t",
            b" a  b ",
        ] {
            let line = [b"PROXY UNKNOWN", ignored, b"\r\n"].concat();
            assert_eq!(told(&line), Ok(None), "{}", line.escape_ascii());
        }
        // Up to the longest line, and no further.
        let longest = [&b"PROXY UNKNOWN "[..], &[0xff; MAX_V1 - 16], b"\r\n"].concat();
        assert_eq!(told(&longest), Ok(None));
        let longer = [&b"PROXY UNKNOWN "[..], &[0xff; MAX_V1 - 15], b"\r\n"].concat();
        assert_eq!(told(&longer), Err(BadHeader::LineEnd));
    }

    #[test]
    fn a_word_that_only_begins_like_unknown_is_refused() {
        for line in [
            &b"PROXY UNKNOWNX\r\n"[..],
            b"PROXY UNKNOWN\xff\r\n",
            b"PROXY unknown\r\n",
            b"PROXY \r\n",
        ] {
            assert_eq!(told(line), Err(BadHeader::Line), "{}", line.escape_ascii());
        }
        assert_eq!(told(b"PROXY UNKNOWN a\nb\r\n"), Err(BadHeader::LineEnd));
    }

    #[test]
    fn the_words_are_four_with_single_blanks_between() {
        let ends = told(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(ends.source, "192.0.2.1:56324".parse().unwrap());
        assert_eq!(ends.destination, "192.0.2.2:443".parse().unwrap());
        for line in [
            "TCP4",
            "TCP4 ",
            "TCP4 192.0.2.1 192.0.2.2 1",
            "TCP4 192.0.2.1 192.0.2.2 1 ",
            "TCP4 192.0.2.1 192.0.2.2 1 2 ",
            "TCP4 192.0.2.1 192.0.2.2 1 2 3",
            "TCP4  192.0.2.1 192.0.2.2 1 2",
            "TCP4 192.0.2.1 192.0.2.2 1 02",
            "TCP4 ::1 ::1 1 2",
            "TCP6 192.0.2.1 192.0.2.2 1 2",
            "TCP6 ::1 fe80::1%2 1 2",
        ] {
            let line = format!("PROXY {line}\r\n");
            assert_eq!(told(line.as_bytes()), Err(BadHeader::Line), "{line:?}");
        }
    }
}
