//! The page of a file: one for its owner, one for everybody else.
//!
//! Invariant: looking changes nothing.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use truehop_tower::Client;
use truehop_tower::truehop::Resolution;

use crate::catalog::Record;
use crate::file_drop::Shared;
use crate::id::FileId;
use crate::lifecycle::{Ending, Phase, State as FileState};
use crate::owner::{Mark, Verdict};
use crate::web::answer::{self, Refusal, size_words};
use crate::web::asking::{Asking, Wants};
use crate::web::pages::{ForOwner, ForRecipient, Live};

pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Client(client): Client,
    request: Request,
) -> Response {
    let asking = Asking::of(request.method(), request.uri(), request.headers());
    show(&shared, &asking, &id, &client)
        .await
        .unwrap_or_else(|refusal| refusal.answer(asking.wants))
}

pub(super) async fn show(
    shared: &Shared,
    asking: &Asking,
    id: &str,
    client: &Resolution,
) -> Result<Response, Refusal> {
    let record = known(shared, id).await?;
    let verdict = judge(shared, asking, &record, client);
    let phase = record.life.phase(&shared.terms, shared.clock.now());
    Ok(match (phase, verdict, asking.wants) {
        (Phase::Receiving, ..) => return Err(Refusal::not_found()),
        (Phase::Due(_) | Phase::Over, Verdict::Owner(_), Wants::Page) => {
            answer::page(StatusCode::GONE, &owner_of_gone(&record, phase))
        }
        (Phase::Due(_) | Phase::Over, Verdict::Owner(_), Wants::Text) => {
            let page = owner_of_gone(&record, phase);
            let since = page.since.map_or(String::new(), |at| format!(" {}.", at.words));
            answer::text(StatusCode::GONE, format!("{}{since}\n", page.state))
        }
        (Phase::Due(_) | Phase::Over, ..) => return Err(Refusal::gone()),
        (Phase::Closing { .. }, Verdict::Other | Verdict::Unknown(_), _) => return Err(Refusal::gone()),
        (
            Phase::Ready | Phase::Collecting { .. } | Phase::Closing { .. },
            Verdict::Owner(mark),
            Wants::Page,
        ) => answer::page(
            StatusCode::OK,
            &owner_of_live(shared, asking, &record, phase, mark),
        ),
        (Phase::Ready | Phase::Collecting { .. }, _, Wants::Page) => {
            answer::page(StatusCode::OK, &recipient(shared, &record, phase))
        }
        (Phase::Ready | Phase::Collecting { .. } | Phase::Closing { .. }, verdict, Wants::Text) => {
            answer::text(StatusCode::OK, lines(shared, asking, &record, phase, verdict))
        }
    })
}

/// The record of a file that there is, or was and still has a receipt.
pub(super) async fn known(shared: &Shared, id: &str) -> Result<Record, Refusal> {
    let id = FileId::parse(id).ok_or_else(Refusal::not_found)?;
    let record = shared.catalog.find(&id).await?.ok_or_else(Refusal::not_found)?;
    let now = shared.clock.now();
    let forgotten = record
        .ended_at
        .is_some_and(|at| at.plus(shared.terms.receipts) <= now);
    if forgotten || record.life.state == FileState::Receiving {
        return Err(Refusal::not_found());
    }
    Ok(record)
}

pub(super) fn judge(shared: &Shared, asking: &Asking, record: &Record, client: &Resolution) -> Verdict {
    shared.recognition.judge(record.kept(), asking.tokens(), client)
}

fn recipient<'a>(shared: &Shared, record: &'a Record, phase: Phase) -> ForRecipient<'a> {
    ForRecipient {
        name: name_of(record),
        size: size_words(record.size),
        expires: record.life.expires_at.into(),
        attempts_left: attempts_left(shared, record),
        busy: matches!(phase, Phase::Collecting { .. }),
        path: format!("/d/{}", record.id),
    }
}

fn owner_of_live<'a>(
    shared: &Shared,
    asking: &Asking,
    record: &'a Record,
    phase: Phase,
    mark: Mark,
) -> ForOwner<'a> {
    let (headline, state) = state_words(record, phase);
    ForOwner {
        headline,
        state,
        since: None,
        live: Some(Live {
            link: asking.link(&record.id),
            path: format!("/d/{}", record.id),
            name: name_of(record),
            size: size_words(record.size),
            expires: record.life.expires_at.into(),
            recognised: recognised(mark, record.uploader.is_some()),
            warning: warning(shared, record),
        }),
    }
}

/// Why we think that this is the owner, and who else would be.
fn recognised(mark: Mark, address_counts: bool) -> &'static str {
    match (mark, address_counts) {
        (Mark::Token, false) => {
            "We know you as the uploader by a secret that this browser keeps, not by your address."
        }
        (Mark::Token, true) => {
            "We know you as the uploader by a secret that this browser keeps. Everybody at the address that it was \
             uploaded from counts as the uploader too, and can delete it."
        }
        (Mark::Address, _) => {
            "We know you as the uploader by your address. Everybody at that address counts as the uploader too, and \
             can delete it."
        }
    }
}

/// What the owner should know about addresses that were not to be found.
fn warning(shared: &Shared, record: &Record) -> Option<String> {
    if let Some(why) = record.unknown_why.as_deref().filter(|_| record.unknown > 0) {
        return Some(format!(
            "{} download(s) came from an address that could not be determined ({why}) and counted as somebody else's.",
            record.unknown
        ));
    }
    let unknown_uploader = shared.recognition.rule.uses_address() && record.uploader.is_none();
    unknown_uploader.then(|| {
        "The address of this upload could not be determined, so nobody will be known as its owner by address.".to_owned()
    })
}

fn state_words(record: &Record, phase: Phase) -> (&'static str, String) {
    match phase {
        Phase::Collecting { .. } => (
            "Being downloaded",
            "Somebody is downloading it right now.".to_owned(),
        ),
        Phase::Closing { .. } => (
            "Time is up",
            "Its time is up. Somebody who began before that is still downloading it.".to_owned(),
        ),
        _ => ("Ready to share", format!("Waiting. {}", begun_words(record))),
    }
}

/// What is known about the downloads so far.
fn begun_words(record: &Record) -> String {
    let failed = match record.life.attempts {
        0 => None,
        1 => Some("One download was begun and did not reach its end.".to_owned()),
        n => Some(format!("{n} downloads were begun and did not reach their end.")),
    };
    let interrupted = match record.interrupted {
        0 => None,
        1 => Some("One download was interrupted here; whether it was complete is not known.".to_owned()),
        n => Some(format!(
            "{n} downloads were interrupted here; whether they were complete is not known."
        )),
    };
    match (failed, interrupted) {
        (None, None) => "Nobody has downloaded it yet.".to_owned(),
        (Some(words), None) | (None, Some(words)) => words,
        (Some(failed), Some(interrupted)) => format!("{failed} {interrupted}"),
    }
}

fn owner_of_gone(record: &Record, phase: Phase) -> ForOwner<'static> {
    let ending = match phase {
        Phase::Due(ending) => Some(ending),
        _ => record.ending,
    };
    let untouched = record.life.attempts == 0 && record.interrupted == 0;
    let (headline, state) = match ending {
        Some(Ending::Delivered) if record.life.state == FileState::Delivered => (
            "Delivered",
            "Somebody else has all of it; it is about to be deleted here. Delivered",
        ),
        Some(Ending::Delivered) => ("Delivered and deleted", "Somebody else has all of it. Delivered"),
        Some(Ending::Expired) if record.is_alive => (
            "Expired",
            "A download that was under way is being stopped; whether it was complete will be known soon. Expired",
        ),
        Some(Ending::Expired) if untouched => ("Expired", "Nobody has downloaded it in time. Expired"),
        Some(Ending::Expired) => (
            "Expired",
            "Nobody is known to have all of it: downloads were begun and did not reach their end in time. Expired",
        ),
        Some(Ending::Withdrawn) if record.is_alive => (
            "Deleted by you",
            "A download that was under way is being stopped; whether it was complete will be known soon. Deleted",
        ),
        Some(Ending::Withdrawn) if untouched => (
            "Deleted by you",
            "You have deleted it before anybody had it. Deleted",
        ),
        Some(Ending::Withdrawn) => (
            "Deleted by you",
            "You have deleted it. Nobody is known to have all of it: downloads were begun and did not reach their \
             end. Deleted",
        ),
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
    let since = match phase {
        Phase::Due(Ending::Expired) => Some(record.life.expires_at),
        _ => record.ended_at,
    };
    ForOwner {
        headline,
        state: state.to_owned(),
        since: since.map(Into::into),
        live: None,
    }
}

fn lines(shared: &Shared, asking: &Asking, record: &Record, phase: Phase, verdict: Verdict) -> String {
    let mut lines = format!(
        "name:    {}\nsize:    {}\nexpires: {}\n",
        name_of(record),
        size_words(record.size),
        record.life.expires_at.http()
    );
    if let Verdict::Owner(_) = verdict {
        lines += &format!(
            "state:   {}\n\nThis is your file: your downloads do not count.\n",
            state_words(record, phase).1
        );
    } else {
        lines += &format!(
            "\nIt can be downloaded once: as soon as you have all of it, it is deleted here. Attempts left: {}.\n",
            attempts_left(shared, record)
        );
    }
    lines + &format!("\ncurl -OJ {}/raw\n", asking.link(&record.id))
}

fn attempts_left(shared: &Shared, record: &Record) -> u32 {
    shared.terms.attempts.saturating_sub(record.life.attempts).max(1)
}

pub(super) fn name_of(record: &Record) -> &str {
    record.name.as_deref().unwrap_or("file")
}
