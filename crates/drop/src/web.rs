//! The drop over HTTP.
//!
//! Invariant: a GET or HEAD of a page changes nothing; bytes are handed out by [`collect`] only, and by whom is decided
//! from the resolved client and the owner's token, never from a forwarding header.

mod answer;
mod asking;
pub(crate) mod assets;
mod bytes;
mod collect;
mod form;
mod pace;
mod pages;
mod show;
mod upload;
mod withdraw;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use http::{Method, StatusCode};

use crate::file_drop::Shared;
use crate::web::answer::Refusal;
use crate::web::asking::Asking;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(upload::page).post(upload::post).put(upload::put))
        .route(
            "/d/{id}",
            get(show::get).post(collect::post).delete(withdraw::delete),
        )
        .route("/d/{id}/raw", get(collect::get).head(collect::head))
        .route("/d/{id}/delete", post(withdraw::post))
        .route("/assets/{file}", get(assets::get))
        .fallback(elsewhere)
        .with_state(shared)
}

/// `PUT` to a name that no route takes is an upload; there is nothing else here. A name below `/d/` or `/assets/` that
/// looks like a file of ours is not among them: it answers 405.
async fn elsewhere(
    state: axum::extract::State<Arc<Shared>>,
    client: truehop_tower::Client,
    request: Request,
) -> Response {
    if request.method() == Method::PUT {
        return upload::put(state, client, request).await;
    }
    let asking = Asking::of(request.method(), request.uri(), request.headers());
    Refusal::new(
        StatusCode::NOT_FOUND,
        "Nothing here",
        "There is nothing at this address.",
    )
    .answer(asking.wants)
}
