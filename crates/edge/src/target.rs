//! The request target as routes see it: decoded once, with single slashes.
//!
//! Invariant: a rule for `/admin` cannot be passed by spelling it `/%61dmin` or `//admin`, nor a rule for another path
//! be used to arrive there by `/x/../admin`: rules are matched against the decoded path, and a target with dot
//! segments, plain, escaped or in a spelling that some server knows, is refused, because the upstream gets the target
//! as the client sent it. (Browsers and tools resolve dot segments before they ask; RFC 3986 section 5.2.4.)

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The decoded path with single slashes, or `None` for one that is no path, or holds a NUL, a broken escape or a dot
/// segment.
pub(crate) fn normalised(path: &str) -> Option<Cow<'_, [u8]>> {
    if is_normal(path.as_bytes()) {
        return Some(Cow::Borrowed(path.as_bytes()));
    }
    if !path.starts_with('/') || has_broken_escape(path.as_bytes()) {
        return None;
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    if decoded.contains(&0) {
        return None;
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_slash = true;
    for segment in decoded.split(|&b| b == b'/').skip(1) {
        ends_in_slash = segment.is_empty();
        if segment.split(|&b| b == b'\\').any(is_dots) {
            return None;
        }
        if !segment.is_empty() {
            kept.push(segment);
        }
    }
    let mut path = Vec::with_capacity(decoded.len());
    for segment in &kept {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    if ends_in_slash || kept.is_empty() {
        path.push(b'/');
    }
    Some(Cow::Owned(path))
}

/// Whether some server takes a segment for one that goes nowhere or up: Java's cut it at a semicolon, Windows' take a
/// backslash for a slash.
fn is_dots(segment: &[u8]) -> bool {
    matches!(segment.split(|&b| b == b';').next(), Some(b"." | b".."))
}

/// Whether a path surely is as it should be: no escape, no empty segment, none that begins with a dot.
fn is_normal(path: &[u8]) -> bool {
    let mut last = b'x';
    path.starts_with(b"/")
        && path.iter().all(|&b| {
            let doubtful = matches!(b, b'%' | b'\\' | 0) || (last == b'/' && matches!(b, b'/' | b'.'));
            last = b;
            !doubtful
        })
}

fn has_broken_escape(path: &[u8]) -> bool {
    path.iter()
        .enumerate()
        .filter(|&(_, &b)| b == b'%')
        .any(|(at, _)| {
            !path
                .get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_one_path() {
        for (spelling, path) in [
            ("/", "/"),
            ("//", "/"),
            ("/admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("//admin", "/admin"),
            ("/x%2fy", "/x/y"),
            ("/a/", "/a/"),
            ("/...", "/..."),
            ("/.a;b", "/.a;b"),
            ("/a\\b", "/a\\b"),
        ] {
            assert_eq!(*normalised(spelling).unwrap(), *path.as_bytes(), "{spelling}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for spelling in [
            "",
            "*",
            "a",
            "/..",
            "/a/../..",
            "/%2e%2e/x",
            "/%",
            "/%2",
            "/%zz",
            "/a%00b",
            "/x/../admin",
            "/x/%2e%2E/admin",
            "/admin%2f..%2fx",
            "/a/./b",
            "/.",
            "/public/..;/admin",
            "/public/..;a=b/admin",
            "/public/.;/x",
            "/public\\..\\admin",
            "/public/..%5cadmin",
            "/public/%2e%2e%3b/admin",
        ] {
            assert_eq!(normalised(spelling), None, "{spelling}");
        }
    }
}
