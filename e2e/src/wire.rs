//! A connection of a client, on which everything may fail and nothing panics.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;

use crate::http::{Connection, Host, Request, Response, parse_head, uninterrupted};

/// How much a narrow connection takes that nobody reads, about; the kernel doubles it.
const NARROW: usize = 4 * 1024;

/// Bytes that were asked for at once.
const PIECE: usize = 32 * 1024;

/// A connection whose other end may vanish.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// Read and not used yet, from `used` on.
    ahead: Vec<u8>,
    used: usize,
}

impl Wire {
    /// Connects to `server` from `host`.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect(host: Host, server: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(host.try_connect(server, None)?))
    }

    /// As [`connect`](Self::connect), with a kernel that takes hardly more than what is read.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect_narrow(host: Host, server: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(host.try_connect(server, Some(NARROW))?))
    }

    /// This connection, of which nothing was read yet.
    pub(crate) fn over(connection: Connection) -> Self {
        Self {
            stream: connection.into_stream(),
            ahead: Vec::new(),
            used: 0,
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the other end is gone.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// When the other end is gone; an answer may be there all the same.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let head = request.clone().header_if_missing("Host", "drop.test").head();
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(request.content())
    }

    /// As [`send`](Self::send), in pieces of so many bytes; `sent` is told after each.
    ///
    /// # Errors
    ///
    /// When the other end is gone; an answer may be there all the same.
    pub fn send_in_pieces(
        &mut self,
        request: &Request,
        piece: usize,
        mut sent: impl FnMut(),
    ) -> io::Result<()> {
        let head = request.clone().header_if_missing("Host", "drop.test").head();
        self.stream.write_all(head.as_bytes())?;
        sent();
        for piece in request.content().chunks(piece) {
            self.stream.write_all(piece)?;
            sent();
        }
        Ok(())
    }

    /// Cuts the connection without a goodbye.
    pub fn abort(self) {
        // If it cannot be set, the connection is closed politely, which is another way of leaving.
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// Waits for a few bytes of whatever comes next, or for the end.
    ///
    /// # Errors
    ///
    /// When neither comes in time.
    pub fn taste(&mut self) -> io::Result<()> {
        if self.used == self.ahead.len() {
            self.fill()?;
        }
        Ok(())
    }

    /// The next answer; `None` when the connection ends before it begins.
    pub(crate) fn answer(&mut self, is_head: bool) -> io::Result<Option<Response>> {
        let Some(mut answer) = self.head()? else {
            return Ok(None);
        };
        answer.body = if is_head || answer.status == 204 || answer.status == 304 {
            Vec::new()
        } else if answer.header("Transfer-Encoding").is_some() {
            self.chunks()?
        } else {
            self.exactly(length_of(&answer)?)?
        };
        Ok(Some(answer))
    }

    /// The head of the next answer; `None` when the connection ends before it begins.
    ///
    /// # Errors
    ///
    /// When it ends inside, or is no head.
    pub fn head(&mut self) -> io::Result<Option<Response>> {
        loop {
            let Some(head) = self.until(b"\r\n\r\n")? else {
                return Ok(None);
            };
            let head = String::from_utf8(head).map_err(|_| invalid())?;
            let (status, headers) = parse_head(&head).ok_or_else(invalid)?;
            if status >= 200 {
                return Ok(Some(Response {
                    status,
                    headers,
                    body: Vec::new(),
                }));
            }
        }
    }

    /// Adds some of the body, at most `most` bytes, to `answer`, whose head came before. How many bytes it has got now; `None`
    /// when the connection ended before the body did.
    ///
    /// # Errors
    ///
    /// When the answer does not say its length.
    pub fn more(&mut self, answer: &mut Response, most: usize) -> io::Result<Option<usize>> {
        let missing = length_of(answer)? - answer.body.len();
        if missing > 0 {
            if self.used == self.ahead.len() && !matches!(self.fill(), Ok(true)) {
                return Ok(None);
            }
            let some = missing.min(most).min(self.ahead.len() - self.used);
            answer
                .body
                .extend_from_slice(&self.ahead[self.used..self.used + some]);
            self.used += some;
        }
        Ok(Some(answer.body.len()))
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n")?.ok_or(ErrorKind::UnexpectedEof)?;
            let size = std::str::from_utf8(&line).ok().map(str::trim_end);
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or(ErrorKind::InvalidData)?;
            body.extend(self.exactly(size)?);
            if self.exactly(2)? != b"\r\n" {
                return Err(ErrorKind::InvalidData.into());
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Up to and with `mark`; `None` when there is nothing at all.
    fn until(&mut self, mark: &[u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            let unused = &self.ahead[self.used..];
            if let Some(at) = unused.windows(mark.len()).position(|window| window == mark) {
                let found = unused[..at + mark.len()].to_vec();
                self.used += found.len();
                return Ok(Some(found));
            }
            let had = !unused.is_empty();
            match self.fill()? {
                true => {}
                false if had => return Err(ErrorKind::UnexpectedEof.into()),
                false => return Ok(None),
            }
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() - self.used < length {
            if !self.fill()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let found = self.ahead[self.used..self.used + length].to_vec();
        self.used += length;
        Ok(found)
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.ahead.drain(..self.used);
        self.used = 0;
        let had = self.ahead.len();
        self.ahead.resize(had + PIECE, 0);
        let read = uninterrupted(|| self.stream.read(&mut self.ahead[had..]));
        self.ahead.truncate(had + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(length) => Ok(length > 0),
            // The end, by another name.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// How long the body of an answer is, as it says itself.
fn length_of(answer: &Response) -> io::Result<usize> {
    let length = answer
        .header("Content-Length")
        .and_then(|length| length.parse().ok());
    length.ok_or_else(invalid)
}

fn invalid() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "no answer")
}
