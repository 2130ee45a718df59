//! CRC-32C (Castagnoli, RFC 3720 appendix B.4), as the checksum of version 2 asks for.

/// `TABLES[n][byte]`: what a byte with `n` more behind it does to the checksum. So eight bytes are taken at once, and
/// do not wait for each other ("slicing by eight").
static TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[n - 1][byte];
            tables[n][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
};

/// The checksum of all parts, one after the other.
pub(super) fn crc32c<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    !parts.into_iter().fold(!0, with)
}

/// The checksum so far with more bytes behind it.
fn with(crc: u32, bytes: &[u8]) -> u32 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let crc = eights.iter().fold(crc, |crc, bytes| {
        let mut bytes = *bytes;
        for (byte, crc) in bytes.iter_mut().zip(crc.to_le_bytes()) {
            *byte ^= crc;
        }
        let tables = TABLES.iter().rev();
        tables
            .zip(bytes)
            .fold(0, |crc, (table, byte)| crc ^ table[usize::from(byte)])
    });
    rest.iter().fold(crc, |crc, &byte| {
        (crc >> 8) ^ TABLES[0][usize::from(crc as u8 ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(crc32c([&b"123456789"[..]]), 0xe306_9283);
        assert_eq!(crc32c([&[0; 16][..], &[0; 16]]), 0x8a91_36aa);
        assert_eq!(crc32c([&[0xff; 32][..]]), 0x62a8_ab43);
        assert_eq!(crc32c([]), 0);
    }

    #[test]
    fn parts_of_every_length_make_the_same_whole() {
        let whole: Vec<u8> = (0..64_u8).map(|n| n.wrapping_mul(151)).collect();
        let bit = |crc: u32| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc));
        let expected = !whole.iter().fold(!0, byte);
        for at in 0..=whole.len() {
            let (left, right) = whole.split_at(at);
            assert_eq!(crc32c([left, right]), expected, "{at}");
        }
    }
}
