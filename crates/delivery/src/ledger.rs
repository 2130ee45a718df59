//! What was written to a socket, and how much of it the peer has acknowledged.
//!
//! Invariant: the answer is the kernel's, and never more than it said. "Written" is not "arrived": the last bytes of a
//! response sit in the send queue until the peer acknowledges them, and a peer that vanished never does. Nor is "given up"
//! "not arrived": the kernel goes on sending what it has until it is told not to, and what had left by then may be there.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{connect_unspec, sockopt};
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
    /// A TCP socket's end stands behind the bytes: the kernel counts it as one.
    has_end: Cell<bool>,
    /// What had left when it was given up.
    left: Cell<Option<u64>>,
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
            has_end: Cell::default(),
            left: Cell::default(),
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

    /// Nothing more will be written: the socket was shut down.
    pub fn end(&self) {
        self.has_end.set(!self.forgets_unread);
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
        if self.left.get().is_some() {
            // What the kernel counts now means nothing.
            return self.acknowledged.get();
        }
        if let Ok(missing) = outq::unacknowledged(socket) {
            let missing = self.without_end(missing);
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

    /// Throws away what the kernel still holds, so that it does not arrive later, and ends the connection: a TCP peer that
    /// waits for more sees a reset. How many of the first bytes had left by then, and so may have reached the peer.
    ///
    /// What a Unix socket was given lies with its reader already: all of it has left. Should the peer make room just between
    /// the two calls that this takes, a little more may leave than is counted.
    pub fn give_up(&self, socket: BorrowedFd<'_>) -> u64 {
        if let Some(left) = self.left.get() {
            return left;
        }
        self.look(socket);
        let mut left = self.written.get();
        if !self.forgets_unread {
            let unsent = self.without_end(outq::unsent(socket).unwrap_or(0));
            match connect_unspec(socket) {
                Ok(()) => left = left.saturating_sub(unsent),
                // Where that is not allowed, the reset comes when the socket is closed, and until then all may leave.
                Err(_) => drop(sockopt::set_socket_linger(socket, Some(Duration::ZERO))),
            }
        }
        self.failed.set(true);
        self.left.set(Some(left));
        left
    }

    /// What the kernel counts, without the end: it is behind all bytes, so as long as anything is on its way, it is.
    fn without_end(&self, counted: u64) -> u64 {
        counted.saturating_sub(u64::from(self.has_end.get()))
    }

    /// Waits until the peer has acknowledged the first `upto` bytes, for as long as it acknowledges some within each
    /// `limit`.
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
        // Without one where the limit is beyond all time.
        let mut deadline = Instant::now().checked_add(limit);
        let mut pause = FIRST_LOOK;
        let mut least = u64::MAX;
        loop {
            let missing = upto.saturating_sub(self.look(socket.as_fd()));
            if missing == 0 {
                return Ok(());
            }
            if self.failed.get() {
                return Err(Unacknowledged::Failed { missing });
            }
            if missing < least {
                least = missing;
                deadline = Instant::now().checked_add(limit);
            }
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Err(Unacknowledged::TimedOut { missing });
            }
            sleep(pause.min(left)).await;
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
        // Nothing of it will ever arrive, and what had left is known.
        let left = ledger.give_up(server.as_fd());
        assert!(ledger.written() - missing <= left && left < ledger.written());
    }

    #[tokio::test]
    async fn what_is_given_up_does_not_arrive_and_what_had_left_is_told() {
        let (mut server, mut client) = pair();
        let ledger = Ledger::new(false);
        fill(&mut server, &ledger);
        let acknowledged = ledger.look(server.as_fd());
        let left = ledger.give_up(server.as_fd());
        assert!(acknowledged <= left && left < ledger.written(), "{left}");
        assert_eq!(ledger.give_up(server.as_fd()), left);
        assert_eq!(ledger.look(server.as_fd()), acknowledged);
        let (mut arrived, mut space) = (0, [0; 65536]);
        let end = loop {
            match client.read(&mut space) {
                Ok(n) if n > 0 => arrived += n as u64,
                end => break end,
            }
        };
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        assert!(acknowledged <= arrived && arrived <= left, "{arrived} of {left}");
        let error = ledger.acknowledged(&server, left + 1, LONG).await.unwrap_err();
        assert!(matches!(error, Unacknowledged::Failed { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_end_behind_the_bytes_is_none_of_them() {
        for written in [1, 5000, 1 << 20] {
            let (mut server, mut client) = pair();
            let ledger = Ledger::new(false);
            server.set_nonblocking(true).unwrap();
            ledger.wrote(server.write(&vec![0; written]).unwrap() as u64);
            server.shutdown(std::net::Shutdown::Write).unwrap();
            ledger.end();
            let acknowledged = ledger.look(server.as_fd());
            let left = ledger.give_up(server.as_fd());
            let mut arrived = Vec::new();
            // By a reset, or by an end that had left before.
            let _ = client.read_to_end(&mut arrived);
            let arrived = arrived.len() as u64;
            assert!(
                acknowledged <= arrived && arrived <= left,
                "{acknowledged}, {arrived}, {left} of {}",
                ledger.written()
            );
        }
        let (mut server, _client) = pair();
        let ledger = Ledger::new(false);
        server.write_all(b"all of it").unwrap();
        ledger.wrote(9);
        server.shutdown(std::net::Shutdown::Write).unwrap();
        ledger.end();
        ledger.acknowledged(&server, 9, Duration::MAX).await.unwrap();
    }

    #[tokio::test]
    async fn all_that_a_unix_socket_was_given_has_left() {
        let (mut server, mut client) = UnixStream::pair().unwrap();
        let ledger = Ledger::new(true);
        server.write_all(b"all of it").unwrap();
        ledger.wrote(9);
        assert_eq!(ledger.give_up(server.as_fd()), 9);
        drop(server);
        client.read_exact(&mut [0; 9]).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_little_now_and_then_is_waited_for() {
        let (mut server, mut client) = pair();
        let ledger = Ledger::new(false);
        fill(&mut server, &ledger);
        let written = ledger.written();
        // Looks every 100 ms: each time a little more has been read.
        let reads = async {
            let mut space = vec![0; written as usize / 50];
            while let Ok(n) = client.read(&mut space) {
                if n == 0 {
                    break;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let limit = Duration::from_secs(1);
        tokio::select! {
            word = ledger.acknowledged(&server, written, limit) => word.unwrap(),
            () = reads => unreachable!("the server's end stays open"),
        }
    }
}
