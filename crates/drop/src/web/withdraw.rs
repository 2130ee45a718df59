//! Taking a file back.
//!
//! Invariant: only the owner can; *unknown* cannot.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use truehop_tower::Client;
use truehop_tower::truehop::Resolution;

use crate::file_drop::Shared;
use crate::lifecycle::Ending;
use crate::owner::Verdict;
use crate::web::answer::{self, Refusal};
use crate::web::asking::{Asking, Origin};
use crate::web::show;

/// The button of the owner's page.
pub(super) async fn post(
    state: State<Arc<Shared>>,
    path: Path<String>,
    client: Client,
    request: Request,
) -> Response {
    delete(state, path, client, request).await
}

pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Client(client): Client,
    request: Request,
) -> Response {
    let asking = Asking::of(request.method(), request.uri(), request.headers());
    match withdraw(&shared, &asking, &id, &client).await {
        Ok(()) => {
            let text = "The file is deleted. Its link leads nowhere now.";
            answer::notice(StatusCode::OK, "Deleted", text, asking.wants)
        }
        Err(refusal) => refusal.answer(asking.wants),
    }
}

async fn withdraw(shared: &Shared, asking: &Asking, id: &str, client: &Resolution) -> Result<(), Refusal> {
    // A page that hides where it is may press the other buttons, not this one.
    if asking.origin != Origin::Ours {
        return Err(Refusal::cross_site());
    }
    let record = show::known(shared, id).await?;
    let Verdict::Owner(_) = show::judge(shared, asking, &record, client) else {
        let text = "Only who has uploaded the file can delete it.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "Not yours", text));
    };
    let now = shared.clock.now();
    if !shared.catalog.end(&record.id, Ending::Withdrawn, now).await? {
        return Err(Refusal::gone());
    }
    tracing::info!(file = record.id.tag(), "a file was withdrawn");
    shared.metrics.ending(Ending::Withdrawn);
    shared.work.notify_one();
    Ok(())
}
