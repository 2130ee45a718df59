//! What any blob store must do, and one in memory that does it, to show that another one fits.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use truehop_delivery::{Guard, Parcel, ParcelBody, Part};

use super::disk::DiskBlobs;
use super::{Answer, Blobs, Digests, Incoming, Stored};
use crate::id::BlobId;

#[tokio::test]
async fn on_a_disk() {
    let data = tempfile::tempdir().unwrap();
    let blobs = DiskBlobs::new(data.path());
    for directory in blobs.directories() {
        std::fs::create_dir(directory).unwrap();
    }
    conforms(&blobs).await;
}

#[tokio::test]
async fn in_memory() {
    conforms(&MemoryBlobs::default()).await;
}

async fn conforms(blobs: &dyn Blobs) {
    what_is_finished_is_there_and_what_is_not_is_not(blobs).await;
    a_name_is_given_once(blobs).await;
    stored_at_once_is_as_piece_by_piece(blobs).await;
    what_is_open_can_be_read_to_its_end(blobs).await;
    removing_twice_is_no_error(blobs).await;
    every_name_is_listed_once(blobs).await;
}

async fn what_is_finished_is_there_and_what_is_not_is_not(blobs: &dyn Blobs) {
    let blob = BlobId::random().unwrap();
    let mut draft = blobs.create(&blob).await.unwrap();
    draft.write(pieces(&["ab", "", "c"])).await.unwrap();
    assert!(blobs.open(&blob).await.unwrap().is_none());
    assert_eq!(blobs.size(&blob).await.unwrap(), None);
    draft.write(pieces(&["def"])).await.unwrap();
    assert_eq!(draft.finish().await.unwrap(), digests(b"abcdef"));
    assert_eq!(blobs.size(&blob).await.unwrap(), Some(6));
    assert_eq!(read(blobs, &blob, 1..4).await, "bcd");
    blobs.unlink(&blob).await.unwrap();
}

async fn a_name_is_given_once(blobs: &dyn Blobs) {
    let blob = BlobId::random().unwrap();
    let _draft = blobs.create(&blob).await.unwrap();
    assert!(blobs.create(&blob).await.is_err());
    blobs.discard(&blob).await.unwrap();
}

async fn stored_at_once_is_as_piece_by_piece(blobs: &dyn Blobs) {
    for content in [&[][..], &["", "x"], &["one", "two", "three"]] {
        let blob = BlobId::random().unwrap();
        let whole = content.concat();
        assert_eq!(
            blobs.store(&blob, pieces(content)).await.unwrap(),
            digests(whole.as_bytes())
        );
        assert_eq!(read(blobs, &blob, 0..whole.len() as u64).await, whole);
        blobs.unlink(&blob).await.unwrap();
    }
}

async fn what_is_open_can_be_read_to_its_end(blobs: &dyn Blobs) {
    let blob = BlobId::random().unwrap();
    blobs.store(&blob, pieces(&["still here"])).await.unwrap();
    let open = blobs.open(&blob).await.unwrap().unwrap();
    blobs.unlink(&blob).await.unwrap();
    assert!(blobs.open(&blob).await.unwrap().is_none());
    let body = ParcelBody::from(Parcel::new([open.part(0..10, None)]));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "still here");
}

async fn removing_twice_is_no_error(blobs: &dyn Blobs) {
    let (complete, unfinished) = (BlobId::random().unwrap(), BlobId::random().unwrap());
    blobs.store(&complete, pieces(&["a"])).await.unwrap();
    let draft = blobs.create(&unfinished).await.unwrap();
    for _ in 0..2 {
        blobs.unlink(&complete).await.unwrap();
        blobs.discard(&unfinished).await.unwrap();
    }
    drop(draft);
    assert_eq!(
        (listed(blobs, true).await, listed(blobs, false).await),
        (vec![], vec![])
    );
    // Discarding takes what is complete, too.
    blobs.store(&complete, pieces(&["a"])).await.unwrap();
    blobs.discard(&complete).await.unwrap();
    assert_eq!(blobs.size(&complete).await.unwrap(), None);
}

async fn every_name_is_listed_once(blobs: &dyn Blobs) {
    let mut complete: Vec<_> = (0..50).map(|_| BlobId::random().unwrap()).collect();
    for blob in &complete {
        blobs.store(blob, pieces(&["a"])).await.unwrap();
    }
    let unfinished = BlobId::random().unwrap();
    let _draft = blobs.create(&unfinished).await.unwrap();
    complete.sort();
    assert_eq!(listed(blobs, true).await, complete);
    assert_eq!(listed(blobs, false).await, [unfinished]);
}

async fn listed(blobs: &dyn Blobs, complete: bool) -> Vec<BlobId> {
    let mut names = Vec::new();
    for folder in 0.. {
        let Some(more) = blobs.list(complete, folder).await.unwrap() else {
            break;
        };
        names.extend(more);
    }
    names.sort();
    names
}

async fn read(blobs: &dyn Blobs, blob: &BlobId, range: Range<u64>) -> String {
    let open = blobs.open(blob).await.unwrap().unwrap();
    let body = ParcelBody::from(Parcel::new([open.part(range, None)]));
    String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap()
}

fn pieces(words: &[&'static str]) -> Vec<Bytes> {
    words
        .iter()
        .map(|word| Bytes::from_static(word.as_bytes()))
        .collect()
}

fn digests(content: &[u8]) -> Digests {
    Digests {
        size: content.len() as u64,
        sha256: Sha256::digest(content).into(),
        crc32: crc32fast::hash(content),
    }
}

/// A blob store in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryBlobs(Arc<Mutex<Shelves>>);

#[derive(Debug, Default)]
struct Shelves {
    unfinished: BTreeMap<BlobId, Vec<u8>>,
    complete: BTreeMap<BlobId, Bytes>,
}

impl MemoryBlobs {
    fn answer<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Shelves) -> io::Result<T>,
    ) -> Answer<'static, T> {
        let answer = ask(&mut self.0.lock().unwrap());
        Box::pin(async move { answer })
    }
}

impl Blobs for MemoryBlobs {
    fn create(&self, blob: &BlobId) -> Answer<'_, Box<dyn Incoming>> {
        let draft = MemoryDraft(self.clone(), blob.clone());
        self.answer(|shelves| match shelves.unfinished.contains_key(blob) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => {
                shelves.unfinished.insert(blob.clone(), Vec::new());
                Ok(Box::new(draft) as Box<dyn Incoming>)
            }
        })
    }

    fn store(&self, blob: &BlobId, pieces: Vec<Bytes>) -> Answer<'_, Digests> {
        let content = pieces.concat();
        self.answer(|shelves| {
            shelves.complete.insert(blob.clone(), content.clone().into());
            Ok(digests(&content))
        })
    }

    fn open(&self, blob: &BlobId) -> Answer<'_, Option<Arc<dyn Stored>>> {
        self.answer(|shelves| {
            let found = shelves.complete.get(blob).cloned();
            Ok(found.map(|content| Arc::new(MemoryBlob(content)) as Arc<dyn Stored>))
        })
    }

    fn size(&self, blob: &BlobId) -> Answer<'_, Option<u64>> {
        self.answer(|shelves| Ok(shelves.complete.get(blob).map(|content| content.len() as u64)))
    }

    fn unlink(&self, blob: &BlobId) -> Answer<'_, ()> {
        self.answer(|shelves| {
            shelves.complete.remove(blob);
            Ok(())
        })
    }

    fn discard(&self, blob: &BlobId) -> Answer<'_, ()> {
        self.answer(|shelves| {
            shelves.unfinished.remove(blob);
            shelves.complete.remove(blob);
            Ok(())
        })
    }

    fn discard_unfinished(&self, blob: &BlobId) -> Answer<'_, ()> {
        self.answer(|shelves| {
            shelves.unfinished.remove(blob);
            Ok(())
        })
    }

    fn list(&self, complete: bool, folder: u32) -> Answer<'_, Option<Vec<BlobId>>> {
        self.answer(|shelves| {
            let names = match complete {
                true => shelves.complete.keys().cloned().collect(),
                false => shelves.unfinished.keys().cloned().collect(),
            };
            Ok((folder == 0).then_some(names))
        })
    }
}

#[derive(Debug)]
struct MemoryDraft(MemoryBlobs, BlobId);

impl Incoming for MemoryDraft {
    fn write(&mut self, pieces: Vec<Bytes>) -> Answer<'_, ()> {
        let Self(blobs, blob) = self;
        blobs.answer(|shelves| {
            let content = shelves.unfinished.get_mut(blob).ok_or(io::ErrorKind::NotFound)?;
            content.extend(pieces.concat());
            Ok(())
        })
    }

    fn finish(self: Box<Self>) -> Answer<'static, Digests> {
        let Self(blobs, blob) = *self;
        blobs.answer(|shelves| {
            let content = shelves.unfinished.remove(&blob).ok_or(io::ErrorKind::NotFound)?;
            let digests = digests(&content);
            shelves.complete.insert(blob.clone(), content.into());
            Ok(digests)
        })
    }
}

#[derive(Debug)]
struct MemoryBlob(Bytes);

impl Stored for MemoryBlob {
    fn part(&self, range: Range<u64>, _: Option<Arc<dyn Guard>>) -> Part {
        self.0.slice(range.start as usize..range.end as usize).into()
    }
}
