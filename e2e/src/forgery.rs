//! One forgery of the corpus, sent by somebody, and what the application believes afterwards.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use truehop_forgeries::{Answer as Said, Exchange, Language, Place, State};
pub use truehop_forgeries::{Cast, Forgery};

use crate::DEADLINE;

/// Whom requests are for.
const HOST: &str = "edge.test";

/// How long an answer may take. Who says nothing for so long has refused.
const PATIENCE: Duration = DEADLINE;

/// How long a server that does not close is listened to after its answer.
const MOMENT: Duration = Duration::from_millis(50);

/// Where a request goes, and how it is spoken.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The server.
    pub to: SocketAddr,
    /// Where the application answers.
    pub path: &'a str,
    /// In which language.
    pub speaks: Speaks,
}

/// What is spoken with the server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Speaks {
    /// HTTP/1.1 as it is.
    Http1,
    /// HTTP/1.1 in TLS.
    Http1OverTls,
    /// HTTP/2, in TLS.
    Http2,
}

/// What became of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// The application answered, and takes this for the client's address.
    Client(String),
    /// It was not answered, or by an error.
    Refused(String),
    /// It was answered, but not by the application, or by several answers that differ. Nobody should.
    Other(String),
}

impl Speaks {
    /// In which words that is.
    pub fn language(self) -> Language {
        match self {
            Self::Http1 | Self::Http1OverTls => Language::Http1,
            Self::Http2 => Language::Http2,
        }
    }
}

impl Visit<'_> {
    /// Sends one forgery on a connection of its own, from the host that this thread is on.
    #[track_caller]
    pub fn forge(&self, forgery: &Forgery, cast: &Cast) -> Answer {
        let place = Place {
            host: HOST,
            path: self.path,
            beside: &[],
        };
        let begun = Exchange::begin(&forgery.request(cast, &place), self.speaks.language());
        let tried = self
            .connect()
            .and_then(|mut stream| converse(&mut *stream, begun));
        match tried {
            Ok(answers) => judged(&answers),
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let tcp = TcpStream::connect(self.to).unwrap_or_else(|error| panic!("{}: {error}", self.to));
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let protocol: &[u8] = match self.speaks {
            Speaks::Http1 => return Ok(Box::new(tcp)),
            Speaks::Http1OverTls => b"http/1.1",
            Speaks::Http2 => b"h2",
        };
        let mut config = credulous();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut tls = StreamOwned::new(session, tcp);
        tls.flush()?;
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        // Silence means HTTP/1.1.
        let agreed = tls.conn.alpn_protocol().unwrap_or(b"http/1.1");
        assert_eq!(agreed, protocol, "{}", self.to);
        Ok(Box::new(tls))
    }
}

/// What can be talked over.
trait Stream: Read + Write {
    /// Sets how long is waited for the next bytes.
    fn be_patient_for(&self, time: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn be_patient_for(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn be_patient_for(&self, time: Duration) -> io::Result<()> {
        self.sock.be_patient_for(time)
    }
}

/// Sends it, and reads until the server has closed or is known to have said everything.
fn converse(stream: &mut dyn Stream, (mut exchange, bytes): (Exchange, Vec<u8>)) -> io::Result<Vec<Said>> {
    // A server may refuse, and close, before everything is written: then its answer counts.
    let written = stream.write_all(&bytes).and_then(|()| stream.flush());
    let mut buffer = [0; 16 * 1024];
    let ended = loop {
        let came = match stream.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => break Err(error),
        };
        let (state, reply) = exchange.receive(came);
        // It may have said what it had to say, and not listen any more.
        let _ = stream.write_all(&reply).and_then(|()| stream.flush());
        match state {
            State::Open => {}
            // It was asked to close. One that does not gets a moment for what it took for a second request.
            State::Answered => stream.be_patient_for(MOMENT)?,
            State::Over => break Ok(()),
        }
    };
    if exchange.is_silent() {
        written?;
        ended?;
    }
    Ok(exchange.end())
}

fn judged(answers: &[Said]) -> Answer {
    let each = answers
        .iter()
        .map(|Said { status, body, .. }| match (client(body), status) {
            (Some(client), _) => Answer::Client(client),
            (None, Some(status @ 400..)) => Answer::Refused(status.to_string()),
            // What cannot be understood is no answer, unless it is one all the same.
            (None, None) if !names_a_client(body) => Answer::Refused("no answer".to_owned()),
            (None, _) => Answer::Other(format!("{status:?}: {}", String::from_utf8_lossy(body))),
        });
    // Bytes that were taken for a request of their own are refused; what counts is who was believed at all.
    let mut believed: Vec<Answer> = Vec::new();
    let mut refused = Answer::Refused("nothing was said".to_owned());
    for answer in each {
        match answer {
            Answer::Refused(_) => refused = answer,
            _ if believed.contains(&answer) => {}
            _ => believed.push(answer),
        }
    }
    match believed.as_slice() {
        [] => refused,
        [one] => one.clone(),
        several => Answer::Other(format!("{several:?}")),
    }
}

/// The client in an application's answer.
fn client(body: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    json["client"].as_str().map(str::to_owned)
}

fn names_a_client(body: &[u8]) -> bool {
    body.windows(8).any(|part| part == b"\"client\"")
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => write!(f, "the client is {client:?}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Other(what) => write!(f, "an answer of nobody: {what}"),
        }
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http1OverTls => "HTTP/1.1 over TLS",
            Self::Http2 => "HTTP/2 over TLS",
        })
    }
}

/// A client of TLS that believes every certificate: here it is the server that is deceived, or not.
fn credulous() -> ClientConfig {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider()));
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has their suites")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(Arc::clone(provider))))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
