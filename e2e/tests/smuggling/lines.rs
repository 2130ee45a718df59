//! Where a line ends, and what may stand in it.

use truehop_e2e::{passed, refused, suite, suite_byte_by_byte};

use crate::{CHUNKED, LENGTH};

#[test]
fn bare_lf() {
    suite(
        "bare_lf",
        &[
            LENGTH,
            CHUNKED,
            refused("everywhere", "GET {target} HTTP/1.1\nHost: a\n\n"),
            refused(
                "behind the request line",
                "GET {target} HTTP/1.1\nHost: a\r\n\r\n",
            ),
            refused(
                "behind a header line",
                "GET {target} HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
            ),
            refused("at the end of the head", "GET {target} HTTP/1.1\r\nHost: a\r\n\n"),
            refused(
                "twice at the end of the head",
                "GET {target} HTTP/1.1\r\nHost: a\n\nX-A: b\r\n\r\n",
            ),
            refused(
                "hiding a length",
                "POST {target} HTTP/1.1\r\nHost: a\r\nX-A: b\nContent-Length: {rest}\r\n\r\n{smuggled}",
            ),
            refused(
                "hiding a coding",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            refused(
                "behind a chunk's size",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
            ),
            refused(
                "behind a chunk's data",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
            ),
            refused(
                "behind the last chunk",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\n\r\n",
            ),
            refused(
                "at the end of the body",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\n",
            ),
            refused(
                "behind a trailer",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\n\r\n",
            ),
        ],
    );
}

#[test]
fn bare_cr() {
    suite(
        "bare_cr",
        &[
            LENGTH,
            CHUNKED,
            refused("everywhere", "GET {target} HTTP/1.1\rHost: a\r\r"),
            refused(
                "behind the request line",
                "GET {target} HTTP/1.1\rHost: a\r\n\r\n",
            ),
            refused("in the target", "GET {target}\r HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused(
                "in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n",
            ),
            refused(
                "alone as a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A:\r\r\n\r\n",
            ),
            refused(
                "at the end of a line",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\r\r\n\r\n",
            ),
            refused(
                "in a name",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX\r-A: b\r\n\r\n",
            ),
            refused(
                "before a name",
                "GET {target} HTTP/1.1\r\nHost: a\r\n\rX-A: b\r\n\r\n",
            ),
            refused(
                "before the end of the head",
                "GET {target} HTTP/1.1\r\nHost: a\r\n\r\r\n",
            ),
            refused(
                "hiding a length",
                "POST {target} HTTP/1.1\r\nHost: a\r\nX-A: b\rContent-Length: {rest}\r\n\r\n{smuggled}",
            ),
            refused(
                "behind a chunk's size",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\rhello\r\n0\r\n\r\n",
            ),
            refused(
                "twice behind a chunk's size",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\r\nhello\r\n0\r\n\r\n",
            ),
            refused(
                "behind a chunk's data",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r0\r\n\r\n",
            ),
            refused(
                "in a trailer",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\rc\r\n\r\n",
            ),
        ],
    );
}

#[test]
fn obs_fold() {
    suite(
        "obs_fold",
        &[
            LENGTH,
            refused(
                "a space",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
            ),
            refused(
                "a tab",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\n\r\n",
            ),
            refused(
                "the first line",
                "GET {target} HTTP/1.1\r\n Host: b\r\nHost: a\r\n\r\n",
            ),
            refused(
                "a line of spaces",
                "GET {target} HTTP/1.1\r\nHost: a\r\n  \r\n\r\n",
            ),
            refused(
                "an empty value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A:\r\n b\r\n\r\n",
            ),
            refused("the host", "GET {target} HTTP/1.1\r\nHost:\r\n a\r\n\r\n"),
            refused(
                "the coding",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{smuggled}",
            ),
            refused(
                "the length",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\t{rest}\r\n\r\n{smuggled}",
            ),
            refused(
                "the length, before it",
                "POST {target} HTTP/1.1\r\nHost: a\r\nX-A: b\r\n Content-Length: {rest}\r\n\r\n{smuggled}",
            ),
            refused(
                "a trailer",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\n c\r\n\r\n",
            ),
        ],
    );
}

#[test]
fn space_before_colon() {
    suite(
        "space_before_colon",
        &[
            LENGTH,
            passed(
                "no space behind it",
                "GET {target} HTTP/1.1\r\nHost:a\r\nX-A:b\r\n\r\n",
                "",
            ),
            refused("a space", "GET {target} HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n"),
            refused("a tab", "GET {target} HTTP/1.1\r\nHost: a\r\nX-A\t: b\r\n\r\n"),
            refused("the host", "GET {target} HTTP/1.1\r\nHost : a\r\n\r\n"),
            refused(
                "the length",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length : {rest}\r\n\r\n{smuggled}",
            ),
            refused(
                "the coding, beside a length",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {rest}\r\nTransfer-Encoding : chunked\r\n\r\n\
                 0\r\n\r\n{smuggled}",
            ),
            refused(
                "a space in the name",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n",
            ),
            refused("no name", "GET {target} HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
            refused("no colon", "GET {target} HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n"),
            refused(
                "a claim",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For : 6.6.6.6\r\n\r\n",
            ),
            refused(
                "a trailer",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A : b\r\n\r\n",
            ),
        ],
    );
}

#[test]
fn control_bytes() {
    suite(
        "control_bytes",
        &[
            LENGTH,
            passed(
                "a tab in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\tc\r\n\r\n",
                "",
            ),
            passed(
                "Latin-1 in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: \u{e9}\r\n\r\n",
                "",
            ),
            refused(
                "NUL in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
            ),
            refused(
                "NUL in a name",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX\0-A: b\r\n\r\n",
            ),
            refused("NUL in the target", "GET {target}\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused("NUL in the method", "G\0ET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused(
                "NUL before everything",
                "\0GET {target} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            refused(
                "1 in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: \x01\r\n\r\n",
            ),
            refused(
                "backspace in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: \x08\r\n\r\n",
            ),
            refused(
                "vertical tab in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\x0bc\r\n\r\n",
            ),
            refused(
                "form feed in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\x0cc\r\n\r\n",
            ),
            refused(
                "escape in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: \x1b[2J\r\n\r\n",
            ),
            refused(
                "delete in a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: \x7f\r\n\r\n",
            ),
            refused(
                "a control byte in the target",
                "GET {target}\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            refused(
                "delete in the target",
                "GET {target}\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            refused(
                "a control byte in a name",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX\x01A: b\r\n\r\n",
            ),
            refused(
                "Latin-1 in a name",
                "GET {target} HTTP/1.1\r\nHost: a\r\n\u{e9}: b\r\n\r\n",
            ),
            refused(
                "a delimiter in a name",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX(A): b\r\n\r\n",
            ),
            refused(
                "a delimiter in the method",
                "G(ET {target} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
        ],
    );
}

/// Where a read ends must not change how a head is understood.
#[test]
fn byte_by_byte() {
    suite_byte_by_byte(
        "byte_by_byte",
        &[
            LENGTH,
            CHUNKED,
            passed(
                "extensions and trailers",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2;a=\"b;c\"\r\nhe\r\n3\r\nllo\r\n0\r\nX-A: b\r\n\r\n",
                "hello",
            ),
            refused(
                "length and coding",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {rest}\r\nTransfer-Encoding: chunked\r\n\r\n\
                 0\r\n\r\n{smuggled}",
            ),
            refused(
                "two lengths",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            ),
            refused("two hosts", "GET {target} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            refused("bare LF", "GET {target} HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n"),
            refused("bare LF at the end", "GET {target} HTTP/1.1\r\nHost: a\r\n\n"),
            refused("bare CR", "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n"),
            refused("bare CR at the end", "GET {target} HTTP/1.1\r\nHost: a\r\n\r\r\n"),
            refused(
                "a folded line",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
            ),
            refused(
                "a space before the colon",
                "GET {target} HTTP/1.1\r\nHost : a\r\n\r\n",
            ),
            refused("NUL", "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n"),
            refused("no version", "GET {target}\r\n\r\n"),
        ],
    );
}
