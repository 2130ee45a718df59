//! Version 2: the binary header (section 2.2 of the specification).

use std::net::{IpAddr, SocketAddr};

use super::crc32c::crc32c;
use super::{Addresses, BadHeader, Header, MAX_V2, Parsed, Tlvs};

pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, and the length of the rest.
const FIXED: usize = 16;

/// Reads a header whose signature has been seen.
#[inline]
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, BadHeader> {
    let Some(&[version_command, family_transport, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return Ok(Parsed::NeedMore(FIXED));
    };
    let local = match version_command {
        0x20 => true,
        0x21 => false,
        other if other >> 4 == 2 => return Err(BadHeader::Unassigned),
        _ => return Err(BadHeader::Version),
    };
    let (family, transport) = (family_transport >> 4, family_transport & 0xf);
    // A LOCAL header is valid whatever family it names: that is ignored like all it carries.
    if !local && (family > 3 || transport > 2) {
        return Err(BadHeader::Unassigned);
    }
    let whole = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if whole > MAX_V2 {
        return Err(BadHeader::Length);
    }
    let Some(body) = bytes.get(FIXED..whole) else {
        return Ok(Parsed::NeedMore(whole));
    };
    let (mut told, mut tlvs) = (None, Tlvs::EMPTY);
    // What a LOCAL header or one of no family carries is to be skipped unread.
    if !local && family != 0 {
        let block = match family {
            1 => 12,
            2 => 36,
            _ => 216,
        };
        let (block, rest) = body.split_at_checked(block).ok_or(BadHeader::Length)?;
        tlvs = Tlvs::check(rest)?;
        if let Some((at, checksum)) = tlvs.checksum()? {
            verify(&bytes[..whole], whole - rest.len() + at, checksum)?;
        }
        // Datagrams do not come over a stream: then the proxy speaks of some other connection.
        if transport == 1 {
            told = Some(block);
        }
    }
    Ok(Parsed::Done {
        consumed: whole,
        header: Header {
            version: 2,
            local,
            addresses: told.and_then(addresses),
            tlvs,
        },
    })
}

#[inline(always)]
fn addresses(block: &[u8]) -> Option<Addresses> {
    let (source, destination, ports): (IpAddr, IpAddr, _) = if let Ok(block) = <&[u8; 12]>::try_from(block) {
        let [a, b, c, d, e, f, g, h, ports @ ..] = *block;
        ([a, b, c, d].into(), [e, f, g, h].into(), ports)
    } else {
        let block = <&[u8; 36]>::try_from(block).ok()?;
        let (source, rest) = block.split_first_chunk::<16>()?;
        let (destination, ports) = rest.split_first_chunk::<16>()?;
        (
            (*source).into(),
            (*destination).into(),
            <[u8; 4]>::try_from(ports).ok()?,
        )
    };
    let [a, b, c, d] = ports;
    Some(Addresses {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    })
}

/// The checksum covers the whole header with its own four bytes taken as zero (section 2.2.3).
fn verify(whole: &[u8], at: usize, checksum: [u8; 4]) -> Result<(), BadHeader> {
    let computed = crc32c([&whole[..at], &[0; 4], &whole[at + 4..]]);
    match computed.to_be_bytes() == checksum {
        true => Ok(()),
        false => Err(BadHeader::Checksum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version_command: u8, family_transport: u8, body: &[u8]) -> Vec<u8> {
        let fixed = [version_command, family_transport, 0, body.len() as u8];
        [&SIGNATURE[..], &fixed, body].concat()
    }

    #[test]
    fn a_local_header_is_valid_whatever_family_it_names_and_whatever_it_carries() {
        for family_transport in 0..=0xff {
            for body in [&[][..], &[9, 9, 9], &[0xff; 36]] {
                let bytes = header(0x20, family_transport, body);
                let Ok(Parsed::Done { consumed, header }) = parse(&bytes) else {
                    panic!("{family_transport:#x}");
                };
                assert_eq!(consumed, FIXED + body.len());
                assert!(header.local && header.addresses.is_none() && header.tlvs.iter().next().is_none());
            }
        }
    }

    #[test]
    fn a_proxied_connection_is_of_an_assigned_family_and_transport() {
        for family_transport in 0..=0xff_u8 {
            let assigned = family_transport >> 4 <= 3 && family_transport & 0xf <= 2;
            let outcome = parse(&header(0x21, family_transport, &[1; 216])).map(|_| ());
            match outcome {
                Err(BadHeader::Unassigned) => assert!(!assigned, "{family_transport:#x}"),
                // What follows the shorter addresses are no values.
                _ => assert!(assigned, "{family_transport:#x}: {outcome:?}"),
            }
        }
        for command in 2..=0xf_u8 {
            assert_eq!(
                parse(&header(0x20 | command, 0x11, &[0; 12])),
                Err(BadHeader::Unassigned)
            );
        }
    }
}
