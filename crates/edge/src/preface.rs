//! The PROXY header in front of a connection, read before anything else when the policy has that step.
//!
//! Invariant: nothing of a connection reaches TLS or HTTP before its policy has seen its start, within the time for a
//! head and the bytes that a header may have.

use std::io;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use truehop::proxy_protocol::{Progress, RefusedPreface};
use truehop::{Arrival, Peer, Policy, Unresolved};

use crate::config::TimeoutsConfig;

/// Where the connection comes from, and the bytes behind the header that have been read with it.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    policy: &Policy,
    peer: Peer,
    timeouts: &TimeoutsConfig,
) -> Result<(Arrival, Bytes), BadStart> {
    let Some(preface) = policy.preface(peer)? else {
        return Ok((peer.into(), Bytes::new()));
    };
    let mut bytes = BytesMut::new();
    let arrive = async {
        loop {
            match preface.feed(&bytes)? {
                Progress::Done {
                    consumed, arrival, ..
                } => return Ok((arrival, bytes.split_off(consumed).freeze())),
                Progress::NeedMore(needed) => bytes.reserve(needed.saturating_sub(bytes.len())),
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(BadStart::Ended);
            }
        }
    };
    timeout(timeouts.header, arrive)
        .await
        .unwrap_or(Err(BadStart::TimedOut))
}

/// Why a connection was closed before its first request.
#[derive(Debug, Error)]
pub(crate) enum BadStart {
    #[error(transparent)]
    Refused(#[from] RefusedPreface),
    #[error("the connection ended before its PROXY header did")]
    Ended,
    #[error("the PROXY header did not come in time")]
    TimedOut,
    #[error(transparent)]
    Socket(#[from] io::Error),
}

impl BadStart {
    /// The reason, as a request would be told.
    pub(crate) fn reason(&self) -> Unresolved {
        match self {
            Self::Refused(refused) => refused.reason(),
            Self::Ended | Self::TimedOut | Self::Socket(_) => Unresolved::BadProxyHeader,
        }
    }
}
