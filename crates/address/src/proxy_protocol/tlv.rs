//! The additional values of version 2 (section 2.2 of the specification, "type-length-value vectors").
//!
//! Invariant: a [`Tlvs`] that was handed out has been checked: iterating it cannot fail.

use std::fmt;

use super::BadHeader;

/// What stands before each value: one byte and two.
const TYPE_AND_LENGTH: usize = 3;

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const NOOP: u8 = 0x04;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const NETNS: u8 = 0x30;

/// The longest unique id (section 2.2.5).
const LONGEST_UNIQUE_ID: usize = 128;

/// One additional value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Tlv<'a> {
    /// The protocol that was negotiated above TLS, such as `h2`.
    Alpn(&'a [u8]),
    /// The host name that the client asked TLS for (SNI).
    Authority(&'a [u8]),
    /// The header's checksum, which has been verified.
    Crc32c(u32),
    /// An id of the connection, at most 128 bytes.
    UniqueId(&'a [u8]),
    /// What the proxy knows about the client's TLS.
    Ssl(Ssl<'a>),
    /// The network namespace of the connection.
    Netns(&'a [u8]),
    /// Anything else, such as the cloud vendors' own: AWS 0xEA, Azure 0xEE, Google 0xE0.
    Other {
        /// The value's type.
        kind: u8,
        /// Its bytes.
        value: &'a [u8],
    },
}

/// What the proxy knows about the client's TLS (section 2.2.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ssl<'a> {
    client: u8,
    /// Zero when the client showed a certificate that was verified.
    pub verify: u32,
    values: &'a [u8],
}

impl<'a> Ssl<'a> {
    /// Whether the client spoke TLS to the proxy.
    pub fn is_tls(&self) -> bool {
        self.client & 1 != 0
    }

    /// Whether the client showed a certificate on this connection.
    pub fn has_certificate(&self) -> bool {
        self.client & 2 != 0
    }

    /// Type and bytes of each part: 0x21 version, 0x22 common name, 0x23 cipher, 0x24 signature, 0x25 key.
    pub fn values(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        Raw(self.values).filter_map(Result::ok)
    }
}

/// The additional values of a header, in order.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    pub(super) const EMPTY: Self = Self(&[]);

    /// Checks the values; they must fill `bytes` exactly.
    pub(super) fn check(bytes: &'a [u8]) -> Result<Self, BadHeader> {
        for tlv in Raw(bytes) {
            let (kind, value) = tlv?;
            match kind {
                CRC32C if value.len() != 4 => return Err(BadHeader::Tlv),
                UNIQUE_ID if value.len() > LONGEST_UNIQUE_ID => return Err(BadHeader::Tlv),
                SSL => {
                    let parts = value.get(5..).ok_or(BadHeader::Tlv)?;
                    Raw(parts).try_for_each(|part| part.map(|_| ()))?;
                }
                _ => {}
            }
        }
        Ok(Self(bytes))
    }

    /// The checksum and where it stands in these bytes, when there is one.
    pub(super) fn checksum(self) -> Result<Option<(usize, [u8; 4])>, BadHeader> {
        let (mut at, mut found) = (0, None);
        for tlv in Raw(self.0) {
            let (kind, value) = tlv?;
            if kind == CRC32C {
                let checksum = value.try_into().map_err(|_| BadHeader::Tlv)?;
                if found.replace((at + TYPE_AND_LENGTH, checksum)).is_some() {
                    return Err(BadHeader::Tlv);
                }
            }
            at += TYPE_AND_LENGTH + value.len();
        }
        Ok(found)
    }

    /// The values, in order. Padding is left out.
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'a>> {
        Raw(self.0)
            .filter_map(Result::ok)
            .filter(|(kind, _)| *kind != NOOP)
            .map(|(kind, value)| match kind {
                ALPN => Tlv::Alpn(value),
                AUTHORITY => Tlv::Authority(value),
                UNIQUE_ID => Tlv::UniqueId(value),
                NETNS => Tlv::Netns(value),
                CRC32C => match *value {
                    [a, b, c, d] => Tlv::Crc32c(u32::from_be_bytes([a, b, c, d])),
                    _ => Tlv::Other { kind, value },
                },
                SSL => match *value {
                    [client, a, b, c, d, ref values @ ..] => Tlv::Ssl(Ssl {
                        client,
                        verify: u32::from_be_bytes([a, b, c, d]),
                        values,
                    }),
                    _ => Tlv::Other { kind, value },
                },
                _ => Tlv::Other { kind, value },
            })
    }
}

impl fmt::Debug for Tlvs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Splits type, length and value; ends after the first that does not fit.
struct Raw<'a>(&'a [u8]);

impl<'a> Iterator for Raw<'a> {
    type Item = Result<(u8, &'a [u8]), BadHeader>;

    fn next(&mut self) -> Option<Self::Item> {
        let [kind, high, low, rest @ ..] = self.0 else {
            let left = std::mem::take(&mut self.0);
            return (!left.is_empty()).then_some(Err(BadHeader::Tlv));
        };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        match rest.split_at_checked(len) {
            Some((value, rest)) => {
                self.0 = rest;
                Some(Ok((*kind, value)))
            }
            None => {
                self.0 = &[];
                Some(Err(BadHeader::Tlv))
            }
        }
    }
}
