//! The end of a connection on which the client may still be sending.
//!
//! Closing with unread bytes makes the kernel reset the connection (RFC 9112 section 9.6), and the answer could be
//! lost with it: so the client is told that nothing more will come, and what it sends is read and thrown away.
//!
//! Invariant: for a bounded time and number of bytes.

use std::time::Duration;

use tokio::time::timeout;

use crate::stream::Stream;

pub(super) const TIME: Duration = Duration::from_secs(2);
const BYTES: usize = 64 << 20;

pub(super) async fn linger(stream: &Stream) {
    let draining = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut waste = vec![0; 16 * 1024];
        let mut drained = 0;
        while drained < BYTES {
            match stream.read(&mut waste).await {
                Ok(0) | Err(_) => break,
                Ok(n) => drained += n,
            }
        }
    };
    // Whoever has not read its answer by now does not want it.
    let _ = timeout(TIME, draining).await;
}
