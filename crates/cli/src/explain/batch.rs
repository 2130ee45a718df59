//! `truehop explain --batch`: cases on standard input, one JSON object a line, answered in order.
//!
//! A line is `{"id", "policy", "peer", "headers", "wire_hex"}`, as in the contract `client-address.jsonl`; other keys are
//! ignored. `wire_hex` is the start of the connection, which a step `proxy-protocol` reads.
//!
//! Invariant: every line gets exactly one answer, whatever its bytes are, before the next one is read; memory is
//! bounded by the longest line that is accepted.

use std::io::{self, BufRead, Write};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use truehop::{Peer, Policy, PolicyConfig};

use super::arrive;
use crate::status::Status;

/// Longer lines are no cases.
const LONGEST_LINE: usize = 1024 * 1024;

/// Answers every line of `input`. The status tells whether each of them was a case.
pub(super) fn answer_all(mut input: impl BufRead, mut output: impl Write) -> io::Result<Status> {
    let mut status = Status::Done;
    let mut line = Vec::new();
    while let Some(complete) = next_line(&mut input, &mut line)? {
        let answer = match complete {
            true => answer(&line),
            false => Answer::bad_input(format!("longer than {LONGEST_LINE} bytes")),
        };
        if answer.id.is_none() {
            status = Status::Negative;
        }
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        output.write_all(&text)?;
        output.flush()?;
    }
    Ok(status)
}

/// Reads a line without its end; `Some(false)` when it was too long and skipped, `None` at the end of the input.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let (mut begun, mut complete) = (false, true);
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok(begun.then_some(complete));
        }
        begun = true;
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        complete &= line.len() + part.len() <= LONGEST_LINE;
        if complete {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some(complete));
        }
    }
}

#[derive(Deserialize)]
struct Case<'a> {
    id: String,
    /// Raw, so that a fault in it is the policy's and not the line's, and a key written twice is seen.
    #[serde(borrow)]
    policy: &'a RawValue,
    peer: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    wire_hex: String,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Answer {
    fn bad_input(detail: String) -> Self {
        Self {
            error: Some("bad-input"),
            detail: Some(detail),
            ..Self::default()
        }
    }
}

fn answer(line: &[u8]) -> Answer {
    // serde would take a list for the keys' values in order.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Answer::bad_input("not a JSON object".to_owned());
    }
    let case: Case<'_> = match serde_json::from_slice(line) {
        Ok(case) => case,
        Err(error) => return Answer::bad_input(error.to_string()),
    };
    let peer: Peer = match case.peer.parse() {
        Ok(peer) => peer,
        Err(error) => return Answer::bad_input(format!("peer: {error}")),
    };
    let Some(wire) = bytes(&case.wire_hex) else {
        return Answer::bad_input("wire_hex: not pairs of hexadecimal digits".to_owned());
    };
    let mut answer = Answer {
        id: Some(case.id),
        ..Answer::default()
    };
    match policy(case.policy.get()) {
        Err(detail) => {
            answer.error = Some("bad-policy");
            answer.detail = Some(detail);
        }
        Ok(policy) => match arrive(&policy, peer, &wire)
            .and_then(|arrival| policy.resolve(arrival, &case.headers[..]))
        {
            Ok(resolution) => {
                answer.client = Some(resolution.client().ip());
                answer.port = resolution.client().port();
            }
            Err(reason) => {
                answer.error = Some(reason.code());
                answer.detail = Some(reason.to_string());
            }
        },
    }
    answer
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = hex.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

/// A policy's words in JSON: one object, or a list of steps.
fn policy(json: &str) -> Result<Policy, String> {
    let json = json.trim_ascii();
    let steps: Vec<&RawValue> = match json.starts_with('[') {
        true => serde_json::from_str(json).map_err(|error| error.to_string())?,
        false => vec![serde_json::from_str(json).map_err(|error| error.to_string())?],
    };
    let words = steps.into_iter().map(|step| words(step.get()));
    PolicyConfig::build_steps(words.collect::<Result<Vec<_>, _>>()?).map_err(|error| error.to_string())
}

fn words(json: &str) -> Result<PolicyConfig, String> {
    if !json.starts_with('{') {
        return Err("a policy is an object, or a list of objects".to_owned());
    }
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn batch(input: &[u8]) -> (Vec<Value>, Status) {
        let mut output = Vec::new();
        // A tiny buffer, so that lines are put together from pieces.
        let status = answer_all(io::BufReader::with_capacity(7, input), &mut output).unwrap();
        let lines = output
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty());
        (
            lines.map(|line| serde_json::from_slice(line).unwrap()).collect(),
            status,
        )
    }

    #[test]
    fn cases_are_answered_in_order() {
        let input = br#"{"id":"a","policy":{"from":"peer"},"peer":"1.2.3.4:5","headers":[],"why":[[[]]]}
{"id":"b","policy":[{"from":"x-forwarded-for","trusted":["10.0.0.0/8"]}],"peer":"10.0.0.1:5","headers":[["X-Forwarded-For","1.1.1.1:99"]]}
{"id":"c","policy":{"from":"header","header":"X-Real-IP","trusted":"any"},"peer":"unix","headers":[]}
{"id":"d","policy":{"from":"peer","frm":1},"peer":"unix","headers":[]}"#;
        let (answers, status) = batch(input);
        assert_eq!(status, Status::Done);
        assert_eq!(answers[0], json!({"id": "a", "client": "1.2.3.4"}));
        assert_eq!(answers[1], json!({"id": "b", "client": "1.1.1.1", "port": 99}));
        assert_eq!(
            (&answers[2]["id"], &answers[2]["error"]),
            (&json!("c"), &json!("missing-header"))
        );
        assert_eq!(
            (&answers[3]["id"], &answers[3]["error"]),
            (&json!("d"), &json!("bad-policy"))
        );
        assert_eq!(answers.len(), 4);
    }

    #[test]
    fn lines_that_are_no_cases_are_told_and_the_run_goes_on() {
        let good = br#"{"id":"good","policy":{"from":"peer"},"peer":"1.2.3.4:5"}"#.to_vec();
        let deep = |open: u8| vec![open; 100_000];
        let bad: [Vec<u8>; 11] = [
            b"".to_vec(),
            b"\xff\xfe\x00".to_vec(),
            b"{}".to_vec(),
            b"null".to_vec(),
            br#"["a",{"from":"peer"},"1.2.3.4:5",[]]"#.to_vec(),
            br#"{"id":1,"policy":{"from":"peer"},"peer":"1.2.3.4:5"}"#.to_vec(),
            br#"{"id":"a","policy":{"from":"peer"},"peer":"nobody"}"#.to_vec(),
            br#"{"id":"a","id":"b","policy":{"from":"peer"},"peer":"unix"}"#.to_vec(),
            deep(b'['),
            [br#"{"id":"a","headers":"#.to_vec(), deep(b'[')].concat(),
            [br#"{"id":""#.to_vec(), vec![b'a'; LONGEST_LINE]].concat(),
        ];
        for line in bad {
            let shown = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
            let (answers, status) = batch(&[line, good.clone()].join(&b'\n'));
            assert_eq!(status, Status::Negative, "{shown}");
            assert_eq!(
                (&answers[0]["id"], &answers[0]["error"]),
                (&Value::Null, &json!("bad-input")),
                "{shown}"
            );
            assert!(answers[0]["detail"].is_string(), "{shown}");
            assert_eq!(answers[1], json!({"id": "good", "client": "1.2.3.4"}), "{shown}");
            assert_eq!(answers.len(), 2, "{shown}");
        }
    }

    #[test]
    fn words_that_make_no_policy_are_bad_policy() {
        for policy in [
            r#"[]"#,
            r#"null"#,
            r#""peer""#,
            r#"{}"#,
            r#"["peer"]"#,
            r#"{"from":"peer","from":"peer"}"#,
            r#"{"from":"proxy-protocol"}"#,
            r#"[{"from":"peer"},{"from":"peer"}]"#,
        ] {
            let line = format!(r#"{{"id":"a","policy":{policy},"peer":"unix","headers":[]}}"#);
            let (answers, status) = batch(line.as_bytes());
            assert_eq!(
                (&answers[0]["id"], &answers[0]["error"]),
                (&json!("a"), &json!("bad-policy")),
                "{policy}"
            );
            assert_eq!(status, Status::Done);
        }
    }

    #[test]
    fn an_answer_comes_before_the_next_line_is_read() {
        /// Gives one line, and fails when asked for more.
        struct OneLine<'a>(&'a [u8]);

        impl io::Read for OneLine<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.is_empty() {
                    true => Err(io::ErrorKind::ConnectionReset.into()),
                    false => self.0.read(buffer),
                }
            }
        }

        let line = br#"{"id":"a","policy":{"from":"peer"},"peer":"1.2.3.4:5"}"#;
        let mut output = Vec::new();
        let input = io::BufReader::new(OneLine(b"{}\n"));
        assert!(answer_all(input, &mut output).is_err());
        assert!(
            output.ends_with(b"\n"),
            "the answer to a complete line was kept back"
        );
        assert!(serde_json::from_slice::<Case<'_>>(line).is_ok());
    }

    #[test]
    fn nothing_in_gives_nothing_out() {
        assert_eq!(batch(b""), (vec![], Status::Done));
    }
}
