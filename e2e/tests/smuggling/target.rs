//! Whom and what a request is for, in which version, and how much of it may be said.

use truehop_e2e::{declined, either, passed, refused, refused_with, suite};

use crate::LENGTH;

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
