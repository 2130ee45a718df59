//! Reads the PROXY header in front of a connection, with tokio.
//!
//! Invariants: no more than the longest header that is allowed is held, and no more than the given time is waited, in
//! all; a peer cannot prolong it by sending slowly. Not a byte that follows the header is lost: [`Prefixed`] gives it
//! back.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;
use truehop::proxy_protocol::{Preface, Progress, RefusedPreface};
use truehop::{Arrival, Peer, Policy, Unresolved};

use crate::prefixed::Prefixed;

/// Holds every header without additional values, so that one read mostly does.
const FIRST_READ: usize = 512;

/// Reads what `policy` wants to see at the start of a connection of `peer`.
///
/// Gives back where the connection comes from, to be put into the extensions of each request on it (where
/// [`ClientLayer`](crate::ClientLayer) looks for it) or given to [`Policy::resolve`]; and the stream, which begins after
/// the header. A policy without the step `from = "proxy-protocol"` reads nothing and never waits. From a peer that must
/// not send a header as many bytes are awaited as tell that it does not; of a request that is the first.
///
/// Call it in the connection's own task, not in the accept loop: it waits up to `limit` for the peer. To see what else
/// the header tells, feed a [`Preface`] yourself and make the [`Prefixed`] with [`Prefixed::new`].
///
/// # Errors
///
/// [`PrefaceError`]: the stream is dropped, and with it the connection. Nothing can be answered, because who would read
/// it does not speak HTTP here.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use tokio::io::AsyncReadExt;
/// use truehop_tower::read_preface;
/// use truehop_tower::truehop::{Peer, Policy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = Policy::proxy_protocol().trusted(["10.0.0.0/8"]).build()?;
///
/// // In a server this is a TcpStream.
/// let stream = &b"PROXY TCP4 203.0.113.95 192.0.2.1 51312 443\r\nGET / HTTP/1.1\r\n"[..];
/// let peer: Peer = "10.0.0.1:40000".parse()?;
/// let (arrival, mut stream) = read_preface(stream, &policy, peer, Duration::from_secs(3)).await?;
/// assert_eq!(arrival.claim().unwrap().to_string(), "203.0.113.95:51312");
///
/// let mut rest = String::new();
/// stream.read_to_string(&mut rest).await?;
/// assert_eq!(rest, "GET / HTTP/1.1\r\n");
/// # Ok(())
/// # }
/// ```
pub async fn read_preface<S: AsyncRead + Unpin>(
    mut stream: S,
    policy: &Policy,
    peer: Peer,
    limit: Duration,
) -> Result<(Arrival, Prefixed<S>), PrefaceError> {
    let Some(preface) = policy.preface(peer).map_err(PrefaceError::Refused)? else {
        return Ok((peer.into(), Prefixed::new(stream, Vec::new())));
    };
    let mut bytes = Vec::new();
    let read = timeout(limit, read(&mut stream, preface, &mut bytes)).await;
    let (arrival, consumed) = read.unwrap_or(Err(PrefaceError::TimedOut {
        received: bytes.len(),
    }))?;
    bytes.drain(..consumed);
    Ok((arrival, Prefixed::new(stream, bytes)))
}

async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    preface: Preface,
    bytes: &mut Vec<u8>,
) -> Result<(Arrival, usize), PrefaceError> {
    loop {
        match preface.feed(bytes).map_err(PrefaceError::Refused)? {
            Progress::Done {
                arrival, consumed, ..
            } => return Ok((arrival, consumed)),
            // A preface never needs more than the longest header, nor as much as it has.
            Progress::NeedMore(needed) => {
                if fill(stream, bytes, needed.max(FIRST_READ)).await? == 0 {
                    return Err(PrefaceError::Closed {
                        received: bytes.len(),
                    });
                }
            }
        }
    }
}

/// Reads once, so that `bytes` hold `target` at most. Between two polls `bytes` hold what was received, and no more.
async fn fill<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>, target: usize) -> io::Result<usize> {
    let have = bytes.len();
    poll_fn(|cx| {
        bytes.resize(target, 0);
        let mut free = ReadBuf::new(&mut bytes[have..]);
        let polled = Pin::new(&mut *stream).poll_read(cx, &mut free);
        let read = free.filled().len();
        bytes.truncate(have + read);
        ready!(polled)?;
        Poll::Ready(Ok(read))
    })
    .await
}

/// Why a connection must be closed before its first request.
#[derive(Debug)]
#[non_exhaustive]
pub enum PrefaceError {
    /// The policy refuses the peer, or what it sent.
    Refused(RefusedPreface),
    /// The peer closed the connection first. With nothing `received` it only looked whether the port is open, as
    /// health checks do.
    Closed {
        /// How many bytes it had sent.
        received: usize,
    },
    /// The peer took too long.
    TimedOut {
        /// How many bytes it had sent.
        received: usize,
    },
    /// The connection failed.
    Io(io::Error),
}

impl PrefaceError {
    /// The reason, as a request would be told; `None` when the connection failed.
    pub fn reason(&self) -> Option<Unresolved> {
        match self {
            Self::Refused(refused) => Some(refused.reason()),
            Self::Closed { .. } | Self::TimedOut { .. } => Some(Unresolved::BadProxyHeader),
            Self::Io(_) => None,
        }
    }
}

impl fmt::Display for PrefaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Closed { received } => write!(
                f,
                "the peer closed the connection at its start, after {received} bytes"
            ),
            Self::TimedOut { received } => {
                write!(
                    f,
                    "the start of the connection took too long; {received} bytes came"
                )
            }
            Self::Io(_) => f.write_str("the connection failed at its start"),
        }
    }
}

impl Error for PrefaceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Its words are this error's own.
            Self::Refused(_) | Self::Closed { .. } | Self::TimedOut { .. } => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for PrefaceError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<PrefaceError> for io::Error {
    fn from(error: PrefaceError) -> Self {
        let kind = match error {
            PrefaceError::Refused(RefusedPreface::UntrustedPeer) => io::ErrorKind::PermissionDenied,
            PrefaceError::Refused(_) => io::ErrorKind::InvalidData,
            PrefaceError::Closed { .. } => io::ErrorKind::UnexpectedEof,
            PrefaceError::TimedOut { .. } => io::ErrorKind::TimedOut,
            PrefaceError::Io(error) => return error,
        };
        Self::new(kind, error)
    }
}
