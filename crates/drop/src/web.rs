//! The drop over HTTP.
//!
//! Invariant: a GET or HEAD of a page changes nothing; bytes are handed out by [`collect`] only, and by whom is decided
//! from the resolved client and the secrets that are shown, never from a forwarding header.

mod acts;
mod answer;
mod asking;
pub(crate) mod assets;
mod bytes;
mod collect;
mod condition;
mod form;
mod offer;
mod pace;
mod pages;
mod show;
mod upload;
mod visit;
mod words;

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
        .route("/d/{id}", get(show::get).post(collect::post).delete(acts::delete))
        .route("/d/{id}/raw", get(collect::raw).head(collect::head_raw))
        .route("/d/{id}/zip", get(collect::zip).head(collect::head_zip))
        .route("/d/{id}/delete", post(acts::delete))
        .route("/d/{id}/expires", post(acts::extend))
        .route(
            "/d/{id}/{number}",
            get(show::get).post(collect::post).delete(acts::delete),
        )
        .route("/d/{id}/{number}/raw", get(collect::raw).head(collect::head_raw))
        .route("/d/{id}/{number}/delete", post(acts::delete))
        .route("/d/{id}/{number}/again", post(acts::again))
        .route("/assets/{file}", get(assets::get))
        .fallback(elsewhere)
        .method_not_allowed_fallback(not_that_way)
        .with_state(shared)
}

/// `PUT` to a name that no route takes is an upload; there is nothing else here. A name below `/d/` or `/assets/` that
/// looks like one of ours is not among them: it answers 405.
async fn elsewhere(
    state: axum::extract::State<Arc<Shared>>,
    client: truehop_tower::Client,
    request: Request,
) -> Response {
    if request.method() == Method::PUT {
        return upload::put(state, client, request).await;
    }
    let asking = asking_of(&request);
    Refusal::new(
        StatusCode::NOT_FOUND,
        "Nothing here",
        "There is nothing at this address.",
    )
    .answer(asking.wants)
}

/// The router adds which methods there are.
async fn not_that_way(request: Request) -> Response {
    Refusal::not_that_way().answer(asking_of(&request).wants)
}

fn asking_of(request: &Request) -> Asking {
    Asking::of(request.method(), request.uri(), request.headers())
}
