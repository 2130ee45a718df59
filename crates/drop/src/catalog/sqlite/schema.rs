//! The tables, and the settings of the connections.
//!
//! Invariant: `user_version` tells which schema a file has. A newer one than this program knows is refused, never
//! guessed at; an older one is brought up by the steps in order, in one transaction.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::config::OwnerRule;

/// How long to wait for another process that has locked the database, such as a backup that begins.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// So many statements are kept prepared; more than there are.
const STATEMENTS: usize = 64;

/// The steps from an empty file on; the schema's version is how many have been taken.
const STEPS: [&str; 5] = [
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
    include_str!("schema/drops.sql"),
    // What a collection was granted, request by request; and whether its recipient was taken at its word.
    "
    ALTER TABLE files RENAME COLUMN granted TO passages;
    ALTER TABLE files ADD COLUMN by_word INTEGER NOT NULL DEFAULT 0;
",
    include_str!("schema/one_table.sql"),
];

/// Opens the database for the only connection that writes, creating or upgrading what is needed. Drops of before each had a
/// rule get `rule`.
pub(super) fn writer(path: &Path, rule: OwnerRule) -> Result<Connection, SchemaError> {
    let mut db = Connection::open(path)?;
    settle_in(&db)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // What is erased (names, addresses) shall not stay readable in free pages.
    db.pragma_update(None, "secure_delete", true)?;
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&change)?;
    let taken = usize::try_from(found).unwrap_or(usize::MAX);
    let missing = STEPS.get(taken..).ok_or(SchemaError::TooNew {
        found,
        known: STEPS.len(),
    })?;
    for step in missing {
        change.execute_batch(step)?;
    }
    if !missing.is_empty() {
        if taken < 3 {
            change.execute("UPDATE files SET rule = ?1", [rule])?;
        }
        change.pragma_update(
            None,
            "user_version",
            i64::try_from(STEPS.len()).unwrap_or(i64::MAX),
        )?;
    }
    change.commit()?;
    Ok(db)
}

/// Opens the database for reading only. It must have the newest schema.
pub(super) fn reader(path: &Path) -> Result<Connection, SchemaError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    settle_in(&db)?;
    let (found, known) = (version(&db)?, STEPS.len());
    match usize::try_from(found) {
        Ok(found) if found == known => Ok(db),
        Ok(version) if version < known => Err(SchemaError::TooOld { found, known }),
        _ => Err(SchemaError::TooNew { found, known }),
    }
}

fn settle_in(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(PATIENCE)?;
    // What is sorted, or kept to be undone, has names and links in it: it shall not lie in a file of who knows which disk.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // A plan that does not depend on values; otherwise each use of a prepared statement may prepare it anew.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Why the database cannot be used.
#[derive(Debug)]
pub(crate) enum SchemaError {
    TooNew {
        found: i64,
        known: usize,
    },
    /// To be read only, so that nobody may bring it up.
    TooOld {
        found: i64,
        known: usize,
    },
    Database(rusqlite::Error),
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooNew { found, known } => {
                write!(
                    f,
                    "it has schema {found}, this version knows {known}: it was written by a newer version"
                )
            }
            Self::TooOld { found, known } => write!(
                f,
                "it has schema {found}, this version reads {known}: start the service once, which brings it up"
            ),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl Error for SchemaError {}

impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

#[cfg(test)]
mod tests;
