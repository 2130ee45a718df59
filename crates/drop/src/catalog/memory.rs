//! A catalog in memory, to show that another one fits, and to hold the one in SQLite against.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::live::Live;
use super::*;
use crate::clock::Clock;
use crate::lifecycle::Terms;

/// What outlives a restart.
#[derive(Debug, Default)]
pub(super) struct Rows {
    drops: BTreeMap<DropId, DropRecord>,
    outbox: BTreeMap<BlobId, Timestamp>,
}

#[derive(Debug)]
pub(super) struct MemoryCatalog {
    rows: Arc<Mutex<Rows>>,
    memory: Mutex<Memory>,
    terms: Terms,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Memory {
    live: Live,
    requests: u64,
    is_closed: bool,
}

impl MemoryCatalog {
    pub(super) fn new(rows: Arc<Mutex<Rows>>, terms: Terms, clock: &Clock) -> Self {
        Self {
            rows,
            memory: Mutex::default(),
            terms,
            clock: clock.clone(),
        }
    }

    /// Does `work` alone; an error changes nothing.
    fn answer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, CatalogError>,
    ) -> Answer<'static, T> {
        let (rows, memory) = (self.rows.lock().unwrap(), self.memory.lock().unwrap());
        let answer = match memory.is_closed {
            true => Err(CatalogError::Closed),
            false => work(&mut Work {
                rows,
                memory,
                terms: &self.terms,
                now: self.clock.now(),
            }),
        };
        Box::pin(ready(answer))
    }
}

struct Work<'a> {
    rows: MutexGuard<'a, Rows>,
    memory: MutexGuard<'a, Memory>,
    terms: &'a Terms,
    now: Timestamp,
}

impl Work<'_> {
    fn files(&self, id: &DropId, which: Which) -> Vec<FileRecord> {
        let files = self
            .rows
            .drops
            .get(id)
            .map(|drop| drop.files.clone())
            .unwrap_or_default();
        let wanted = files.into_iter().filter(|file| match which {
            Which::All => true,
            Which::One(number) => file.number == number,
        });
        wanted.collect()
    }

    fn everything(&self) -> Vec<(DropId, FileRecord)> {
        let drops = self.rows.drops.iter();
        drops
            .flat_map(|(id, drop)| drop.files.iter().map(|file| (id.clone(), file.clone())))
            .collect()
    }

    fn of_blob(&self, blob: &BlobId) -> Option<(DropId, FileRecord)> {
        self.everything().into_iter().find(|(_, file)| file.blob == *blob)
    }

    fn is_alive(&self, id: &DropId, file: &FileRecord) -> bool {
        self.memory.live.is_alive(id, file.number, &file.life, &[])
    }

    fn write(&mut self, id: &DropId, before: &FileRecord, life: Life) {
        let goes = |life: &Life| life.ending.is_some() && life.state != State::Deleted;
        if life.is_live() {
            self.rows.outbox.remove(&before.blob);
        } else if goes(&life) && (!goes(&before.life) || life.again_until > before.life.again_until) {
            let due = life.again_until.unwrap_or(self.now);
            self.rows.outbox.insert(before.blob.clone(), due);
        }
        let drop = self.rows.drops.get_mut(id).unwrap();
        let file = drop
            .files
            .iter_mut()
            .find(|file| file.number == before.number)
            .unwrap();
        if !life.needs_name() {
            (file.name, file.sha256, file.crc32) = (None, None, None);
        }
        file.life = life;
        if drop.files.iter().all(|file| file.name.is_none()) {
            (drop.salt, drop.uploader) = (None, None);
        }
    }
}

impl Catalog for MemoryCatalog {
    fn announce(&self, drop: NewDrop, file: NewFile) -> Answer<'_, ()> {
        self.answer(|work| {
            let now = work.now;
            let drop = work.rows.drops.entry(drop.id.clone()).or_insert(DropRecord {
                id: drop.id,
                rule: drop.rule,
                token_hash: drop.token_hash,
                salt: Some(drop.salt),
                uploader: drop.uploader,
                unknown: 0,
                unknown_why: None,
                files: Vec::new(),
                now,
            });
            drop.files.push(FileRecord {
                number: file.number,
                blob: file.blob,
                life: Life::new(now),
                name: Some(file.name),
                sha256: None,
                crc32: None,
                is_alive: false,
                progress: 0,
            });
            drop.files.sort_by_key(|file| file.number);
            Ok(())
        })
    }

    fn ready(
        &self,
        id: &DropId,
        complete: Vec<Complete>,
        wait: Duration,
        rule: OwnerRule,
        uploader: Option<AddressDigest>,
    ) -> Answer<'_, Timestamp> {
        self.answer(|work| {
            let expires_at = work.now.plus(wait);
            let incomplete = || CatalogError::Broken("not all of the drop".into());
            let drop = work.rows.drops.get_mut(id).ok_or_else(incomplete)?;
            let mut files = drop.files.clone();
            for file in &mut files {
                let of = complete.iter().find(|complete| complete.number == file.number);
                let of = of.ok_or_else(incomplete)?;
                file.life = file.life.received(of.size, expires_at).ok_or_else(incomplete)?;
                (file.sha256, file.crc32) = (Some(of.sha256), Some(of.crc32));
            }
            if files.len() != complete.len() {
                return Err(incomplete());
            }
            (drop.files, drop.rule, drop.uploader) = (files, rule, uploader);
            Ok(expires_at)
        })
    }

    fn abandon(&self, id: &DropId) -> Answer<'_, ()> {
        self.answer(|work| {
            if let Some(drop) = work.rows.drops.get_mut(id) {
                drop.files.retain(|file| file.life.state != State::Receiving);
                if drop.files.is_empty() {
                    work.rows.drops.remove(id);
                }
            }
            Ok(())
        })
    }

    fn find(&self, id: &DropId) -> Answer<'_, Option<DropRecord>> {
        self.answer(|work| {
            let mut found = work.rows.drops.get(id).cloned();
            if let Some(drop) = &mut found {
                drop.now = work.now;
                for file in &mut drop.files {
                    file.is_alive = work.is_alive(id, file);
                    file.progress = work.memory.live.progress(id, file.number, &file.life);
                }
            }
            Ok(found)
        })
    }

    fn admit(&self, claim: Claim) -> Answer<'_, Admission> {
        self.answer(|work| {
            let id = &claim.id;
            let wanted = claim
                .wants
                .iter()
                .map(|(number, _)| work.files(id, Which::One(*number)).pop());
            let Some(files) = wanted.collect::<Option<Vec<_>>>() else {
                return Ok(Admission::Gone);
            };
            let is_alive = |file: &FileRecord| work.is_alive(id, file);
            let request = work.memory.requests + 1;
            let decided = match claim::decide(&claim, request, &files, work.terms, work.now, is_alive) {
                Ok(decided) => decided,
                Err(refused) => return Ok(refused),
            };
            for (file, life) in files.iter().zip(decided.lives) {
                work.write(id, file, life);
            }
            if let Some(why) = claim.unknown.filter(|_| decided.is_leased) {
                let drop = work.rows.drops.get_mut(id).unwrap();
                (drop.unknown, drop.unknown_why) = (drop.unknown + 1, Some(why.to_owned()));
            }
            work.memory.requests = request;
            let (collection, files) = (decided.collection, decided.granted);
            work.memory
                .live
                .begin(id, request, collection, &files, &claim.leash);
            let id = claim.id;
            Ok(Admission::Granted(Grant {
                id,
                collection,
                request,
                files,
            }))
        })
    }

    fn last_piece(&self, id: &DropId, number: u32, collection: SecretHash) -> Answer<'_, bool> {
        self.answer(|work| {
            let file = work.files(id, Which::One(number)).pop();
            let found = file.and_then(|file| Some((file.life.last_piece(collection)?, file)));
            let may = found.is_some();
            if let Some((life, file)) = found {
                work.write(id, &file, life);
            }
            Ok(may)
        })
    }

    fn settle(&self, grant: &Grant, files: Vec<(u32, Settlement)>) -> Answer<'_, Vec<(u32, Settled)>> {
        self.answer(|work| {
            let id = &grant.id;
            work.memory.live.end(id, grant.request);
            let mut settled = Vec::new();
            for (number, mut how) in files {
                let mut what = Settled::Nothing;
                if let Some(file) = work.files(id, Which::One(number)).pop() {
                    how.request = grant.request;
                    how.others = work.is_alive(id, &file);
                    if let Some(life) = file.life.settled(work.terms, work.now, grant.collection, &how) {
                        what = match (file.life.ending, life.state) {
                            (Some(ending), _) => Settled::DeliveredAfter(ending),
                            (None, State::Delivered) => Settled::Delivered,
                            (None, _) => Settled::Held,
                        };
                        work.write(id, &file, life);
                    }
                }
                settled.push((number, what));
            }
            let goes_on = grant
                .files
                .iter()
                .any(|file| !file.is_again && !file.range.is_empty());
            for part in grant.files.iter().filter(|part| part.is_again && goes_on) {
                if let Some(file) = work.files(id, Which::One(part.number)).pop()
                    && let Some(life) = file.life.prolonged(work.terms, work.now)
                {
                    work.write(id, &file, life);
                }
            }
            Ok(settled)
        })
    }

    fn end(&self, id: &DropId, which: Which, ending: Ending) -> Answer<'_, Vec<u32>> {
        self.answer(|work| {
            let mut ended = Vec::new();
            for file in work.files(id, which) {
                if let Some(life) = file.life.ended(ending, work.now) {
                    work.write(id, &file, life);
                    ended.push(file.number);
                } else if let Some(life) = file.life.cleared().filter(|_| ending == Ending::Withdrawn) {
                    work.write(id, &file, life);
                    let now = work.now;
                    work.rows.outbox.insert(file.blob, now);
                } else {
                    continue;
                }
                work.memory.live.cut(id, file.number);
            }
            Ok(ended)
        })
    }

    fn extend(&self, id: &DropId, wait: Duration) -> Answer<'_, Option<Timestamp>> {
        self.answer(|work| {
            let expires_at = work.now.plus(wait);
            let mut any = None;
            for file in work.files(id, Which::All) {
                let is_alive = work.is_alive(id, &file);
                if let Some(life) = file.life.extended(work.terms, work.now, is_alive, expires_at) {
                    work.write(id, &file, life);
                    any = Some(expires_at);
                }
            }
            Ok(any)
        })
    }

    fn rearm(&self, id: &DropId, number: u32) -> Answer<'_, bool> {
        self.answer(|work| {
            let file = work.files(id, Which::One(number)).pop();
            let rearmed = file.and_then(|file| {
                let life = file
                    .life
                    .rearmed(work.terms, work.now, work.is_alive(id, &file))?;
                work.write(id, &file, life);
                Some(())
            });
            Ok(rearmed.is_some())
        })
    }

    fn sweep(&self) -> Answer<'_, Swept> {
        self.answer(|work| {
            let mut swept = Swept::default();
            let now = work.now;
            for (id, file) in work.everything() {
                if let Some(life) = file.life.aged(work.terms, now, work.is_alive(&id, &file)) {
                    if let Some(ending) = life.ending {
                        work.memory.live.cut(&id, file.number);
                        swept.ended.push((id.clone(), ending));
                    }
                    work.write(&id, &file, life);
                }
            }
            let forgotten = now.minus(work.terms.receipts);
            work.rows.drops.retain(|_, drop| {
                drop.files.retain(|file| {
                    file.life.state != State::Deleted || file.life.ended_at.is_none_or(|at| at > forgotten)
                });
                !drop.files.is_empty()
            });
            let longest = now.plus(work.terms.lease.max(work.terms.grace));
            for due in work.rows.outbox.values_mut() {
                *due = longest.min(*due);
            }
            let due = work
                .rows
                .outbox
                .clone()
                .into_iter()
                .filter(|(_, due)| *due <= now);
            for (blob, _) in due {
                if let Some((id, file)) = work.of_blob(&blob) {
                    let is_had = work.memory.live.is_had_again(&id, file.number, &[]);
                    if let Some(life) = file.life.prolonged(work.terms, now).filter(|_| is_had) {
                        work.write(&id, &file, life);
                        continue;
                    }
                    if let Some(life) = file.life.cleared() {
                        work.write(&id, &file, life);
                    }
                }
                swept.unlink.push(blob);
            }
            Ok(swept)
        })
    }

    fn unlinked(&self, blob: &BlobId) -> Answer<'_, ()> {
        self.answer(|work| {
            if let Some((id, file)) = work.of_blob(blob) {
                let Some(life) = file.life.unlinked() else {
                    return Ok(());
                };
                work.write(&id, &file, life);
            }
            work.rows.outbox.remove(blob);
            Ok(())
        })
    }

    fn postpone(&self, blob: &BlobId, wait: Duration) -> Answer<'_, ()> {
        self.answer(|work| {
            let due = work.now.plus(wait);
            if let Some(at) = work.rows.outbox.get_mut(blob) {
                *at = due;
            }
            Ok(())
        })
    }

    fn next_due(&self) -> Answer<'_, Option<Duration>> {
        self.answer(|work| {
            let mut due: Vec<Timestamp> = work.rows.outbox.values().copied().collect();
            for (id, file) in work.everything() {
                let (life, lease) = (&file.life, work.terms.lease);
                let is_alive = work.is_alive(&id, &file);
                match (life.state, &life.hold) {
                    (State::Ready, _) => due.push(life.expires_at),
                    (State::Collecting, Some(hold)) => {
                        due.push(life.expires_at.plus(lease));
                        match hold.last_piece {
                            false => due.push(hold.until),
                            true if !is_alive => due.push(life.expires_at),
                            true => {}
                        }
                    }
                    (State::Deleted, _) => due.extend(life.ended_at.map(|at| at.plus(work.terms.receipts))),
                    _ => {}
                }
            }
            Ok(due.into_iter().min().map(|due| due.after(work.now)))
        })
    }

    fn interrupt(&self) -> Answer<'_, u64> {
        self.answer(|work| {
            let mut count = 0;
            for (id, file) in work.everything() {
                if let Some(life) = file.life.interrupted(work.terms, work.now) {
                    count += u64::from(life.interrupted > file.life.interrupted);
                    work.write(&id, &file, life);
                }
            }
            Ok(count)
        })
    }

    fn list(&self, after: Option<(DropId, u32)>, limit: u32) -> Answer<'_, Vec<Listed>> {
        self.answer(|work| {
            let all = work.everything().into_iter();
            let rest = all.filter(|(id, file)| {
                after
                    .as_ref()
                    .is_none_or(|(last, number)| (last, *number) < (id, file.number))
            });
            let listed = rest.take(limit as usize).map(|(id, file)| Listed {
                id,
                number: file.number,
                state: file.life.state,
                blob: file.blob,
                size: file.life.size,
                sha256: file.sha256,
            });
            Ok(listed.collect())
        })
    }

    fn strays(&self, blobs: Vec<BlobId>, complete: bool) -> Answer<'_, Vec<BlobId>> {
        self.answer(|work| {
            let belongs = |blob: &BlobId| match work.of_blob(blob).map(|(_, file)| file.life.state) {
                None | Some(State::Deleted) => false,
                Some(state) => complete == (state != State::Receiving),
            };
            Ok(blobs.into_iter().filter(|blob| !belongs(blob)).collect())
        })
    }

    fn census(&self) -> Answer<'_, Vec<(State, u64, u64)>> {
        self.answer(|work| {
            let mut census: BTreeMap<State, (u64, u64)> = BTreeMap::new();
            for (_, file) in work.everything() {
                let (files, bytes) = census.entry(file.life.state).or_default();
                (*files, *bytes) = (*files + 1, *bytes + file.life.size);
            }
            Ok(census
                .into_iter()
                .map(|(state, (files, bytes))| (state, files, bytes))
                .collect())
        })
    }

    fn close(&self) {
        self.memory.lock().unwrap().is_closed = true;
    }
}
