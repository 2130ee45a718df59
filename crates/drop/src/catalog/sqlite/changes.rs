//! What each call does to the rows, inside the writer's transaction.
//!
//! Invariant: each may be run again from the start, because what it does in memory is undone with what it does to the rows.
//! What may follow what is asked of [`lifecycle`](crate::lifecycle); nobody else writes, so what was read in a transaction
//! still holds when it writes.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, ffi, params};

use super::values::FileKey;
use super::{rows, statements as sql};
use crate::catalog::claim;
use crate::catalog::live::Live;
use crate::catalog::{
    Admission, Claim, Complete, FileRecord, Grant, Granted, NewDrop, NewFile, Settled, Swept, Which,
};
use crate::clock::Timestamp;
use crate::config::OwnerRule;
use crate::id::{BlobId, DropId};
use crate::leash::Leash;
use crate::lifecycle::{Ending, Life, Settlement, State, Terms};
use crate::owner::AddressDigest;
use crate::secret::SecretHash;

/// Rows of one sweep; the next one follows at once when there are more.
const BATCH: u32 = 256;

/// A transaction that is being made.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) db: &'a Connection,
    pub(super) terms: &'a Terms,
    pub(super) now: Timestamp,
    pub(super) live: &'a RwLock<Live>,
    pub(super) effects: &'a mut Effects,
    /// No upload may begin: the room that is left is for ends.
    pub(super) is_short: bool,
    /// The number of the next request.
    pub(super) next_request: &'a mut u64,
}

/// What is to be done in memory once the transaction is durable.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Requests that were granted. They are in [`Live`] already, where nobody minds one that has no row yet; the other way
    /// round somebody could see a row that has no request, and take it for what a crash has left.
    pub(super) begun: Vec<(DropId, u64)>,
    /// Requests that were settled.
    pub(super) ended: Vec<(DropId, u64)>,
    /// Files whose bytes must not leave any more.
    pub(super) cut: Vec<(DropId, u32)>,
    /// Something was erased from the rows, and can still be read in the log.
    pub(super) has_erased: bool,
    /// There may be room on the disk again.
    pub(super) has_freed: bool,
}

impl Change<'_> {
    pub(super) fn announce(&mut self, drop: &NewDrop, file: &NewFile) -> rusqlite::Result<()> {
        if self.is_short {
            return Err(rusqlite::Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_FULL),
                None,
            ));
        }
        let life = Life::new(self.now);
        self.db.prepare_cached(sql::ANNOUNCE)?.execute(params![
            drop.id,
            FileKey::of(&drop.id, file.number),
            file.number,
            drop.rule,
            drop.token_hash,
            drop.salt,
            drop.uploader,
            file.blob,
            file.name,
            life.expires_at
        ])?;
        Ok(())
    }

    pub(super) fn ready(
        &mut self,
        id: &DropId,
        complete: &[Complete],
        wait: Duration,
        rule: OwnerRule,
        uploader: Option<AddressDigest>,
    ) -> rusqlite::Result<Timestamp> {
        let expires_at = self.now.plus(wait);
        let files = rows::all(self.db, id)?;
        // All of them or none: a drop that shows a part of itself would be collected as a whole.
        if files.is_empty() || files.len() != complete.len() {
            return Err(rusqlite::Error::StatementChangedRows(files.len()));
        }
        for file in &files {
            let of = complete.iter().find(|complete| complete.number == file.number);
            let ready = of.and_then(|of| Some((of, file.life.received(of.size, expires_at)?)));
            let (of, life) = ready.ok_or(rusqlite::Error::StatementChangedRows(0))?;
            self.write(id, file, &life)?;
            let key = FileKey::of(id, file.number);
            self.db
                .prepare_cached(sql::COMPLETE)?
                .execute(params![id, key, of.sha256, of.crc32])?;
        }
        self.db
            .prepare_cached(sql::OWNED)?
            .execute(params![id, FileKey::before(id), rule, uploader])?;
        Ok(expires_at)
    }

    pub(super) fn abandon(&mut self, id: &DropId) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(sql::ABANDON)?
            .execute(params![id, FileKey::before(id)])?;
        self.effects.has_erased = true;
        Ok(())
    }

    pub(super) fn admit(&mut self, claim: &Claim) -> rusqlite::Result<Admission> {
        let mut files = Vec::with_capacity(claim.wants.len());
        for (number, _) in &claim.wants {
            match rows::one(self.db, &claim.id, *number)? {
                Some(file) => files.push(file),
                None => return Ok(Admission::Gone),
            }
        }
        let is_alive = |file: &FileRecord| self.is_alive(&claim.id, file);
        let request = *self.next_request;
        let decided = match claim::decide(claim, request, &files, self.terms, self.now, is_alive) {
            Ok(decided) => decided,
            Err(refused) => return Ok(refused),
        };
        for (file, life) in files.iter().zip(&decided.lives) {
            self.write(&claim.id, file, life)?;
        }
        if let Some(why) = claim.unknown.filter(|_| decided.is_leased) {
            self.db.prepare_cached(sql::UNKNOWN)?.execute(params![
                claim.id,
                FileKey::before(&claim.id),
                why
            ])?;
        }
        self.begin(
            &claim.id,
            request,
            decided.collection,
            &decided.granted,
            &claim.leash,
        );
        Ok(Admission::Granted(Grant {
            id: claim.id.clone(),
            collection: decided.collection,
            request,
            files: decided.granted,
        }))
    }

    pub(super) fn last_piece(
        &mut self,
        id: &DropId,
        number: u32,
        collection: SecretHash,
    ) -> rusqlite::Result<bool> {
        let Some(file) = rows::one(self.db, id, number)? else {
            return Ok(false);
        };
        let Some(life) = file.life.last_piece(collection) else {
            return Ok(false);
        };
        if life != file.life {
            self.write(id, &file, &life)?;
        }
        Ok(true)
    }

    pub(super) fn settle(
        &mut self,
        grant: &Grant,
        files: &[(u32, Settlement)],
    ) -> rusqlite::Result<Vec<(u32, Settled)>> {
        self.effects.ended.push((grant.id.clone(), grant.request));
        let mut settled = Vec::with_capacity(files.len());
        for (number, how) in files {
            let what = match rows::one(self.db, &grant.id, *number)? {
                Some(file) => self.settle_one(grant, &file, how)?,
                None => Settled::Nothing,
            };
            settled.push((*number, what));
        }
        if grant
            .files
            .iter()
            .any(|file| !file.is_again && !file.range.is_empty())
        {
            for part in grant.files.iter().filter(|part| part.is_again) {
                self.prolong(&grant.id, part.number)?;
            }
        }
        Ok(settled)
    }

    fn prolong(&mut self, id: &DropId, number: u32) -> rusqlite::Result<()> {
        if let Some(file) = rows::one(self.db, id, number)?
            && let Some(life) = file.life.prolonged(self.terms, self.now)
        {
            self.write(id, &file, &life)?;
        }
        Ok(())
    }

    fn settle_one(
        &mut self,
        grant: &Grant,
        file: &FileRecord,
        how: &Settlement,
    ) -> rusqlite::Result<Settled> {
        let how = Settlement {
            request: grant.request,
            others: self.is_alive(&grant.id, file),
            ..how.clone()
        };
        let Some(life) = file.life.settled(self.terms, self.now, grant.collection, &how) else {
            return Ok(Settled::Nothing);
        };
        self.write(&grant.id, file, &life)?;
        Ok(match (file.life.ending, life.state) {
            (Some(ending), _) => Settled::DeliveredAfter(ending),
            (None, State::Delivered) => Settled::Delivered,
            (None, _) => Settled::Held,
        })
    }

    pub(super) fn end(&mut self, id: &DropId, which: Which, ending: Ending) -> rusqlite::Result<Vec<u32>> {
        let mut ended = Vec::new();
        for file in self.files(id, which)? {
            if let Some(life) = file.life.ended(ending, self.now) {
                self.write(id, &file, &life)?;
                ended.push(file.number);
            } else if ending == Ending::Withdrawn
                && let Some(life) = file.life.cleared()
            {
                self.write(id, &file, &life)?;
                rows::put_out(self.db, &file.blob, self.now)?;
            } else {
                continue;
            }
            self.effects.cut.push((id.clone(), file.number));
        }
        Ok(ended)
    }

    pub(super) fn extend(&mut self, id: &DropId, wait: Duration) -> rusqlite::Result<Option<Timestamp>> {
        let expires_at = self.now.plus(wait);
        let mut any = None;
        for file in rows::all(self.db, id)? {
            let is_alive = self.is_alive(id, &file);
            if let Some(life) = file.life.extended(self.terms, self.now, is_alive, expires_at) {
                self.write(id, &file, &life)?;
                any = Some(expires_at);
            }
        }
        Ok(any)
    }

    pub(super) fn rearm(&mut self, id: &DropId, number: u32) -> rusqlite::Result<bool> {
        let Some(file) = rows::one(self.db, id, number)? else {
            return Ok(false);
        };
        let rearmed = file.life.rearmed(self.terms, self.now, self.is_alive(id, &file));
        if let Some(life) = &rearmed {
            self.write(id, &file, life)?;
        }
        Ok(rearmed.is_some())
    }

    pub(super) fn sweep(&mut self) -> rusqlite::Result<Swept> {
        let mut swept = Swept::default();
        for (id, number) in self.aging()? {
            // It may have been found twice.
            let Some(file) = rows::one(self.db, &id, number)? else {
                continue;
            };
            let is_alive = self.is_alive(&id, &file);
            let Some(life) = file.life.aged(self.terms, self.now, is_alive) else {
                continue;
            };
            self.write(&id, &file, &life)?;
            if let Some(ending) = life.ending {
                self.effects.cut.push((id.clone(), number));
                swept.ended.push((id, ending));
            }
        }
        self.forget()?;
        swept.unlink = self.outbox()?;
        self.effects.has_freed = true;
        Ok(swept)
    }

    /// Files to which time may have done something, some of each kind.
    fn aging(&self) -> rusqlite::Result<Vec<(DropId, u32)>> {
        let (now, lease) = (self.now, self.terms.lease);
        let mut aging = Vec::new();
        for (sql, time) in [
            (sql::DUE_WAITING, now),
            (sql::DUE_COLLECTING, now.minus(lease)),
            (sql::DUE_LEASES, now),
            (sql::LONG_LEASES, now.plus(lease)),
        ] {
            let found = rows::many(self.db, sql, params![time, BATCH])?;
            aging.extend(found.into_iter().map(|(id, file)| (id, file.number)));
        }
        let mut uncertain = self.db.prepare_cached(sql::DUE_UNCERTAIN)?;
        let mut some = 0;
        for one in uncertain.query_map([now], rows::named)? {
            let (id, file) = one?;
            // Those that are alive stay for a while, however many there are.
            if !self.is_alive(&id, &file) {
                aging.push((id, file.number));
                some += 1;
            }
            if some == BATCH {
                break;
            }
        }
        Ok(aging)
    }

    /// Receipts whose time is up.
    fn forget(&mut self) -> rusqlite::Result<()> {
        let latest = self.now.minus(self.terms.receipts);
        let over: Vec<(DropId, u32)> = self
            .db
            .prepare_cached(sql::DUE_RECEIPTS)?
            .query_map(params![latest, BATCH], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (id, number) in over {
            let key = FileKey::of(&id, number);
            self.db.prepare_cached(sql::FORGET)?.execute(params![id, key])?;
            self.effects.has_erased = true;
        }
        Ok(())
    }

    /// What is to be unlinked now. Nobody can have it again from here on, even if the clock is set back meanwhile.
    fn outbox(&mut self) -> rusqlite::Result<Vec<BlobId>> {
        let now = self.now;
        // Bytes that are over wait no longer than this, unless the clock was set back.
        let longest = self.terms.grace.max(self.terms.lease);
        self.db
            .prepare_cached(sql::LONG_OUTBOX)?
            .execute([now.plus(longest)])?;
        let mut due: Vec<BlobId> = self
            .db
            .prepare_cached(sql::DUE_OUTBOX)?
            .query_map(params![now, BATCH], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut kept = Vec::new();
        for blob in &due {
            let Some((id, file)) = self.of_blob(blob)? else {
                continue;
            };
            let is_had = self.read(|live, ended| live.is_had_again(&id, file.number, ended));
            if let Some(life) = file.life.prolonged(self.terms, now).filter(|_| is_had) {
                self.write(&id, &file, &life)?;
                kept.push(blob.clone());
            } else if let Some(life) = file.life.cleared() {
                self.write(&id, &file, &life)?;
            }
        }
        due.retain(|blob| !kept.contains(blob));
        Ok(due)
    }

    pub(super) fn unlinked(&mut self, blob: &BlobId) -> rusqlite::Result<()> {
        if let Some((id, file)) = self.of_blob(blob)? {
            // Of a file that lives again the bytes are not gone, whatever somebody thinks.
            let Some(life) = file.life.unlinked() else {
                return Ok(());
            };
            self.write(&id, &file, &life)?;
        }
        self.db.prepare_cached(sql::TAKE_BACK)?.execute([blob])?;
        self.effects.has_freed |= self.is_short;
        Ok(())
    }

    pub(super) fn postpone(&mut self, blob: &BlobId, wait: Duration) -> rusqlite::Result<()> {
        let due = self.now.plus(wait);
        self.db
            .prepare_cached(sql::POSTPONE)?
            .execute(params![blob, due])?;
        Ok(())
    }

    pub(super) fn interrupt(&mut self) -> rusqlite::Result<u64> {
        let mut count = 0;
        let mut after = (Timestamp(i64::MIN), FileKey::LEAST);
        loop {
            let page = params![after.0, after.1, BATCH];
            let found = rows::many(self.db, sql::COLLECTING, page)?;
            let Some((id, last)) = found.last() else {
                return Ok(count);
            };
            after = (last.life.expires_at, FileKey::of(id, last.number));
            for (id, file) in &found {
                if let Some(life) = file.life.interrupted(self.terms, self.now) {
                    count += u64::from(life.interrupted > file.life.interrupted);
                    self.write(id, file, &life)?;
                }
            }
        }
    }
}

impl Change<'_> {
    fn write(&mut self, id: &DropId, before: &FileRecord, life: &Life) -> rusqlite::Result<()> {
        self.effects.has_erased |= rows::write(self.db, id, before, life, self.now)?;
        Ok(())
    }

    fn files(&self, id: &DropId, which: Which) -> rusqlite::Result<Vec<FileRecord>> {
        match which {
            Which::All => rows::all(self.db, id),
            Which::One(number) => Ok(rows::one(self.db, id, number)?.into_iter().collect()),
        }
    }

    fn of_blob(&self, blob: &BlobId) -> rusqlite::Result<Option<(DropId, FileRecord)>> {
        let found = rows::many(self.db, sql::FILE_OF_BLOB, [blob])?;
        Ok(found.into_iter().next())
    }

    fn is_alive(&self, id: &DropId, file: &FileRecord) -> bool {
        self.read(|live, ended| live.is_alive(id, file.number, &file.life, ended))
    }

    fn read<T>(&self, ask: impl FnOnce(&Live, &[(DropId, u64)]) -> T) -> T {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        ask(&live, &self.effects.ended)
    }

    fn begin(&mut self, id: &DropId, request: u64, collection: SecretHash, files: &[Granted], leash: &Leash) {
        *self.next_request = request + 1;
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.begin(id, request, collection, files, leash);
        self.effects.begun.push((id.clone(), request));
    }
}

/// Whether the database failed for want of room. The index of its log is made larger by a write of its own.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error
            .sqlite_error()
            .is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
}
