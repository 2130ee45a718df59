//! One request and what is answered, without I/O.
//!
//! Invariant: an exchange never keeps more than [`LIMIT`] bytes of a server, and nothing that a server sends can make it
//! panic.

use crate::corpus::Language;
use crate::http1;
use crate::http2;
use crate::request::Request;

/// How many bytes of a server are looked at.
pub(crate) const LIMIT: usize = 1 << 20;

/// A request that was sent as the only one of its connection.
#[derive(Debug)]
pub struct Exchange(Reading);

#[derive(Debug)]
enum Reading {
    Http1(Vec<u8>),
    Http2(http2::Reading),
}

/// How far an exchange is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// There is no whole answer yet.
    Open,
    /// There is a whole answer. The server was asked to close; while it does not, it may answer once more, what it took
    /// for a second request.
    Answered,
    /// Nothing that comes now counts.
    Over,
}

/// What a server said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// The status; none when it could not be understood or did not come.
    pub status: Option<u16>,
    /// When to come again (RFC 9110, section 10.2.3), as it was said: seconds, or a date. Empty when it cannot be read.
    pub retry_after: Option<String>,
    /// The body; without a status whatever came.
    pub body: Vec<u8>,
}

impl Exchange {
    /// Begins one, with the bytes to send first.
    pub fn begin(request: &Request, language: Language) -> (Self, Vec<u8>) {
        match language {
            Language::Http1 => (Self(Reading::Http1(Vec::new())), http1::bytes(request)),
            Language::Http2 => (
                Self(Reading::Http2(http2::Reading::default())),
                http2::bytes(request),
            ),
        }
    }

    /// Takes what came. Returns how far the exchange is, and what is to be sent, which may be nothing.
    pub fn receive(&mut self, bytes: &[u8]) -> (State, Vec<u8>) {
        match &mut self.0 {
            Reading::Http1(said) => {
                let room = LIMIT.saturating_sub(said.len());
                said.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                let state = match http1::has_answered(said) {
                    _ if bytes.len() >= room => State::Over,
                    true => State::Answered,
                    false => State::Open,
                };
                (state, Vec::new())
            }
            Reading::Http2(reading) => reading.receive(bytes),
        }
    }

    /// Whether anything came at all.
    pub fn is_silent(&self) -> bool {
        match &self.0 {
            Reading::Http1(said) => said.is_empty(),
            Reading::Http2(reading) => reading.is_silent(),
        }
    }

    /// What was answered until the connection ended, or until nobody listened any more. Interim answers are left out.
    pub fn end(self) -> Vec<Answer> {
        match self.0 {
            Reading::Http1(said) => http1::answers(&said),
            Reading::Http2(reading) => reading.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::corpus::Forgery;
    use crate::request::{Cast, Place};

    fn begun(language: Language) -> Exchange {
        let cast = Cast {
            forged: [203, 0, 113, 96].into(),
            trusted: [127, 0, 0, 1].into(),
        };
        let place = Place {
            host: "a",
            path: "/",
            beside: &[],
        };
        Exchange::begin(&Forgery::honest().request(&cast, &place), language).0
    }

    /// Bytes among which there are heads, frames and pieces of them.
    fn nearly_answers() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let piece = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            proptest::collection::vec(0..12_u8, 0..40),
            "(HTTP/1\\.[01] [0-9]{3} x\r\n)?((Content-Length|Transfer-Encoding): [0-9a-z]{0,3}\r\n)?(\r\n)?[0-9a-f]?\r?\n?"
                .prop_map(String::into_bytes),
        ];
        proptest::collection::vec(piece, 0..12)
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_and_none_depends_on_how_it_is_cut(pieces in nearly_answers()) {
            for language in [Language::Http1, Language::Http2] {
                let mut cut = begun(language);
                let mut whole = begun(language);
                let mut is_over = false;
                for piece in &pieces {
                    is_over = is_over || cut.receive(piece).0 == State::Over;
                    if is_over {
                        break;
                    }
                }
                whole.receive(&pieces.concat());
                prop_assert_eq!(cut.end(), whole.end());
            }
        }
    }
}
