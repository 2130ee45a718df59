//! What is true of this catalog alone: commits that are shared, a full disk, a log that forgets.

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use futures_util::future::{join, join4};
use rusqlite::{Connection, ffi, params};

use super::*;
use crate::catalog::MOST_FILES;
use crate::catalog::conformance::alike;
use crate::clock::Clock;
use crate::leash::Leash;
use crate::lifecycle::{Asker, Blame};
use crate::open::on_a_thread;

const NAME: &str = "a name that nobody shall read";

fn terms() -> Terms {
    Terms {
        lease: Duration::from_secs(120),
        grace: Duration::from_secs(60),
        attempts: 5,
        receipts: Duration::from_secs(60),
    }
}

/// What is erased leaves the log before the next call is done.
const AT_ONCE: Pace = Pace {
    idle: Duration::ZERO,
    latest: Duration::ZERO,
};

fn open(data: &Path) -> SqliteCatalog {
    let (path, clock, reserve) = (database(data), Clock::system(), Reserve::new(data));
    SqliteCatalog::open_at(AT_ONCE, &path, terms(), OwnerRule::Either, &clock, reserve, None).unwrap()
}

fn database(data: &Path) -> PathBuf {
    data.join("catalog.sqlite")
}

macro_rules! ask {
    ($answer:expr) => {
        on_a_thread(|| $answer)
    };
}

fn new_drop(id: &DropId) -> (NewDrop, NewFile) {
    let drop = NewDrop {
        id: id.clone(),
        token_hash: SecretHash([1; 32]),
        rule: OwnerRule::Either,
        salt: [7; 32],
        uploader: None,
    };
    let file = NewFile {
        number: 1,
        name: NAME.to_owned(),
        blob: BlobId::random().unwrap(),
    };
    (drop, file)
}

fn upload(catalog: &SqliteCatalog) -> Result<DropId, CatalogError> {
    let id = DropId::random().unwrap();
    let (drop, file) = new_drop(&id);
    ask!(catalog.announce(drop, file))?;
    let complete = vec![Complete {
        number: 1,
        size: 10,
        sha256: [2; 32],
        crc32: 3,
    }];
    let day = Duration::from_secs(86_400);
    ask!(catalog.ready(&id, complete, day, OwnerRule::Either, None))?;
    Ok(id)
}

fn claim(id: &DropId) -> Claim {
    let asker = Asker {
        shown: None,
        fresh: SecretHash([3; 32]),
        address: None,
        behind_proxy: false,
        has_range: false,
        request: 0,
    };
    Claim {
        id: id.clone(),
        wants: vec![(1, 0..10)],
        asker,
        unknown: None,
        leash: Leash::default(),
    }
}

fn collect(catalog: &SqliteCatalog, id: &DropId) -> Grant {
    match ask!(catalog.admit(claim(id))).unwrap() {
        Admission::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

fn deliver(catalog: &SqliteCatalog, grant: &Grant) {
    let how = Settlement {
        request: 0,
        granted: 0..10,
        acknowledged: Some(10),
        left: 10,
        blame: Blame::Recipient,
        others: false,
        is_part: false,
    };
    ask!(catalog.settle(grant, vec![(1, how)])).unwrap();
}

/// Waits with the writer busy until `calls` have been made, so that they share a transaction.
fn together<T: Send>(catalog: &SqliteCatalog, calls: impl Future<Output = T> + Send) -> T {
    let (busy, go) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (at_work, may_go) = (Arc::clone(&busy), Arc::clone(&go));
    thread::scope(|scope| {
        scope.spawn(|| {
            ask!(catalog.write(move |_| {
                at_work.wait();
                may_go.wait();
                Ok(())
            }))
            .unwrap();
        });
        busy.wait();
        // The calls are made first, and then the writer goes on.
        ask!(async { join(calls, async { go.wait() }).await.0 })
    })
}

/// How many drops somebody else sees.
fn seen(path: &Path) -> u32 {
    let db = Connection::open(path).unwrap();
    db.query_row("SELECT count(*) FROM files", [], |row| row.get(0))
        .unwrap()
}

fn insert(change: &mut Change<'_>, id: &DropId) -> rusqlite::Result<()> {
    let (drop, file) = new_drop(id);
    change.announce(&drop, &file)
}

#[test]
fn two_drops_whose_names_begin_alike_do_not_touch_each_other() {
    let data = tempfile::tempdir().unwrap();
    let catalog = open(data.path());
    let id = upload(&catalog).unwrap();
    let other = alike(&id);
    let announce = |number| {
        let (drop, file) = new_drop(&other);
        ask!(catalog.announce(drop, NewFile { number, ..file }))
    };
    // They cannot both have a first file.
    assert!(matches!(announce(1), Err(CatalogError::Broken(_))));
    ask!(catalog.abandon(&other)).unwrap();
    assert_eq!(seen(&database(data.path())), 1);
    announce(2).unwrap();
    announce(MOST_FILES).unwrap();
    assert_eq!(ask!(catalog.find(&id)).unwrap().unwrap().files.len(), 1);
    assert_eq!(ask!(catalog.find(&other)).unwrap().unwrap().files.len(), 2);
    ask!(catalog.abandon(&other)).unwrap();
    assert_eq!(seen(&database(data.path())), 1);
    deliver(&catalog, &collect(&catalog, &id));
}

#[test]
fn calls_that_wait_share_a_transaction_and_one_that_fails_is_undone_alone() {
    let data = tempfile::tempdir().unwrap();
    let catalog = open(data.path());
    let collected = upload(&catalog).unwrap();
    let path = database(data.path());
    let id = || DropId::random().unwrap();
    let (one, two, claim) = (id(), id(), claim(&collected));
    let calls = join4(
        catalog.write(move |change| insert(change, &one)),
        catalog.write(move |change| {
            // In rows and in memory.
            insert(change, &two)?;
            assert!(matches!(change.admit(&claim)?, Admission::Granted(_)));
            Err::<(), _>(rusqlite::Error::InvalidQuery)
        }),
        catalog.write(move |change| {
            let mine: u32 = change
                .db
                .query_row("SELECT count(*) FROM files", [], |row| row.get(0))?;
            Ok((mine, seen(&path)))
        }),
        catalog.write(|_| Ok(())),
    );
    let (one, two, three, four) = together(&catalog, calls);
    assert!(one.is_ok() && matches!(two, Err(CatalogError::Broken(_))) && four.is_ok());
    assert_eq!(
        three.unwrap(),
        (2, 1),
        "the first is not committed yet, and the second is undone"
    );
    assert_eq!(seen(&database(data.path())), 2);
    let file = ask!(catalog.find(&collected)).unwrap().unwrap().files.remove(0);
    assert!(!file.is_alive && file.life.state == State::Ready);
    deliver(&catalog, &collect(&catalog, &collected));
}

#[test]
fn a_transaction_that_fails_as_a_whole_costs_the_others_nothing() {
    let data = tempfile::tempdir().unwrap();
    let catalog = open(data.path());
    type Spoil = fn(&mut Change<'_>) -> rusqlite::Result<()>;
    let spoils: [Spoil; 2] = [
        // Found out at the commit.
        |change| {
            change.db.execute_batch(
                "CREATE TABLE of_this_test (blob TEXT REFERENCES files (blob) DEFERRABLE INITIALLY DEFERRED);
                 INSERT INTO of_this_test (blob) VALUES ('none')",
            )
        },
        // As the database itself does after some errors.
        |change| {
            change.db.execute_batch("ROLLBACK")?;
            Err(rusqlite::Error::InvalidQuery)
        },
    ];
    for (spoil, before) in spoils.into_iter().zip([0, 2]) {
        let id = || DropId::random().unwrap();
        let (one, three) = (id(), id());
        let calls = join4(
            catalog.write(move |change| insert(change, &one)),
            catalog.write(spoil),
            catalog.write(move |change| insert(change, &three)),
            catalog.write(|_| Ok(())),
        );
        let (one, two, three, four) = together(&catalog, calls);
        assert!(one.is_ok() && two.is_err() && three.is_ok() && four.is_ok());
        assert_eq!(seen(&database(data.path())), before + 2);
    }
}

fn full() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None)
}

#[test]
fn a_full_disk_costs_the_reserve_once_and_then_no_upload_begins_until_there_is_room() {
    let data = tempfile::tempdir().unwrap();
    let catalog = open(data.path());
    let reserve = data.path().join("reserve");
    ask!(catalog.sweep()).unwrap();
    assert!(reserve.exists());
    let asked = Arc::new(AtomicU32::new(0));
    let until_released = {
        let (asked, reserve) = (Arc::clone(&asked), reserve.clone());
        move |_: &mut Change<'_>| {
            asked.fetch_add(1, Ordering::Relaxed);
            if reserve.exists() { Err(full()) } else { Ok(()) }
        }
    };
    // What does not lead to an end goes without, and does not take others with it.
    let alone = ask!(catalog.write(until_released.clone()));
    assert!(matches!(alone, Err(CatalogError::Full(_))) && reserve.exists());
    let calls = join4(
        catalog.write(|_| Ok(())),
        catalog.insist(until_released),
        catalog.write(|_| Ok(())),
        catalog.write(|_| Ok(())),
    );
    let (one, two, three, four) = together(&catalog, calls);
    assert!(one.is_ok() && two.is_ok() && three.is_ok() && four.is_ok() && !reserve.exists());
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    assert!(matches!(
        ask!(catalog.insist(|_| Err::<(), _>(full()))),
        Err(CatalogError::Full(_))
    ));
    assert!(matches!(upload(&catalog), Err(CatalogError::Full(_))));
    ask!(catalog.sweep()).unwrap();
    assert!(reserve.exists());
    upload(&catalog).unwrap();
    // Another error is not the disk's.
    assert!(
        ask!(catalog.insist(|_| Err::<(), _>(rusqlite::Error::InvalidQuery))).is_err() && reserve.exists()
    );
}

#[test]
fn a_quota_that_is_used_up_costs_the_reserve_too() {
    for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC] {
        let data = tempfile::tempdir().unwrap();
        let catalog = open(data.path());
        let reserve = data.path().join("reserve");
        ask!(catalog.sweep()).unwrap();
        let until_released = {
            let reserve = reserve.clone();
            move |_: &mut Change<'_>| match reserve.exists() {
                true => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
                false => Ok(()),
            }
        };
        let alone = ask!(catalog.write(until_released.clone()));
        assert!(matches!(alone, Err(CatalogError::Broken(_))) && reserve.exists());
        let calls = join4(
            catalog.write(|_| Ok(())),
            catalog.insist(until_released),
            catalog.write(|_| Ok(())),
            catalog.write(|_| Ok(())),
        );
        let (one, two, three, four) = together(&catalog, calls);
        assert!(one.is_ok() && two.is_ok() && three.is_ok() && four.is_ok() && !reserve.exists());
    }
}

/// Whether the name can be read in any file of the database.
fn is_readable(data: &Path) -> bool {
    let files =
        ["catalog.sqlite", "catalog.sqlite-wal"].map(|file| fs::read(data.join(file)).unwrap_or_default());
    files
        .iter()
        .any(|file| file.windows(NAME.len()).any(|window| window == NAME.as_bytes()))
}

#[test]
fn what_is_erased_leaves_the_log_too() {
    let data = tempfile::tempdir().unwrap();
    let catalog = open(data.path());
    let id = upload(&catalog).unwrap();
    assert!(is_readable(data.path()));
    deliver(&catalog, &collect(&catalog, &id));
    // Done after the log was emptied.
    ask!(catalog.write(|_| Ok(()))).unwrap();
    assert!(!is_readable(data.path()));
    // Somebody who still reads what was there hinders that, and nothing else.
    let id = upload(&catalog).unwrap();
    let other = Connection::open(database(data.path())).unwrap();
    let names = |db: &Connection| -> Vec<String> {
        let sql = "SELECT name FROM files WHERE name IS NOT NULL";
        let mut names = db.prepare(sql).unwrap();
        names
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    };
    other.execute_batch("BEGIN").unwrap();
    assert_eq!(names(&other), [NAME]);
    deliver(&catalog, &collect(&catalog, &id));
    ask!(catalog.write(|_| Ok(()))).unwrap();
    assert!(is_readable(data.path()));
    other.execute_batch("COMMIT").unwrap();
    assert!(names(&other).is_empty());
    drop(other);
    ask!(catalog.write(|_| Ok(()))).unwrap();
    assert!(!is_readable(data.path()));
    // And at the end in any case.
    let id = upload(&catalog).unwrap();
    deliver(&catalog, &collect(&catalog, &id));
    catalog.close();
    assert!(!is_readable(data.path()) && !data.path().join("catalog.sqlite-wal").exists());
}

#[test]
fn what_was_erased_before_a_crash_leaves_the_log_after_the_start() {
    let data = tempfile::tempdir().unwrap();
    let (before, path) = (data.path().join("before"), database(data.path()));
    fs::create_dir(&before).unwrap();
    // As it stands at the moment of the crash: nobody has emptied the log.
    let catalog = open(&before);
    let id = upload(&catalog).unwrap();
    let reader = Connection::open(database(&before)).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM files").unwrap();
    deliver(&catalog, &collect(&catalog, &id));
    ask!(catalog.write(|_| Ok(()))).unwrap();
    for file in ["catalog.sqlite", "catalog.sqlite-wal"] {
        fs::copy(before.join(file), data.path().join(file)).unwrap();
    }
    assert!(is_readable(data.path()));
    let catalog = open(data.path());
    // Done after the log was emptied.
    ask!(catalog.write(|_| Ok(()))).unwrap();
    assert!(!is_readable(data.path()));
    assert_eq!(fs::metadata(path.with_extension("sqlite-wal")).unwrap().len(), 0);
}

#[test]
fn what_was_asked_for_before_the_end_is_done() {
    let data = tempfile::tempdir().unwrap();
    let catalog = open(data.path());
    let done: usize = thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    std::iter::repeat_with(|| upload(&catalog))
                        .take_while(Result::is_ok)
                        .count()
                })
            })
            .collect();
        while seen(&database(data.path())) < 20 {
            thread::yield_now();
        }
        catalog.close();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    let ready: usize = {
        let db = Connection::open(database(data.path())).unwrap();
        db.query_row("SELECT count(*) FROM files WHERE state = 'ready'", [], |row| {
            row.get(0)
        })
        .unwrap()
    };
    assert_eq!(ready, done);
    assert!(matches!(upload(&catalog), Err(CatalogError::Closed)));
}

#[test]
fn a_thread_that_has_died_is_not_taken_for_a_closed_one() {
    let data = tempfile::tempdir().unwrap();
    let died = open(data.path());
    ask!(died.die());
    assert!(matches!(ask!(died.sweep()), Err(CatalogError::Died)));
    died.close();
    assert!(matches!(ask!(died.sweep()), Err(CatalogError::Died)));
    let closed = open(data.path());
    closed.close();
    assert!(matches!(ask!(closed.sweep()), Err(CatalogError::Closed)));
}

#[test]
fn a_row_that_this_program_did_not_write_is_an_error() {
    let data = tempfile::tempdir().unwrap();
    let catalog = open(data.path());
    let id = upload(&catalog).unwrap();
    collect(&catalog, &id);
    let db = Connection::open(database(data.path())).unwrap();
    for refused in [
        "state = 'gone'",
        "sha256 = x'00'",
        "collection = x'00'",
        "collection = NULL",
        "name = NULL",
        "ending = 'expired'",
        "size = -1",
        "last_piece = 2",
    ] {
        assert!(
            db.execute(&format!("UPDATE files SET {refused}"), []).is_err(),
            "{refused}"
        );
    }
    for foreign in [
        "covered = '5'",
        "covered = 'a-b'",
        "blob = '../../etc/passwd-xyzxyzxyz'",
        "attempts = 5000000000",
    ] {
        let before: String = db
            .query_row("SELECT covered FROM files", [], |row| row.get(0))
            .unwrap();
        let blob: String = db
            .query_row("SELECT blob FROM files", [], |row| row.get(0))
            .unwrap();
        db.execute(&format!("UPDATE files SET {foreign}"), []).unwrap();
        assert!(
            matches!(ask!(catalog.find(&id)), Err(CatalogError::Broken(_))),
            "{foreign}"
        );
        let sql = "UPDATE files SET covered = ?1, blob = ?2, attempts = 1";
        db.execute(sql, params![before, blob]).unwrap();
        assert!(ask!(catalog.find(&id)).is_ok(), "{foreign}");
    }
}
