//! Version 1: one line of text (section 2.1 of the specification).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

use super::{Addresses, BadHeader, Header, MAX_V1, Parsed, Tlvs};
use crate::node::parse_port;

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
    let line = str::from_utf8(line).map_err(|_| BadHeader::Line)?;
    let mut words = line.split(' ').skip(1);
    let addresses = match words.next() {
        // What follows is ignored, whatever it is.
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(addresses(words, |text| {
            text.parse().ok().map(|ip: Ipv4Addr| ip.into())
        })?),
        Some("TCP6") => Some(addresses(words, |text| {
            text.parse().ok().map(|ip: Ipv6Addr| ip.into())
        })?),
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

fn addresses<'a>(
    words: impl Iterator<Item = &'a str>,
    ip: impl Fn(&str) -> Option<IpAddr>,
) -> Result<Addresses, BadHeader> {
    let mut words = words.fuse();
    let mut next = || words.next().ok_or(BadHeader::Line);
    let (source, destination) = (ip(next()?), ip(next()?));
    let (source_port, destination_port) = (parse_port(next()?), parse_port(next()?));
    match (source, source_port, destination, destination_port, words.next()) {
        (Some(source), Some(source_port), Some(destination), Some(destination_port), None) => Ok(Addresses {
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
        }),
        _ => Err(BadHeader::Line),
    }
}
