//! HTTP/1 as nobody should write it, and answers of every kind.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::visit::{Answers, HOST, Stream};
use super::{Sent, latin1};
use crate::answers::{answers, first};
use crate::http::Response;

/// How long a server that does not close is listened to after its answer.
const MOMENT: Duration = Duration::from_millis(50);

/// What is sent when there are trailers, which only a body can have.
const BODY: &str = "5\r\nhello\r\n0\r\n";

/// Sends it, and reads until the server has closed or is known to have said everything.
pub(super) fn ask(stream: &mut dyn Stream, sent: &Sent) -> io::Result<Answers> {
    // A server may refuse, and close, before everything is written: then its answer counts.
    let written = stream.write_all(&bytes(sent)).and_then(|()| stream.flush());
    let mut said = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let ended = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(length) => said.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
        // It was asked to close. One that does not gets a moment for a second answer to what it took for two requests.
        if first(&said).is_some_and(|(answer, _)| has_length(&answer)) {
            stream.be_patient_for(MOMENT)?;
        }
    };
    if said.is_empty() {
        written?;
        ended?;
    }
    match answers(&said) {
        Ok(answers) => Ok(answers
            .into_iter()
            .map(|answer| (Some(answer.status), answer.body))
            .collect()),
        // What cannot be understood is no answer, unless it is one all the same.
        Err(_) if said.windows(8).any(|part| part == b"\"client\"") => Ok(vec![(Some(200), said)]),
        Err(what) => Err(io::Error::other(what)),
    }
}

fn has_length(answer: &Response) -> bool {
    ["Content-Length", "Transfer-Encoding"]
        .iter()
        .any(|name| answer.header(name).is_some())
}

fn bytes(sent: &Sent) -> Vec<u8> {
    let has = |name: &str| sent.fields.iter().any(|(had, _)| had.eq_ignore_ascii_case(name));
    let mut head = format!("{} {} HTTP/{}\r\n", sent.method, sent.target, sent.version);
    let mut line = |name: &str, value: &str| head += &format!("{name}: {value}\r\n");
    if !has("Host") {
        line("Host", HOST);
    }
    line("Accept", "application/json");
    if !has("Connection") {
        line("Connection", "close");
    }
    if !sent.trailers.is_empty() {
        line("Transfer-Encoding", "chunked");
        let names: Vec<_> = sent.trailers.iter().map(|(name, _)| name.as_str()).collect();
        line("Trailer", &names.join(", "));
    }
    for (name, value) in &sent.fields {
        line(name, value);
    }
    head += &sent.raw;
    head += "\r\n";
    if !sent.trailers.is_empty() {
        head += BODY;
        for (name, value) in &sent.trailers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
    }
    let mut bytes = sent.preface.clone();
    bytes.extend(latin1(&head));
    bytes
}
