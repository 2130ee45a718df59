//! An edge with one service, on a socket of every kind; clients that read as slowly as a test wants; and a guard that
//! keeps a book.

use std::convert::Infallible;
use std::fs::File;
use std::future::{Ready, ready};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use rustix::net::RecvFlags;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use truehop::Policy;
use truehop_delivery::{Guard, Parcel, ParcelBody};
use truehop_edge::{
    Body, Edge, EdgeConfig, ListenAddress, ListenConfig, RouteConfig, Running, Service, TimeoutsConfig,
    TlsConfig,
};

/// The ways to the same service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Tcp,
    Unix,
    Tls13,
    Tls12,
}

pub(crate) const WAYS: [Way; 4] = [Way::Tcp, Way::Unix, Way::Tls13, Way::Tls12];

/// A running edge. Stops when it is dropped.
pub(crate) struct Site {
    running: Option<Running>,
    listeners: Vec<String>,
    directory: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new<F>(answer: F) -> Self
    where
        F: Fn(&Request<Body>) -> Response<ParcelBody> + Send + Sync + 'static,
    {
        Self::with(TimeoutsConfig::default(), answer)
    }

    pub(crate) fn with<F>(timeouts: TimeoutsConfig, answer: F) -> Self
    where
        F: Fn(&Request<Body>) -> Response<ParcelBody> + Send + Sync + 'static,
    {
        let directory = tempfile::tempdir().unwrap();
        let tcp = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let plain = |address| ListenConfig { address, tls: None };
        let config = EdgeConfig {
            listen: vec![
                plain(tcp.clone()),
                plain(ListenAddress::Unix(directory.path().join("socket"))),
                ListenConfig {
                    address: tcp,
                    tls: Some(certificate(directory.path())),
                },
            ],
            workers: 1,
            // A Unix peer has no address of its own.
            client: Policy::header("X-Real-IP").trusted(["unix"]).build().unwrap(),
            routes: vec![RouteConfig {
                to: Some("test".into()),
                ..RouteConfig::default()
            }],
            timeouts,
            limits: Default::default(),
            forwarded: false,
            access_log: false,
            admin: None,
        };
        let service = Service::new(Answering(Arc::new(answer)));
        let bound = Edge::new(config, vec![("test", service)])
            .unwrap()
            .bind()
            .unwrap();
        Self {
            listeners: bound.listeners(),
            running: Some(bound.start(Default::default()).unwrap()),
            directory,
        }
    }

    pub(crate) fn connect(&self, way: Way) -> Client {
        let place = |index: usize| {
            self.listeners[index]
                .split_once(':')
                .unwrap()
                .1
                .trim_start_matches('/')
        };
        let tls = |version| {
            let socket = TcpStream::connect(place(2)).unwrap();
            Client::Tls(Box::new(StreamOwned::new(self.tls_client(version), socket)))
        };
        match way {
            Way::Tcp => Client::Tcp(TcpStream::connect(place(0)).unwrap()),
            Way::Unix => Client::Unix(UnixStream::connect(format!("/{}", place(1))).unwrap()),
            Way::Tls13 => tls(&rustls::version::TLS13),
            Way::Tls12 => tls(&rustls::version::TLS12),
        }
    }

    /// A client that believes this edge's certificate, and no other.
    fn tls_client(&self, version: &'static SupportedProtocolVersion) -> ClientConnection {
        let certificate = CertificateDer::from_pem_file(self.directory.path().join("cert.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), ServerName::try_from("edge.test").unwrap()).unwrap()
    }

    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.end();
    }
}

/// A response that says what it is made of.
pub(crate) fn response(parcel: Parcel) -> Response<ParcelBody> {
    let mut response = Response::new(ParcelBody::from(parcel.clone()));
    // For HEAD.
    response
        .headers_mut()
        .insert("content-length", parcel.len().into());
    response.extensions_mut().insert(parcel);
    response
}

struct Answering<F>(Arc<F>);

impl<F> Clone for Answering<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> tower_service::Service<Request<Body>> for Answering<F>
where
    F: Fn(&Request<Body>) -> Response<ParcelBody>,
{
    type Response = Response<ParcelBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ParcelBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(self.0(&request)))
    }
}

/// A client that reads no more than it is told to.
pub(crate) enum Client {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    pub(crate) fn ask(&mut self, method: &str, path: &str) {
        self.ask_with(method, path, "");
    }

    /// The same with more lines in the head.
    pub(crate) fn ask_with(&mut self, method: &str, path: &str, lines: &str) {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nX-Real-IP: 192.0.2.7\r\n{lines}\r\n");
        self.write_all(request.as_bytes()).unwrap();
    }

    /// Reads a head, and not a byte more.
    pub(crate) fn head_text(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// The same, of bytes that come. Gives the length of the body that it announces.
    pub(crate) fn head(&mut self) -> u64 {
        let head = self.head_text();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        length.parse().unwrap()
    }

    pub(crate) fn body(&mut self, len: u64) -> Vec<u8> {
        let mut body = vec![0; len as usize];
        self.read_exact(&mut body).unwrap();
        body
    }

    /// Sends a byte, with which the kernel acknowledges all that has come.
    pub(crate) fn acknowledge(&mut self) {
        self.write_all(b"G").unwrap();
    }

    /// Whether there is nothing to read now.
    pub(crate) fn has_nothing(&self) -> bool {
        rustix::io::ioctl_fionread(self.socket()).unwrap() == 0
    }

    /// Waits until there is something to read, and leaves it where it is.
    pub(crate) fn await_more(&mut self) {
        if let Self::Tls(stream) = self {
            // What is behind the handshake.
            stream.flush().unwrap();
        }
        rustix::net::recv(self.socket(), &mut [0], RecvFlags::PEEK).unwrap();
    }

    fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Tls(stream) => stream.sock.as_fd(),
        }
    }
}

impl Read for Client {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(space),
            Self::Unix(socket) => socket.read(space),
            Self::Tls(stream) => stream.read(space),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.flush(),
            Self::Unix(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn certificate(directory: &Path) -> TlsConfig {
    let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=edge.test \
                 -addext subjectAltName=DNS:edge.test -addext basicConstraints=critical,CA:FALSE";
    let made = Command::new("openssl")
        .args(words.split(' ').filter(|word| !word.is_empty()))
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output();
    let made = made.unwrap_or_else(|error| panic!("openssl, which makes the certificate: {error}"));
    assert!(made.status.success(), "{made:?}");
    TlsConfig { cert, key }
}

/// So many bytes, none like its neighbours.
pub(crate) fn bytes(len: u64) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8 ^ (n >> 8) as u8).collect()
}

pub(crate) fn file_of(bytes: &[u8]) -> Arc<File> {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    Arc::new(file)
}

/// A guard that holds back what a test wants, and counts what has left.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Pieces of which no more than so many bytes are left must wait.
    hold_from: u64,
    refuses: bool,
    waiting: Option<(u64, Waker)>,
    sent: u64,
}

impl Gate {
    pub(crate) fn holding(left: u64) -> Arc<Self> {
        let gate = Self::default();
        gate.state.lock().unwrap().hold_from = left;
        Arc::new(gate)
    }

    /// Waits until somebody must wait, and says with how many bytes left.
    pub(crate) fn reached(&self) -> u64 {
        let state = self.state.lock().unwrap();
        let timeout = Duration::from_secs(60);
        let (state, late) = self
            .changed
            .wait_timeout_while(state, timeout, |state| state.waiting.is_none())
            .unwrap();
        assert!(!late.timed_out(), "nobody has come to the gate");
        state.waiting.as_ref().map(|(left, _)| *left).unwrap()
    }

    pub(crate) fn release(&self) {
        let mut state = self.state.lock().unwrap();
        state.hold_from = 0;
        let (_, waker) = state.waiting.take().unwrap();
        waker.wake();
    }

    pub(crate) fn refuse(&self) {
        self.state.lock().unwrap().refuses = true;
        self.release();
    }

    pub(crate) fn sent(&self) -> u64 {
        self.state.lock().unwrap().sent
    }
}

impl Guard for Gate {
    fn poll_piece(&self, left: u64, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state.lock().unwrap();
        if left <= state.hold_from {
            state.waiting = Some((left, cx.waker().clone()));
            self.changed.notify_all();
            return Poll::Pending;
        }
        Poll::Ready(!state.refuses)
    }

    fn sent(&self, bytes: u64) {
        self.state.lock().unwrap().sent += bytes;
    }

    fn cannot_read(&self, error: &io::Error) {
        panic!("{error}");
    }
}
