//! HTTP/1 as nobody should write it, and answers as they come.
//!
//! Answers are read leniently: whoever is sent nonsense may answer nonsense, and what counts is whom it believes.

use crate::exchange::Answer;
use crate::request::Request;

/// What is sent when there are trailers, which only a body can have.
const BODY: &[u8] = b"5\r\nhello\r\n0\r\n";

/// The request's bytes.
pub(crate) fn bytes(request: &Request) -> Vec<u8> {
    let mut bytes = request.preface.clone();
    let mut put = |pieces: &[&[u8]]| bytes.extend(pieces.concat());
    put(&[
        &request.method,
        b" ",
        &request.target,
        b" HTTP/",
        &request.version,
        b"\r\n",
    ]);
    if !request.has(b"Host") {
        put(&[b"Host: ", &request.host, b"\r\n"]);
    }
    for (name, value) in request.beside.iter().filter(|(name, _)| !request.has(name)) {
        put(&[name, b": ", value, b"\r\n"]);
    }
    put(&[b"Accept: application/json\r\n"]);
    if !request.has(b"Connection") {
        put(&[b"Connection: close\r\n"]);
    }
    if !request.trailers.is_empty() {
        let names: Vec<&[u8]> = request.trailers.iter().map(|(name, _)| &name[..]).collect();
        put(&[
            b"Transfer-Encoding: chunked\r\nTrailer: ",
            &names.join(&b", "[..]),
            b"\r\n",
        ]);
    }
    for (name, value) in &request.fields {
        put(&[name, b": ", value, b"\r\n"]);
    }
    put(&[&request.raw, b"\r\n"]);
    if !request.trailers.is_empty() {
        put(&[BODY]);
        for (name, value) in &request.trailers {
            put(&[name, b": ", value, b"\r\n"]);
        }
        put(&[b"\r\n"]);
    }
    bytes
}

/// Whether a whole answer has come, one that says itself where it ends.
pub(crate) fn has_answered(mut bytes: &[u8]) -> bool {
    while let Some((answer, framing, rest)) = one(bytes) {
        match answer.status {
            Some(100 | 102..200) => bytes = rest,
            _ => return framing == Framing::Own,
        }
    }
    false
}

/// All answers but the interim ones. What is left over when the bytes end inside of one, or are none, comes last, without
/// a status.
pub(crate) fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let Some((answer, _, rest)) = one(bytes) else {
            answers.push(Answer {
                body: bytes.to_vec(),
                ..Answer::default()
            });
            break;
        };
        match answer.status {
            Some(100 | 102..200) => {}
            _ => answers.push(answer),
        }
        bytes = rest;
    }
    answers
}

/// What ends an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Framing {
    /// Its head says so.
    Own,
    /// The connection's end.
    Connection,
}

/// The first answer, and what comes behind it. `None` while it is not whole, or if it is none.
fn one(bytes: &[u8]) -> Option<(Answer, Framing, &[u8])> {
    let (head, rest) = cut(bytes, b"\r\n\r\n")?;
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status = status(lines.next()?)?;
    let fields: Vec<(&[u8], &[u8])> = lines.filter_map(|line| cut(line, b":")).collect();
    let value = |name: &[u8]| {
        fields
            .iter()
            .find(|(had, _)| had.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim_ascii())
    };
    let (body, framing, rest) = if status == 101 {
        // What follows is spoken in another protocol.
        (Vec::new(), Framing::Own, &[][..])
    } else if status < 200 || matches!(status, 204 | 304) {
        (Vec::new(), Framing::Own, rest)
    } else if value(b"Transfer-Encoding").is_some() {
        let (body, rest) = chunks(rest)?;
        (body, Framing::Own, rest)
    } else if let Some(length) = value(b"Content-Length") {
        let length = std::str::from_utf8(length).ok()?.parse().ok()?;
        let (body, rest) = rest.split_at_checked(length)?;
        (body.to_vec(), Framing::Own, rest)
    } else {
        (rest.to_vec(), Framing::Connection, &[][..])
    };
    let retry_after = value(b"Retry-After").map(|value| String::from_utf8_lossy(value).into_owned());
    let answer = Answer {
        status: Some(status),
        retry_after,
        body,
    };
    Some((answer, framing, rest))
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(1..)?.trim_ascii_start().get(..3)?;
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (100..=599).contains(&status).then_some(status)
}

fn chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let (line, rest) = cut(bytes, b"\r\n")?;
        let size = line.split(|byte| *byte == b';').next()?.trim_ascii();
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            let mut rest = rest;
            loop {
                let (trailer, after) = cut(rest, b"\r\n")?;
                if trailer.is_empty() {
                    return Some((body, after));
                }
                rest = after;
            }
        }
        let (data, rest) = rest.split_at_checked(size)?;
        body.extend_from_slice(data);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
}

/// What stands before and after the first `mark`.
fn cut<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{Language, forgeries};
    use crate::exchange::{Exchange, LIMIT, State};
    use crate::request::{Cast, Place};

    const CAST: Cast = Cast {
        forged: std::net::Ipv4Addr::new(203, 0, 113, 96),
        trusted: std::net::Ipv4Addr::new(192, 168, 0, 10),
    };

    fn sent(name: &str) -> String {
        let forgeries = forgeries().unwrap();
        let forgery = forgeries.iter().find(|forgery| forgery.name == name).unwrap();
        let place = Place {
            host: "edge.test",
            path: "/whoami",
            beside: &[("User-Agent", "me")],
        };
        let (_, bytes) = Exchange::begin(&forgery.request(&CAST, &place), Language::Http1);
        bytes.iter().map(|byte| char::from(*byte)).collect()
    }

    fn told(answers: &[Answer]) -> Vec<(Option<u16>, &str)> {
        answers
            .iter()
            .map(|answer| (answer.status, std::str::from_utf8(&answer.body).unwrap()))
            .collect()
    }

    #[test]
    fn a_forgery_is_sent_as_its_line_says() {
        assert_eq!(
            sent("xff-lines"),
            "GET /whoami HTTP/1.1\r\nHost: edge.test\r\nUser-Agent: me\r\nAccept: application/json\r\n\
             Connection: close\r\nX-Forwarded-For: 203.0.113.96\r\nX-Forwarded-For: 203.0.113.96\r\n\
             X-Forwarded-For: 203.0.113.96\r\n\r\n"
        );
        let hop = sent("hop-xff");
        assert!(
            hop.contains("\r\nConnection: close, X-Forwarded-For\r\n\r\n"),
            "{hop}"
        );
        assert_eq!(hop.matches("Connection").count(), 1, "{hop}");
        let preface = sent("preface-v1-v2");
        assert!(
            preface.starts_with("PROXY TCP4 203.0.113.96 192.0.2.1 56324 443\r\n\r\n\r\n\0\r\nQUIT\n"),
            "{preface}"
        );
        let trailer = sent("trailer-xff");
        assert!(
            trailer.ends_with(
                "Trailer: X-Forwarded-For\r\n\r\n5\r\nhello\r\n0\r\nX-Forwarded-For: 203.0.113.96\r\n\r\n"
            ),
            "{trailer}"
        );
        assert!(sent("line-folded").ends_with("X-Forwarded-For:\r\n 203.0.113.96\r\n\r\n"));
    }

    #[test]
    fn answers_are_read_one_after_the_other() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabHTTP/1.0 404\r\n\
                      Transfer-Encoding: chunked\r\n\r\n1;x\r\nc\r\n0\r\nA: b\r\n\r\nHTTP/1.1 500 No\r\n\r\nthe end";
        assert_eq!(
            told(&answers(bytes)),
            [(Some(200), "ab"), (Some(404), "c"), (Some(500), "the end")]
        );
        assert_eq!(
            told(&answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")),
            [(None, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")]
        );
        let switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        assert_eq!(told(&answers(switched)), [(Some(101), "")]);
        assert!(has_answered(switched));
        assert_eq!(told(&answers(b"<html>no")), [(None, "<html>no")]);
        assert_eq!(told(&answers(b"")), []);
        for nonsense in [
            &b"HTTP/1.1 2\r\n\r\n"[..],
            b"HTTP/1.\r\n\r\n",
            b"HTTP/1.1 999 A\r\n\r\n",
            b"\r\n\r\n",
        ] {
            assert_eq!(answers(nonsense)[0].status, None, "{nonsense:?}");
        }
    }

    #[test]
    fn when_to_come_again_is_read_as_it_was_said() {
        let said = |fields: &str| {
            let bytes = format!("HTTP/1.1 503 Busy\r\n{fields}Content-Length: 0\r\n\r\n");
            answers(bytes.as_bytes()).remove(0).retry_after
        };
        assert_eq!(said("retry-after:  7 \r\n").as_deref(), Some("7"));
        let date = "Fri, 31 Dec 1999 23:59:59 GMT";
        assert_eq!(said(&format!("Retry-After: {date}\r\n")).as_deref(), Some(date));
        assert_eq!(said("X-Retry-After: 7\r\n"), None);
    }

    #[test]
    fn an_exchange_says_when_it_has_an_answer_and_when_it_has_had_enough() {
        let place = Place {
            host: "a",
            path: "/",
            beside: &[],
        };
        let honest = crate::Forgery::honest().request(&CAST, &place);
        let begun = || Exchange::begin(&honest, Language::Http1).0;
        let mut exchange = begun();
        assert!(exchange.is_silent());
        let whole = b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
        for length in 1..whole.len() {
            assert_eq!(exchange.receive(&whole[length - 1..length]).0, State::Open);
        }
        assert_eq!(exchange.receive(b"a").0, State::Answered);

        let mut exchange = begun();
        // Until the connection ends: nobody knows whether more comes.
        assert_eq!(exchange.receive(b"HTTP/1.1 200 OK\r\n\r\na").0, State::Open);
        let state = exchange.receive(&vec![b'a'; LIMIT]).0;
        assert_eq!(state, State::Over);
        assert!(exchange.end()[0].body.len() < LIMIT);
    }
}
