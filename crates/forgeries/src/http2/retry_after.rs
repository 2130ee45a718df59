//! `Retry-After` of an answer, out of its field block: RFC 7541, as far as a block without a dynamic table needs it.

use super::status::digits;

/// Where the name stands in the static table (appendix A).
const INDEX: usize = 53;
const NAME: &[u8] = b"retry-after";

/// What is said there; empty if that is compressed, and no number. None if it is not said, or the block cannot be read so
/// far.
pub(super) fn of(mut block: &[u8]) -> Option<String> {
    loop {
        let (&first, rest) = block.split_first()?;
        let bits = match first {
            // Section 6.1: a field out of the table. That of this name has no value there.
            0x80.. => 7,
            // Section 6.3: the table's size.
            0x20..=0x3f => 5,
            // Section 6.2: a name, out of the table or as it is, and a value.
            0x40..=0x7f => 6,
            0x00..=0x1f => 4,
        };
        let (index, rest) = number(first, bits, rest)?;
        if bits == 7 || bits == 5 {
            block = rest;
            continue;
        }
        let (is_it, rest) = match index {
            0 => {
                let (name, rest) = text(rest)?;
                (name == Text::Plain(NAME), rest)
            }
            index => (index == INDEX, rest),
        };
        let (value, rest) = text(rest)?;
        if is_it {
            return Some(match value {
                Text::Plain(value) => String::from_utf8_lossy(value).into_owned(),
                Text::Compressed(value) => digits(value)
                    .into_iter()
                    .map(|digit| char::from(b'0' + digit))
                    .collect(),
            });
        }
        block = rest;
    }
}

/// Section 5.1: a number whose first bits are the last of `first`, and what follows it.
fn number(first: u8, bits: u32, mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    let most = (1 << bits) - 1;
    let mut number = usize::from(first) & most;
    let mut shift = 0;
    while number >= most || shift > 0 {
        let (&byte, rest) = bytes.split_first()?;
        bytes = rest;
        let part = usize::from(byte & 0x7f)
            .checked_shl(shift)
            .filter(|_| shift < 28)?;
        number = number.checked_add(part)?;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((number, bytes))
}

/// Section 5.2: a text, and what follows it.
fn text(bytes: &[u8]) -> Option<(Text<'_>, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (length, rest) = number(first, 7, rest)?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some(match first & 0x80 {
        0 => (Text::Plain(text), rest),
        _ => (Text::Compressed(text), rest),
    })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Text<'a> {
    Plain(&'a [u8]),
    /// In Huffman's code.
    Compressed(&'a [u8]),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_come_again_is_read_as_servers_write_it() {
        let long = [
            &[0x88, 0x40, 0x7f, 73][..],
            &[b'x'; 200],
            &[1, b'y', 0x75, 1, b'3'],
        ]
        .concat();
        for (block, said) in [
            // Behind a status and a length out of the table, with and without an index, plain and compressed.
            (&[0x88, 0x5c, 1, b'0', 0x75, 2, b'3', b'0'][..], Some("30")),
            (&[0x88, 0x0f, 38, 1, b'7'], Some("7")),
            (&[0x88, 0x1f, 38, 1, b'7'], Some("7")),
            (&[0x3f, 0xe1, 0x1f, 0x88, 0x75, 0x82, 0x64, 0x02], Some("302")),
            // A date begins with a letter.
            (&[0x88, 0x75, 0x81, 0xc3], Some("")),
            (b"\x88\x00\x0bretry-after\x0212", Some("12")),
            (b"\x88\x00\x0bretry-afteR\x0212", None),
            (&long, Some("3")),
            (&[0x88, 0x74, 1, b'7'], None),
            (&[0x88], None),
            (&[0x75], None),
            (&[0x75, 2, b'3'], None),
            (&[0x7f], None),
            (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], None),
            (&[], None),
        ] {
            assert_eq!(of(block).as_deref(), said, "{block:x?}");
        }
    }
}
