//! A claim for several files at once: granted as a whole, or not at all.
//!
//! Invariant: whoever asks is one collection in all the files, so that one name shows that they belong to it.

use super::{Admission, Claim, FileRecord, Granted};
use crate::clock::Timestamp;
use crate::lifecycle::{Asker, Life, Phase, Refused, Terms};
use crate::secret::SecretHash;

/// What follows from a claim that is granted.
pub(super) struct Decided {
    pub(super) collection: SecretHash,
    /// Whether a lease begins with it.
    pub(super) is_leased: bool,
    /// Of each wanted file.
    pub(super) lives: Vec<Life>,
    pub(super) granted: Vec<Granted>,
}

/// `files` are those that the claim wants, in its order; `request` is the number that it has from now on.
pub(super) fn decide(
    claim: &Claim,
    request: u64,
    files: &[FileRecord],
    terms: &Terms,
    now: Timestamp,
    is_alive: impl Fn(&FileRecord) -> bool,
) -> Result<Decided, Admission> {
    let asker = Asker {
        request,
        ..as_one(claim, files, &is_alive)
    };
    // What was delivered stays for as long as the archive may need it: not when nothing else of it is asked for.
    let goes_on = files
        .iter()
        .zip(&claim.wants)
        .any(|(file, (_, range))| file.life.is_live() && !range.is_empty());
    let mut refused = None;
    let mut decided = Decided {
        collection: asker.shown.unwrap_or(asker.fresh),
        is_leased: false,
        lives: Vec::with_capacity(files.len()),
        granted: Vec::with_capacity(files.len()),
    };
    for (file, (number, range)) in files.iter().zip(&claim.wants) {
        let is_alive = is_alive(file);
        let (life, is_gated) = match file.life.admitted(terms, now, is_alive, &asker, range) {
            Ok(admitted) => admitted,
            Err(why) => {
                refused = Some(graver(refused, why));
                continue;
            }
        };
        let longer = life.prolonged(terms, now).filter(|_| goes_on);
        let life = longer.unwrap_or(life);
        decided.is_leased |= file.life.phase(terms, now, is_alive) == Phase::Ready;
        decided.granted.push(Granted {
            number: *number,
            range: range.clone(),
            is_gated,
            is_again: !life.is_live(),
        });
        decided.lives.push(life);
    }
    match refused {
        None => Ok(decided),
        Some(Refused::Gone) => Err(Admission::Gone),
        Some(Refused::Spent) => Err(Admission::Spent),
        Some(Refused::Busy { until }) => Err(Admission::Busy {
            rest: until.after(now),
        }),
    }
}

/// The one collection: that which they show, or the first that they are known to belong to.
fn as_one(claim: &Claim, files: &[FileRecord], is_alive: impl Fn(&FileRecord) -> bool) -> Asker {
    let asker = &claim.asker;
    let held = files.iter().zip(&claim.wants).find_map(|(file, (_, range))| {
        let hold = file.life.hold.as_ref()?;
        hold.belongs(asker, is_alive(file), range)
            .then_some(hold.collection)
    });
    Asker {
        shown: asker.shown.or(held),
        ..*asker
    }
}

/// Of two refusals the one that waiting helps less.
fn graver(one: Option<Refused>, other: Refused) -> Refused {
    match (one, other) {
        (Some(Refused::Gone), _) | (_, Refused::Gone) => Refused::Gone,
        (Some(Refused::Spent), _) | (_, Refused::Spent) => Refused::Spent,
        (Some(Refused::Busy { until: one }), Refused::Busy { until }) => Refused::Busy {
            until: one.max(until),
        },
        (None, other) => other,
    }
}
