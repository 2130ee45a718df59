//! What a crash may have left behind, put right before anybody asks.
//!
//! 1. No request has survived: the collections that were under way go on for a lease, so that the same recipient may resume.
//!    That was our doing, so the attempt is given back.
//! 2. Files that are still `receiving` were never promised to anybody: bytes and rows go. Files whose bytes are missing or
//!    short are `failed`: a damaged file is never handed out.
//! 3. What time has done meanwhile is written down, and the outbox is replayed.
//! 4. Blobs that belong to no file go.
//!
//! Each step is for some rows at a time, so that memory does not follow their number.
//!
//! Invariant: afterwards rows and bytes agree. Each step may be broken off and begun again.

use std::io;
use std::time::Duration;

use crate::blobs::Blobs;
use crate::catalog::{Catalog, CatalogError, Listed, Which};
use crate::failpoint::reached;
use crate::id::{BlobId, DropId};
use crate::lifecycle::{Ending, State};

/// Rows at a time.
const PAGE: u32 = 512;

/// When to try again what could not be unlinked.
const LATER: Duration = Duration::from_secs(60);

/// What there was to be put right.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) interrupted: u64,
    pub(crate) half_received: u64,
    pub(crate) lost: u64,
    /// Files that had come to their end by themselves.
    pub(crate) ended: u64,
    pub(crate) unlinked: u64,
    pub(crate) strays: u64,
}

pub(crate) async fn recover(catalog: &dyn Catalog, blobs: &dyn Blobs) -> Result<Recovered, Fault> {
    let mut found = Recovered {
        interrupted: catalog.interrupt().await?,
        ..Recovered::default()
    };
    reached("boot-interrupted");
    compare(catalog, blobs, &mut found).await?;
    reached("boot-discarded");
    replay(catalog, blobs, &mut found).await?;
    reached("boot-unlinked");
    clear(catalog, blobs, &mut found).await?;
    reached("boot-swept");
    let Recovered {
        interrupted,
        half_received,
        lost,
        ended,
        unlinked,
        strays,
    } = found;
    if interrupted + half_received + lost + ended + unlinked + strays > 0 {
        tracing::info!(
            interrupted,
            half_received,
            lost,
            ended,
            unlinked,
            strays,
            "recovered after an interruption"
        );
    }
    Ok(found)
}

/// Each row against its bytes.
async fn compare(catalog: &dyn Catalog, blobs: &dyn Blobs, found: &mut Recovered) -> Result<(), Fault> {
    let mut after = None;
    // All of a drop is received, or nothing: its rows go when the bytes of all its files are gone.
    let mut half_received: Option<DropId> = None;
    loop {
        let page = catalog.list(after, PAGE).await?;
        after = page.last().map(|last| (last.id.clone(), last.number));
        for file in &page {
            if let Some(id) = half_received.take_if(|id| *id != file.id) {
                catalog.abandon(&id).await?;
            }
            match file.state {
                State::Receiving => {
                    blobs.discard(&file.blob).await?;
                    half_received = Some(file.id.clone());
                    found.half_received += 1;
                }
                State::Ready | State::Collecting => {
                    if is_lost(blobs, file).await? {
                        let which = Which::One(file.number);
                        catalog.end(&file.id, which, Ending::Lost).await?;
                        found.lost += 1;
                    }
                }
                State::Delivered | State::Expired | State::Withdrawn | State::Failed | State::Deleted => {}
            }
        }
        if after.is_none() {
            break;
        }
    }
    match half_received {
        Some(id) => Ok(catalog.abandon(&id).await?),
        None => Ok(()),
    }
}

/// Whether files should have bytes, and none of them has.
pub(crate) async fn lacks_all(catalog: &dyn Catalog, blobs: &dyn Blobs) -> Result<bool, Fault> {
    let (mut after, mut lacks) = (None, false);
    loop {
        let page = catalog.list(after, PAGE).await?;
        after = page.last().map(|last| (last.id.clone(), last.number));
        for file in &page {
            if matches!(file.state, State::Ready | State::Collecting) {
                if blobs.size(&file.blob).await?.is_some() {
                    return Ok(false);
                }
                lacks = true;
            }
        }
        if after.is_none() {
            return Ok(lacks);
        }
    }
}

async fn is_lost(blobs: &dyn Blobs, file: &Listed) -> Result<bool, Fault> {
    let size = blobs.size(&file.blob).await?;
    let is_lost = size != Some(file.size);
    if is_lost {
        tracing::error!(
            drop = file.id.tag(),
            file = file.number,
            size = file.size,
            found = ?size,
            "a file is missing or damaged on disk; nobody will get it"
        );
    }
    Ok(is_lost)
}

async fn replay(catalog: &dyn Catalog, blobs: &dyn Blobs, found: &mut Recovered) -> Result<(), Fault> {
    loop {
        let swept = catalog.sweep().await?;
        found.ended += swept.ended.len() as u64;
        for blob in &swept.unlink {
            match blobs.unlink(blob).await {
                Ok(()) => {
                    reached("unlinked");
                    catalog.unlinked(blob).await?;
                    found.unlinked += 1;
                }
                Err(error) => {
                    tracing::error!(blob = blob.tag(), %error, "a file that is over could not be deleted");
                    catalog.postpone(blob, LATER).await?;
                }
            }
        }
        if swept.unlink.is_empty() && swept.ended.is_empty() {
            return Ok(());
        }
    }
}

async fn clear(catalog: &dyn Catalog, blobs: &dyn Blobs, found: &mut Recovered) -> Result<(), Fault> {
    for complete in [false, true] {
        let mut folder = 0;
        while let Some(names) = blobs.list(complete, folder).await? {
            folder += 1;
            for stray in stray(catalog, names, complete).await? {
                match complete {
                    true => blobs.unlink(&stray).await?,
                    false => blobs.discard_unfinished(&stray).await?,
                }
                found.strays += 1;
            }
        }
    }
    Ok(())
}

async fn stray(catalog: &dyn Catalog, names: Vec<BlobId>, complete: bool) -> Result<Vec<BlobId>, Fault> {
    match names.is_empty() {
        true => Ok(names),
        false => Ok(catalog.strays(names, complete).await?),
    }
}

/// Why a data directory could not be put right.
#[derive(Debug)]
pub(crate) enum Fault {
    Catalog(CatalogError),
    Blobs(io::Error),
}

impl From<CatalogError> for Fault {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Blobs(error)
    }
}

#[cfg(test)]
mod tests;
