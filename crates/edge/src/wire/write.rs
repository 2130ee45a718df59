//! Writes, with a limit on how long the receiver may take nothing.
//!
//! Invariant: a receiver that takes a little now and then is slow, not gone: the clock begins anew with each piece. A
//! socket takes no more before a third of its buffer is free, which a slow reader may need long for; so when the clock
//! rings, the kernel is asked whether the other side has taken anything.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::time::Duration;

use super::clock::{Clock, Late};
use crate::stream::Stream;

/// Why not everything was written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// The receiver took nothing for too long.
    Late,
    Socket(io::Error),
}

/// Waits for `writing` to `stream` for as long as the other side takes something within each `limit`.
pub(crate) async fn while_taken<F: Future>(
    stream: &Stream,
    clock: &mut Clock,
    limit: Duration,
    writing: F,
) -> Result<F::Output, Late> {
    let mut writing = pin!(writing);
    let mut untaken = None;
    loop {
        match clock.limit(limit, writing.as_mut()).await {
            Ok(output) => return Ok(output),
            Err(Late) => {
                let now = stream.untaken();
                // The first time there is nothing to compare with.
                if untaken.is_some() && now >= untaken {
                    return Err(Late);
                }
                untaken = Some(now.ok_or(Late)?);
            }
        }
    }
}

/// Writes all of `slices`; `count` tells how many bytes have left also when it fails.
pub(crate) async fn write_all(
    stream: &Stream,
    clock: &mut Clock,
    limit: Duration,
    slices: &mut [IoSlice<'_>],
    count: &mut usize,
) -> Result<(), Unwritten> {
    write_on(stream, clock, limit, slices, count, false).await
}

/// As [`write_all`]; with `more` to be written at once behind it.
pub(super) async fn write_on(
    stream: &Stream,
    clock: &mut Clock,
    limit: Duration,
    mut slices: &mut [IoSlice<'_>],
    count: &mut usize,
    more: bool,
) -> Result<(), Unwritten> {
    // Without this an empty first slice would look like a socket that takes nothing.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let written = while_taken(stream, clock, limit, stream.write_some(slices, more)).await??;
        *count += written;
        IoSlice::advance_slices(&mut slices, written);
    }
    if !stream.is_plain() {
        while_taken(stream, clock, limit, stream.flush()).await??;
    }
    Ok(())
}

impl From<Late> for Unwritten {
    fn from(_: Late) -> Self {
        Self::Late
    }
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}
