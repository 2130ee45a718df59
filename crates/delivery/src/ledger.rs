//! What was written to a socket, and how much of it the peer has acknowledged.
//!
//! Invariant: the answer is the kernel's, and never more than it said. "Written" is not "arrived": the last bytes of a
//! response sit in the send queue until the peer acknowledges them, and a peer that vanished never does.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::time::{Instant, sleep};

use crate::outq;

const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Counts the bytes of one connection, from its first on. Whoever writes to the socket, or sees it fail, says so.
#[derive(Debug)]
pub struct Ledger {
    written: Cell<u64>,
    /// As far as is known.
    acknowledged: Cell<u64>,
    failed: Cell<bool>,
    forgets_unread: bool,
}

impl Ledger {
    /// For a socket to which nothing has been written. A Unix socket `forgets_unread`: when its reader goes away, the
    /// kernel empties the queue as if all had been read.
    pub fn new(forgets_unread: bool) -> Self {
        Self {
            written: Cell::default(),
            acknowledged: Cell::default(),
            failed: Cell::default(),
            forgets_unread,
        }
    }

    /// So many more bytes have left for the kernel.
    pub fn wrote(&self, bytes: u64) {
        self.written.set(self.written.get() + bytes);
    }

    /// A call has said that the socket failed. The kernel says so once only.
    pub fn fail(&self) {
        self.failed.set(true);
    }

    /// Bytes that have left for the kernel.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Whether the kernel must be asked while the socket is well, because nothing can be learnt later.
    pub fn forgets_unread(&self) -> bool {
        self.forgets_unread
    }

    /// How many of the first bytes the peer has acknowledged for certain, or on a Unix socket read. Asks the kernel.
    pub fn look(&self, socket: BorrowedFd<'_>) -> u64 {
        if let Ok(missing) = outq::unacknowledged(socket) {
            // Asked in this order: a reader that goes away sets the error before the queue is emptied.
            if (missing > 0 || self.forgets_unread)
                && !self.failed.get()
                && !matches!(sockopt::socket_error(socket), Ok(Ok(())))
            {
                self.fail();
            }
            // A TCP reset leaves the count as it was.
            if !(self.forgets_unread && self.failed.get()) {
                let acknowledged = self.written.get().saturating_sub(missing);
                self.acknowledged.set(self.acknowledged.get().max(acknowledged));
            }
        }
        self.acknowledged.get()
    }

    /// Waits until the peer has acknowledged the first `upto` bytes, at most `limit`.
    ///
    /// Looks at once, then after pauses from 1 ms doubling to 100 ms: the kernel has no event for this.
    ///
    /// # Errors
    ///
    /// [`Unacknowledged`] when `limit` passes first, or when the socket has failed.
    pub async fn acknowledged(
        &self,
        socket: impl AsFd,
        upto: u64,
        limit: Duration,
    ) -> Result<(), Unacknowledged> {
        let deadline = Instant::now() + limit;
        let mut pause = FIRST_LOOK;
        loop {
            let missing = upto.saturating_sub(self.look(socket.as_fd()));
            if missing == 0 {
                return Ok(());
            }
            if self.failed.get() {
                return Err(Unacknowledged::Failed { missing });
            }
            if Instant::now() >= deadline {
                return Err(Unacknowledged::TimedOut { missing });
            }
            sleep(pause.min(deadline - Instant::now())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Why the peer's acknowledgement did not come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unacknowledged {
    /// The time limit passed.
    TimedOut {
        /// Bytes that the peer has not acknowledged.
        missing: u64,
    },
    /// The connection failed, for instance because the peer reset it.
    Failed {
        /// Bytes that the peer has not acknowledged.
        missing: u64,
    },
}

impl fmt::Display for Unacknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { missing } => write!(f, "the peer has not acknowledged {missing} bytes in time"),
            Self::Failed { missing } => {
                write!(
                    f,
                    "the connection failed before the peer acknowledged {missing} bytes"
                )
            }
        }
    }
}

impl Error for Unacknowledged {}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    /// Writes until the socket takes no more.
    fn fill(socket: &mut (impl Write + AsFd), ledger: &Ledger) {
        rustix::io::ioctl_fionbio(&*socket, true).unwrap();
        while let Ok(n) = socket.write(&[0; 65536]) {
            ledger.wrote(n as u64);
        }
    }

    #[tokio::test]
    async fn bytes_that_arrived_are_acknowledged_even_when_nobody_reads_them() {
        let (mut server, _client) = pair();
        let ledger = Ledger::new(false);
        server.write_all(b"all of it").unwrap();
        ledger.wrote(9);
        ledger.acknowledged(&server, 9, LONG).await.unwrap();
        assert_eq!(ledger.look(server.as_fd()), 9);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_a_full_window_times_out_and_one_that_reads_later_does_not() {
        let (mut server, mut client) = pair();
        let ledger = Ledger::new(false);
        fill(&mut server, &ledger);
        let written = ledger.written();
        let limit = Duration::from_millis(20);
        let error = ledger.acknowledged(&server, written, limit).await.unwrap_err();
        assert!(
            matches!(error, Unacknowledged::TimedOut { missing } if 0 < missing && missing < written),
            "{error}"
        );
        // What is behind does not matter to what is before.
        ledger.acknowledged(&server, 65536, LONG).await.unwrap();

        let reader = std::thread::spawn(move || client.read_exact(&mut vec![0; written as usize]).unwrap());
        ledger.acknowledged(&server, written, LONG).await.unwrap();
        reader.join().unwrap();
    }

    #[tokio::test]
    async fn a_unix_reader_that_goes_away_has_what_it_was_seen_to_read() {
        let (mut server, mut client) = UnixStream::pair().unwrap();
        let ledger = Ledger::new(true);
        for _ in 0..2 {
            server.write_all(&[0; 4096]).unwrap();
            ledger.wrote(4096);
        }
        assert_eq!(ledger.look(server.as_fd()), 0);
        client.read_exact(&mut [0; 4096]).unwrap();
        let seen = ledger.look(server.as_fd());
        assert!(seen <= 4096, "{seen}");
        drop(client);
        let error = ledger.acknowledged(&server, 8192, LONG).await.unwrap_err();
        assert_eq!(error, Unacknowledged::Failed { missing: 8192 - seen });

        let (mut server, mut client) = UnixStream::pair().unwrap();
        let ledger = Ledger::new(true);
        server.write_all(b"all of it").unwrap();
        ledger.wrote(9);
        client.read_exact(&mut [0; 9]).unwrap();
        drop(client);
        ledger.acknowledged(&server, 9, LONG).await.unwrap();
    }

    #[tokio::test]
    async fn a_unix_sockets_count_is_not_believed_when_somebody_else_saw_it_fail() {
        let (mut server, client) = UnixStream::pair().unwrap();
        let ledger = Ledger::new(true);
        server.write_all(b"all of it").unwrap();
        ledger.wrote(9);
        drop(client);
        // Takes the error.
        server.read_exact(&mut [0]).unwrap_err();
        ledger.fail();
        let error = ledger.acknowledged(&server, 9, LONG).await.unwrap_err();
        assert_eq!(error, Unacknowledged::Failed { missing: 9 });
    }

    #[tokio::test]
    async fn a_reset_is_an_error_at_once_and_what_was_acknowledged_stays_so() {
        let (mut server, client) = pair();
        let ledger = Ledger::new(false);
        fill(&mut server, &ledger);
        // Closing with unread bytes makes the kernel send a reset (RFC 9293 section 3.6.1).
        drop(client);
        let error = ledger
            .acknowledged(&server, ledger.written(), LONG)
            .await
            .unwrap_err();
        let Unacknowledged::Failed { missing } = error else {
            panic!("{error}")
        };
        assert!(0 < missing && missing < ledger.written(), "{missing}");
        assert_eq!(ledger.look(server.as_fd()), ledger.written() - missing);
    }
}
