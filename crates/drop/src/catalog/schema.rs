//! The tables, and the settings of the connection.
//!
//! Invariant: `user_version` tells which schema a file has. A newer one than this program knows is refused, never
//! guessed at; an older one is brought up by the steps in order, in one transaction.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

/// The steps from an empty file on; the schema's version is how many have been taken.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE file (
        id            TEXT PRIMARY KEY,
        state         TEXT NOT NULL CHECK (state IN ('receiving', 'ready', 'collecting', 'delivered',
                                                     'expired', 'withdrawn', 'failed', 'deleted')),
        name          TEXT,
        size          INTEGER,
        sha256        BLOB,
        token_hash    BLOB NOT NULL,
        salt          BLOB,
        uploader      BLOB,
        recipient     BLOB,
        created_at    INTEGER NOT NULL,
        expires_at    INTEGER NOT NULL,
        lease_until   INTEGER NOT NULL DEFAULT 0,
        attempts      INTEGER NOT NULL DEFAULT 0,
        again_until   INTEGER,
        unknown       INTEGER NOT NULL DEFAULT 0,
        unknown_why   TEXT,
        ending        TEXT,
        ended_at      INTEGER
    ) STRICT;
    CREATE INDEX file_waiting    ON file (expires_at)  WHERE state = 'ready';
    CREATE INDEX file_collecting ON file (lease_until) WHERE state = 'collecting';
    CREATE INDEX file_receipt    ON file (ended_at)    WHERE state = 'deleted';
    CREATE TABLE outbox (
        file TEXT PRIMARY KEY REFERENCES file (id),
        due  INTEGER NOT NULL
    ) STRICT;
",
    // Collections that ended because the server did, and the index that the end of a collection is looked up by.
    "
    ALTER TABLE file ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;
    DROP INDEX file_collecting;
    CREATE INDEX file_collecting ON file (expires_at) WHERE state = 'collecting';
",
];

/// Opens the database, creating or upgrading what is needed.
pub(crate) fn open(path: &Path) -> Result<Connection, SchemaError> {
    let mut db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    // What is erased (names, addresses) shall not stay readable in free pages.
    db.pragma_update(None, "secure_delete", true)?;
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let taken = usize::try_from(found).unwrap_or(usize::MAX);
    let missing = STEPS.get(taken..).ok_or(SchemaError::TooNew {
        found,
        known: STEPS.len(),
    })?;
    for step in missing {
        change.execute_batch(step)?;
    }
    if !missing.is_empty() {
        change.pragma_update(
            None,
            "user_version",
            i64::try_from(STEPS.len()).unwrap_or(i64::MAX),
        )?;
    }
    change.commit()?;
    Ok(db)
}

/// Why the database cannot be used.
#[derive(Debug)]
pub(crate) enum SchemaError {
    TooNew { found: i64, known: usize },
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}
