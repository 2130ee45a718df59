//! Rows, read and written.
//!
//! Invariant: a file's life is read as a whole and written back as a whole, with what follows from it: the outbox knows of
//! bytes that are to go, and what nothing needs any more is erased in the same transaction.

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::statements as sql;
use super::values::FileKey;
use crate::catalog::{DropRecord, FileRecord};
use crate::clock::Timestamp;
use crate::coverage::Coverage;
use crate::id::{BlobId, DropId};
use crate::lifecycle::{Hold, Life, Passages, State};
use crate::secret::SecretHash;

/// Takes the columns of a row from left to right.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    at: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn new(row: &'a Row<'a>) -> Self {
        Self { row, at: 0 }
    }

    pub(super) fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let at = self.at;
        self.at += 1;
        self.row.get(at)
    }
}

/// The columns of a file. Whether a request is under way stands in no row.
pub(super) fn file(columns: &mut Columns<'_>) -> rusqlite::Result<FileRecord> {
    let (number, blob, state) = (columns.next()?, columns.next()?, columns.next()?);
    let (name, size, sha256, crc32) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
    let (expires_at, attempts, interrupted) = (columns.next()?, columns.next()?, columns.next()?);
    let collection: Option<_> = columns.next()?;
    let hold = Hold {
        collection: collection.unwrap_or(SecretHash([0; 32])),
        recipient: columns.next()?,
        behind_proxy: columns.next()?,
        until: columns.next()?,
        covered: columns.next()?,
        by_word: columns.next()?,
        passages: columns.next()?,
        unsettled: columns.next()?,
        asked: columns.next()?,
        charged: columns.next()?,
        last_piece: columns.next()?,
    };
    Ok(FileRecord {
        number,
        blob,
        life: Life {
            state,
            size,
            expires_at,
            attempts,
            interrupted,
            hold: collection.map(|_| hold),
            again_until: columns.next()?,
            ending: columns.next()?,
            ended_at: columns.next()?,
        },
        name,
        sha256,
        crc32,
        is_alive: false,
        progress: 0,
    })
}

/// A file with the name of its drop before it.
pub(super) fn named(row: &Row<'_>) -> rusqlite::Result<(DropId, FileRecord)> {
    let mut columns = Columns::new(row);
    Ok((columns.next()?, file(&mut columns)?))
}

/// All of a drop, as it stood at one moment.
pub(super) fn find(db: &Connection, id: &DropId, now: Timestamp) -> rusqlite::Result<Option<DropRecord>> {
    let mut found = db.prepare_cached(sql::FIND)?;
    let mut rows = found.query(params![id, FileKey::before(id)])?;
    let mut drop: Option<DropRecord> = None;
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let record = DropRecord {
            id: id.clone(),
            rule: columns.next()?,
            token_hash: columns.next()?,
            salt: columns.next()?,
            uploader: columns.next()?,
            unknown: columns.next()?,
            unknown_why: columns.next()?,
            files: Vec::new(),
            now,
        };
        drop.get_or_insert(record).files.push(file(&mut columns)?);
    }
    Ok(drop)
}

pub(super) fn one(db: &Connection, id: &DropId, number: u32) -> rusqlite::Result<Option<FileRecord>> {
    db.prepare_cached(sql::FILE)?
        .query_row(params![id, FileKey::of(id, number)], |row| {
            file(&mut Columns::new(row))
        })
        .optional()
}

pub(super) fn all(db: &Connection, id: &DropId) -> rusqlite::Result<Vec<FileRecord>> {
    db.prepare_cached(sql::FILES)?
        .query_map(params![id, FileKey::before(id)], |row| {
            file(&mut Columns::new(row))
        })?
        .collect()
}

/// The rows that a statement with [`named`] columns finds.
pub(super) fn many(
    db: &Connection,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<Vec<(DropId, FileRecord)>> {
    db.prepare_cached(sql)?.query_map(params, named)?.collect()
}

/// Writes down what has become of a file. Whether something was erased by that.
pub(super) fn write(
    db: &Connection,
    id: &DropId,
    before: &FileRecord,
    life: &Life,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let (hold, nothing, none) = (life.hold.as_ref(), Coverage::default(), Passages::default());
    db.prepare_cached(sql::LIFE)?.execute(params![
        id,
        FileKey::of(id, before.number),
        life.state,
        life.size,
        life.expires_at,
        life.attempts,
        life.interrupted,
        hold.map(|hold| hold.collection),
        hold.and_then(|hold| hold.recipient),
        hold.is_some_and(|hold| hold.behind_proxy),
        hold.map_or(Timestamp(0), |hold| hold.until),
        hold.map_or(&nothing, |hold| &hold.covered),
        hold.is_some_and(|hold| hold.by_word),
        hold.map_or(&none, |hold| &hold.passages),
        hold.map_or(&nothing, |hold| &hold.unsettled),
        hold.map_or(0, |hold| hold.asked),
        hold.map_or(0, |hold| hold.charged),
        hold.is_some_and(|hold| hold.last_piece),
        life.again_until,
        life.ending,
        life.ended_at,
    ])?;
    if life.is_live() && !before.life.is_live() {
        db.prepare_cached(sql::TAKE_BACK)?.execute([&before.blob])?;
    } else if goes(life) && (!goes(&before.life) || life.again_until > before.life.again_until) {
        put_out(db, &before.blob, life.again_until.unwrap_or(now))?;
    }
    match life.needs_name() {
        true => Ok(false),
        false => erase(db, id, before.number),
    }
}

/// The bytes are to be unlinked at `due`.
pub(super) fn put_out(db: &Connection, blob: &BlobId, due: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(sql::PUT_OUT)?.execute(params![blob, due])?;
    Ok(())
}

/// Erases what a file is called and known by, and with the last file what is known of the owner.
fn erase(db: &Connection, id: &DropId, number: u32) -> rusqlite::Result<bool> {
    let erased = db
        .prepare_cached(sql::ERASE_FILE)?
        .execute(params![id, FileKey::of(id, number)])?;
    if erased > 0 {
        db.prepare_cached(sql::ERASE_OWNER)?
            .execute(params![id, FileKey::before(id)])?;
    }
    Ok(erased > 0)
}

/// Whether its bytes are to be unlinked, now or after the grace.
fn goes(life: &Life) -> bool {
    matches!(
        life.state,
        State::Delivered | State::Expired | State::Withdrawn | State::Failed
    )
}
