//! Moves a large body from one socket to another inside the kernel, by way of a pipe (splice(2)).
//!
//! Invariant: a pipe is used again only when it is empty.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::pipe::{PipeFlags, SpliceFlags};
use thiserror::Error;

use crate::stream::Stream;
use crate::wire::{Clock, Late, while_taken};

/// Below this a copy is cheaper than the calls.
const LEAST: u64 = 64 * 1024;
/// What a pipe is asked to hold. A user may have 64 MiB in pipes in all; then the kernel gives less.
const CAPACITY: usize = 256 * 1024;
/// Free pipes that a worker keeps.
const KEPT: usize = 16;

/// The free pipes of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pipes(RefCell<Vec<Pipe>>);

#[derive(Debug)]
struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

/// How long each side may take for a piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) read: Duration,
    pub(super) write: Duration,
}

/// Why a body did not come through, whichever way it went.
#[derive(Debug, Error)]
pub(super) enum Broken {
    #[error("the sender closed the connection before the end")]
    Ended,
    #[error("the sender's connection failed")]
    Read(#[source] io::Error),
    #[error("the sender sent no more in time")]
    ReadLate,
    #[error("the receiver's connection failed")]
    Write(#[source] io::Error),
    #[error("the receiver took no more in time")]
    WriteLate,
    #[error("the sender's chunks are malformed")]
    Malformed,
}

/// A body's way from one plain socket to another.
pub(super) struct Splice<'a> {
    pipes: &'a Pipes,
    from: &'a Stream,
    to: &'a Stream,
}

impl<'a> Splice<'a> {
    /// `None` when `length` bytes cannot go this way, or are not worth it, or there is no pipe to be had.
    pub(super) fn new(pipes: &'a Pipes, from: &'a Stream, to: &'a Stream, length: u64) -> Option<Self> {
        if length < LEAST || !from.is_plain() || !to.is_plain() {
            return None;
        }
        pipes.give_back(pipes.take().ok()?);
        Some(Self { pipes, from, to })
    }

    /// Moves `left` bytes, counting it down and `moved` up.
    pub(super) async fn run(
        self,
        left: &mut u64,
        moved: &mut u64,
        clock: &mut Clock,
        limits: Limits,
    ) -> Result<(), Broken> {
        let Self { pipes, from, to } = self;
        while *left > 0 {
            let waiting = poll_fn(|cx| from.poll_readable(cx));
            let waited = clock.limit(limits.read, waiting).await;
            waited.map_err(|Late| Broken::ReadLate)?.map_err(Broken::Read)?;
            // Lent only while something is in it: the one that was just used is still in the processor's cache.
            let pipe = pipes.take().map_err(Broken::Read)?;
            let want = usize::try_from(*left).unwrap_or(CAPACITY).min(CAPACITY);
            // A pipe has room for so many pieces, and so takes less than is there when they are small.
            let filling =
                poll_fn(|cx| from.poll_take(cx, |socket| transfer(socket, pipe.into.as_fd(), want)));
            let filled = clock.limit(limits.read, filling).await;
            let mut held = filled.map_err(|Late| Broken::ReadLate)?.map_err(Broken::Read)?;
            if held == 0 {
                return Err(Broken::Ended);
            }
            while held > 0 {
                let emptying = poll_fn(|cx| {
                    let call = |socket: BorrowedFd<'_>| transfer(pipe.out.as_fd(), socket, held);
                    to.poll_send(cx, call)
                });
                let emptied = while_taken(to, clock, limits.write, emptying).await;
                let emptied = emptied
                    .map_err(|Late| Broken::WriteLate)?
                    .map_err(Broken::Write)?;
                held = held.saturating_sub(emptied);
                *left = left.saturating_sub(emptied as u64);
                *moved += emptied as u64;
            }
            pipes.give_back(pipe);
        }
        Ok(())
    }
}

fn transfer(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(rustix::pipe::splice(from, None, to, None, len, flags)?)
}

impl Pipes {
    fn take(&self) -> io::Result<Pipe> {
        if let Some(pipe) = self.0.borrow_mut().pop() {
            return Ok(pipe);
        }
        let (out, into) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller one serves as well.
        let _ = rustix::pipe::fcntl_setpipe_size(&into, CAPACITY);
        Ok(Pipe { out, into })
    }

    fn give_back(&self, pipe: Pipe) {
        let mut free = self.0.borrow_mut();
        if free.len() < KEPT {
            free.push(pipe);
        }
    }
}
