//! Receiving a file.
//!
//! 1. The row is inserted (`receiving`).
//! 2. The bytes go to `incoming/`, hashed, the size limit enforced while they come.
//! 3. fsync, rename, fsync of the directories.
//! 4. The row becomes `ready`; only then the uploader hears of it.
//!
//! Invariant: every way that does not end in step 4 removes bytes and row. The work is done by a task of its own, which
//! the handler feeds through a channel: a handler that is dropped in the middle (the client went away) closes the
//! channel, it does not stop the task.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use truehop_tower::truehop::Resolution;

use crate::blobs;
use crate::catalog::{Arrival, CatalogError};
use crate::clock::Timestamp;
use crate::file_drop::Shared;
use crate::id::{FileId, random};
use crate::owner::{Salt, Token};

/// Pieces that may wait for the disk.
const QUEUE: usize = 16;
/// Pieces are gathered to about so many bytes for one trip to a blocking thread.
const BATCH: usize = 512 * 1024;

/// A file that is being received. Dropping it means that the rest will not come.
pub(crate) struct Intake {
    token: Token,
    pieces: mpsc::Sender<Piece>,
    /// `None` once it has been told.
    outcome: Option<oneshot::Receiver<Result<Stored, IntakeError>>>,
}

enum Piece {
    Bytes(Bytes),
    /// That was all; the file waits so long for its recipient.
    End(Duration),
}

/// A file that is ready.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: FileId,
    pub(crate) expires_at: Timestamp,
}

impl Intake {
    /// Begins a file with a cleaned name.
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        name: String,
        uploader: &Resolution,
    ) -> Result<Self, IntakeError> {
        let id = FileId::random()?;
        let token = Token::random()?;
        let salt: Salt = random()?;
        let arrival = Arrival {
            id,
            name,
            token_hash: token.hash(),
            salt,
            uploader: shared.recognition.keep(&salt, uploader),
        };
        let (pieces, inbox) = mpsc::channel(QUEUE);
        let (reply, outcome) = oneshot::channel();
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let _under_way = shared.metrics.receiving();
            let received = receive(&shared, arrival, inbox).await;
            shared
                .metrics
                .upload(received.as_ref().map_or_else(IntakeError::word, |_| "ready"));
            // Nobody waits any more: the file expires in its time.
            let _ = reply.send(received);
        });
        Ok(Self {
            token,
            pieces,
            outcome: Some(outcome),
        })
    }

    /// Waits for `next`, but not when the file fails meanwhile: a client that sends no more must still be told.
    pub(crate) async fn unless_failed<T>(&mut self, next: impl Future<Output = T>) -> Result<T, IntakeError> {
        let Some(outcome) = &mut self.outcome else {
            return Err(IntakeError::Aborted);
        };
        match select(pin!(next), outcome).await {
            Either::Left((next, _)) => Ok(next),
            Either::Right((outcome, _)) => {
                self.outcome = None;
                Err(outcome.ok().and_then(Result::err).unwrap_or(IntakeError::Aborted))
            }
        }
    }

    /// Adds bytes. Waits while the disk is slower than the client.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), IntakeError> {
        match self.pieces.send(Piece::Bytes(bytes)).await {
            Ok(()) => Ok(()),
            // The task has ended before the end: it says why.
            Err(_) => Err(self.outcome().await.err().unwrap_or(IntakeError::Aborted)),
        }
    }

    /// That was all. The file is durable when this returns.
    pub(crate) async fn finish(mut self, expires: Duration) -> Result<(Stored, Token), IntakeError> {
        // When the task has ended already it says why.
        let _ = self.pieces.send(Piece::End(expires)).await;
        let stored = self.outcome().await?;
        Ok((stored, self.token))
    }

    /// The rest will not come. Bytes and row are gone when this returns.
    pub(crate) async fn abandon(self) {
        let Self { pieces, outcome, .. } = self;
        drop(pieces);
        if let Some(outcome) = outcome {
            // What it says is known: aborted.
            let _ = outcome.await;
        }
    }

    async fn outcome(&mut self) -> Result<Stored, IntakeError> {
        match self.outcome.take() {
            Some(outcome) => outcome.await.unwrap_or(Err(IntakeError::Aborted)),
            None => Err(IntakeError::Aborted),
        }
    }
}

async fn receive(
    shared: &Arc<Shared>,
    arrival: Arrival,
    inbox: mpsc::Receiver<Piece>,
) -> Result<Stored, IntakeError> {
    let id = arrival.id.clone();
    shared.catalog.announce(arrival, shared.clock.now()).await?;
    let stored = store(shared, &id, inbox).await;
    if stored.is_err() {
        discard(shared, &id).await;
    }
    stored
}

async fn store(
    shared: &Arc<Shared>,
    id: &FileId,
    mut inbox: mpsc::Receiver<Piece>,
) -> Result<Stored, IntakeError> {
    let (blobs, name) = (shared.blobs.clone(), id.clone());
    let file = blocking(move || blobs.create(&name)).await?;
    let mut sink = Sink {
        file,
        hash: Sha256::new(),
        size: 0,
    };
    let expires = loop {
        let (batch, end) = gather(&mut inbox).await?;
        let more = batch.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        if sink.size.saturating_add(more) > shared.limits.max_size {
            return Err(IntakeError::TooLarge);
        }
        sink = blocking(move || sink.write(&batch)).await?;
        if let Some(expires) = end {
            break expires;
        }
    };
    let (blobs, name) = (shared.blobs.clone(), id.clone());
    let Sink { file, hash, size } = sink;
    blocking(move || blobs.publish(&name, &file)).await?;
    let expires_at = shared.clock.now().plus(expires);
    shared
        .catalog
        .ready(id, size, hash.finalize().into(), expires_at)
        .await?;
    shared.metrics.uploaded_bytes(size);
    // It may expire sooner than anything that the sweeper waits for.
    shared.work.notify_one();
    Ok(Stored {
        id: id.clone(),
        expires_at,
    })
}

/// What has come by now, at least one piece.
async fn gather(inbox: &mut mpsc::Receiver<Piece>) -> Result<(Vec<Bytes>, Option<Duration>), IntakeError> {
    let mut batch = Vec::new();
    let mut size = 0;
    let mut next = inbox.recv().await;
    loop {
        match next {
            Some(Piece::Bytes(bytes)) => {
                size += bytes.len();
                batch.push(bytes);
            }
            Some(Piece::End(expires)) => return Ok((batch, Some(expires))),
            None => return Err(IntakeError::Aborted),
        }
        if size >= BATCH {
            return Ok((batch, None));
        }
        match inbox.try_recv() {
            Ok(piece) => next = Some(piece),
            // Whether more will come is for the next call to find out.
            Err(_) => return Ok((batch, None)),
        }
    }
}

/// The row goes last: as long as it stands, the next start finds the bytes.
async fn discard(shared: &Arc<Shared>, id: &FileId) {
    let (blobs, name) = (shared.blobs.clone(), id.clone());
    let removed = blocking(move || blobs.discard(&name)).await;
    let abandoned = match removed {
        Ok(()) => shared.catalog.abandon(id).await.map_err(IntakeError::from),
        Err(error) => Err(error),
    };
    if let Err(error) = abandoned {
        let file = id.tag();
        tracing::error!(file, %error, "an upload that failed could not be cleared away; the next start will");
    }
}

struct Sink {
    file: File,
    hash: Sha256,
    size: u64,
}

impl Sink {
    fn write(mut self, batch: &[Bytes]) -> io::Result<Self> {
        for bytes in batch {
            self.file.write_all(bytes)?;
            self.hash.update(bytes);
            self.size += bytes.len() as u64;
        }
        Ok(self)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, IntakeError> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(IntakeError::from),
        // The runtime is going down.
        Err(_) => Err(IntakeError::Aborted),
    }
}

/// Why a file was not received.
#[derive(Debug)]
pub(crate) enum IntakeError {
    /// The client stopped before the end.
    Aborted,
    /// More bytes than `max_size`.
    TooLarge,
    /// No room on the disk.
    Full,
    Disk(io::Error),
    Catalog(CatalogError),
    Random(getrandom::Error),
}

impl IntakeError {
    /// For metrics.
    fn word(&self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::TooLarge => "too-large",
            Self::Full => "disk-full",
            Self::Disk(_) | Self::Catalog(_) | Self::Random(_) => "failed",
        }
    }
}

impl From<io::Error> for IntakeError {
    fn from(error: io::Error) -> Self {
        match blobs::is_full(&error) {
            true => Self::Full,
            false => Self::Disk(error),
        }
    }
}

impl From<CatalogError> for IntakeError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Full(_) => Self::Full,
            other => Self::Catalog(other),
        }
    }
}

impl From<getrandom::Error> for IntakeError {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error)
    }
}

impl fmt::Display for IntakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => f.write_str("the upload stopped before its end"),
            Self::TooLarge => f.write_str("the file is larger than max_size"),
            Self::Full => f.write_str("the disk is full"),
            Self::Disk(error) => error.fmt(f),
            Self::Catalog(error) => error.fmt(f),
            Self::Random(error) => error.fmt(f),
        }
    }
}
