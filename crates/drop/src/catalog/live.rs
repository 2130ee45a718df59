//! The requests that are under way. Kept in memory only: none of them survives the process.
//!
//! Invariant: a request is here from its admission until its settlement is written down.

use std::collections::HashMap;
use std::ops::Range;

use super::Granted;
use crate::id::DropId;
use crate::leash::Leash;
use crate::lifecycle::{Life, State};
use crate::secret::SecretHash;

/// All requests under way, by drop.
#[derive(Debug, Default)]
pub(super) struct Live(HashMap<DropId, Vec<Request>>);

#[derive(Debug)]
struct Request {
    id: u64,
    collection: SecretHash,
    files: Vec<File>,
    leash: Leash,
}

#[derive(Debug)]
struct File {
    number: u32,
    range: Range<u64>,
    is_again: bool,
}

impl Live {
    /// A request was granted these files.
    pub(super) fn begin(
        &mut self,
        drop: &DropId,
        id: u64,
        collection: SecretHash,
        files: &[Granted],
        leash: &Leash,
    ) {
        let files = files.iter().map(|file| File {
            number: file.number,
            range: file.range.clone(),
            is_again: file.is_again,
        });
        self.0.entry(drop.clone()).or_default().push(Request {
            id,
            collection,
            files: files.collect(),
            leash: leash.clone(),
        });
    }

    /// The request has ended, and that is written down; or it never began.
    pub(super) fn end(&mut self, drop: &DropId, id: u64) {
        if let Some(requests) = self.0.get_mut(drop) {
            requests.retain(|request| request.id != id);
            if requests.is_empty() {
                self.0.remove(drop);
            }
        }
    }

    /// Whether a request of the file's collection is under way, apart from those in `ended`; of a file that nobody
    /// collects, whether any is.
    pub(super) fn is_alive(&self, drop: &DropId, number: u32, life: &Life, ended: &[(DropId, u64)]) -> bool {
        self.deciding(drop, number, collecting(life))
            .any(|(id, _)| !is_among(ended, id))
    }

    /// Whether somebody is having the file again, within the grace.
    pub(super) fn is_had_again(&self, drop: &DropId, number: u32, ended: &[(DropId, u64)]) -> bool {
        let requests = self.0.get(drop).into_iter().flatten();
        let mut others = requests.filter(|request| !is_among(ended, request.id));
        others.any(|request| {
            let mut files = request.files.iter();
            files.any(|file| file.is_again && file.number == number)
        })
    }

    /// How many bytes of the file its collection has, or are on their way to it.
    pub(super) fn progress(&self, drop: &DropId, number: u32, life: &Life) -> u64 {
        let had = life.hold.as_ref().map_or(0, |hold| hold.covered.len());
        let sent = self
            .deciding(drop, number, collecting(life))
            .map(|(_, sent)| sent);
        sent.fold(had, u64::saturating_add).min(life.size)
    }

    /// The file is over: what is on its way of it ends here.
    pub(super) fn cut(&self, drop: &DropId, number: u32) {
        for request in self.0.get(drop).into_iter().flatten() {
            if request.files.iter().any(|file| file.number == number) {
                request.leash.cut();
            }
        }
    }

    /// Requests that decide about the file: which, and how many bytes of it have left.
    fn deciding(
        &self,
        drop: &DropId,
        number: u32,
        collection: Option<SecretHash>,
    ) -> impl Iterator<Item = (u64, u64)> {
        let requests = self.0.get(drop).into_iter().flatten();
        let of_it = requests
            .filter(move |request| collection.is_none_or(|collection| collection == request.collection));
        of_it.filter_map(move |request| {
            let mut sent = request.leash.bytes();
            for file in &request.files {
                let len = file.range.end - file.range.start;
                if file.number == number {
                    return (!file.is_again).then_some((request.id, sent.min(len)));
                }
                sent = sent.saturating_sub(len);
            }
            None
        })
    }
}

fn is_among(ended: &[(DropId, u64)], id: u64) -> bool {
    ended.iter().any(|(_, ended)| *ended == id)
}

fn collecting(life: &Life) -> Option<SecretHash> {
    let hold = life.hold.as_ref().filter(|_| life.state == State::Collecting);
    hold.map(|hold| hold.collection)
}
