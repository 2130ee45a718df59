//! Handing out the bytes: `POST` from the page's button, or `GET` of the raw link.
//!
//! 1. A page of another site may not press the button.
//! 2. Who only looks ahead gets the page, not the bytes.
//! 3. The owner gets the bytes, and nothing hangs on it.
//! 4. Anybody else collects; *unknown* counts as anybody else.
//!
//! Invariant: no other code answers with bytes of a file.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use truehop_tower::Client;
use truehop_tower::truehop::Resolution;

use crate::catalog::{Recipient, Record};
use crate::collection::{self, Collection};
use crate::file_drop::Shared;
use crate::lifecycle::{Admission, Phase};
use crate::owner::Verdict;
use crate::web::answer::Refusal;
use crate::web::asking::{Asking, Origin};
use crate::web::{bytes, show};

pub(super) async fn post(
    state: State<Arc<Shared>>,
    path: Path<String>,
    client: Client,
    request: Request,
) -> Response {
    get(state, path, client, request).await
}

pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Client(client): Client,
    request: Request,
) -> Response {
    let asking = Asking::of(request.method(), request.uri(), request.headers());
    let answered = match (asking.origin, asking.is_preview) {
        (Origin::Foreign, _) => Err(Refusal::cross_site()),
        (_, true) => show::show(&shared, &asking, &id, &client).await,
        _ => hand_out(&shared, &asking, &id, &client).await,
    };
    answered.unwrap_or_else(|refusal| refusal.answer(asking.wants))
}

/// The headers that a `GET` would have; changes nothing.
pub(super) async fn head(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Client(client): Client,
    request: Request,
) -> Response {
    let asking = Asking::of(request.method(), request.uri(), request.headers());
    let answered = async {
        if asking.is_preview {
            return show::show(&shared, &asking, &id, &client).await;
        }
        let record = show::known(&shared, &id).await?;
        match show::judge(&shared, &asking, &record, &client) {
            Verdict::Owner(_) => is_there(&shared, &record)?,
            Verdict::Other | Verdict::Unknown(_) => {
                admission(&shared, &record, &client)?;
            }
        }
        Ok(bytes::head_of(&record))
    };
    answered
        .await
        .unwrap_or_else(|refusal: Refusal| refusal.answer(asking.wants))
}

async fn hand_out(
    shared: &Arc<Shared>,
    asking: &Asking,
    id: &str,
    client: &Resolution,
) -> Result<Response, Refusal> {
    let record = show::known(shared, id).await?;
    let verdict = show::judge(shared, asking, &record, client);
    shared.metrics.verdict(verdict);
    let unknown = match verdict {
        Verdict::Owner(_) => {
            is_there(shared, &record)?;
            let file = collection::open(shared, &record.id)
                .await?
                .ok_or_else(Refusal::gone)?;
            return Ok(bytes::of(&record, file, None));
        }
        Verdict::Other => None,
        Verdict::Unknown(reason) => Some(reason.code()),
    };
    admission(shared, &record, client)?;
    let recipient = Recipient {
        digest: record
            .salt
            .as_ref()
            .and_then(|salt| shared.recognition.digest(salt, client)),
        behind_proxy: client.peer_is_trusted() && client.depth() > 0,
        unknown,
    };
    match collection::collect(shared, &record.id, recipient).await? {
        Collection::Granted { file, held } => Ok(bytes::of(&record, file, held)),
        Collection::Busy { rest } => Err(Refusal::busy(rest)),
        Collection::Gone => Err(Refusal::gone()),
    }
}

fn is_there(shared: &Shared, record: &Record) -> Result<(), Refusal> {
    match record.life.phase(&shared.terms, shared.clock.now()) {
        Phase::Ready | Phase::Collecting { .. } | Phase::Closing { .. } => Ok(()),
        Phase::Receiving | Phase::Due(_) | Phase::Over => Err(Refusal::gone()),
    }
}

/// What the catalog would say now. It decides again, by itself, before bytes are handed out.
fn admission(shared: &Shared, record: &Record, client: &Resolution) -> Result<(), Refusal> {
    let digest = record
        .salt
        .as_ref()
        .and_then(|salt| shared.recognition.digest(salt, client));
    let same = matches!((&record.recipient, &digest), (Some(first), Some(now)) if first.is(now));
    let now = shared.clock.now();
    match record.life.admit(&shared.terms, now, same) {
        Admission::Lease { .. } | Admission::Again => Ok(()),
        Admission::Busy { until } => Err(Refusal::busy(until.after(now))),
        Admission::Gone => Err(Refusal::gone()),
    }
}
