//! Handing out the bytes: `POST` from a button leads to them, `GET` of a raw link or of the archive has them.
//!
//! 1. A page of another site may not press the button.
//! 2. Who only looks ahead gets the page, not the bytes.
//! 3. A condition that fails, and a range that there is not, are answered without any effect.
//! 4. The owner gets the bytes, and nothing hangs on it.
//! 5. Anybody else collects; *unknown* counts as anybody else.
//!
//! Invariant: no other code answers with bytes of a file.

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use truehop_delivery::Range;

use crate::collection::{self, Collection, Wanted};
use crate::owner::Unknown;
use crate::web::answer::{self, Refusal};
use crate::web::asking::Origin;
use crate::web::condition::{Conditions, Outcome};
use crate::web::offer::{self, Offer};
use crate::web::visit::Visit;
use crate::web::{bytes, show};

/// How often it is looked again when something has changed between the look and the claim.
const LOOKS: u32 = 3;

/// The button: on to the bytes of all that remains, or of one file, in a collection.
pub(super) async fn post(visit: Visit) -> Response {
    let wants = visit.asking.wants;
    let led = match (visit.asking.origin, visit.asking.is_preview) {
        (Origin::Foreign, _) => Err(Refusal::cross_site()),
        (_, true) => show::show(&visit),
        _ => lead(&visit),
    };
    led.unwrap_or_else(|refusal| refusal.answer(wants))
}

fn lead(visit: &Visit) -> Result<Response, Refusal> {
    let files = offer::available(visit)?;
    let numbers: Vec<u32> = files.iter().map(|file| file.number).collect();
    let path = match *numbers {
        [only] => format!("{}/{only}/raw", visit.path()),
        _ => format!("{}/zip", visit.path()),
    };
    if visit.owner().is_some() {
        return Ok(answer::see(&path));
    }
    offer::all_of(visit, &numbers)?;
    let mut response = answer::see(&bytes::link(&path, visit.collection()));
    bytes::remember(
        &visit.asking,
        &visit.path(),
        visit.collection(),
        response.headers_mut(),
    );
    Ok(response)
}

/// The bytes of a file; of all of them where the drop is meant.
pub(super) async fn raw(visit: Visit, request: Request) -> Response {
    get(visit, request.headers()).await
}

/// The bytes of all files that remain, as an archive.
pub(super) async fn zip(visit: Visit, request: Request) -> Response {
    match visit.is_single() {
        true => Refusal::not_found().answer(visit.asking.wants),
        false => get(visit, request.headers()).await,
    }
}

async fn get(visit: Visit, headers: &HeaderMap) -> Response {
    let wants = visit.asking.wants;
    let handed = match visit.asking.is_preview {
        true => show::show(&visit),
        false => hand_out(visit, &Conditions::of(headers)).await,
    };
    handed.unwrap_or_else(|refusal| refusal.answer(wants))
}

/// The headers that a `GET` would have; changes nothing.
pub(super) async fn head_raw(visit: Visit, request: Request) -> Response {
    let wants = visit.asking.wants;
    let conditions = Conditions::of(request.headers()).without_range();
    head(&visit, &conditions).unwrap_or_else(|refusal| refusal.answer(wants))
}

pub(super) async fn head_zip(visit: Visit, request: Request) -> Response {
    match visit.is_single() {
        true => Refusal::not_found().answer(visit.asking.wants),
        false => head_raw(visit, request).await,
    }
}

fn head(visit: &Visit, conditions: &Conditions) -> Result<Response, Refusal> {
    if visit.asking.is_preview {
        return show::show(visit);
    }
    let offer = Offer::of(visit)?;
    if visit.owner().is_none() {
        offer::all_of(visit, &offer.numbers)?;
    }
    match conditions.against(&offer.etag, offer.body.len()) {
        Outcome::NotModified => Ok(bytes::not_modified(&offer)),
        Outcome::Failed => Err(failed()),
        Outcome::Answer(_) => Ok(bytes::head_of(&offer)),
    }
}

async fn hand_out(mut visit: Visit, conditions: &Conditions) -> Result<Response, Refusal> {
    visit.shared.metrics.verdict(visit.verdict);
    for _ in 0..LOOKS {
        let offer = Offer::of(&visit)?;
        let range = match conditions.against(&offer.etag, offer.body.len()) {
            Outcome::NotModified => return Ok(bytes::not_modified(&offer)),
            Outcome::Failed => return Err(failed()),
            // Of what has left the drop since, the client has another archive: its parts do not fit to this one.
            Outcome::Answer(_) if offer.is_archive && !offer.is_complete && !conditions.is_pinned() => {
                Range::Whole
            }
            Outcome::Answer(Range::Unsatisfiable) => return Ok(bytes::unsatisfiable(&offer)),
            Outcome::Answer(range) => range,
        };
        let handed = match visit.owner() {
            Some(_) => for_owner(&visit, &offer, range).await?,
            None => for_recipient(&visit, &offer, range).await?,
        };
        if let Some(response) = handed {
            return Ok(response);
        }
        visit.refresh().await?;
    }
    Err(offer::gone(&visit))
}

/// `None` when what was offered is not there any more.
async fn for_owner(visit: &Visit, offer: &Offer, range: Range) -> Result<Option<Response>, Refusal> {
    let body = part_of(offer, range);
    let parcel = collection::open_for_owner(&visit.shared, &visit.record, body).await?;
    Ok(parcel.map(|parcel| bytes::of(offer, range, parcel, None)))
}

/// `None` when what was offered is not there any more.
async fn for_recipient(visit: &Visit, offer: &Offer, range: Range) -> Result<Option<Response>, Refusal> {
    let body = part_of(offer, range);
    let touched: Vec<u32> = body.files().map(|placed| placed.number).collect();
    let offset = match range {
        Range::Part { offset, .. } => offset,
        Range::Whole | Range::Unsatisfiable => 0,
    };
    let beside = offer
        .body
        .files()
        .filter(|placed| !touched.contains(&placed.number));
    let wanted = Wanted {
        body,
        beside: beside
            .map(|placed| (placed.number, placed.begun_at(offset)))
            .collect(),
        is_whole: range == Range::Whole,
        is_archive: offer.is_archive,
        asker: visit.asker(),
        unknown: visit.unknown().map(Unknown::code),
    };
    let handed = match collection::collect(&visit.shared, &visit.record, wanted).await? {
        Collection::Granted(handed) => handed,
        Collection::Busy { rest } => return Err(Refusal::busy(rest).seen_at(visit.path())),
        Collection::Spent => return Err(Refusal::spent(visit.shared.terms.lease).seen_at(visit.path())),
        Collection::Gone => return Ok(None),
    };
    let mut response = bytes::of(offer, range, handed.parcel, Some(handed.courier));
    if let Some(name) = visit.name_of(handed.collection) {
        bytes::name_collection(&visit.asking, offer, &visit.path(), name, response.headers_mut());
    }
    Ok(Some(response))
}

fn part_of(offer: &Offer, range: Range) -> collection::outline::Outline {
    match range {
        Range::Part { offset, len } => offer.body.slice(offset, len),
        Range::Whole | Range::Unsatisfiable => offer.body.clone(),
    }
}

fn failed() -> Refusal {
    let text = "These are other bytes than those that were asked for.";
    Refusal::new(StatusCode::PRECONDITION_FAILED, "Not the same", text)
}
