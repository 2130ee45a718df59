//! A connection of a client to the edge, on which everything may fail and nothing panics.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;

use crate::http::{Host, parse_head};

/// Bytes that were asked for at once.
const PIECE: usize = 32 * 1024;

#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    /// Read and not used yet, from `used` on.
    ahead: Vec<u8>,
    used: usize,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Wire {
    pub(super) fn connect(host: Host, server: SocketAddr) -> Self {
        Self {
            stream: host.connect(server).into_stream(),
            ahead: Vec::new(),
            used: 0,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Cuts the connection without a goodbye.
    pub(super) fn abort(self) {
        // If it cannot be set, the connection is closed politely, which is another way of leaving.
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// Waits for a few bytes of whatever comes next, or for the end.
    pub(super) fn taste(&mut self) -> io::Result<()> {
        if self.used == self.ahead.len() {
            self.fill()?;
        }
        Ok(())
    }

    /// The next answer; `None` when the connection ends before it begins.
    pub(super) fn answer(&mut self, is_head: bool) -> io::Result<Option<Answer>> {
        let Some(head) = self.until(b"\r\n\r\n")? else {
            return Ok(None);
        };
        let invalid = || io::Error::new(ErrorKind::InvalidData, "no answer");
        let head = String::from_utf8(head).map_err(|_| invalid())?;
        let (status, headers) = parse_head(&head).ok_or_else(invalid)?;
        let header = |name: &str| {
            let mut lines = headers.iter().filter(|(had, _)| had.eq_ignore_ascii_case(name));
            lines.next().map(|(_, value)| value.as_str())
        };
        let body = if is_head || status == 204 || status == 304 {
            Vec::new()
        } else if header("Transfer-Encoding").is_some() {
            self.chunks()?
        } else {
            let length = header("Content-Length").and_then(|length| length.parse().ok());
            self.exactly(length.ok_or_else(invalid)?)?
        };
        Ok(Some(Answer { status, body }))
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
        let read = self.stream.read(&mut self.ahead[had..]);
        self.ahead.truncate(had + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(length) => Ok(length > 0),
            // The end, by another name.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }
}
