//! Requests that two servers could read differently, each suite named by what it tries. They go byte for byte through
//! the edge to gunicorn, node and nginx, all as lenient as they can be made.
//!
//! What is not exactly HTTP/1.1 is refused, its connection closed, and no upstream ever sees any of it.

use truehop_e2e::{Case, declined, either, passed, refused, refused_with, suite};

// Framing.

const LENGTH: Case = passed(
    "a length",
    "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "hello",
);
const CHUNKED: Case = passed(
    "chunks",
    "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "hello",
);

/// The edge is to go by the coding, the server behind by the length.
#[test]
fn te_cl() {
    suite(
        "te_cl",
        &[
            LENGTH,
            CHUNKED,
            refused(
                "the coding last",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {smuggled.hex}\r\n{smuggled}\r\n0\r\n\r\n",
            ),
            refused(
                "the coding first",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n\
                 {smuggled.hex}\r\n{smuggled}\r\n0\r\n\r\n",
            ),
            refused(
                "no length at all",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {smuggled.hex}\r\n{smuggled}\r\n0\r\n\r\n",
            ),
            refused(
                "the length nominated as hop-by-hop",
                "POST {target} HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 4\r\n\
                 Transfer-Encoding: chunked\r\n\r\n{smuggled.hex}\r\n{smuggled}\r\n0\r\n\r\n",
            ),
            refused(
                "GET",
                "GET {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {smuggled.hex}\r\n{smuggled}\r\n0\r\n\r\n",
            ),
            refused(
                "HTTP/1.0, which has no codings",
                "POST {target} HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {smuggled.hex}\r\n{smuggled}\r\n0\r\n\r\n",
            ),
        ],
    );
}

/// The edge is to go by the length, the server behind by the coding.
#[test]
fn cl_te() {
    suite(
        "cl_te",
        &[
            LENGTH,
            CHUNKED,
            refused(
                "the coding last",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {rest}\r\nTransfer-Encoding: chunked\r\n\r\n\
                 0\r\n\r\n{smuggled}",
            ),
            refused(
                "the coding first",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: {rest}\r\n\r\n\
                 0\r\n\r\n{smuggled}",
            ),
            refused(
                "other lines between",
                "POST {target} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\nX-A: b\r\n\
                 Content-Length: {rest}\r\n\r\n0\r\n\r\n{smuggled}",
            ),
            refused(
                "other cases",
                "POST {target} HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: {rest}\r\ntransfer-ENCODING: CHUNKED\r\n\r\n\
                 0\r\n\r\n{smuggled}",
            ),
            refused(
                "the coding nominated as hop-by-hop",
                "POST {target} HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nContent-Length: {rest}\r\n\
                 Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
            ),
        ],
    );
}

/// Codings that only one of two servers recognises.
#[test]
fn te_te() {
    const REFUSED: &[u16] = &[400, 501];
    macro_rules! with {
        ($what:literal, $lines:literal) => {
            refused_with(
                REFUSED,
                $what,
                concat!(
                    "POST {target} HTTP/1.1\r\nHost: a\r\n",
                    $lines,
                    "\r\n\r\n0\r\n\r\n{smuggled}"
                ),
            )
        };
    }
    suite(
        "te_te",
        &[
            CHUNKED,
            passed(
                "another case",
                "POST {target} HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                "hello",
            ),
            either(
                "a tab before, which is whitespace as good as any",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                "hello",
            ),
            either(
                "a tab behind",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                "hello",
            ),
            with!("an unknown coding", "Transfer-Encoding: xchunked"),
            with!("a shorter word", "Transfer-Encoding: chunk"),
            with!("identity", "Transfer-Encoding: identity"),
            with!("identity behind", "Transfer-Encoding: chunked, identity"),
            with!("identity before", "Transfer-Encoding: identity, chunked"),
            with!("another coding before", "Transfer-Encoding: gzip, chunked"),
            with!("another coding behind", "Transfer-Encoding: chunked, gzip"),
            with!("twice in a line", "Transfer-Encoding: chunked, chunked"),
            with!("an empty element", "Transfer-Encoding: , chunked"),
            with!("a comma behind", "Transfer-Encoding: chunked,"),
            with!("a parameter", "Transfer-Encoding: chunked;q=1"),
            with!("quotes", "Transfer-Encoding: \"chunked\""),
            with!("nothing", "Transfer-Encoding:"),
            with!("two words", "Transfer-Encoding: chunked x"),
            with!("a space before the colon", "Transfer-Encoding : chunked"),
            with!("a tab before the colon", "Transfer-Encoding\t: chunked"),
            with!("a vertical tab", "Transfer-Encoding: \x0bchunked"),
            with!("a form feed behind", "Transfer-Encoding: chunked\x0c"),
            with!("a control byte", "Transfer-Encoding: \x01chunked"),
            with!("NUL behind", "Transfer-Encoding: chunked\0"),
            with!(
                "a byte that Latin-1 takes for a space",
                "Transfer-Encoding: \u{a0}chunked"
            ),
            with!(
                "two lines",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"
            ),
            with!(
                "two lines, identity first",
                "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"
            ),
            with!(
                "two lines, identity last",
                "Transfer-Encoding: chunked\r\nTransfer-encoding: identity"
            ),
            with!(
                "two lines, nonsense last",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"
            ),
            with!("a leading space", "X: y\r\n Transfer-Encoding: chunked"),
            with!("behind a bare CR", "X: y\rTransfer-Encoding: chunked"),
            with!("behind a bare LF", "X: y\nTransfer-Encoding: chunked"),
        ],
    );
}

/// Lengths that two servers could read differently.
#[test]
fn cl_cl() {
    macro_rules! with {
        ($what:literal, $lines:literal) => {
            refused(
                $what,
                concat!(
                    "POST {target} HTTP/1.1\r\nHost: a\r\n",
                    $lines,
                    "\r\n\r\nhello{smuggled}"
                ),
            )
        };
    }
    suite(
        "cl_cl",
        &[
            LENGTH,
            passed(
                "zero",
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                "",
            ),
            with!("two lines", "Content-Length: 5\r\nContent-Length: 6"),
            with!("two lines, zero last", "Content-Length: 5\r\nContent-Length: 0"),
            with!("two lines, zero first", "Content-Length: 0\r\nContent-Length: 5"),
            with!("the same twice", "Content-Length: 5\r\nContent-Length: 5"),
            with!("far apart", "Content-Length: 5\r\nX-A: b\r\ncontent-length: 6"),
            with!("a list", "Content-Length: 5, 6"),
            with!("a list of the same", "Content-Length: 5, 5"),
            with!("a comma", "Content-Length: 5,"),
            with!("plus", "Content-Length: +5"),
            with!("minus", "Content-Length: -5"),
            with!("hexadecimal", "Content-Length: 0x5"),
            with!("a fraction", "Content-Length: 5.0"),
            with!("an exponent", "Content-Length: 5e0"),
            with!("an underscore", "Content-Length: 0_5"),
            with!("a space inside", "Content-Length: 5 5"),
            with!("a letter behind", "Content-Length: 5a"),
            with!("quotes", "Content-Length: \"5\""),
            with!("nothing", "Content-Length:"),
            with!("NUL behind", "Content-Length: 5\0"),
            with!("a vertical tab", "Content-Length: \x0b5"),
            with!("digits that are not ASCII", "Content-Length: \u{b2}"),
            with!("2^64 + 5", "Content-Length: 18446744073709551621"),
            with!("2^128", "Content-Length: 340282366920938463463374607431768211456"),
        ],
    );
}

/// Chunk sizes that two servers could read differently.
#[test]
fn chunk_size_overflow() {
    macro_rules! with {
        ($what:literal, $body:literal) => {
            refused_with(
                // A size may be a number that is merely larger than what is taken.
                &[400, 413],
                $what,
                concat!(
                    "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                    $body
                ),
            )
        };
    }
    suite(
        "chunk_size_overflow",
        &[
            CHUNKED,
            passed(
                "hexadecimal in both cases",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
                "01234567890123456789",
            ),
            with!("2^64 + 5", "10000000000000005\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("2^64 - 1", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("2^63", "8000000000000000\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("2^68", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!(
                "2^128 + 5",
                "100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n{smuggled}"
            ),
            with!("no digits", "\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("no digits but an extension", ";a\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("0x", "0x5\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("plus", "+5\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("minus", "-5\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("a letter beyond f", "5g\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("an underscore", "0_5\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("a space before", " 5\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("a space inside", "0 5\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("NUL", "5\0\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("data too long", "4\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("data too short", "6\r\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("no end of line behind the data", "5\r\nhello0\r\n\r\n{smuggled}"),
            with!("other bytes behind the data", "5\r\nhelloXX0\r\n\r\n{smuggled}"),
            with!(
                "nonsense in a later chunk",
                "2\r\nhe\r\nz\r\nllo\r\n0\r\n\r\n{smuggled}"
            ),
            with!(
                "a line behind the last chunk that is no trailer",
                "0\r\n{smuggled}"
            ),
        ],
    );
}

/// What stands behind a chunk's size, where servers hardly look.
#[test]
fn chunk_extension_garbage() {
    macro_rules! with {
        ($what:literal, $line:literal) => {
            refused(
                $what,
                concat!(
                    "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                    $line,
                    "\r\nhello\r\n0\r\n\r\n{smuggled}"
                ),
            )
        };
    }
    suite(
        "chunk_extension_garbage",
        &[
            CHUNKED,
            passed(
                "extensions as they should be",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2;a\r\nhe\r\n3;a=b;c=\"d;e\"\r\nllo\r\n0;last\r\n\r\n",
                "hello",
            ),
            either(
                "spaces that the standard calls bad",
                "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5 ; a = b\r\nhello\r\n0\r\n\r\n",
                "hello",
            ),
            with!("a bare LF", "5;a\nb"),
            with!("a bare LF that ends it", "5;\nhello\r\n0\r\n\r\n{smuggled}"),
            with!("a bare CR", "5;a\rb"),
            with!("NUL", "5;a\0b"),
            with!("a control byte", "5;a\x01b"),
            with!("no name", "5;"),
            with!("no name but a value", "5;=b"),
            with!("no value", "5;a="),
            with!("two semicolons", "5;;a"),
            with!("a space in the name", "5;a b"),
            with!("an unfinished quote", "5;a=\"b"),
            with!("something behind a quote", "5;a=\"b\"c"),
            with!(
                "a quote that spans lines",
                "5;a=\"\r\nhello\r\n0\r\n\r\n{smuggled}\""
            ),
            with!("no semicolon", "5 a=b"),
            with!("a space behind the size", "5 "),
            with!("a byte beyond ASCII in the name", "5;\u{e9}=b"),
        ],
    );
}

// Lines.

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

// Whom and what a request is for.

#[test]
fn host_twice() {
    suite(
        "host_twice",
        &[
            LENGTH,
            passed("a port", "GET {target} HTTP/1.1\r\nhost: a:81\r\n\r\n", ""),
            refused("two", "GET {target} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            refused(
                "the same twice",
                "GET {target} HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            ),
            refused(
                "one of them empty",
                "GET {target} HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n",
            ),
            refused(
                "another case",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: b\r\nhOST: b\r\n\r\n",
            ),
            declined(&[400], "a list", "GET {target} HTTP/1.1\r\nHost: a, b\r\n\r\n"),
            refused("none", "GET {target} HTTP/1.1\r\nX-A: b\r\n\r\n"),
            refused("nothing else", "GET {target} HTTP/1.1\r\n\r\n"),
            declined(&[400], "an empty one", "GET {target} HTTP/1.1\r\nHost:\r\n\r\n"),
            declined(&[400], "two words", "GET {target} HTTP/1.1\r\nHost: a b\r\n\r\n"),
            declined(&[400], "a user", "GET {target} HTTP/1.1\r\nHost: b@a\r\n\r\n"),
            declined(&[400], "a path", "GET {target} HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            declined(
                &[400],
                "a scheme",
                "GET {target} HTTP/1.1\r\nHost: http://a\r\n\r\n",
            ),
            declined(
                &[400],
                "a port that is none",
                "GET {target} HTTP/1.1\r\nHost: a:b\r\n\r\n",
            ),
            declined(
                &[400],
                "a port too large",
                "GET {target} HTTP/1.1\r\nHost: a:65536\r\n\r\n",
            ),
            declined(&[400], "a fragment", "GET {target} HTTP/1.1\r\nHost: a#b\r\n\r\n"),
        ],
    );
}

#[test]
fn absolute_form() {
    suite(
        "absolute_form",
        &[
            LENGTH,
            passed(
                "the same host",
                "GET http://a{target} HTTP/1.1\r\nHost: a\r\n\r\n",
                "",
            ),
            passed(
                "the same port",
                "GET http://a:81{target} HTTP/1.1\r\nHost: a:81\r\n\r\n",
                "",
            ),
            either(
                "other cases",
                "GET HTTP://A{target} HTTP/1.1\r\nHost: a\r\n\r\n",
                "",
            ),
            refused("another host", "GET http://b{target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused(
                "another port",
                "GET http://a:81{target} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            refused(
                "no host beside it",
                "GET http://a{target} HTTP/1.1\r\nX-A: b\r\n\r\n",
            ),
            refused("an empty host", "GET http://{target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused("a user", "GET http://a@b{target} HTTP/1.1\r\nHost: b\r\n\r\n"),
            refused(
                "a user, and he as host",
                "GET http://a@b{target} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            refused(
                "a user with a password",
                "GET http://a:c@b{target} HTTP/1.1\r\nHost: b\r\n\r\n",
            ),
            refused(
                "another scheme",
                "GET ftp://a{target} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            either(
                "the scheme of another listener",
                "GET https://a{target} HTTP/1.1\r\nHost: a\r\n\r\n",
                "",
            ),
            refused("one slash", "GET http:/a{target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused(
                "a backslash",
                "GET http://a\\{target} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
        ],
    );
}

#[test]
fn targets() {
    suite(
        "targets",
        &[
            LENGTH,
            passed("a query", "GET {target}?a=/b&c HTTP/1.1\r\nHost: a\r\n\r\n", ""),
            refused("a space inside", "GET {target} b HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused("a tab inside", "GET {target}\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused("two spaces before", "GET  {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused("two spaces behind", "GET {target}  HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused(
                "a tab instead of a space",
                "GET\t{target} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            refused(
                "a space before everything",
                " GET {target} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            refused(
                "a space behind everything",
                "GET {target} HTTP/1.1 \r\nHost: a\r\n\r\n",
            ),
            refused("none", "GET HTTP/1.1\r\nHost: a\r\nX-A: {target}\r\n\r\n"),
            refused(
                "an empty one",
                "GET  HTTP/1.1\r\nHost: a\r\nX-A: {target}\r\n\r\n",
            ),
            refused("no slash", "GET a{target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused("only a query", "GET ?{target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused(
                "an asterisk",
                "GET * HTTP/1.1\r\nHost: a\r\nX-A: {target}\r\n\r\n",
            ),
            refused(
                "an authority",
                "GET a:81 HTTP/1.1\r\nHost: a:81\r\nX-A: {target}\r\n\r\n",
            ),
            refused("a fragment", "GET {target}#b HTTP/1.1\r\nHost: a\r\n\r\n"),
            refused("Latin-1", "GET {target}\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"),
            declined(
                &[400],
                "a broken escape",
                "GET {target}%zz HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            declined(
                &[400],
                "an escaped NUL",
                "GET {target}%00 HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            declined(
                &[400, 405, 501],
                "a tunnel",
                "CONNECT a:81 HTTP/1.1\r\nHost: a:81\r\nX-A: {target}\r\n\r\n",
            ),
        ],
    );
}

#[test]
fn http_0_9() {
    const REFUSED: &[u16] = &[400, 505];
    suite(
        "http_0_9",
        &[
            LENGTH,
            passed("HTTP/1.0", "GET {target} HTTP/1.0\r\nHost: a\r\n\r\n", ""),
            refused("no version", "GET {target}\r\n"),
            refused("no version, and an empty line", "GET {target}\r\n\r\n"),
            refused("no version, and header lines", "GET {target}\r\nHost: a\r\n\r\n"),
            refused("a space behind the target", "GET {target} \r\nHost: a\r\n\r\n"),
            refused_with(REFUSED, "HTTP/0.9", "GET {target} HTTP/0.9\r\nHost: a\r\n\r\n"),
            refused_with(&[505], "HTTP/2.0", "GET {target} HTTP/2.0\r\nHost: a\r\n\r\n"),
            refused_with(REFUSED, "HTTP/3", "GET {target} HTTP/3\r\nHost: a\r\n\r\n"),
            refused_with(REFUSED, "HTTP/1", "GET {target} HTTP/1\r\nHost: a\r\n\r\n"),
            refused_with(REFUSED, "HTTP/1.10", "GET {target} HTTP/1.10\r\nHost: a\r\n\r\n"),
            refused_with(REFUSED, "HTTP/01.1", "GET {target} HTTP/01.1\r\nHost: a\r\n\r\n"),
            refused_with(REFUSED, "HTTP/11", "GET {target} HTTP/11\r\nHost: a\r\n\r\n"),
            refused("small letters", "GET {target} http/1.1\r\nHost: a\r\n\r\n"),
            refused("another protocol", "GET {target} HTTPS/1.1\r\nHost: a\r\n\r\n"),
            refused_with(
                REFUSED,
                "the preface of HTTP/2",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET {target} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
        ],
    );
}

#[test]
fn head_too_large() {
    const TOO_LARGE: &[u16] = &[431];
    suite(
        "head_too_large",
        &[
            LENGTH,
            passed(
                "within the limit",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: {4000}\r\nX-B: {4000}\r\n\r\n",
                "",
            ),
            refused_with(
                TOO_LARGE,
                "a value",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: {40000}\r\n\r\n",
            ),
            refused_with(
                TOO_LARGE,
                "a name",
                "GET {target} HTTP/1.1\r\nHost: a\r\n{40000}: b\r\n\r\n",
            ),
            refused_with(
                TOO_LARGE,
                "many lines",
                "GET {target} HTTP/1.1\r\nHost: a\r\nX-A: {4000}\r\nX-A: {4000}\r\nX-A: {4000}\r\nX-A: {4000}\r\n\
                 X-A: {4000}\r\nX-A: {4000}\r\nX-A: {4000}\r\nX-A: {4000}\r\nX-A: {4000}\r\n\r\n",
            ),
            refused_with(
                &[414, 431],
                "the target",
                "GET {target}{40000} HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
        ],
    );
}
