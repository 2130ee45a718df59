//! Which bytes may stand where (RFC 9110 section 5.6.2, RFC 9112 sections 3 and 5).
//!
//! Invariant: each check says the same as its definition for one byte, which stands beside it; eight bytes at a time are
//! only a way to say yes sooner.

/// Whether `byte` may be part of a token: a method, a field name, a transfer coding.
#[inline]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether `bytes` are a token: at least one byte, all of them of a token.
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether `bytes` may be a field value or a reason phrase: HTAB, SP, visible ASCII, and everything from 0x80 on.
#[inline]
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    // HTAB is below SP as well; then each byte is looked at.
    all_words(bytes, |word| !may_hold_control(word)) || bytes.iter().all(|&byte| is_value_byte(byte))
}

/// Whether `bytes` may be a request target: visible ASCII without `#`, which starts a fragment and is never sent.
#[inline]
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    all_words(bytes, |word| !holds_other_than_target(word)) || bytes.iter().all(|&byte| is_target_byte(byte))
}

/// Whether `token` is the name `letters`, without case; `letters` has nothing but letters and `-`.
#[inline]
pub(crate) fn is_named(token: &[u8], letters: &[u8]) -> bool {
    let fold = |word: &[u8; 8]| u64::from_ne_bytes(*word) | CASE_BITS;
    if token.len() != letters.len() {
        return false;
    }
    let ((words, rest), (others, _)) = (token.as_chunks::<8>(), letters.as_chunks::<8>());
    if !words
        .iter()
        .zip(others)
        .all(|(one, other)| fold(one) == fold(other))
    {
        return false;
    }
    match (token.last_chunk::<8>(), letters.last_chunk::<8>()) {
        _ if rest.is_empty() => true,
        // Overlaps what was compared.
        (Some(one), Some(other)) => fold(one) == fold(other),
        _ => token
            .iter()
            .zip(letters)
            .all(|(one, other)| one | 0x20 == other | 0x20),
    }
}

/// Whether `holds` for each eight bytes; not sure of fewer than eight.
#[inline]
fn all_words(bytes: &[u8], holds: impl Fn(u64) -> bool) -> bool {
    let (words, _) = bytes.as_chunks::<8>();
    // The last one overlaps the one before, instead of single bytes.
    bytes.last_chunk::<8>().is_some_and(|last| {
        words
            .iter()
            .chain([last])
            .all(|word| holds(u64::from_ne_bytes(*word)))
    })
}

#[inline]
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[inline]
pub(crate) const fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// Without the optional whitespace around (RFC 9110 section 5.6.3): SP and HTAB, nothing else.
#[inline]
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

#[inline]
pub(crate) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

#[inline]
pub(crate) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The text of bytes that were found to be ASCII before; nothing for others.
#[inline]
pub(crate) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

const ONES: u64 = u64::MAX / 255;
/// What small letters have over large ones. No other byte of a token becomes a letter or `-` by it.
const CASE_BITS: u64 = ONES * 0x20;
const HIGH_BITS: u64 = ONES * 0x80;

/// Whether any byte is below SP (HTAB too) or DEL.
#[inline]
const fn may_hold_control(word: u64) -> bool {
    below::<b' '>(word) | equal::<0x7f>(word) != 0
}

#[inline]
const fn holds_other_than_target(word: u64) -> bool {
    (word & HIGH_BITS) | below::<b'!'>(word) | equal::<0x7f>(word) | equal::<b'#'>(word) != 0
}

/// Not zero when any byte of `word` is below `N`, which is at most 128.
#[inline]
const fn below<const N: u8>(word: u64) -> u64 {
    word.wrapping_sub(ONES * N as u64) & !word & HIGH_BITS
}

/// Not zero when any byte of `word` is `N`.
#[inline]
const fn equal<const N: u8>(word: u64) -> u64 {
    below::<1>(word ^ (ONES * N as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_as_in_the_grammar() {
        let tokens = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for byte in 0..=255 {
            assert_eq!(
                is_token_byte(byte),
                tokens.as_bytes().contains(&byte),
                "{byte:#x}"
            );
        }
        assert!(is_token(b"X-A") && !is_token(b"") && !is_token(b"X A"));
    }

    #[test]
    fn words_of_eight_say_what_single_bytes_say() {
        for byte in 0..=255 {
            for length in 1..20 {
                for at in 0..length {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = byte;
                    assert_eq!(
                        is_value(&bytes),
                        is_value_byte(byte),
                        "{byte:#x} at {at} of {length}"
                    );
                    assert_eq!(
                        is_target(&bytes),
                        is_target_byte(byte),
                        "{byte:#x} at {at} of {length}"
                    );
                }
            }
        }
        // A borrow from one byte must not hide the next, nor a high byte its neighbour.
        assert!(!is_value(b"\x80\x80\x80\x1f\xff\xff\xff\xff") && is_value(b"\xff\xff\x80\xa0\xff\t  "));
    }

    #[test]
    fn names_are_compared_without_case() {
        let with = |byte, at: usize, length: usize| {
            let mut token = vec![b'x'; length];
            token[at] = byte;
            token
        };
        for letter in "azAZ-".bytes() {
            for byte in (0..=255).filter(|&byte| is_token_byte(byte)) {
                for length in [1, 7, 8, 9, 15, 16, 17] {
                    for at in [0, length / 2, length - 1] {
                        let (token, letters) = (with(byte, at, length), with(letter, at, length));
                        assert_eq!(
                            is_named(&token, &letters),
                            token.eq_ignore_ascii_case(&letters),
                            "{token:?}"
                        );
                    }
                }
            }
        }
        assert!(!is_named(b"a", b"ab") && is_named(b"", b""));
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        for (text, trimmed) in [
            (" \ta b\t ", "a b"),
            ("", ""),
            ("\t", ""),
            ("\x0ba\x0c", "\x0ba\x0c"),
        ] {
            assert_eq!(trim(text.as_bytes()), trimmed.as_bytes());
        }
    }
}
