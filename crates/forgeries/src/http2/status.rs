//! The status of an answer, out of its field block: RFC 7541, as far as the first field of a connection needs it.

/// Where `:status` stands in the static table (appendix A), with these values.
const FIRST: usize = 8;
const VALUES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// The status, if the block begins with one that can be read without a dynamic table.
pub(super) fn of(block: &[u8]) -> Option<u16> {
    let mut rest = block;
    loop {
        let (first, behind) = rest.split_first()?;
        match first {
            // Section 6.1: name and value stand in the table.
            0x80.. => return VALUES.get(usize::from(first & 0x7f).checked_sub(FIRST)?).copied(),
            // Section 6.3: the table's size, and then the field.
            0x20..=0x3f => rest = behind_size(first & 0x1f, behind)?,
            // Section 6.2: only the name does.
            0x40..=0x7f => return named(first & 0x3f, behind),
            0x00..=0x1f => return named(first & 0x0f, behind),
        }
    }
}

/// What follows a number of five bits that may go on (section 5.1).
fn behind_size(bits: u8, bytes: &[u8]) -> Option<&[u8]> {
    if bits < 0x1f {
        return Some(bytes);
    }
    let last = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    bytes.get(last + 1..)
}

fn named(index: u8, value: &[u8]) -> Option<u16> {
    usize::from(index)
        .checked_sub(FIRST)
        .filter(|at| *at < VALUES.len())?;
    let (length, rest) = value.split_first()?;
    let text = rest.get(..usize::from(length & 0x7f))?;
    match length & 0x80 {
        0 => number(text.iter().map(|byte| byte.checked_sub(b'0'))),
        _ => number(digits(text).into_iter().map(Some)),
    }
}

/// Three digits.
fn number(digits: impl Iterator<Item = Option<u8>>) -> Option<u16> {
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    match digits[..] {
        [a @ 1..=5, b @ 0..=9, c @ 0..=9] => Some(u16::from(a) * 100 + u16::from(b) * 10 + u16::from(c)),
        _ => None,
    }
}

/// Digits in Huffman's code (appendix B): 0 to 2 are five bits, 0 to 2; the others six, from 25 on. Up to what is none.
pub(super) fn digits(text: &[u8]) -> Vec<u8> {
    let mut bits = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut digits = Vec::new();
    loop {
        let five: Vec<u8> = bits.by_ref().take(5).collect();
        let code = five.iter().fold(0, |code, bit| code << 1 | bit);
        match code {
            _ if five.len() < 5 => return digits,
            0..=2 => digits.push(code),
            12..=15 => match bits.next().map(|bit| code << 1 | bit) {
                Some(code @ 25..=31) => digits.push(code - 22),
                _ => return digits,
            },
            _ => return digits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_servers_write_it() {
        // RFC 7541, appendix C.6 for the codes of 302 and 307.
        for (block, status) in [
            (&[0x88][..], Some(200)),
            (&[0x8c, 0x01], Some(400)),
            (&[0x8e], Some(500)),
            (&[0x48, 0x03, b'4', b'2', b'1'], Some(421)),
            (&[0x08, 0x03, b'4', b'0', b'3'], Some(403)),
            (&[0x48, 0x82, 0x64, 0x02], Some(302)),
            (&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307)),
            (&[0x20, 0x88], Some(200)),
            (&[0x3f, 0xe1, 0x1f, 0x8d], Some(404)),
            (&[0x87], None),
            (&[0x8f], None),
            (&[0xff], None),
            (&[0x48], None),
            (&[0x48, 0x03, b'4'], None),
            (&[0x48, 0x03, b'9', b'9', b'9'], None),
            (&[0x48, 0xff, 0xff], None),
            (&[0x3f, 0xff], None),
            (&[0x00, 0x00], None),
            (&[], None),
        ] {
            assert_eq!(of(block), status, "{block:x?}");
        }
    }
}
