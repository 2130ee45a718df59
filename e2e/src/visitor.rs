//! Somebody who uses a drop: who uploads, who collects, and whose connection may break anywhere.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

use crate::http::{Host, Request, Response};
use crate::wire::Wire;

/// The boundary of our forms; no content that tests make has it.
const BOUNDARY: &str = "----truehop-e2e-boundary";

/// How much of a body is read between two looks.
const PIECE: usize = 32 * 1024;

/// The path of a drop, `/d/ID`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Link(String);

/// What an upload was answered with.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// The path of the drop.
    pub link: Link,
    /// The secret that makes its bearer the owner; empty when the rule uses none.
    pub owner: String,
}

/// How a request went, as far as its client can tell.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The whole answer came.
    Answered(Response),
    /// The answer broke off, or the client left: what came of it.
    Broken(Response),
    /// No answer came.
    Lost,
}

/// Somebody at an address, in front of a drop.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    host: Host,
    server: SocketAddr,
}

impl Link {
    /// That of a drop with this id.
    pub fn of_id(id: &str) -> Self {
        Self(format!("/d/{id}"))
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.0[3..]
    }

    /// The page.
    pub fn page(&self) -> &str {
        &self.0
    }

    /// The bytes of the only file.
    pub fn raw(&self) -> String {
        format!("{self}/raw")
    }

    /// File `number`, to be asked for by `POST`, `DELETE`.
    pub fn file(&self, number: u32) -> String {
        format!("{self}/{number}")
    }

    /// The bytes of file `number`.
    pub fn bytes(&self, number: u32) -> String {
        format!("{self}/{number}/raw")
    }

    /// All that remains, as one archive.
    pub fn zip(&self) -> String {
        format!("{self}/zip")
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Uploaded {
    /// Reads the answer to an upload by a tool.
    ///
    /// # Panics
    /// When it is none that says "stored".
    #[track_caller]
    pub fn read(response: &Response) -> Self {
        assert_eq!(response.status, 201, "{response:?}");
        let text = response.text();
        let id = text.trim_end().rsplit_once("/d/").map(|(_, id)| id);
        Self {
            link: Link::of_id(id.unwrap_or_else(|| panic!("no link: {response:?}"))),
            owner: response.header("Truehop-Owner").unwrap_or_default().to_owned(),
        }
    }
}

impl Outcome {
    /// What comes on a connection over which a request was sent that is not `HEAD`.
    pub fn of(wire: Wire) -> Self {
        read(wire, false, |_| true)
    }

    /// What comes on a connection over which `request` was sent, until `stays` says false: it hears how much of the body has
    /// come, first 0 with the head. Then the client leaves without a goodbye.
    pub fn while_staying(wire: Wire, request: &Request, stays: impl FnMut(usize) -> bool) -> Self {
        read(wire, request.is_head(), stays)
    }

    /// The answer.
    ///
    /// # Panics
    /// When it did not come whole.
    #[track_caller]
    pub fn answer(self) -> Response {
        match self {
            Self::Answered(response) => response,
            other => panic!("no whole answer: {other:?}"),
        }
    }

    /// What came, whole or not.
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::Answered(response) | Self::Broken(response) => Some(response),
            Self::Lost => None,
        }
    }

    /// What came of a body that was granted: of 200 and 206, whole or not.
    pub fn body(&self) -> &[u8] {
        let response = self
            .response()
            .filter(|response| matches!(response.status, 200 | 206));
        response.map_or(&[], |response| &response.body)
    }

    /// The status, if one came.
    pub fn status(&self) -> Option<u16> {
        self.response().map(|response| response.status)
    }

    /// Whether an answer came that is no refusal.
    pub fn is_success(&self) -> bool {
        self.status().is_some_and(|status| status < 400)
    }

    /// Whether the answer is a whole 200.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Answered(response) if response.status == 200)
    }

    /// The secret of the collection that the answer belongs to.
    pub fn collection(&self) -> Option<String> {
        let value = self.response()?.header("Truehop-Collection")?;
        Some(value.to_owned())
    }
}

impl Visitor {
    /// Somebody at `host`, in front of `server`.
    pub const fn new(host: Host, server: SocketAddr) -> Self {
        Self { host, server }
    }

    /// Uploads one file.
    ///
    /// # Panics
    /// When it is not stored.
    #[track_caller]
    pub fn put(&self, content: &[u8]) -> Uploaded {
        Uploaded::read(&self.ask(&Request::new("PUT", "/file.bin").body(content)).answer())
    }

    /// Uploads a drop of several files, named `1.bin` and so on.
    ///
    /// # Panics
    /// When it is not stored.
    #[track_caller]
    pub fn put_all(&self, contents: &[&[u8]]) -> Uploaded {
        Uploaded::read(&self.ask(&form_of(contents)).answer())
    }

    /// The answer to `GET path`.
    ///
    /// # Panics
    /// When it does not come whole.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.ask(&Request::new("GET", path)).answer()
    }

    /// The status of the answer to `GET path`, read to its end.
    ///
    /// # Panics
    /// When it does not come whole.
    #[track_caller]
    pub fn status(&self, path: &str) -> u16 {
        self.get(path).status
    }

    /// Sends one request on a connection of its own, and reads what comes.
    pub fn ask(&self, request: &Request) -> Outcome {
        self.ask_until(request, |_| true)
    }

    /// As [`ask`](Self::ask), but leaves without a goodbye as soon as `stays` says false: it hears how much of the body has
    /// come, first 0 with the head.
    pub fn ask_until(&self, request: &Request, stays: impl FnMut(usize) -> bool) -> Outcome {
        match Wire::connect(self.host, self.server) {
            Ok(wire) => self.ask_over(wire, request, stays),
            Err(_) => Outcome::Lost,
        }
    }

    /// Sends one request of which the kernel takes hardly more than what is read, and leaves without a goodbye when `bytes`
    /// bytes of the body have come.
    pub fn ask_some(&self, request: &Request, bytes: usize) -> Outcome {
        match Wire::connect_narrow(self.host, self.server) {
            Ok(wire) => self.ask_over(wire, request, |length| length < bytes),
            Err(_) => Outcome::Lost,
        }
    }

    /// As [`ask_until`](Self::ask_until), on this connection.
    pub fn ask_over(&self, mut wire: Wire, request: &Request, stays: impl FnMut(usize) -> bool) -> Outcome {
        // A server that goes may have answered before.
        let _ = wire.send(request);
        read(wire, request.is_head(), stays)
    }
}

fn read(mut wire: Wire, is_head: bool, mut stays: impl FnMut(usize) -> bool) -> Outcome {
    let Ok(Some(mut answer)) = wire.head() else {
        return Outcome::Lost;
    };
    if is_head || matches!(answer.status, 204 | 304) {
        return Outcome::Answered(answer);
    }
    let length = answer
        .header("Content-Length")
        .and_then(|length| length.parse().ok());
    let mut had = 0;
    loop {
        if !stays(had) {
            wire.abort();
            return Outcome::Broken(answer);
        }
        if length == Some(had) {
            return Outcome::Answered(answer);
        }
        match wire.more(&mut answer, PIECE) {
            Ok(Some(has)) => had = has,
            _ => return Outcome::Broken(answer),
        }
    }
}

/// An upload of several files, named `1.bin` and so on.
pub fn form_of(contents: &[&[u8]]) -> Request {
    let named: Vec<(String, &[u8])> = (1..)
        .map(|n| format!("{n}.bin"))
        .zip(contents.iter().copied())
        .collect();
    let files: Vec<(&str, &[u8])> = named
        .iter()
        .map(|(name, content)| (name.as_str(), *content))
        .collect();
    form(&files, &[])
}

/// An upload as `multipart/form-data`, as a tool sends it: files with their names, and other fields before them.
pub fn form(files: &[(&str, &[u8])], fields: &[(&str, &str)]) -> Request {
    let mut body = Vec::new();
    for (name, value) in fields {
        let head =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(head.as_bytes());
    }
    for (name, content) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Request::new("POST", "/")
        .header("Content-Type", &kind)
        .body(&body)
}

/// Content of a file in which a byte that is missing, doubled or from another file is seen.
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut word = seed.rotate_left(32);
    let mut content = Vec::with_capacity(length + 8);
    while content.len() < length {
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        content.extend_from_slice(&(word ^ word >> 29).to_be_bytes());
    }
    content.truncate(length);
    content
}

/// The value of the header `Range` for these bytes.
pub fn range_of(bytes: &Range<usize>) -> String {
    format!("bytes={}-{}", bytes.start, bytes.end.saturating_sub(1))
}
