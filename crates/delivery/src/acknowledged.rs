//! Waits until the kernel says that the peer has everything.
//!
//! Invariant: the answer is the kernel's. "Written" is not "arrived": the last bytes of a response sit in the send
//! queue until the peer acknowledges them, and a peer that vanished never does.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::{AddressFamily, sockopt};
use tokio::time::{Instant, sleep};

use crate::outq;

const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Waits until the peer of `socket` has acknowledged every byte written so far, at most `limit`.
///
/// Looks at once, then after pauses from 1 ms doubling to 100 ms: the kernel has no event for this. Bytes that are
/// written meanwhile are waited for too, so on a busy connection the answer may come late, never early.
///
/// # Errors
///
/// [`Unacknowledged`] when `limit` passes first, or when the socket has failed.
pub async fn acknowledged(socket: impl AsFd, limit: Duration) -> Result<(), Unacknowledged> {
    let deadline = Instant::now() + limit;
    let forgets_unread =
        sockopt::socket_domain(socket.as_fd()).map_err(io::Error::from)? == AddressFamily::UNIX;
    let mut pause = FIRST_LOOK;
    loop {
        let missing = outq::unacknowledged(socket.as_fd())?;
        // A TCP reset keeps the queue's count. A Unix socket whose reader goes away empties its queue as if all had been
        // read, but sets the error before.
        if missing > 0 || forgets_unread {
            sockopt::socket_error(socket.as_fd())
                .map_err(io::Error::from)?
                .map_err(io::Error::from)?;
        }
        if missing == 0 {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Unacknowledged::TimedOut { missing });
        }
        sleep(pause.min(deadline - Instant::now())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Why the peer's acknowledgement did not come.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unacknowledged {
    /// The time limit passed with so many bytes missing.
    TimedOut {
        /// Bytes that the peer has not acknowledged.
        missing: u64,
    },
    /// The socket failed, for instance because the peer reset the connection.
    Socket(io::Error),
}

impl From<io::Error> for Unacknowledged {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl fmt::Display for Unacknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { missing } => write!(f, "the peer has not acknowledged {missing} bytes in time"),
            Self::Socket(_) => f.write_str("the connection failed before the peer acknowledged everything"),
        }
    }
}

impl Error for Unacknowledged {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TimedOut { .. } => None,
            Self::Socket(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    #[tokio::test]
    async fn bytes_that_arrived_are_acknowledged_even_when_nobody_reads_them() {
        let (mut server, _client) = pair();
        server.write_all(b"all of it").unwrap();
        acknowledged(&server, Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_a_full_window_times_out_and_one_that_reads_later_does_not() {
        let (mut server, mut client) = pair();
        server.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(n) = server.write(&[0; 65536]) {
            written += n;
        }
        let error = acknowledged(&server, Duration::from_millis(20))
            .await
            .unwrap_err();
        assert!(
            matches!(error, Unacknowledged::TimedOut { missing } if missing > 0),
            "{error}"
        );

        let reader = std::thread::spawn(move || client.read_exact(&mut vec![0; written]).unwrap());
        acknowledged(&server, Duration::from_secs(30)).await.unwrap();
        reader.join().unwrap();
    }

    #[tokio::test]
    async fn a_unix_reader_that_goes_away_unread_has_not_got_it() {
        use std::os::unix::net::UnixStream;

        let (mut server, client) = UnixStream::pair().unwrap();
        server.write_all(b"all of it").unwrap();
        drop(client);
        let error = acknowledged(&server, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(error, Unacknowledged::Socket(_)), "{error}");

        let (mut server, mut client) = UnixStream::pair().unwrap();
        server.write_all(b"all of it").unwrap();
        client.read_exact(&mut [0; 9]).unwrap();
        drop(client);
        acknowledged(&server, Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn a_reset_is_an_error_at_once() {
        let (mut server, client) = pair();
        server.set_nonblocking(true).unwrap();
        while server.write(&[0; 65536]).is_ok() {}
        // Closing with unread bytes makes the kernel send a reset (RFC 9293 section 3.6.1).
        drop(client);
        let error = acknowledged(&server, Duration::from_secs(30)).await.unwrap_err();
        assert!(matches!(error, Unacknowledged::Socket(_)), "{error}");
    }
}
