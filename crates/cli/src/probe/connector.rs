//! Connections to a deployment, one for each request.
//!
//! Invariant: every wait ends after [`Connector::patience`], whatever the other side does.

mod failure;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use truehop_forgeries::{Answer, Exchange, Language, Request, State};

pub(super) use failure::Failure;

/// A server that does not close may answer twice. It is listened to for twice the time of its answer, and so much more.
const MOMENT: Duration = Duration::from_millis(100);

/// Where requests go.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) to: SocketAddr,
    /// The address of this machine to come from.
    pub(super) from: Option<IpAddr>,
    pub(super) tls: Option<Tls>,
    /// How long a connection may take, and an answer.
    pub(super) patience: Duration,
}

/// With whom TLS is spoken, and whose word counts.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) name: ServerName<'static>,
    pub(super) config: ClientConfig,
    /// Whether the authority that is believed was named, instead of the system's.
    pub(super) is_authority_named: bool,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// What was answered.
    Answers(Vec<Answer>),
    /// The connection was closed without an answer.
    Closed,
    /// Nothing came in time.
    Silence,
    /// There was no connection to send it on.
    NoConnection(Failure),
}

/// What connecting tells, before anything is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handshake {
    /// This end of the connection.
    pub(super) from: IpAddr,
    /// Whether it speaks HTTP/2.
    pub(super) speaks_http2: bool,
}

impl Connector {
    /// Connects, asks nothing, and closes.
    pub(super) async fn handshake(&self) -> Result<Handshake, Failure> {
        let (_, handshake) = self.connect(&[b"h2", b"http/1.1"]).await?;
        Ok(handshake)
    }

    /// Sends a request on a connection of its own.
    pub(super) async fn ask(&self, request: &Request, language: Language) -> Reply {
        let protocol: &[u8] = match language {
            Language::Http1 => b"http/1.1",
            Language::Http2 => b"h2",
        };
        let mut wire = match self.connect(&[protocol]).await {
            Ok((wire, _)) => wire,
            Err(failure) => return Reply::NoConnection(failure),
        };
        let (mut exchange, bytes) = Exchange::begin(request, language);
        let in_time = timeout(self.patience, converse(&mut *wire, &mut exchange, &bytes)).await;
        if exchange.is_silent() {
            return match in_time {
                Ok(()) => Reply::Closed,
                Err(_) => Reply::Silence,
            };
        }
        let answers = exchange.end();
        // Half an answer that never went on is none.
        match in_time.is_err() && answers.iter().all(|answer| answer.status.is_none()) {
            true => Reply::Silence,
            false => Reply::Answers(answers),
        }
    }

    async fn connect(&self, protocols: &[&[u8]]) -> Result<(Box<dyn Wire>, Handshake), Failure> {
        let deadline = Instant::now() + self.patience;
        let tcp = timeout_at(deadline, self.connect_tcp()).await;
        let (tcp, mut handshake) = tcp
            .map_err(|_| Failure::of_late_tcp(self.patience))?
            .map_err(|error| Failure::of_tcp(&error, self.from))?;
        let Some(tls) = &self.tls else {
            return Ok((Box::new(tcp), handshake));
        };
        let mut config = tls.config.clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = timeout_at(deadline, connector.connect(tls.name.clone(), tcp)).await;
        let stream = stream
            .map_err(|_| Failure::of_late_tls(self.patience))?
            .map_err(|error| Failure::of_tls(&error, tls))?;
        handshake.speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if protocols == [b"h2"] && !handshake.speaks_http2 {
            return Err(Failure::of_lost_http2());
        }
        Ok((Box::new(stream), handshake))
    }

    async fn connect_tcp(&self) -> io::Result<(TcpStream, Handshake)> {
        let socket = match self.to {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(ip) = self.from {
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        let tcp = socket.connect(self.to).await?;
        tcp.set_nodelay(true)?;
        let handshake = Handshake {
            from: tcp.local_addr()?.ip().to_canonical(),
            speaks_http2: false,
        };
        Ok((tcp, handshake))
    }
}

/// What can be talked over.
trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl Wire for TcpStream {}
impl Wire for tokio_rustls::client::TlsStream<TcpStream> {}

/// Sends it, and reads until the server has closed or is known to have said everything.
async fn converse(wire: &mut dyn Wire, exchange: &mut Exchange, bytes: &[u8]) {
    let asked = Instant::now();
    // A server may refuse, and close, before everything is written: then its answer counts.
    let _ = send(wire, bytes).await;
    let mut buffer = vec![0; 16 * 1024];
    let mut lingers = None;
    loop {
        let read = wire.read(&mut buffer);
        let came = match lingers {
            None => read.await,
            Some(moment) => timeout(moment, read).await.unwrap_or(Ok(0)),
        };
        // An end without TLS's farewell, or a reset, is an end.
        let Some(came) = came.ok().and_then(|length| buffer.get(..length)) else {
            return;
        };
        if came.is_empty() {
            return;
        }
        let (state, reply) = exchange.receive(came);
        // It may have said what it had to say, and not listen any more.
        let _ = send(wire, &reply).await;
        match state {
            State::Open => {}
            State::Answered => lingers = Some(asked.elapsed() * 2 + MOMENT),
            State::Over => return,
        }
    }
}

async fn send(wire: &mut dyn Wire, bytes: &[u8]) -> io::Result<()> {
    wire.write_all(bytes).await?;
    wire.flush().await
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::sleep;
    use truehop_forgeries::{Cast, Forgery, Place};

    use super::*;

    impl Wire for DuplexStream {}

    #[tokio::test(start_paused = true)]
    async fn a_second_answer_may_take_as_long_as_the_first_and_longer() {
        let cast = Cast {
            forged: [203, 0, 113, 96].into(),
            trusted: [127, 0, 0, 1].into(),
        };
        let place = Place {
            host: "a",
            path: "/",
            beside: &[],
        };
        let request = Forgery::honest().request(&cast, &place);
        let (mut exchange, bytes) = Exchange::begin(&request, Language::Http1);
        let (mut near, mut far) = duplex(4096);
        let server = async {
            for work in [1500, 3000] {
                sleep(Duration::from_millis(work)).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
                far.write_all(answer).await.unwrap();
            }
            sleep(Duration::from_secs(3600)).await;
        };
        tokio::select! {
            () = converse(&mut near, &mut exchange, &bytes) => {}
            () = server => {}
        }
        assert_eq!(exchange.end().len(), 2);
    }
}
