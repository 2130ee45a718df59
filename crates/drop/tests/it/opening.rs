//! Taking a data directory into use, and failing to.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use truehop_drop::{DropConfig, FileDrop, OpenError};

use crate::support::Site;

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
    for part in ["catalog.sqlite", "catalog.sqlite-wal", "lock"] {
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
    assert_eq!(left, ["files"]);
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
    assert_eq!(left, ["catalog.sqlite"]);
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
                known: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(data.path().join("files").exists());
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
