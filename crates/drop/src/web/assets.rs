//! The style sheet, under a name that changes with its content.
//!
//! Invariant: what is served under one name is one content, so that it may be cached for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use http::{StatusCode, header};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("../../assets/style.css");

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| {
    let hash = Sha256::digest(STYLE.as_bytes());
    format!("/assets/style.{}.css", HEXLOWER.encode(&hash[..8]))
});

pub(crate) fn style_path() -> &'static str {
    &STYLE_PATH
}

pub(super) async fn get(Path(file): Path<String>) -> Response {
    if STYLE_PATH.strip_prefix("/assets/") != Some(&file) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, STYLE).into_response()
}
