//! What an owner can do to a drop: delete it or a file of it, have it wait longer, give a file another try.
//!
//! Invariant: only the owner can; *unknown* cannot, and no page of another site can for them.

use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::catalog::{FileRecord, Which};
use crate::failpoint;
use crate::lifecycle::{Ending, Phase};
use crate::secret::SecretHash;
use crate::web::answer::{self, Refusal};
use crate::web::asking::{self, Origin, Wants};
use crate::web::offer;
use crate::web::visit::Visit;

/// `POST …/delete` from the owner's page, or `DELETE`.
pub(super) async fn delete(visit: Visit) -> Response {
    let wants = visit.asking.wants;
    let deleted = withdraw(visit).await;
    deleted.unwrap_or_else(|refusal| refusal.answer(wants))
}

async fn withdraw(mut visit: Visit) -> Result<Response, Refusal> {
    permit(&visit)?;
    let (catalog, id) = (&visit.shared.catalog, &visit.record.id);
    let ended = catalog.end(id, visit.which, Ending::Withdrawn).await?;
    failpoint::reached("ended");
    // What is within its grace loses it; its end is known already.
    let has_grace = |file: &FileRecord| file.life.cleared().is_some();
    if ended.is_empty() && !visit.files().any(has_grace) {
        return Err(offer::gone(&visit));
    }
    for number in ended {
        tracing::info!(drop = id.tag(), number, "a file was withdrawn");
        visit.shared.metrics.ending(Ending::Withdrawn);
    }
    visit.shared.work.notify_one();
    visit.refresh().await?;
    let remain = visit.record.files.iter().any(|file| file.life.is_live());
    Ok(match (visit.which, remain) {
        (Which::One(number), true) => done(&visit, "Deleted", &format!("File {number} is deleted.")),
        (Which::One(_), false) => {
            let text = "The file is deleted. Its link leads nowhere now.";
            answer::notice(StatusCode::OK, "Deleted", text, visit.asking.wants)
        }
        (Which::All, _) => {
            let text = match visit.is_single() {
                true => "The file is deleted. Its link leads nowhere now.",
                false => "The files are deleted. Their link leads nowhere now.",
            };
            answer::notice(StatusCode::OK, "Deleted", text, visit.asking.wants)
        }
    })
}

#[derive(Debug, Deserialize)]
struct Wish {
    expires: String,
}

/// Another time to wait until, from now.
pub(super) async fn extend(visit: Visit, request: Request) -> Response {
    let wants = visit.asking.wants;
    let extended = wait_on(visit, request).await;
    extended.unwrap_or_else(|refusal| refusal.answer(wants))
}

async fn wait_on(mut visit: Visit, request: Request) -> Result<Response, Refusal> {
    permit(&visit)?;
    let limits = &visit.shared.limits;
    let asked = asking::expires_of(request.uri(), request.headers(), limits).map_err(Refusal::bad_request)?;
    let wait = match asked {
        Some(wait) => wait,
        None => {
            let form = Form::<Wish>::from_request(request, &()).await;
            let Form(Wish { expires }) =
                form.map_err(|_| Refusal::bad_request("Write how long, as in expires=3d."))?;
            asking::parse_expires(&expires, limits).map_err(Refusal::bad_request)?
        }
    };
    let extended = visit.shared.catalog.extend(&visit.record.id, wait).await?;
    let expires_at = extended.ok_or_else(|| offer::gone(&visit))?;
    tracing::info!(drop = visit.record.id.tag(), "a drop waits until another time");
    // It may be sooner than before.
    visit.shared.work.notify_one();
    visit.refresh().await?;
    let text = format!("It waits until {} now.", expires_at.http());
    let mut response = done(&visit, "Until another time", &text);
    let headers = response.headers_mut();
    answer::insert(headers, asking::EXPIRES, &expires_at.http());
    // The browser must know it as long as the drop is there.
    let is_token = |token: &&str| SecretHash::of(token) == visit.record.token_hash;
    if let (Wants::Page, Some(token)) = (visit.asking.wants, visit.asking.tokens().find(is_token)) {
        answer::know_owner(&visit.shared, &visit.asking, &visit.path(), token, wait, headers);
    }
    Ok(response)
}

/// Another try for a file of which nobody can say whether its recipient has it.
pub(super) async fn again(visit: Visit) -> Response {
    let wants = visit.asking.wants;
    let rearmed = rearm(visit).await;
    rearmed.unwrap_or_else(|refusal| refusal.answer(wants))
}

async fn rearm(visit: Visit) -> Result<Response, Refusal> {
    permit(&visit)?;
    let Which::One(number) = visit.which else {
        return Err(Refusal::not_found());
    };
    if !visit.shared.catalog.rearm(&visit.record.id, number).await? {
        let text = "There is nothing to be tried again: it waits for its recipient, is being downloaded, or is gone.";
        return Err(Refusal::new(StatusCode::CONFLICT, "No other try", text));
    }
    tracing::info!(
        drop = visit.record.id.tag(),
        number,
        "a file was given another try"
    );
    visit.shared.work.notify_one();
    Ok(done(
        &visit,
        "Another try",
        &format!("File {number} can be downloaded once more."),
    ))
}

fn permit(visit: &Visit) -> Result<(), Refusal> {
    // A page that hides where it is may press the other buttons, not these.
    if visit.asking.origin != Origin::Ours {
        return Err(Refusal::cross_site());
    }
    match visit.owner() {
        Some(_) => Ok(()),
        None if is_forgotten(visit) => Err(offer::gone(visit)),
        None => Err(Refusal::not_yours()),
    }
}

/// Whether it is over, and nothing is kept by which its owner could be told from others.
fn is_forgotten(visit: &Visit) -> bool {
    let record = &visit.record;
    let is_over = |file: &FileRecord| matches!(visit.phase(file), Phase::Due(_) | Phase::Over);
    record.rule.uses_address()
        && record.salt.is_none()
        && record.uploader.is_none()
        && visit.files().all(is_over)
}

/// A browser sees the page again, a tool reads a line.
fn done(visit: &Visit, title: &str, text: &str) -> Response {
    match visit.asking.wants {
        Wants::Page => answer::see(&visit.path()),
        Wants::Text => answer::notice(StatusCode::OK, title, text, Wants::Text),
    }
}
