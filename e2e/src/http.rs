//! A small HTTP/1.1 client that can come from any address and say anything, also what no client should.
//!
//! It is strict in what it reads: a response that is not framed as HTTP/1.1 frames it is a panic, hence a failed test.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt};

use crate::{DEADLINE, eventually, kernel};

/// A host of the test's network: an address to connect from.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Host(Ipv4Addr);

/// A request that is sent as it is written here; only `Host` and `Content-Length` are added when missing.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A response, read to its end.
#[derive(Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines, in order.
    pub headers: Vec<(String, String)>,
    /// The content, without its framing.
    pub body: Vec<u8>,
}

/// One connection, from either side: clients read responses from it, a scripted upstream reads requests.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    /// Bytes that were read and not used yet.
    ahead: Vec<u8>,
}

/// How the other side ended a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// As one does who has said everything.
    Closed,
    /// By a reset: what was on its way may be lost.
    Reset,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Host {
    /// The host with this address, which must be in the loopback range.
    pub const fn at(a: u8, b: u8, c: u8, d: u8) -> Self {
        assert!(a == 127);
        Self(Ipv4Addr::new(a, b, c, d))
    }

    /// Its address.
    pub const fn ip(self) -> IpAddr {
        IpAddr::V4(self.0)
    }

    /// Connects to `server` from this host.
    #[track_caller]
    pub fn connect(self, server: SocketAddr) -> Connection {
        self.try_connect(server, None)
            .unwrap_or_else(|error| panic!("{self} cannot reach {server}: {error}"))
    }

    /// As [`connect`](Self::connect), with a kernel that takes about `bytes` bytes that nobody reads, and no more.
    #[track_caller]
    pub fn connect_narrow(self, server: SocketAddr, bytes: usize) -> Connection {
        self.try_connect(server, Some(bytes))
            .unwrap_or_else(|error| panic!("{self} cannot reach {server}: {error}"))
    }

    pub(crate) fn try_connect(self, server: SocketAddr, room: Option<usize>) -> io::Result<Connection> {
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
        // Before the connection is made: what was offered once cannot be taken back.
        if let Some(bytes) = room {
            sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        bind(&socket, &SocketAddr::from((self.0, 0)))?;
        connect(&socket, &server)?;
        Ok(Connection::over(TcpStream::from(socket)))
    }

    /// Sends one request on a connection of its own, and reads the response.
    #[track_caller]
    pub fn send(self, server: SocketAddr, request: &Request) -> Response {
        self.connect(server)
            .exchange(&request.clone().header_if_missing("Host", &server.to_string()))
    }

    /// `GET path`.
    #[track_caller]
    pub fn get(self, server: SocketAddr, path: &str) -> Response {
        self.send(server, &Request::new("GET", path))
    }

    /// `PUT path`, as `curl -T` does it.
    #[track_caller]
    pub fn put(self, server: SocketAddr, path: &str, body: &[u8]) -> Response {
        self.send(server, &Request::new("PUT", path).body(body))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds header lines.
    #[must_use]
    pub fn headers(self, lines: &[(&str, &str)]) -> Self {
        lines
            .iter()
            .fold(self, |request, (name, value)| request.header(name, value))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    pub(crate) fn header_if_missing(self, name: &str, value: &str) -> Self {
        let has = self.headers.iter().any(|(had, _)| had.eq_ignore_ascii_case(name));
        if has { self } else { self.header(name, value) }
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn head(&self) -> String {
        let mut framed = self.clone();
        if !self.body.is_empty() || matches!(self.method.as_str(), "PUT" | "POST") {
            framed = framed.header_if_missing("Content-Length", &self.body.len().to_string());
        }
        let lines = framed
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        format!(
            "{} {} HTTP/1.1\r\n{}\r\n",
            self.method,
            self.target,
            lines.collect::<String>()
        )
    }
}

/// As it is sent.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.head(), String::from_utf8_lossy(&self.body))
    }
}

impl Response {
    /// The value of the only line `name`.
    ///
    /// # Panics
    /// When there is more than one.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .headers
            .iter()
            .filter(|(had, _)| had.eq_ignore_ascii_case(name));
        let value = lines.next().map(|(_, value)| value.as_str());
        assert!(lines.next().is_none(), "more than one line `{name}`: {self:?}");
        value
    }

    /// The values of all lines `name`.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self
            .headers
            .iter()
            .filter(move |(had, _)| had.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        let start = &self.body[..self.body.len().min(2000)];
        write!(
            f,
            "\n{} ({} bytes)",
            String::from_utf8_lossy(start),
            self.body.len()
        )
    }
}

impl Connection {
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            socket: Socket::Tcp(stream),
            ahead: Vec::new(),
        }
    }

    pub(crate) fn over_unix(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            socket: Socket::Unix(stream),
            ahead: Vec::new(),
        }
    }

    /// The TCP connection itself, with nothing read from it yet.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.ahead.is_empty());
        match self.socket {
            Socket::Tcp(stream) => stream,
            Socket::Unix(_) => panic!("a Unix socket"),
        }
    }

    /// Connects to a Unix socket.
    #[track_caller]
    pub fn to_unix(path: &Path) -> Self {
        Self::over_unix(UnixStream::connect(path).unwrap())
    }

    /// Sends a request and reads its response. The connection stays open for the next.
    #[track_caller]
    pub fn exchange(&mut self, request: &Request) -> Response {
        // A server may answer before it has read everything, and close; its answer counts and not our failed write.
        let _ = self
            .socket
            .write_all(request.head().as_bytes())
            .and_then(|()| self.socket.write_all(&request.body));
        self.read_response_to(&request.method)
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes and reports failure, for writing to someone who may have hung up.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends bytes while the test goes on, for more than the kernel takes before somebody reads. Whoever stops reading
    /// too early finds less than all.
    pub fn write_meanwhile(&self, bytes: Vec<u8>) {
        let mut socket = self.socket.try_clone();
        thread::spawn(move || socket.write_all(&bytes));
    }

    /// Waits until the other side, a process of this machine, has read all that was sent.
    #[track_caller]
    pub fn wait_until_read(&self) {
        let Socket::Tcp(stream) = &self.socket else {
            panic!("a Unix socket");
        };
        let (us, them) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        eventually("the other side to read what was sent", || {
            (kernel::queues(us, them)?.unsent == 0 && kernel::queues(them, us)?.unread == 0).then_some(())
        });
    }

    /// Has the kernel hold no more than about so many bytes that were not read yet.
    pub fn hold_at_most(&self, bytes: usize) {
        match &self.socket {
            Socket::Tcp(stream) => sockopt::set_socket_recv_buffer_size(stream, bytes).unwrap(),
            Socket::Unix(stream) => sockopt::set_socket_recv_buffer_size(stream, bytes).unwrap(),
        }
    }

    /// Whether something to be read is there already; closing counts.
    pub fn has_answer(&mut self) -> bool {
        self.socket.set_nonblocking(true);
        let read = self.fill();
        self.socket.set_nonblocking(false);
        !self.ahead.is_empty() || !matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Reads up to and with the empty line that ends a head.
    #[track_caller]
    pub fn read_head(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            let more = self
                .fill()
                .unwrap_or_else(|error| panic!("{error} inside a head: {}", self.unread()));
            assert!(more, "the connection closed inside a head: {:?}", self.unread());
        };
        String::from_utf8(self.ahead.drain(..end).collect()).unwrap()
    }

    /// Reads exactly `length` bytes.
    #[track_caller]
    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        while self.ahead.len() < length {
            let more = self
                .fill()
                .unwrap_or_else(|error| panic!("{error} before {length} bytes"));
            assert!(
                more,
                "the connection closed after {} of {length} bytes",
                self.ahead.len()
            );
        }
        self.ahead.drain(..length).collect()
    }

    /// Reads until `mark` has come, framing and all, and returns everything up to and with it.
    #[track_caller]
    pub fn read_until(&mut self, mark: &str) -> String {
        loop {
            let found = self
                .ahead
                .windows(mark.len())
                .position(|window| window == mark.as_bytes());
            if let Some(at) = found {
                let bytes = self.ahead.drain(..at + mark.len()).collect();
                return String::from_utf8(bytes).unwrap();
            }
            let more = self
                .fill()
                .unwrap_or_else(|error| panic!("{error} before {mark:?}: {}", self.unread()));
            assert!(more, "the connection closed before {mark:?}: {}", self.unread());
        }
    }

    /// Reads `length` bytes, or fewer when the other side closes before; a reset counts as closing.
    #[track_caller]
    pub fn read_up_to(&mut self, length: usize) -> Vec<u8> {
        while self.ahead.len() < length {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error} after {} of {length} bytes", self.ahead.len()),
            }
        }
        self.ahead.drain(..length.min(self.ahead.len())).collect()
    }

    /// Reads until the other side closes; a reset counts as closing.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error} before the end: {}", self.unread()),
            }
        }
        std::mem::take(&mut self.ahead)
    }

    /// Reads until the other side closes or the time is `end`; a reset counts as closing. Tells whether it closed.
    pub fn read_until_closed(&mut self, end: Instant) -> (Vec<u8>, bool) {
        let (bytes, ended) = self.read_until_ended(end);
        (bytes, ended.is_some())
    }

    /// Reads until the other side ends or the time is `end`. Tells how it ended.
    pub fn read_until_ended(&mut self, end: Instant) -> (Vec<u8>, Option<End>) {
        let ended = loop {
            let left = end.saturating_duration_since(Instant::now());
            self.socket.set_read_timeout(left.max(Duration::from_millis(1)));
            match self.fill() {
                Ok(true) => {}
                Ok(false) => break Some(End::Closed),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break Some(End::Reset),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => panic!("{error}"),
                Err(_) if left.is_zero() => break None,
                Err(_) => {}
            }
        };
        self.socket.set_read_timeout(DEADLINE);
        (std::mem::take(&mut self.ahead), ended)
    }

    /// Reads the response to a request that is not `HEAD`.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.read_response_to("GET")
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        self.socket.shutdown(Shutdown::Write);
    }

    /// Takes nothing more, and stays open. Over a Unix socket the other side can write no more from now on; over TCP
    /// it is not told.
    pub fn stop_reading(&self) {
        self.socket.shutdown(Shutdown::Read);
    }

    /// Cuts the connection as a lost network does: by a reset, without a goodbye.
    pub fn abort(self) {
        if let Socket::Tcp(stream) = &self.socket {
            sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
        }
    }

    /// Reads the response to a request with this method.
    #[track_caller]
    pub fn read_response_to(&mut self, method: &str) -> Response {
        let (status, headers) = loop {
            let head = self.read_head();
            let (status, headers) =
                parse_head(&head).unwrap_or_else(|| panic!("no head of a response: {head:?}"));
            if status >= 200 {
                break (status, headers);
            }
        };
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        response.body = if method == "HEAD" || status == 204 || status == 304 {
            Vec::new()
        } else if let Some(coding) = response.header("Transfer-Encoding") {
            assert_eq!(coding, "chunked");
            assert_eq!(
                response.header("Content-Length"),
                None,
                "two framings: {response:?}"
            );
            self.read_chunked()
        } else if let Some(length) = response.header("Content-Length") {
            self.read_exact(length.parse().unwrap())
        } else {
            self.read_to_end()
        };
        response
    }

    #[track_caller]
    fn read_chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.read_until("\r\n");
            let length = usize::from_str_radix(line.trim_end().split(';').next().unwrap(), 16).unwrap();
            if length == 0 {
                while self.read_until("\r\n") != "\r\n" {}
                return body;
            }
            body.extend(self.read_exact(length));
            assert_eq!(self.read_exact(2), b"\r\n");
        }
    }

    /// Reads what is there; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let length = uninterrupted(|| self.socket.read(&mut buffer))?;
        self.ahead.extend_from_slice(&buffer[..length]);
        Ok(length > 0)
    }

    fn unread(&self) -> String {
        format!(
            "{:?}",
            String::from_utf8_lossy(&self.ahead[..self.ahead.len().min(2000)])
        )
    }
}

impl Socket {
    fn try_clone(&self) -> Self {
        match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone().unwrap()),
            Self::Unix(stream) => Self::Unix(stream.try_clone().unwrap()),
        }
    }

    fn shutdown(&self, how: Shutdown) {
        match self {
            Self::Tcp(stream) => stream.shutdown(how).unwrap(),
            Self::Unix(stream) => stream.shutdown(how).unwrap(),
        }
    }

    fn set_read_timeout(&self, timeout: Duration) {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(timeout)).unwrap(),
            Self::Unix(stream) => stream.set_read_timeout(Some(timeout)).unwrap(),
        }
    }

    fn set_nonblocking(&self, nonblocking: bool) {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(nonblocking).unwrap(),
            Self::Unix(stream) => stream.set_nonblocking(nonblocking).unwrap(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A read with a timeout ends when the whole process is stopped and goes on; that is nobody's answer.
pub(crate) fn uninterrupted<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// The status and the header lines of a response's head.
pub(crate) fn parse_head(head: &str) -> Option<(u16, Vec<(String, String)>)> {
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let start = lines.next()?;
    let start = start
        .strip_prefix("HTTP/1.1 ")
        .or(start.strip_prefix("HTTP/1.0 "))?;
    let status = start.get(..3)?.parse().ok()?;
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    });
    Some((status, headers.collect::<Option<_>>()?))
}
