//! The catalog's statements, run on its thread.
//!
//! Invariant: each method is one transaction, and what may follow what is asked of [`lifecycle`](crate::lifecycle). This
//! connection is the only writer, so what was read in a transaction still holds when it writes. A row is `collecting`
//! only while its collection is alive in this process: neither time nor a clock nor a full disk ends it, only the word
//! of the task that sees it through, once that is written.

use std::collections::HashMap;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, ffi, params};

use super::record::Record;
use crate::clock::Timestamp;
use crate::id::FileId;
use crate::leash::Leash;
use crate::lifecycle::{Admission, Blame, Ending, Phase, Relapse, Terms};
use crate::owner::{AddressDigest, Salt};
use crate::reserve::Reserve;

/// Rows of one sweep; the next one follows at once when there are more.
const BATCH: u32 = 256;

/// What is known of a file before its first byte.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) id: FileId,
    pub(crate) name: String,
    pub(crate) token_hash: [u8; 32],
    pub(crate) salt: Salt,
    pub(crate) uploader: Option<AddressDigest>,
}

/// Somebody other than the owner who asks for the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient {
    /// The address, when it is known.
    pub(crate) digest: Option<AddressDigest>,
    /// Whether a proxy stands between: its acknowledgement is not the recipient's.
    pub(crate) behind_proxy: bool,
    /// Why nobody can say whether this is the owner.
    pub(crate) unknown: Option<&'static str>,
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Files that have come to an end by themselves.
    pub(crate) ended: Vec<(FileId, Ending)>,
    /// Files whose bytes are to be unlinked now.
    pub(crate) unlink: Vec<FileId>,
}

/// What the catalog learnt from the word that a recipient has every byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    /// The file is over with it.
    News,
    /// The file had come to this end meanwhile; now it is known to have been delivered.
    After(Ending),
    /// Nothing: there is no such row any more.
    Forgotten,
}

/// The connection, the terms by which it decides, the collections under way, and the reserve for a full disk.
#[derive(Debug)]
pub(crate) struct Store {
    db: Connection,
    terms: Terms,
    /// From admission until the end has been written.
    alive: HashMap<FileId, Leash>,
    reserve: Reserve,
}

impl Store {
    pub(crate) fn new(db: Connection, terms: Terms, reserve: Reserve) -> Self {
        Self {
            db,
            terms,
            alive: HashMap::new(),
            reserve,
        }
    }

    /// Does what must be written down even on a full disk: asks once more when the reserve has made room.
    pub(crate) fn insist<T>(
        &mut self,
        ask: impl Fn(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        match ask(self) {
            Err(error) if is_full(&error) && self.reserve.release() => ask(self),
            answer => answer,
        }
    }

    /// Takes the reserve back when there is room for it.
    pub(crate) fn restore_reserve(&mut self) {
        self.reserve.restore();
    }

    pub(crate) fn announce(&mut self, arrival: &Arrival, now: Timestamp) -> rusqlite::Result<()> {
        if self.reserve.is_short() {
            return Err(rusqlite::Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_FULL),
                None,
            ));
        }
        let sql = "INSERT INTO file (id, state, name, token_hash, salt, uploader, created_at, expires_at)
                   VALUES (?1, 'receiving', ?2, ?3, ?4, ?5, ?6, ?6)";
        let uploader = arrival.uploader.as_ref().map(AddressDigest::bytes);
        self.db.prepare_cached(sql)?.execute(params![
            arrival.id.as_str(),
            arrival.name,
            arrival.token_hash,
            arrival.salt,
            uploader,
            now.0
        ])?;
        Ok(())
    }

    pub(crate) fn ready(
        &mut self,
        id: &FileId,
        size: u64,
        sha256: &[u8; 32],
        expires_at: Timestamp,
    ) -> rusqlite::Result<()> {
        let sql = "UPDATE file SET state = 'ready', size = ?2, sha256 = ?3, expires_at = ?4
                   WHERE id = ?1 AND state = 'receiving'";
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        match self
            .db
            .prepare_cached(sql)?
            .execute(params![id.as_str(), size, sha256, expires_at.0])?
        {
            1 => Ok(()),
            rows => Err(rusqlite::Error::StatementChangedRows(rows)),
        }
    }

    pub(crate) fn abandon(&mut self, id: &FileId) -> rusqlite::Result<()> {
        let sql = "DELETE FROM file WHERE id = ?1 AND state = 'receiving'";
        self.db.prepare_cached(sql)?.execute([id.as_str()])?;
        Ok(())
    }

    pub(crate) fn find(&self, id: &FileId) -> rusqlite::Result<Option<Record>> {
        let found = find(&self.db, id)?;
        Ok(found.map(|record| Record {
            is_alive: self.alive.contains_key(id),
            ..record
        }))
    }

    pub(crate) fn admit(
        &mut self,
        id: &FileId,
        recipient: &Recipient,
        leash: &Leash,
        now: Timestamp,
    ) -> rusqlite::Result<Admission> {
        let terms = self.terms;
        let change = self.change()?;
        let Some(record) = find(&change, id)? else {
            return Ok(Admission::Gone);
        };
        let same = match (&record.recipient, &recipient.digest) {
            (Some(first), Some(now)) => first.is(now),
            _ => false,
        };
        let admission = record.life.admit(&terms, now, same);
        match admission {
            Admission::Lease { attempt, until } => {
                let sql = "UPDATE file SET state = 'collecting', attempts = ?2, lease_until = ?3,
                                  unknown = unknown + (?4 IS NOT NULL), unknown_why = coalesce(?4, unknown_why)
                           WHERE id = ?1 AND state = 'ready'";
                let mut update = change.prepare_cached(sql)?;
                match update.execute(params![id.as_str(), attempt, until.0, recipient.unknown])? {
                    1 => {}
                    rows => return Err(rusqlite::Error::StatementChangedRows(rows)),
                }
            }
            Admission::Again => {
                let sql = "UPDATE file SET again_until = NULL WHERE id = ?1";
                change.prepare_cached(sql)?.execute([id.as_str()])?;
            }
            Admission::Busy { .. } | Admission::Gone => {}
        }
        change.commit()?;
        if let Admission::Lease { .. } = admission {
            self.alive.insert(id.clone(), leash.clone());
        }
        Ok(admission)
    }

    pub(crate) fn delivered(
        &mut self,
        id: &FileId,
        recipient: &Recipient,
        now: Timestamp,
    ) -> rusqlite::Result<Delivery> {
        let terms = self.terms;
        let change = self.change()?;
        let delivery = match find(&change, id)? {
            Some(record) if record.life.is_live() => Delivery::News,
            Some(record) => record.ending.map_or(Delivery::Forgotten, Delivery::After),
            None => Delivery::Forgotten,
        };
        match (delivery, recipient.behind_proxy, recipient.digest) {
            (Delivery::Forgotten, ..) => {}
            // The bytes are going or gone; what is put right is the receipt.
            (Delivery::After(_), ..) => {
                let sql = "UPDATE file SET state = iif(state = 'deleted', state, 'delivered'), ending = 'delivered',
                                  ended_at = ?2
                           WHERE id = ?1";
                change.prepare_cached(sql)?.execute(params![id.as_str(), now.0])?;
            }
            (Delivery::News, true, Some(digest)) => {
                let until = now.plus(terms.grace);
                // Name and salt are needed for the second try; they go with the bytes.
                let sql = "UPDATE file SET state = 'delivered', ending = 'delivered', ended_at = ?2, uploader = NULL,
                                  recipient = ?3, again_until = ?4
                           WHERE id = ?1";
                change
                    .prepare_cached(sql)?
                    .execute(params![id.as_str(), now.0, digest.bytes(), until.0])?;
                put_out(&change, id, until)?;
            }
            (Delivery::News, ..) => end(&change, id, Ending::Delivered, now)?,
        }
        change.commit()?;
        self.alive.remove(id);
        Ok(delivery)
    }

    pub(crate) fn undelivered(
        &mut self,
        id: &FileId,
        blame: Blame,
        now: Timestamp,
    ) -> rusqlite::Result<Relapse> {
        let terms = self.terms;
        let change = self.change()?;
        let relapse = find(&change, id)?.map_or(Relapse::Over, |record| {
            record.life.undelivered(&terms, now, blame)
        });
        if relapse != Relapse::Over {
            let sql = match blame {
                Blame::Recipient => "UPDATE file SET state = 'ready' WHERE id = ?1",
                Blame::Server => {
                    "UPDATE file SET state = 'ready', attempts = max(attempts - 1, 0), interrupted = interrupted + 1
                     WHERE id = ?1"
                }
            };
            change.prepare_cached(sql)?.execute([id.as_str()])?;
        }
        if let Relapse::End(ending) = relapse {
            end(&change, id, ending, now)?;
        }
        change.commit()?;
        self.alive.remove(id);
        Ok(relapse)
    }

    pub(crate) fn end(&mut self, id: &FileId, ending: Ending, now: Timestamp) -> rusqlite::Result<bool> {
        let change = self.change()?;
        let live = find(&change, id)?.is_some_and(|record| record.life.is_live());
        if live {
            end(&change, id, ending, now)?;
        }
        change.commit()?;
        if live {
            self.cut(id);
        }
        Ok(live)
    }

    pub(crate) fn sweep(&mut self, now: Timestamp) -> rusqlite::Result<Swept> {
        let terms = self.terms;
        let mut swept = Swept::default();
        let change = self.change()?;
        let over = format!(
            "SELECT {} FROM file WHERE state = 'ready' AND expires_at <= ?1
             UNION ALL SELECT {0} FROM file WHERE state = 'collecting' AND expires_at <= ?2 LIMIT {BATCH}",
            Record::COLUMNS
        );
        let due: Vec<Record> = change
            .prepare_cached(&over)?
            .query_map([now.0, now.minus(terms.lease).0], Record::read)?
            .collect::<Result<_, _>>()?;
        for record in due {
            if let Phase::Due(ending) = record.life.phase(&terms, now) {
                end(&change, &record.id, ending, now)?;
                swept.ended.push((record.id, ending));
            }
        }
        let forget = "DELETE FROM file WHERE state = 'deleted' AND ended_at <= ?1";
        change
            .prepare_cached(forget)?
            .execute([now.minus(terms.receipts).0])?;
        let outbox = format!("SELECT file FROM outbox WHERE due <= ?1 ORDER BY due LIMIT {BATCH}");
        swept.unlink = ids(&change, &outbox, [now.0])?;
        change.commit()?;
        for (id, _) in &swept.ended {
            self.cut(id);
        }
        Ok(swept)
    }

    pub(crate) fn unlinked(&mut self, id: &FileId) -> rusqlite::Result<()> {
        let change = self.change()?;
        change
            .prepare_cached("DELETE FROM outbox WHERE file = ?1")?
            .execute([id.as_str()])?;
        let sql =
            "UPDATE file SET state = 'deleted', name = NULL, sha256 = NULL, salt = NULL, uploader = NULL,
                          recipient = NULL, again_until = NULL
                   WHERE id = ?1 AND state IN ('delivered', 'expired', 'withdrawn', 'failed')";
        change.prepare_cached(sql)?.execute([id.as_str()])?;
        change.commit()
    }

    pub(crate) fn postpone(&mut self, id: &FileId, due: Timestamp) -> rusqlite::Result<()> {
        let sql = "UPDATE outbox SET due = ?2 WHERE file = ?1";
        self.db
            .prepare_cached(sql)?
            .execute(params![id.as_str(), due.0])?;
        Ok(())
    }

    pub(crate) fn next_due(&self) -> rusqlite::Result<Option<Timestamp>> {
        let sql = "SELECT min(due) FROM (
                       SELECT min(expires_at) AS due FROM file WHERE state = 'ready'
                       UNION ALL SELECT min(expires_at) + ?2 FROM file WHERE state = 'collecting'
                       UNION ALL SELECT min(due) FROM outbox
                       UNION ALL SELECT min(ended_at) + ?1 FROM file WHERE state = 'deleted')";
        let [receipts, lease] = [self.terms.receipts, self.terms.lease].map(|term| Timestamp(0).plus(term).0);
        let due: Option<i64> = self
            .db
            .prepare_cached(sql)?
            .query_row([receipts, lease], |row| row.get(0))?;
        Ok(due.map(Timestamp))
    }
}

/// What only the recovery at boot asks.
impl Store {
    /// Files that never became ready.
    pub(crate) fn half_received(&self) -> rusqlite::Result<Vec<FileId>> {
        ids(&self.db, "SELECT id FROM file WHERE state = 'receiving'", [])
    }

    /// Files whose collection has not survived.
    pub(crate) fn interrupted(&self) -> rusqlite::Result<Vec<FileId>> {
        ids(&self.db, "SELECT id FROM file WHERE state = 'collecting'", [])
    }

    /// Files that must be on disk, with their sizes.
    pub(crate) fn on_disk(&self) -> rusqlite::Result<Vec<(FileId, u64)>> {
        let sql = format!(
            "SELECT {} FROM file WHERE state IN ('ready', 'collecting')",
            Record::COLUMNS
        );
        let mut rows = self.db.prepare(&sql)?;
        rows.query_map([], |row| Record::read(row).map(|record| (record.id, record.size)))?
            .collect()
    }

    /// Files that are still to be unlinked, now or later.
    pub(crate) fn outbox(&self) -> rusqlite::Result<Vec<FileId>> {
        ids(&self.db, "SELECT file FROM outbox", [])
    }
}

impl Store {
    /// The file is over: what is on its way to a recipient ends here.
    fn cut(&self, id: &FileId) {
        if let Some(leash) = self.alive.get(id) {
            leash.cut();
        }
    }

    fn change(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.db.transaction_with_behavior(TransactionBehavior::Immediate)
    }
}

fn find(db: &Connection, id: &FileId) -> rusqlite::Result<Option<Record>> {
    let sql = format!("SELECT {} FROM file WHERE id = ?1", Record::COLUMNS);
    db.prepare_cached(&sql)?
        .query_row([id.as_str()], Record::read)
        .optional()
}

fn ids(db: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<Vec<FileId>> {
    let words: Vec<String> = db
        .prepare_cached(sql)?
        .query_map(params, |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(words.iter().filter_map(|word| FileId::parse(word)).collect())
}

/// State, receipt and outbox in one transaction; from its commit on every read is "gone".
fn end(change: &Transaction<'_>, id: &FileId, ending: Ending, now: Timestamp) -> rusqlite::Result<()> {
    let sql =
        "UPDATE file SET state = ?2, ending = ?3, ended_at = ?4, name = NULL, sha256 = NULL, salt = NULL,
                      uploader = NULL, recipient = NULL, again_until = NULL
               WHERE id = ?1";
    let row = params![id.as_str(), ending.state().word(), ending.word(), now.0];
    change.prepare_cached(sql)?.execute(row)?;
    put_out(change, id, now)
}

fn put_out(change: &Transaction<'_>, id: &FileId, due: Timestamp) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO outbox (file, due) VALUES (?1, ?2) ON CONFLICT (file) DO UPDATE SET due = excluded.due";
    change.prepare_cached(sql)?.execute(params![id.as_str(), due.0])?;
    Ok(())
}

/// Whether the database failed for want of room. The index of its log is made larger by a write of its own.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error
            .sqlite_error()
            .is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
}
