//! Where a request ends: lengths, codings, chunks.

use truehop_e2e::{either, passed, refused, refused_with, suite};

use crate::{CHUNKED, LENGTH};

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
