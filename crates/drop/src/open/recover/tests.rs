//! The start after a crash, with each kind of catalog and store, and over what earlier versions have left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::blobs::Digests;
use crate::blobs::conformance::MemoryBlobs;
use crate::catalog::conformance::{Site, who};
use crate::catalog::{Admission, Claim, Complete, NewDrop, NewFile};
use crate::clock::Clock;
use crate::config::{DropConfig, OwnerRule};
use crate::id::DropId;
use crate::leash::Leash;
use crate::lifecycle::Terms;
use crate::open::{self, OpenError, Opened, on_a_thread};
use crate::secret::SecretHash;

fn store(blobs: &MemoryBlobs, blob: &BlobId, size: usize) {
    on_a_thread(|| blobs.store(blob, vec![Bytes::from(vec![7; size])])).unwrap();
}

fn put_right(site: Site) {
    let blobs = MemoryBlobs::default();
    let whole = site.upload(&[3, 4]);
    store(&blobs, &whole.1[0], 3);
    store(&blobs, &whole.1[1], 4);
    let damaged = site.upload(&[5, 6]);
    store(&blobs, &damaged.1[0], 4);
    let over = site.upload(&[7]);
    store(&blobs, &over.1[0], 7);
    site.ask(|catalog| catalog.end(&over.0, Which::All, Ending::Withdrawn));
    // One file of it has come, the other has not; there are more of them than one page holds.
    let half: Vec<(DropId, Vec<BlobId>)> = (0..300)
        .map(|_| {
            let id = DropId::random().unwrap();
            let blobs = site.announce(&id, &[0, 0]);
            (id, blobs)
        })
        .collect();
    store(&blobs, &half[0].1[0], 1);
    let _unfinished = on_a_thread(|| blobs.create(&half[0].1[1])).unwrap();
    let nobodys = [BlobId::random().unwrap(), BlobId::random().unwrap()];
    store(&blobs, &nobodys[0], 1);
    let _draft = on_a_thread(|| blobs.create(&nobodys[1])).unwrap();
    // A crash may have brought a name back where it came from.
    let _again = on_a_thread(|| blobs.create(&whole.1[0])).unwrap();
    let claim = Claim {
        id: whole.0.clone(),
        wants: vec![(1, 0..3)],
        asker: who(1).asker,
        unknown: None,
        leash: Leash::default(),
    };
    assert!(matches!(
        site.ask(|catalog| catalog.admit(claim)),
        Admission::Granted(_)
    ));

    let site = site.restart();
    let found = on_a_thread(|| recover(&*site.catalog, &blobs)).unwrap();
    assert_eq!((found.interrupted, found.half_received, found.lost), (1, 600, 2));
    assert_eq!((found.unlinked, found.strays), (3, 3));
    assert_eq!(site.file(&whole.0).life.state, State::Collecting);
    assert!(
        site.find(&damaged.0)
            .files
            .iter()
            .all(|file| file.life.ending == Some(Ending::Lost))
    );
    assert_eq!(site.file(&over.0).life.state, State::Deleted);
    for (id, _) in &half {
        assert!(site.ask(|catalog| catalog.find(id)).is_none());
    }
    let mut left = on_a_thread(|| blobs.list(true, 0)).unwrap().unwrap();
    let mut expected = whole.1.clone();
    left.sort();
    expected.sort();
    assert_eq!(left, expected);
    assert!(on_a_thread(|| blobs.list(false, 0)).unwrap().unwrap().is_empty());

    // Once more there is nothing to do.
    let site = site.restart();
    let found = on_a_thread(|| recover(&*site.catalog, &blobs)).unwrap();
    assert_eq!(
        found.interrupted + found.half_received + found.lost + found.unlinked + found.strays,
        0
    );
}

#[test]
fn rows_and_bytes_agree_afterwards_in_sqlite() {
    put_right(Site::in_sqlite());
}

#[test]
fn rows_and_bytes_agree_afterwards_in_memory() {
    put_right(Site::in_memory());
}

#[test]
fn a_directory_of_the_version_before_drops_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let (files, id) = (data.path().join("files"), "abcdefghijklmnopqrstuvwxyz");
    fs::create_dir(&files).unwrap();
    fs::write(files.join(id), "content").unwrap();
    let db = rusqlite::Connection::open(open::database(data.path())).unwrap();
    db.execute_batch(
        "CREATE TABLE file (
            id TEXT PRIMARY KEY, state TEXT NOT NULL, name TEXT, size INTEGER, sha256 BLOB, token_hash BLOB NOT NULL,
            salt BLOB, uploader BLOB, recipient BLOB, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
            lease_until INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, again_until INTEGER,
            unknown INTEGER NOT NULL DEFAULT 0, unknown_why TEXT, ending TEXT, ended_at INTEGER,
            interrupted INTEGER NOT NULL DEFAULT 0
         ) STRICT;
         CREATE TABLE outbox (file TEXT PRIMARY KEY REFERENCES file (id), due INTEGER NOT NULL) STRICT;
         INSERT INTO file (id, state, name, size, sha256, token_hash, salt, created_at, expires_at)
         VALUES ('abcdefghijklmnopqrstuvwxyz', 'collecting', 'a', 7, zeroblob(32), zeroblob(32), zeroblob(32), 1,
                 9000000000000);
         PRAGMA user_version = 2;",
    )
    .unwrap();
    db.close().unwrap();
    let terms = Terms::of(&DropConfig::default());
    let opened = open::open(data.path(), terms, OwnerRule::Token, &Clock::system()).unwrap();
    assert_eq!(opened.recovered.lost + opened.recovered.strays, 0);
    let blob = BlobId::parse(id).unwrap();
    assert_eq!(fs::read_to_string(opened.blobs.path(&blob)).unwrap(), "content");
    assert!(!files.join(id).exists());
    let due = on_a_thread(|| opened.catalog.next_due()).unwrap().unwrap();
    assert!(
        due > Duration::from_secs(86_400),
        "it waits for the recipient who may have it, or for the owner"
    );
}

/// A directory with one file that waits, and where its bytes are.
fn with_a_file(data: &Path) -> (BlobId, PathBuf) {
    let opened = open_at(data).unwrap();
    let (id, blob) = (DropId::random().unwrap(), BlobId::random().unwrap());
    let drop = NewDrop {
        id: id.clone(),
        token_hash: SecretHash([1; 32]),
        rule: OwnerRule::Either,
        salt: [7; 32],
        uploader: None,
    };
    let (number, name) = (1, "a".to_owned());
    let file = NewFile {
        number,
        name,
        blob: blob.clone(),
    };
    on_a_thread(|| opened.catalog.announce(drop, file)).unwrap();
    let bytes = vec![Bytes::from_static(b"content")];
    let Digests { size, sha256, crc32 } = on_a_thread(|| opened.blobs.store(&blob, bytes)).unwrap();
    let complete = vec![Complete {
        number,
        size,
        sha256,
        crc32,
    }];
    let day = Duration::from_secs(86_400);
    on_a_thread(|| opened.catalog.ready(&id, complete, day, OwnerRule::Either, None)).unwrap();
    let path = opened.blobs.path(&blob);
    (blob, path)
}

fn open_at(data: &Path) -> Result<Opened, OpenError> {
    let terms = Terms::of(&DropConfig::default());
    open::open(data, terms, OwnerRule::Either, &Clock::system())
}

#[test]
fn a_disk_that_is_not_mounted_costs_no_file() {
    let data = tempfile::tempdir().unwrap();
    let (_, path) = with_a_file(data.path());
    let (files, away) = (data.path().join("files"), data.path().join("away"));
    let mark = files.join(".truehop");
    let made = fs::metadata(&mark).unwrap();
    assert_eq!((made.len(), made.permissions().mode() & 0o777), (0, 0o600));
    fs::rename(&files, &away).unwrap();
    // Neither where something is to be mounted, nor where there is nothing at all.
    for is_there in [true, false] {
        if is_there {
            fs::create_dir(&files).unwrap();
        }
        let error = open_at(data.path()).unwrap_err();
        assert!(
            matches!(&error, OpenError::NoFiles { mark: missing } if *missing == mark),
            "{error:?}"
        );
        let told = error.to_string();
        assert!(
            told.contains("mount it") && told.contains("files/.truehop"),
            "{told}"
        );
        assert_eq!(files.exists(), is_there);
        assert!(!mark.exists());
        if is_there {
            fs::remove_dir(&files).unwrap();
        }
    }
    fs::rename(&away, &files).unwrap();
    let recovered = open_at(data.path()).unwrap().recovered;
    assert_eq!((recovered.lost, recovered.strays), (0, 0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "content");
    // With the mark, what is not there is gone.
    fs::remove_file(&path).unwrap();
    assert_eq!(open_at(data.path()).unwrap().recovered.lost, 1);
}

#[test]
fn a_directory_of_before_the_mark_gets_one() {
    let data = tempfile::tempdir().unwrap();
    let (lost, _) = with_a_file(data.path());
    let (_, path) = with_a_file(data.path());
    let opened = open_at(data.path()).unwrap();
    let mark = opened.blobs.mark();
    on_a_thread(|| opened.blobs.unlink(&lost)).unwrap();
    drop(opened);
    fs::remove_file(&mark).unwrap();
    // Some bytes are there, so it is the directory.
    assert_eq!(open_at(data.path()).unwrap().recovered.lost, 1);
    assert!(mark.exists() && path.exists());
}

#[tokio::test]
async fn a_directory_is_opened_inside_of_a_runtime_too() {
    let data = tempfile::tempdir().unwrap();
    let terms = Terms::of(&DropConfig::default());
    // On the only thread of this runtime.
    for _ in 0..2 {
        open::open(data.path(), terms, OwnerRule::Either, &Clock::system()).unwrap();
    }
}
