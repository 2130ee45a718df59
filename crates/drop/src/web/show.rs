//! The page of a drop: one for its owner, one for everybody else. The same in lines for tools.
//!
//! Invariant: looking changes nothing.

use std::fmt::Write;

use axum::response::Response;
use http::StatusCode;

use crate::catalog::FileRecord;
use crate::config::OwnerRule;
use crate::lifecycle::{Phase, Refused};
use crate::owner::Mark;
use crate::web::answer::{self, Refusal, size_words};
use crate::web::asking::Wants;
use crate::web::offer;
use crate::web::pages::{Choice, ForOwner, ForRecipient, Live, Owned, Waiting};
use crate::web::visit::Visit;
use crate::web::words::{self, PERCENT, course, percent, rest};

pub(super) async fn get(visit: Visit) -> Response {
    show(&visit).unwrap_or_else(|refusal| refusal.answer(visit.asking.wants))
}

pub(super) fn show(visit: &Visit) -> Result<Response, Refusal> {
    Ok(match (visit.owner(), visit.asking.wants) {
        (Some(mark), Wants::Page) => {
            let page = for_owner(visit, mark);
            answer::page(status(page.live.is_some()), &page)
        }
        (Some(mark), Wants::Text) => {
            let page = for_owner(visit, mark);
            answer::text(status(page.live.is_some()), owners_lines(visit, &page))
        }
        (None, Wants::Page) => answer::page(StatusCode::OK, &for_recipient(visit)?),
        (None, Wants::Text) => answer::text(StatusCode::OK, recipients_lines(visit, &for_recipient(visit)?)),
    })
}

fn status(is_live: bool) -> StatusCode {
    if is_live { StatusCode::OK } else { StatusCode::GONE }
}

fn for_recipient(visit: &Visit) -> Result<ForRecipient<'_>, Refusal> {
    let files: Vec<Waiting<'_>> = visit
        .record
        .files
        .iter()
        .map(|file| waiting(visit, file))
        .collect();
    let is_there = |file: &&FileRecord| having(visit, file) != Err(Refused::Gone);
    let there: Vec<&FileRecord> = visit.record.files.iter().filter(is_there).collect();
    if there.is_empty() {
        return Err(offer::gone(visit));
    }
    // What the button for all of them leads to.
    let open = offer::together(visit);
    let left = |file: &&FileRecord| {
        let attempts = visit.shared.terms.attempts;
        attempts.saturating_sub(file.life.attempts).max(1)
    };
    Ok(ForRecipient {
        size: size_words(open.iter().map(|file| file.life.size).sum()),
        open: open.len(),
        expires: there
            .iter()
            .map(|file| file.life.expires_at)
            .min()
            .map(Into::into),
        attempts_left: there.iter().map(left).min().unwrap_or(1),
        path: visit.path(),
        files,
    })
}

/// What the file's button would come to.
fn having(visit: &Visit, file: &FileRecord) -> Result<(), Refused> {
    visit.would_get(file, file.life.size)
}

fn waiting<'a>(visit: &Visit, file: &'a FileRecord) -> Waiting<'a> {
    let holds = visit.holds(file);
    let having = having(visit, file);
    let left = |until: crate::clock::Timestamp| rest(until.after(visit.record.now));
    let note = match (visit.phase(file), holds) {
        (Phase::Ready | Phase::Receiving, _) => None,
        (Phase::Collecting { .. } | Phase::Uncertain, true) if having == Err(Refused::Spent) => {
            Some("Your download was repeated so often that it can only go on where it has stopped.".to_owned())
        }
        (Phase::Collecting { .. }, true) => Some(format!(
            "Your download has come to {}{PERCENT}; you can go on, or start again.",
            percent(file)
        )),
        (Phase::Uncertain, true) => {
            Some("Your download was interrupted at its very end; you can go on, or start again.".to_owned())
        }
        (Phase::Closing { until }, true) => {
            Some(format!("Its time is up. You have {} to come to the end.", left(until)))
        }
        (Phase::Collecting { .. }, false) if file.is_alive => Some(format!(
            "Somebody is downloading it right now ({}{PERCENT}). If that download does not end well, you can try again \
             later.",
            percent(file)
        )),
        (Phase::Collecting { until }, false) => Some(words::stopped(visit, file, until)),
        (Phase::Uncertain, false) => Some(
            "A download was interrupted at its very end, and perhaps it has arrived. Only who began it can go on, unless \
             the sender gives it another try."
                .to_owned(),
        ),
        (Phase::Over, _) if having.is_ok() => file.life.again_until.map(|until| {
            format!("You have downloaded it. If it did not arrive, you can try once more within {}.", left(until))
        }),
        (Phase::Closing { .. } | Phase::Due(_) | Phase::Over, _) => Some("Gone.".to_owned()),
    };
    Waiting {
        number: file.number,
        name: file.name.as_deref(),
        size: size_words(file.life.size),
        note,
        is_open: having.is_ok(),
    }
}

fn for_owner(visit: &Visit, mark: Mark) -> ForOwner<'_> {
    let owned = |file| {
        let file: &FileRecord = file;
        Owned {
            number: file.number,
            name: file.name.as_deref(),
            size: size_words(file.life.size),
            course: course(visit, file),
        }
    };
    let files: Vec<Owned<'_>> = visit.record.files.iter().map(owned).collect();
    let live = || {
        visit
            .record
            .files
            .iter()
            .zip(&files)
            .filter(|(_, owned)| owned.course.is_live)
    };
    let expires = live().map(|(file, _)| file.life.expires_at).max();
    let live = expires.map(|expires| Live {
        link: visit.asking.link(&visit.record.id),
        expires: expires.into(),
        choices: Choice::all(&visit.shared.limits),
        recognised: recognised(mark, visit.record.uploader.is_some(), visit.record.rule),
        count: live().count(),
    });
    ForOwner {
        headline: headline(&files),
        path: visit.path(),
        warning: warning(visit, live.is_some()),
        live,
        is_moving: visit.record.files.iter().any(|file| file.is_alive),
        files,
    }
}

/// The drop in a word.
fn headline(files: &[Owned<'_>]) -> String {
    if let [file] = files {
        return file.course.headline.to_owned();
    }
    let count = |is: fn(&words::Course) -> bool| files.iter().filter(|file| is(&file.course)).count();
    let (live, delivered) = (
        count(|course| course.is_live),
        count(|course| course.is_delivered),
    );
    if count(|course| course.is_live && course.is_moving) > 0 {
        "Being downloaded".to_owned()
    } else if delivered == files.len() {
        "Delivered".to_owned()
    } else if delivered > 0 {
        format!("{delivered} of {} delivered", files.len())
    } else if live > 0 {
        "Ready to share".to_owned()
    } else {
        "Gone".to_owned()
    }
}

/// Why we think that this is the owner, and who else would be.
fn recognised(mark: Mark, address_counts: bool, rule: OwnerRule) -> &'static str {
    match (mark, address_counts) {
        (Mark::Address, _) if rule == OwnerRule::Address => {
            "We know you as the uploader by your address. Everybody at that address counts as the uploader too, and \
             can delete it. Nothing of the address is kept once it is gone, so nobody can tell you then what became of it."
        }
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
fn warning(visit: &Visit, is_live: bool) -> Option<String> {
    let record = &visit.record;
    if let Some(why) = record.unknown_why.as_deref().filter(|_| record.unknown > 0) {
        let downloads = match record.unknown {
            1 => "One download".to_owned(),
            count => format!("{count} downloads"),
        };
        return Some(format!(
            "{downloads} came from an address that could not be determined ({why}) and counted as somebody else's."
        ));
    }
    // It is erased with the bytes.
    let unknown_uploader = is_live && record.rule.uses_address() && record.uploader.is_none();
    unknown_uploader.then(|| {
        "The address of this upload could not be determined, so nobody will be known as its owner by address.".to_owned()
    })
}

/// Writing to a `String` does not fail.
macro_rules! line {
    ($to:expr $(, $($text:tt)*)?) => {{ let _ = writeln!($to $(, $($text)*)?); }};
}

fn recipients_lines(visit: &Visit, page: &ForRecipient<'_>) -> String {
    let mut lines = String::new();
    let is_one = match page.files.as_slice() {
        [file] => {
            line!(
                lines,
                "name:    {}\nsize:    {}",
                file.name.unwrap_or("file"),
                file.size
            );
            if let Some(note) = &file.note {
                line!(lines, "state:   {note}");
            }
            true
        }
        files => {
            for file in files {
                let note = file.note.as_deref().unwrap_or("Waiting.");
                line!(lines, "{}: {note}", listed(file.number, file.name, &file.size));
            }
            line!(lines);
            false
        }
    };
    if let Some(expires) = &page.expires {
        line!(lines, "expires: {}", expires.words);
    }
    let what = if is_one {
        "It can be downloaded once: as soon as you have all of it, it is"
    } else {
        "Each file can be downloaded once: as soon as you have all of one, it is"
    };
    line!(
        lines,
        "\n{what} deleted here. Attempts left: {}.",
        page.attempts_left
    );
    let link = visit.asking.link(&visit.record.id);
    if !is_one && page.open > 1 {
        line!(lines, "\ncurl -OJ {link}/zip");
    }
    for file in page.files.iter().filter(|file| file.is_open) {
        match is_one {
            true => line!(lines, "\ncurl -OJ {link}/raw"),
            false => line!(lines, "curl -OJ {link}/{}/raw", file.number),
        }
    }
    lines
}

/// `2. a.txt, 7 bytes`; names are erased with the bytes.
fn listed(number: u32, name: Option<&str>, size: &str) -> String {
    let name = name.map_or(String::new(), |name| format!("{name}, "));
    format!("{number}. {name}{size}")
}

fn owners_lines(visit: &Visit, page: &ForOwner<'_>) -> String {
    let mut lines = String::new();
    let link = visit.asking.link(&visit.record.id);
    let since = |file: &Owned<'_>| {
        let since = file.course.since.as_ref();
        since.map_or(String::new(), |at| format!(" {}{}", at.words, file.course.behind))
    };
    match (page.files.as_slice(), &page.live) {
        ([file], None) => line!(lines, "{}{}", file.course.words, since(file)),
        ([file], Some(_)) => {
            line!(
                lines,
                "name:    {}\nsize:    {}",
                file.name.unwrap_or("file"),
                file.size
            );
            line!(lines, "state:   {}", file.course.words);
        }
        (files, _) => {
            for file in files {
                let file_line = listed(file.number, file.name, &file.size);
                line!(lines, "{file_line}: {}{}", file.course.words, since(file));
            }
            line!(lines);
        }
    }
    if let Some(live) = &page.live {
        line!(lines, "expires: {}", live.expires.words);
        line!(lines, "\nThis is yours: your downloads do not count.");
    }
    if let Some(warning) = &page.warning {
        line!(lines, "\n{warning}");
    }
    for file in page.files.iter().filter(|file| file.course.can_again) {
        let command = match visit.owner() {
            Some(Mark::Token) => "curl -X POST -H 'Truehop-Owner: SECRET'",
            _ => "curl -X POST",
        };
        line!(lines, "\nAnother try: {command} {link}/{}/again", file.number);
    }
    if page.live.is_some() {
        let all = if page.files.len() == 1 { "raw" } else { "zip" };
        line!(lines, "\ncurl -OJ {link}/{all}");
    }
    lines
}
