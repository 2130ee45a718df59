//! Taking a data directory into use, and failing to.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use http::StatusCode;
use truehop_drop::{DropConfig, FileDrop, OpenError};

use crate::support::*;

#[test]
fn a_directory_is_made_for_the_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("a/b");
    let drop = FileDrop::open(&DropConfig::default(), &data).unwrap();
    for part in ["", "incoming", "files"] {
        assert_eq!(
            fs::metadata(data.join(part)).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
    for part in ["catalog.sqlite", "catalog.sqlite-wal", "lock", "reserve"] {
        assert_eq!(
            fs::metadata(data.join(part)).unwrap().permissions().mode() & 0o777,
            0o600,
            "{part}"
        );
    }
    assert_eq!(
        fs::read_to_string(data.join("lock")).unwrap(),
        format!("{}\n", std::process::id())
    );
    drop.close();
}

#[test]
fn a_directory_has_one_user_at_a_time() {
    let site = Site::new();
    let error = FileDrop::open(&DropConfig::default(), site.data.path()).unwrap_err();
    assert!(
        matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()),
        "{error:?}"
    );
    assert!(error.to_string().contains("in use by another instance, process"));
    // The one that has it is not disturbed, and its lock ends with it.
    assert!(site.data.path().join("lock").exists());
    let Site { drop, data, .. } = site;
    drop.close();
    FileDrop::open(&DropConfig::default(), data.path()).unwrap();
}

#[test]
fn what_cannot_be_used_is_named_and_nothing_is_left() {
    let parent = tempfile::tempdir().unwrap();
    let in_the_way = parent.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    let error = FileDrop::open(&DropConfig::default(), &in_the_way.join("data")).unwrap_err();
    assert!(matches!(&error, OpenError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains("file/data"), "{error}");

    let data = parent.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("files"), "").unwrap();
    let error = FileDrop::open(&DropConfig::default(), &data).unwrap_err();
    assert!(
        matches!(&error, OpenError::Unusable { path, .. } if path.ends_with("files")),
        "{error:?}"
    );
    let left: Vec<_> = fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.len() == 2 && left.contains(&"files".into()) && left.contains(&"lock".into()),
        "{left:?}"
    );
}

#[test]
fn a_database_that_is_none_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(
        parent.path().join("catalog.sqlite"),
        "no database at all, but long enough to be looked at",
    )
    .unwrap();
    let error = FileDrop::open(&DropConfig::default(), parent.path()).unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error:?}");
    let left: Vec<_> = fs::read_dir(parent.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.len() == 2 && left.contains(&"catalog.sqlite".into()) && left.contains(&"lock".into()),
        "somebody may wait at the lock: {left:?}"
    );
}

#[test]
fn a_newer_schema_is_refused() {
    let site = Site::new();
    let Site { drop, data, .. } = site;
    drop.close();
    let db = rusqlite::Connection::open(data.path().join("catalog.sqlite")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    std::mem::drop(db);
    let error = FileDrop::open(&DropConfig::default(), data.path()).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::TooNew {
                found: 99,
                known: 5,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(data.path().join("files").exists());
}

/// What version 2 left behind: a file that was being collected when the power went, and one that waits.
#[tokio::test]
async fn an_older_schema_is_brought_up() {
    const VERSION_2: &str = "
        CREATE TABLE file (
            id TEXT PRIMARY KEY, state TEXT NOT NULL, name TEXT, size INTEGER, sha256 BLOB, token_hash BLOB NOT NULL,
            salt BLOB, uploader BLOB, recipient BLOB, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
            lease_until INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, again_until INTEGER,
            unknown INTEGER NOT NULL DEFAULT 0, unknown_why TEXT, ending TEXT, ended_at INTEGER,
            interrupted INTEGER NOT NULL DEFAULT 0) STRICT;
        CREATE INDEX file_waiting    ON file (expires_at)  WHERE state = 'ready';
        CREATE INDEX file_collecting ON file (expires_at) WHERE state = 'collecting';
        CREATE INDEX file_receipt    ON file (ended_at)    WHERE state = 'deleted';
        CREATE TABLE outbox (file TEXT PRIMARY KEY REFERENCES file (id), due INTEGER NOT NULL) STRICT;
        INSERT INTO file (id, state, name, size, sha256, token_hash, salt, created_at, expires_at, attempts, lease_until)
        SELECT id, state, 'a.txt', 7, zeroblob(32), zeroblob(32), zeroblob(32), 0, 9000000000000, attempts, 9e12
        FROM (SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaa' AS id, 'collecting' AS state, 1 AS attempts
              UNION SELECT 'bbbbbbbbbbbbbbbbbbbbbbbbbb', 'ready', 2);
        PRAGMA user_version = 2";
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("files")).unwrap();
    let ids = ["a", "b"].map(|letter| letter.repeat(26));
    for id in &ids {
        fs::write(data.path().join("files").join(id), "content").unwrap();
    }
    let db = rusqlite::Connection::open(data.path().join("catalog.sqlite")).unwrap();
    db.execute_batch(VERSION_2).unwrap();
    std::mem::drop(db);
    let site = Site::at(data.path().to_owned());
    assert_eq!(
        site.rows("state = 'collecting' AND last_piece = 1 AND attempts = 0 AND interrupted = 1"),
        1
    );
    assert_eq!(
        site.rows("state = 'ready' AND attempts = 2 AND interrupted = 0"),
        1
    );
    let [collecting, ready] = ids.map(|id| format!("/d/{id}"));
    // Somebody may have all of it, and nobody knows who.
    assert_eq!(site.collect(&collecting, AWAY).await.status, StatusCode::LOCKED);
    assert!(site.blob(&ready, 1).exists());
    let page = site.send(ask("GET", &ready).from(AWAY)).await.text().await;
    assert!(page.contains("a.txt"), "{page}");
    let answer = site.send(ask("GET", &format!("{ready}/zip")).from(AWAY)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(site.collect(&ready, AWAY).await.deliver().await, "content");
    site.until(&ready, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert_eq!(site.on_disk(), [site.blob(&collecting, 1)]);
}

/// Many processes that start at once: one gets the directory, and it still has it when the others have given up.
#[test]
fn of_many_who_open_one_directory_one_has_it_and_no_lock_is_taken_away() {
    let parent = tempfile::tempdir().unwrap();
    // Nobody can use it: each of them fails after the lock.
    fs::write(parent.path().join("files"), "").unwrap();
    fs::write(parent.path().join("lock"), "").unwrap();
    let before = fs::metadata(parent.path().join("lock")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| FileDrop::open(&DropConfig::default(), parent.path()).unwrap_err());
        }
    });
    let after = fs::metadata(parent.path().join("lock")).unwrap();
    assert_eq!(before.ino(), after.ino());

    let data = parent.path().join("new");
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || FileDrop::open(&DropConfig::default(), &data);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap().ok())
            .collect()
    });
    assert_eq!(opened.len(), 1);
    assert!(data.join("lock").exists() && data.join("catalog.sqlite").exists());
}

#[test]
fn a_config_that_makes_no_sense_is_refused_before_anything_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let config = DropConfig {
        attempts: 0,
        ..DropConfig::default()
    };
    let error = FileDrop::open(&config, &parent.path().join("data")).unwrap_err();
    assert!(matches!(error, OpenError::Config(_)), "{error:?}");
    assert!(!parent.path().join("data").exists());
}
