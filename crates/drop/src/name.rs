//! File names as uploaders write them, made safe to show and to send.
//!
//! Invariant: a name is never part of a path on this machine. What is shown or sent holds no control or bidirectional
//! character, no path, and is never empty.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Longest name in bytes; what common file systems take.
pub(crate) const LONGEST: usize = 255;

/// Stands in for a name that has nothing left.
const NAMELESS: &str = "file";

/// What RFC 8187 section 3.2.1 leaves unencoded (`attr-char`).
const EXT_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The last part of a path that an uploader sent, cleaned.
pub(crate) fn clean(sent: &str) -> String {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: String = last.chars().filter(|&c| !is_hidden(c)).collect();
    let name = shorten(visible.trim());
    match name.as_str() {
        "" | "." | ".." => NAMELESS.to_owned(),
        _ => name,
    }
}

/// The name as it was before a browser wrote it into a form: of all bytes those encode three, and not the percent sign.
pub(crate) fn of_form(sent: &str) -> String {
    sent.replace("%22", "\"")
        .replace("%0D", "\r")
        .replace("%0A", "\n")
}

/// The value of `Content-Disposition` (RFC 6266) for a cleaned name.
pub(crate) fn attachment(name: &str) -> String {
    let fallback: String = name
        .chars()
        .map(|c| match c {
            // A quote would end the string, a backslash escapes, and a percent sign is decoded by some browsers.
            '"' | '\\' | '%' => '_',
            ' '..='~' => c,
            _ => '_',
        })
        .collect();
    let encoded = utf8_percent_encode(name, EXT_VALUE);
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}")
}

/// Control characters, line separators, and those that reorder or hide text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Cuts in the stem, so that the extension still tells what it is.
fn shorten(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() < 32 => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let end = stem.floor_char_boundary(LONGEST - extension.len());
    format!("{}{extension}", &stem[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_but_a_visible_last_part_is_left() {
        for (sent, cleaned) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\a.txt", "a.txt"),
            ("a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt"),
            ("evil\u{202e}fdp.exe", "evilfdp.exe"),
            ("tab\there\0.txt", "tabhere.txt"),
            ("  spaced  ", "spaced"),
            ("..", "file"),
            ("a/", "file"),
            ("\u{200b}", "file"),
            ("日本語.txt", "日本語.txt"),
        ] {
            assert_eq!(clean(sent), cleaned, "{sent:?}");
        }
    }

    #[test]
    fn what_browsers_encode_in_a_form_is_decoded_and_nothing_else() {
        for (sent, name) in [
            ("a %22b%22.txt", "a \"b\".txt"),
            ("a%0D%0Ab", "a\r\nb"),
            ("50%25 %2F %41 %0d", "50%25 %2F %41 %0d"),
            ("%2%0A2", "%2\n2"),
        ] {
            assert_eq!(of_form(sent), name, "{sent}");
        }
        assert_eq!(clean(&of_form("a%0D%0Ab%22.txt")), "ab\".txt");
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = clean(&format!("{}.tar", "ä".repeat(300)));
        assert!(name.len() <= LONGEST && name.ends_with("ä.tar"), "{name}");
        assert_eq!(clean(&"x".repeat(300)).len(), LONGEST);
    }

    #[test]
    fn the_header_has_a_fallback_and_the_real_name() {
        assert_eq!(
            attachment("naïve \"plan\" 50%.txt"),
            "attachment; filename=\"na_ve _plan_ 50_.txt\"; filename*=UTF-8''na%C3%AFve%20%22plan%22%2050%25.txt"
        );
    }

    proptest! {
        #[test]
        fn any_name_makes_a_header_that_is_one_line_of_ascii(sent in ".*") {
            let name = clean(&sent);
            prop_assert!(!name.is_empty() && name.len() <= LONGEST && !name.contains(['/', '\\']));
            let value = attachment(&name);
            prop_assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(value.matches('"').count(), 2);
        }
    }
}
