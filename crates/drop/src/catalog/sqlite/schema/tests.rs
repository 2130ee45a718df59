//! Databases that earlier versions have made, brought up by this one.

use rusqlite::params;
use rusqlite::types::Value;

use super::*;
use crate::catalog::sqlite::rows;
use crate::catalog::{DropRecord, FileRecord};
use crate::clock::Timestamp;
use crate::id::DropId;
use crate::lifecycle::{Asker, Ending, Life, Phase, State, Terms};
use crate::owner::AddressDigest;
use crate::secret::SecretHash;

const NOW: i64 = 1_000_000;

/// A row as the versions before drops have written it.
struct Old {
    id: &'static str,
    state: &'static str,
    size: Option<i64>,
    is_known: bool,
    attempts: i64,
    again_until: Option<i64>,
    ending: Option<&'static str>,
    is_going: bool,
}

const PLAIN: Old = Old {
    id: "",
    state: "ready",
    size: Some(10),
    is_known: true,
    attempts: 2,
    again_until: None,
    ending: None,
    is_going: false,
};

const ROWS: [Old; 7] = [
    Old {
        id: "a2z7qk3mxw5yhuvb4cdefgijln",
        ..PLAIN
    },
    Old {
        id: "bbbbbbbbbbbbbbbbbbbbbbbbbb",
        state: "collecting",
        ..PLAIN
    },
    Old {
        id: "cccccccccccccccccccccccccc",
        state: "delivered",
        again_until: Some(NOW + 50),
        ending: Some("delivered"),
        is_going: true,
        ..PLAIN
    },
    // The second try was had.
    Old {
        id: "dddddddddddddddddddddddddd",
        state: "delivered",
        ending: Some("delivered"),
        is_going: true,
        ..PLAIN
    },
    Old {
        id: "eeeeeeeeeeeeeeeeeeeeeeeeee",
        state: "failed",
        is_known: false,
        ending: Some("attempts"),
        is_going: true,
        ..PLAIN
    },
    Old {
        id: "ffffffffffffffffffffffffff",
        state: "deleted",
        is_known: false,
        ending: Some("expired"),
        ..PLAIN
    },
    Old {
        id: "gggggggggggggggggggggggggg",
        state: "receiving",
        size: None,
        attempts: 0,
        ..PLAIN
    },
];

/// A database with these rows, as after so many steps.
fn old(path: &Path, steps: usize) {
    let db = Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    for step in &STEPS[..steps] {
        db.execute_batch(step).unwrap();
    }
    db.pragma_update(None, "user_version", steps as i64).unwrap();
    for row in &ROWS {
        let known = |byte: u8| row.is_known.then_some([byte; 32]);
        let sql = "INSERT INTO file (id, state, name, size, sha256, token_hash, salt, uploader, recipient, created_at,
                                     expires_at, lease_until, attempts, again_until, unknown, unknown_why, ending, ended_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, zeroblob(32), ?6, ?7, ?8, 1, ?9, 77, ?10, ?11, 3, 'no-address', ?12, ?13)";
        let values = params![
            row.id,
            row.state,
            row.is_known.then_some("a name"),
            row.size,
            known(2),
            known(3),
            known(4),
            (row.state == "collecting" || row.again_until.is_some()).then_some([5_u8; 32]),
            NOW + 1000,
            row.attempts,
            row.again_until,
            row.ending,
            row.ending.map(|_| NOW - 1),
        ];
        db.execute(sql, values).unwrap();
        if row.is_going {
            let due = row.again_until.unwrap_or(NOW);
            db.execute(
                "INSERT INTO outbox (file, due) VALUES (?1, ?2)",
                params![row.id, due],
            )
            .unwrap();
        }
    }
}

fn found(db: &Connection, id: &str) -> (DropRecord, FileRecord) {
    let mut drop = rows::find(db, &DropId::parse(id).unwrap(), Timestamp(NOW))
        .unwrap()
        .unwrap();
    let file = drop.files.remove(0);
    assert!(drop.files.is_empty() && file.number == 1 && file.blob.as_str() == id);
    (drop, file)
}

#[test]
fn what_earlier_versions_have_written_goes_on() {
    for steps in [1, 2] {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("catalog.sqlite");
        old(&path, steps);
        let db = writer(&path, OwnerRule::Token).unwrap();
        assert_eq!(version(&db).unwrap(), 5);

        let (drop, file) = found(&db, ROWS[0].id);
        assert_eq!(
            (drop.rule, drop.salt, drop.unknown),
            (OwnerRule::Token, Some([3; 32]), 3)
        );
        assert_eq!(drop.uploader, Some(AddressDigest::stored([4; 32])));
        assert_eq!(drop.unknown_why.as_deref(), Some("no-address"));
        assert_eq!(
            (file.name.as_deref(), file.sha256, file.crc32),
            (Some("a name"), Some([2; 32]), None)
        );
        assert_eq!(
            (file.life.state, file.life.size, file.life.attempts),
            (State::Ready, 10, 2)
        );
        assert_eq!(
            (file.life.expires_at, file.life.hold),
            (Timestamp(NOW + 1000), None)
        );

        let terms = Terms {
            lease: Duration::from_millis(20),
            grace: Duration::from_millis(60),
            attempts: 5,
            receipts: Duration::from_secs(60),
        };
        let admits = |life: &Life, address: u8| {
            let asker = Asker {
                shown: None,
                fresh: SecretHash([9; 32]),
                address: Some(AddressDigest::stored([address; 32])),
                behind_proxy: true,
                has_range: false,
                request: 0,
            };
            life.admitted(&terms, Timestamp(NOW), false, &asker, &(0..10))
                .is_ok()
        };
        // Who was collecting may have everything, and nobody else gets it unless the owner says so. The start gives the
        // attempt back.
        let (drop, file) = found(&db, ROWS[1].id);
        assert!(drop.salt.is_some() && file.name.is_some());
        assert_eq!((file.life.state, file.life.attempts), (State::Collecting, 2));
        let life = file.life.interrupted(&terms, Timestamp(NOW)).unwrap();
        assert_eq!((life.attempts, life.interrupted), (1, 1));
        for life in [&file.life, &life] {
            for now in [NOW, NOW + 500] {
                assert_eq!(life.phase(&terms, Timestamp(now), false), Phase::Uncertain);
            }
            assert!(admits(life, 5) && !admits(life, 6));
            let again = life.rearmed(&terms, Timestamp(NOW), false).unwrap();
            assert!(admits(&again, 6));
        }

        // The grace goes on, for the same address.
        let (drop, file) = found(&db, ROWS[2].id);
        assert!(drop.salt.is_some() && file.name.is_some());
        assert!(admits(&file.life, 5) && !admits(&file.life, 6));

        for (row, state, ending) in [
            (3, State::Delivered, Ending::Delivered),
            (4, State::Failed, Ending::Exhausted),
            (5, State::Deleted, Ending::Expired),
        ] {
            let (drop, file) = found(&db, ROWS[row].id);
            assert_eq!((file.life.state, file.life.ending), (state, Some(ending)));
            assert_eq!(
                (drop.salt, drop.uploader, file.name, file.sha256),
                (None, None, None, None)
            );
            assert_eq!(
                (file.life.ended_at, file.life.hold),
                (Some(Timestamp(NOW - 1)), None)
            );
        }
        let (_, file) = found(&db, ROWS[6].id);
        assert_eq!((file.life.state, file.life.size), (State::Receiving, 0));

        let mut outbox = db.prepare("SELECT blob, due FROM outbox ORDER BY blob").unwrap();
        let outbox: Vec<(String, i64)> = outbox
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let row = |at: usize, due| (ROWS[at].id.to_owned(), due);
        assert_eq!(outbox, [row(2, NOW + 50), row(3, NOW), row(4, NOW)]);
        // Nothing is left of what was there before.
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'";
        assert_eq!(db.query_row(tables, [], |row| row.get::<_, u32>(0)).unwrap(), 2);
        // And a second time there is nothing to do.
        assert_eq!(version(&writer(&path, OwnerRule::Either).unwrap()).unwrap(), 5);
        assert_eq!(
            found(&reader(&path).unwrap(), ROWS[0].id).0.rule,
            OwnerRule::Token
        );
    }
}

#[test]
fn what_was_granted_by_an_earlier_version_is_still_under_way() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("catalog.sqlite");
    old(&path, 2);
    let db = Connection::open(&path).unwrap();
    db.execute_batch(STEPS[2]).unwrap();
    db.execute_batch(
        "UPDATE files SET granted = '0-5,7-9' WHERE state = 'collecting'; PRAGMA user_version = 3;",
    )
    .unwrap();
    drop(db);
    let db = writer(&path, OwnerRule::Token).unwrap();
    let collecting = ROWS.iter().find(|row| row.state == "collecting").unwrap();
    let hold = found(&db, collecting.id).1.life.hold.unwrap();
    assert_eq!(hold.passages.ungated().collect::<Vec<_>>(), [0..5, 7..9]);
    assert!(!hold.by_word);
}

/// A database of version 4, with two drops of several files; every column of the second has a value of its own.
fn of_version_4(path: &Path, drops: [&str; 2]) {
    let db = Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.execute_batch(&STEPS[..4].concat()).unwrap();
    db.pragma_update(None, "user_version", 4).unwrap();
    for (id, number) in drops.into_iter().zip(1..) {
        db.execute(
            "INSERT INTO drops (id, rule, token_hash, salt, uploader, unknown, unknown_why)
             VALUES (?1, 'address', randomblob(32), randomblob(32), randomblob(32), ?2, 'why')",
            params![id, number],
        )
        .unwrap();
    }
    for (id, number) in [(0, 3), (0, 100), (1, 1), (1, 2)].map(|(at, number)| (drops[at], number)) {
        db.execute(
            "INSERT INTO files (drop_id, number, blob, state, name, size, sha256, crc32, expires_at, attempts,
                                interrupted, collection, recipient, behind_proxy, lease_until, covered, by_word, passages,
                                unsettled, asked, charged, last_piece, again_until, ending, ended_at)
             VALUES (?1, ?2, substr(?1, 1, 25) || char(97 + ?2 % 26), 'delivered', 'name', 11, randomblob(32), 12, 13, 14, 15,
                     randomblob(32), randomblob(32), 1, 16, '0-17', 1, '~0-18', '0-19', 20, 21, 1, 22, 'delivered', 23)",
            params![id, number],
        )
        .unwrap();
    }
}

/// All that stands in the rows, of drops and of files.
fn all(db: &Connection, from: &str) -> Vec<Vec<Value>> {
    let columns = "drop_id, number, rule, token_hash, salt, uploader, unknown, unknown_why, blob, state, name, size, sha256,
                   crc32, expires_at, attempts, interrupted, collection, recipient, behind_proxy, lease_until, covered,
                   by_word, passages, unsettled, asked, charged, last_piece, again_until, ending, ended_at";
    let mut rows = db
        .prepare(&format!("SELECT {columns} FROM {from} ORDER BY drop_id, number"))
        .unwrap();
    let count = rows.column_count();
    let rows = rows.query_map([], |row| (0..count).map(|at| row.get(at)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

const BEFORE: &str = "files JOIN drops ON id = drop_id";

#[test]
fn all_that_stood_in_two_tables_stands_in_one() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("catalog.sqlite");
    let ids = ["z7mplkjqa2xw5yhuvb4cdefgin", "2b3c4d5e6f7ghijklmnopqrstu"];
    of_version_4(&path, ids);
    let before = all(&Connection::open(&path).unwrap(), BEFORE);
    let db = writer(&path, OwnerRule::Token).unwrap();
    assert_eq!((before.len(), all(&db, "files")), (4, before));
    for (id, numbers) in ids.into_iter().zip([[3, 100], [1, 2]]) {
        let id = DropId::parse(id).unwrap();
        let drop = rows::find(&db, &id, Timestamp(NOW)).unwrap().unwrap();
        assert_eq!([0, 1].map(|at| drop.files[at].number), numbers);
    }
}

#[test]
fn what_cannot_be_brought_up_stays_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("catalog.sqlite");
    of_version_4(
        &path,
        ["abcdefghijklmnopqrstuvwxyz", "abcdefghijkzzzzzzzzzzzzzzz"],
    );
    let mut db = Connection::open(&path).unwrap();
    db.execute("UPDATE files SET number = 1 WHERE number = 3", [])
        .unwrap();
    let before = all(&db, BEFORE);
    drop(db);
    assert!(matches!(
        writer(&path, OwnerRule::Token),
        Err(SchemaError::Database(_))
    ));
    db = Connection::open(&path).unwrap();
    assert_eq!((version(&db).unwrap(), all(&db, BEFORE)), (4, before));
}

/// 2 is memory; whatever else would be a file in a directory for temporary ones.
#[test]
fn what_is_sorted_or_undone_lies_in_memory() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("catalog.sqlite");
    for db in [writer(&path, OwnerRule::Either).unwrap(), reader(&path).unwrap()] {
        let store: i64 = db
            .pragma_query_value(None, "temp_store", |row| row.get(0))
            .unwrap();
        assert_eq!(store, 2);
    }
}

#[test]
fn who_only_reads_brings_nothing_up_and_nobody_guesses_at_a_newer_one() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("catalog.sqlite");
    old(&path, 2);
    assert!(matches!(
        reader(&path),
        Err(SchemaError::TooOld { found: 2, known: 5 })
    ));
    writer(&path, OwnerRule::Either)
        .unwrap()
        .pragma_update(None, "user_version", 6)
        .unwrap();
    assert!(matches!(
        reader(&path),
        Err(SchemaError::TooNew { found: 6, known: 5 })
    ));
    assert!(matches!(
        writer(&path, OwnerRule::Either),
        Err(SchemaError::TooNew { found: 6, known: 5 })
    ));
}
