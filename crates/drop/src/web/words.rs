//! The course of a file in words, for its owner.
//!
//! Invariant: nothing is said that is not known. That a download has begun is no delivery; that a proxy has taken all of
//! it is not that its recipient has.

use std::time::Duration;

use crate::catalog::FileRecord;
use crate::clock::Timestamp;
use crate::lifecycle::{Ending, Life, Phase, State};
use crate::web::pages::Moment;
use crate::web::visit::Visit;

/// After a number, from which no line may part it.
pub(super) const PERCENT: &str = "\u{a0}%";

/// Where a file stands.
pub(super) struct Course {
    pub(super) headline: &'static str,
    pub(super) words: String,
    /// When that began, said after the words.
    pub(super) since: Option<Moment>,
    /// What is said after that; a full stop, at least.
    pub(super) behind: String,
    /// How much of it the one who is downloading it has, in hundredths.
    pub(super) percent: Option<u64>,
    /// Whether a download of it is under way.
    pub(super) is_moving: bool,
    /// Whether nothing has ended it.
    pub(super) is_live: bool,
    pub(super) is_delivered: bool,
    /// Whether another try can be given.
    pub(super) can_again: bool,
}

pub(super) fn course(visit: &Visit, file: &FileRecord) -> Course {
    let phase = visit.phase(file);
    let life = &file.life;
    let now = visit.record.now;
    let live = |headline, words: String, percent| Course {
        headline,
        words,
        since: None,
        behind: String::new(),
        percent,
        is_moving: file.is_alive,
        is_live: true,
        is_delivered: false,
        can_again: false,
    };
    match phase {
        Phase::Receiving | Phase::Ready => live("Ready to share", format!("Waiting. {}", begun(life)), None),
        Phase::Collecting { .. } if file.is_alive => {
            let percent = percent(file);
            let words = format!("Being downloaded: {percent}{PERCENT}. Somebody is downloading it right now.");
            live("Being downloaded", words, Some(percent))
        }
        Phase::Collecting { until } => {
            let percent = percent(file);
            let words = format!(
                "A download has stopped at {percent}{PERCENT}. For {} it can only be resumed; {}.",
                rest(until.after(now)),
                match is_last(visit, file, until) {
                    true => "then the file is deleted",
                    false => "then anybody can start again",
                }
            );
            live("Interrupted", words, Some(percent))
        }
        Phase::Uncertain => Course {
            can_again: true,
            ..live(
                "Perhaps delivered",
                "A download was interrupted at its very end: nobody knows whether it arrived. Only the same recipient can \
                 have it now, unless you give it another try."
                    .to_owned(),
                None,
            )
        },
        Phase::Closing { until } => {
            let words = match file.is_alive {
                true => "Its time is up. Somebody who began before that is still downloading it.".to_owned(),
                false => format!(
                    "Its time is up. A download that began before that has stopped at {}{PERCENT}; for {} it can be resumed.",
                    percent(file),
                    rest(until.after(now))
                ),
            };
            live("Time is up", words, Some(percent(file)))
        }
        Phase::Due(_) | Phase::Over => over(visit, file, phase),
    }
}

fn over(visit: &Visit, file: &FileRecord, phase: Phase) -> Course {
    let life = &file.life;
    let now = visit.record.now;
    let ending = match phase {
        Phase::Due(ending) => Some(ending),
        _ => life.ending,
    };
    let again = life
        .again_until
        .filter(|_| life.state == State::Delivered && life.has_bytes(now));
    let can_again = again.is_some() && now < life.expires_at;
    let (headline, words) = match ending {
        Some(Ending::Delivered) => (delivered_headline(life), "Delivered"),
        Some(Ending::Expired) => ("Expired", expired(file)),
        Some(Ending::Withdrawn) => ("Deleted by you", withdrawn(file)),
        Some(Ending::Exhausted) => (
            "Deleted",
            "Too many downloads were begun and did not reach their end. Deleted",
        ),
        Some(Ending::Lost) => (
            "Lost",
            "The server has lost the file; its operator finds the reason in the log. Noticed",
        ),
        None => ("Gone", "The file is gone. Ended"),
    };
    let behind = match (ending, again) {
        (Some(Ending::Delivered), None) => format!("{}.{}", confirmed(life), follows(life)),
        (Some(Ending::Delivered), Some(until)) => {
            let may = if can_again {
                "; until then you can give it another try"
            } else {
                ""
            };
            format!(
                "{}. The bytes stay until {} so that its recipient can go on{may}.",
                confirmed(life),
                until.http()
            )
        }
        _ => ".".to_owned(),
    };
    let since = match phase {
        Phase::Due(Ending::Expired) => Some(life.expires_at),
        _ => life.ended_at,
    };
    Course {
        headline,
        words: words.to_owned(),
        since: since.map(Into::into),
        behind,
        percent: None,
        is_moving: file.is_alive,
        is_live: false,
        is_delivered: ending == Some(Ending::Delivered),
        can_again,
    }
}

fn delivered_headline(life: &Life) -> &'static str {
    match life.state {
        State::Deleted => "Delivered and deleted",
        _ => "Delivered",
    }
}

/// Who says that it was delivered, as long as that is kept.
fn confirmed(life: &Life) -> &'static str {
    let by_proxy = life.hold.as_ref().map(|hold| hold.behind_proxy);
    match (life.state, by_proxy) {
        (State::Deleted, _) => "",
        (_, Some(true)) => " (confirmed by a proxy: whether somebody else has it, only the proxy knows)",
        (_, Some(false) | None) => " (confirmed by the recipient's system)",
    }
}

/// What becomes of what was delivered and nobody may have again.
fn follows(life: &Life) -> &'static str {
    match life.state {
        State::Deleted => " Somebody else has all of it.",
        _ => " It is about to be deleted here.",
    }
}

/// What others are told of a download that has stopped.
pub(super) fn stopped(visit: &Visit, file: &FileRecord, until: Timestamp) -> String {
    let then = match is_last(visit, file, until) {
        true => "After that it is deleted.",
        false => "After that you can try.",
    };
    let until = until.http();
    format!("Somebody's download has stopped; until {until} only they can go on. {then}")
}

/// Whether nobody else can begin when this lease lapses.
fn is_last(visit: &Visit, file: &FileRecord, until: Timestamp) -> bool {
    file.life.attempts >= visit.shared.terms.attempts || file.life.expires_at <= until
}

fn expired(file: &FileRecord) -> &'static str {
    match (file.is_alive, is_untouched(&file.life)) {
        (true, _) => {
            "A download that was under way is being stopped; whether it was complete will be known soon. Expired"
        }
        (false, true) => "Nobody has downloaded it in time. Expired",
        (false, false) => {
            "Nobody is known to have all of it: downloads were begun and did not reach their end in time. Expired"
        }
    }
}

fn withdrawn(file: &FileRecord) -> &'static str {
    match (file.is_alive, is_untouched(&file.life)) {
        (true, _) => {
            "A download that was under way is being stopped; whether it was complete will be known soon. Deleted"
        }
        (false, true) => "You have deleted it before anybody had it. Deleted",
        (false, false) => {
            "You have deleted it. Nobody is known to have all of it: downloads were begun and did not reach their end. \
             Deleted"
        }
    }
}

fn is_untouched(life: &Life) -> bool {
    life.attempts == 0 && life.interrupted == 0
}

/// What is known about the downloads so far.
fn begun(life: &Life) -> String {
    let failed = match life.attempts {
        0 => None,
        1 => Some("One download was begun and did not reach its end.".to_owned()),
        n => Some(format!("{n} downloads were begun and did not reach their end.")),
    };
    let interrupted = match life.interrupted {
        0 => None,
        1 => Some("One download was interrupted by the server.".to_owned()),
        n => Some(format!("{n} downloads were interrupted by the server.")),
    };
    match (failed, interrupted) {
        (None, None) => "Nobody has downloaded it yet.".to_owned(),
        (Some(words), None) | (None, Some(words)) => words,
        (Some(failed), Some(interrupted)) => format!("{failed} {interrupted}"),
    }
}

/// Never 100 before it is all.
pub(super) fn percent(file: &FileRecord) -> u64 {
    let (progress, size) = (u128::from(file.progress), u128::from(file.life.size.max(1)));
    // No more than 99, so it fits.
    (progress * 100 / size).min(99) as u64
}

/// A time that is left, as people say it: a little more rather than less.
pub(super) fn rest(left: Duration) -> String {
    let seconds = left.as_millis().div_ceil(1000) as u64;
    let unit = match seconds {
        0..60 => 1,
        60..7200 => 60,
        7200..172_800 => 3600,
        _ => 86_400,
    };
    let count = seconds.max(1).div_ceil(unit);
    let unit = match unit {
        1 => "second",
        60 => "minute",
        3600 => "hour",
        _ => "day",
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_left_is_told_in_few_words_and_never_too_short() {
        for (millis, words) in [
            (0, "1 second"),
            (1001, "2 seconds"),
            (59_000, "59 seconds"),
            (60_000, "1 minute"),
            (61_000, "2 minutes"),
            (120_000, "2 minutes"),
            (7_199_000, "120 minutes"),
            (7_200_001, "3 hours"),
            (86_400_000, "24 hours"),
            (200_000_000, "3 days"),
        ] {
            assert_eq!(rest(Duration::from_millis(millis)), words);
        }
    }
}
