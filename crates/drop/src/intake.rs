//! Receiving a drop: one file, or several.
//!
//! 1. A file's row is inserted (`receiving`).
//! 2. The bytes go to the blob store, hashed, the size limit enforced while they come. What is at hand as a whole is
//!    stored in one step.
//! 3. The blob is durable, and only then visible. The next file begins at 1.
//! 4. All rows become `ready` in one commit; only then the uploader hears of it.
//!
//! Invariant: every way that does not end in step 4 removes bytes and rows. The work is done by a task of its own, which
//! the handler feeds through a channel: a handler that is dropped in the middle (the client went away) closes the
//! channel, it does not stop the task.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use tokio::sync::{mpsc, oneshot};
use truehop_tower::truehop::Resolution;

use crate::blobs::{self, Digests};
use crate::catalog::{CatalogError, Complete, NewDrop, NewFile};
use crate::clock::Timestamp;
use crate::config::OwnerRule;
use crate::failpoint;
use crate::file_drop::Shared;
use crate::id::{BlobId, DropId, random};
use crate::secret::Secret;

/// Pieces that may wait for the disk.
const QUEUE: usize = 4;
/// Pieces are gathered to about so many bytes for one call of the blob store.
const BATCH: usize = 1024 * 1024;

/// A drop that is being received. Dropping it means that the rest will not come.
pub(crate) struct Upload {
    token: Secret,
    pieces: mpsc::Sender<Piece>,
    /// `None` once it has been told.
    outcome: Option<oneshot::Receiver<Result<Received, IntakeError>>>,
}

enum Piece {
    /// A file with this cleaned name begins, and the one before it is complete.
    File(String),
    Bytes(Bytes),
    End(Wishes),
}

/// What the uploader wants to become of a drop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    /// How long it waits for its recipient.
    pub(crate) wait: Duration,
    /// How the owner is to be recognised.
    pub(crate) rule: OwnerRule,
}

/// A drop that is ready.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) id: DropId,
    pub(crate) expires_at: Timestamp,
    pub(crate) wishes: Wishes,
}

impl Upload {
    /// Begins a drop without a file.
    pub(crate) fn begin(shared: &Arc<Shared>, uploader: &Resolution) -> Result<Self, IntakeError> {
        let token = Secret::random()?;
        let drop = NewDrop {
            id: DropId::random()?,
            token_hash: token.hash(),
            rule: shared.recognition.rule,
            salt: random()?,
            // Whether it is kept is told at the end.
            uploader: None,
        };
        let (pieces, inbox) = mpsc::channel(QUEUE);
        let (reply, outcome) = oneshot::channel();
        let (shared, uploader) = (Arc::clone(shared), *uploader);
        tokio::spawn(async move {
            let _under_way = shared.metrics.receiving();
            let received = receive(&shared, drop, &uploader, Inbox::new(inbox)).await;
            shared
                .metrics
                .upload(received.as_ref().map_or_else(IntakeError::word, |_| "ready"));
            // Nobody waits any more: the files expire in their time.
            let _ = reply.send(received);
        });
        Ok(Self {
            token,
            pieces,
            outcome: Some(outcome),
        })
    }

    /// Begins the next file, with a cleaned name. What is written from now on belongs to it.
    pub(crate) async fn file(&mut self, name: String) -> Result<(), IntakeError> {
        self.send(Piece::File(name)).await
    }

    /// Adds bytes. Waits while the disk is slower than the client.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), IntakeError> {
        self.send(Piece::Bytes(bytes)).await
    }

    /// Waits for `next`, but not when the drop fails meanwhile: a client that sends no more must still be told.
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

    /// That was all. The files are durable when this returns.
    pub(crate) async fn finish(mut self, wishes: Wishes) -> Result<(Received, Secret), IntakeError> {
        // When the task has ended already it says why.
        let _ = self.pieces.send(Piece::End(wishes)).await;
        let received = self.outcome().await?;
        Ok((received, self.token))
    }

    /// The rest will not come. Bytes and rows are gone when this returns.
    pub(crate) async fn abandon(self) {
        let Self { pieces, outcome, .. } = self;
        drop(pieces);
        if let Some(outcome) = outcome {
            // What it says is known: aborted.
            let _ = outcome.await;
        }
    }

    async fn send(&mut self, piece: Piece) -> Result<(), IntakeError> {
        match self.pieces.send(piece).await {
            Ok(()) => Ok(()),
            // The task has ended before the end: it says why.
            Err(_) => Err(self.outcome().await.err().unwrap_or(IntakeError::Aborted)),
        }
    }

    async fn outcome(&mut self) -> Result<Received, IntakeError> {
        match self.outcome.take() {
            Some(outcome) => outcome.await.unwrap_or(Err(IntakeError::Aborted)),
            None => Err(IntakeError::Aborted),
        }
    }
}

async fn receive(
    shared: &Arc<Shared>,
    drop: NewDrop,
    uploader: &Resolution,
    inbox: Inbox,
) -> Result<Received, IntakeError> {
    let mut intake = Intake {
        shared,
        drop,
        inbox,
        blobs: Vec::new(),
        complete: Vec::new(),
        room: shared.limits.max_size,
    };
    let received = intake.run(uploader).await;
    if received.is_err() {
        intake.discard().await;
    }
    received
}

/// The work on one drop.
struct Intake<'a> {
    shared: &'a Shared,
    drop: NewDrop,
    inbox: Inbox,
    /// Those of the files whose rows there are.
    blobs: Vec<BlobId>,
    complete: Vec<Complete>,
    /// How many more bytes are taken.
    room: u64,
}

impl Intake<'_> {
    async fn run(&mut self, uploader: &Resolution) -> Result<Received, IntakeError> {
        let wishes = loop {
            match self.inbox.next().await? {
                Piece::File(name) => self.file(name).await?,
                Piece::End(wishes) => break wishes,
                // Bytes of no file; the handlers begin one first.
                Piece::Bytes(_) => return Err(IntakeError::Aborted),
            }
        };
        let shared = self.shared;
        let uploader = shared.recognition.keep(wishes.rule, &self.drop.salt, uploader);
        let files = std::mem::take(&mut self.complete);
        let size = files.iter().map(|file| file.size).sum();
        let id = &self.drop.id;
        let ready = shared
            .catalog
            .ready(id, files, wishes.wait, wishes.rule, uploader);
        let expires_at = ready.await?;
        failpoint::reached("ready");
        shared.metrics.uploaded_bytes(size);
        // It may expire sooner than anything that the sweeper waits for.
        shared.work.notify_one();
        Ok(Received {
            id: id.clone(),
            expires_at,
            wishes,
        })
    }

    async fn file(&mut self, name: String) -> Result<(), IntakeError> {
        let blob = BlobId::random()?;
        // There are at most `MOST_FILES`.
        let number = self.blobs.len() as u32 + 1;
        let file = NewFile {
            number,
            name,
            blob: blob.clone(),
        };
        self.shared.catalog.announce(self.drop.clone(), file).await?;
        failpoint::reached("announced");
        self.blobs.push(blob.clone());
        let Digests { size, sha256, crc32 } = self.store(&blob).await?;
        failpoint::reached("published");
        self.complete.push(Complete {
            number,
            size,
            sha256,
            crc32,
        });
        Ok(())
    }

    async fn store(&mut self, blob: &BlobId) -> Result<Digests, IntakeError> {
        let (batch, mut is_all) = self.gather().await?;
        if is_all {
            return Ok(self.shared.blobs.store(blob, batch).await?);
        }
        let mut incoming = self.shared.blobs.create(blob).await?;
        incoming.write(batch).await?;
        while !is_all {
            let batch;
            (batch, is_all) = self.gather().await?;
            if !batch.is_empty() {
                incoming.write(batch).await?;
            }
        }
        Ok(incoming.finish().await?)
    }

    async fn gather(&mut self) -> Result<(Vec<Bytes>, bool), IntakeError> {
        let (batch, is_all) = self.inbox.gather().await?;
        let size = batch.iter().map(|bytes| bytes.len() as u64).sum();
        self.room = self.room.checked_sub(size).ok_or(IntakeError::TooLarge {
            several: self.blobs.len() > 1,
        })?;
        Ok((batch, is_all))
    }

    /// The rows go last: as long as they stand, the next start finds the bytes.
    async fn discard(&self) {
        if self.blobs.is_empty() {
            return;
        }
        let removed = async {
            for blob in &self.blobs {
                self.shared.blobs.discard(blob).await?;
            }
            self.shared.catalog.abandon(&self.drop.id).await?;
            Ok::<_, IntakeError>(())
        };
        if let Err(error) = removed.await {
            let drop = self.drop.id.tag();
            tracing::error!(drop, %error, "an upload that failed could not be cleared away; the next start will");
        }
    }
}

/// What the handler feeds.
struct Inbox {
    pieces: mpsc::Receiver<Piece>,
    /// What has ended a file.
    ahead: Option<Piece>,
}

impl Inbox {
    fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self { pieces, ahead: None }
    }

    async fn next(&mut self) -> Result<Piece, IntakeError> {
        match self.ahead.take() {
            Some(piece) => Ok(piece),
            None => self.pieces.recv().await.ok_or(IntakeError::Aborted),
        }
    }

    /// Bytes of the file that have come by now, at least one piece; and whether they are its last.
    async fn gather(&mut self) -> Result<(Vec<Bytes>, bool), IntakeError> {
        let mut batch = Vec::new();
        let mut size = 0;
        let mut next = self.next().await?;
        loop {
            match next {
                Piece::Bytes(bytes) => {
                    size += bytes.len();
                    batch.push(bytes);
                }
                end => {
                    self.ahead = Some(end);
                    return Ok((batch, true));
                }
            }
            if size >= BATCH {
                return Ok((batch, false));
            }
            match self.pieces.try_recv() {
                Ok(piece) => next = piece,
                // Whether more will come is for the next call to find out.
                Err(_) => return Ok((batch, false)),
            }
        }
    }
}

/// Why a drop was not received.
#[derive(Debug)]
pub(crate) enum IntakeError {
    /// The client stopped before the end.
    Aborted,
    /// More bytes than `max_size`.
    TooLarge {
        /// In more than one file.
        several: bool,
    },
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
            Self::TooLarge { .. } => "too-large",
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
            Self::TooLarge { .. } => f.write_str("the drop is larger than max_size"),
            Self::Full => f.write_str("the disk is full"),
            Self::Disk(error) => error.fmt(f),
            Self::Catalog(error) => error.fmt(f),
            Self::Random(error) => error.fmt(f),
        }
    }
}
