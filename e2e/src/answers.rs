//! Bytes that a client got, taken apart into responses.

use crate::http::{Response, parse_head};

/// Takes all the responses out of `bytes`, none of them to `HEAD`.
///
/// # Errors
///
/// What is left over when the bytes end inside a response, or are none.
pub fn answers(mut bytes: &[u8]) -> Result<Vec<Response>, String> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let Some((answer, rest)) = one(bytes) else {
            return Err(format!(
                "{answers:?} and then no response: {:?}",
                String::from_utf8_lossy(bytes)
            ));
        };
        if answer.status >= 200 {
            answers.push(answer);
        }
        bytes = rest;
    }
    Ok(answers)
}

fn one(bytes: &[u8]) -> Option<(Response, &[u8])> {
    let (head, rest) = cut(bytes, b"\r\n\r\n")?;
    let (status, headers) = parse_head(std::str::from_utf8(head).ok()?)?;
    let mut answer = Response {
        status,
        headers,
        body: Vec::new(),
    };
    let (body, rest) = if status < 200 || status == 204 || status == 304 {
        (Vec::new(), rest)
    } else if answer.header("Transfer-Encoding").is_some() {
        chunks(rest)?
    } else if let Some(length) = answer.header("Content-Length") {
        let (body, rest) = rest.split_at_checked(length.parse().ok()?)?;
        (body.to_vec(), rest)
    } else {
        (rest.to_vec(), &[][..])
    };
    answer.body = body;
    Some((answer, rest))
}

fn chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let (size, rest) = cut(bytes, b"\r\n")?;
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
