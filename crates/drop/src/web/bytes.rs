//! The bytes of a drop as a response.
//!
//! Invariant: whatever was uploaded, a browser saves it and never shows or runs it, and nobody on the way keeps a copy.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use truehop_delivery::{Courier, Parcel, ParcelBody, Range};

use crate::name::attachment;
use crate::secret::Secret;
use crate::web::answer::{insert, private};
use crate::web::asking::{self, Asking};
use crate::web::offer::Offer;

/// The bytes that are answered, and the courier that tells how much of them arrived.
pub(super) fn of(offer: &Offer, range: Range, parcel: Parcel, courier: Option<Courier>) -> Response {
    let len = parcel.len();
    let mut response = Response::new(Body::new(ParcelBody::from(parcel.clone())));
    // For a server that has the kernel send files.
    response.extensions_mut().insert(parcel);
    if let Some(courier) = courier {
        response.extensions_mut().insert(courier);
    }
    let headers = response.headers_mut();
    describe(offer, headers);
    headers.insert(header::CONTENT_LENGTH, len.into());
    if let Range::Part { offset, len } = range {
        let part = format!("bytes {offset}-{}/{}", offset + len - 1, offer.body.len());
        insert(headers, header::CONTENT_RANGE, &part);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// What [`of`] would say of the whole, without the bytes.
pub(super) fn head_of(offer: &Offer) -> Response {
    let mut response = Response::new(Body::empty());
    describe(offer, response.headers_mut());
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, offer.body.len().into());
    response
}

/// The client has these bytes already.
pub(super) fn not_modified(offer: &Offer) -> Response {
    let mut response = private(StatusCode::NOT_MODIFIED.into_response());
    let headers = response.headers_mut();
    insert(headers, header::ETAG, &offer.etag);
    // RFC 9110 section 8.6: that of the answer with the bytes, or none. Of an empty body it would be told as 0.
    headers.insert(header::CONTENT_LENGTH, offer.body.len().into());
    response
}

/// There are no such bytes.
pub(super) fn unsatisfiable(offer: &Offer) -> Response {
    let mut response = private(StatusCode::RANGE_NOT_SATISFIABLE.into_response());
    let headers = response.headers_mut();
    insert(headers, header::ETAG, &offer.etag);
    insert(
        headers,
        header::CONTENT_RANGE,
        &format!("bytes */{}", offer.body.len()),
    );
    response
}

/// Tells the recipient by which name to go on: the link for who has nothing else, the cookie for a browser.
pub(super) fn name_collection(
    asking: &Asking,
    offer: &Offer,
    page: &str,
    name: &Secret,
    headers: &mut HeaderMap,
) {
    insert(headers, asking::COLLECTION, name.as_str());
    insert(headers, header::LOCATION, &link(&offer.path, name));
    remember(asking, page, name, headers);
}

/// Where the bytes are for a collection.
pub(super) fn link(path: &str, collection: &Secret) -> String {
    format!("{path}?collection={}", collection.as_str())
}

pub(super) fn remember(asking: &Asking, page: &str, collection: &Secret, headers: &mut HeaderMap) {
    let cookie = format!(
        "{}={}; Path={page}; HttpOnly; SameSite=Lax{}",
        asking::COLLECTION_COOKIE,
        collection.as_str(),
        if asking.is_https { "; Secure" } else { "" }
    );
    insert(headers, header::SET_COOKIE, &cookie);
}

fn describe(offer: &Offer, headers: &mut HeaderMap) {
    let kind = if offer.is_archive {
        "application/zip"
    } else {
        "application/octet-stream"
    };
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::ACCEPT_RANGES, "bytes"),
        // A proxy that buffers would take the bytes long before the recipient does.
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    insert(headers, header::ETAG, &offer.etag);
    // It is ASCII on one line, whatever the name.
    let disposition = HeaderValue::try_from(attachment(&offer.name));
    headers.insert(
        header::CONTENT_DISPOSITION,
        disposition.unwrap_or(HeaderValue::from_static("attachment")),
    );
    if let Some(sha256) = &offer.sha256 {
        // RFC 9530: the recipient can check what arrived.
        let digest = format!("sha-256=:{}:", BASE64.encode(sha256));
        insert(headers, HeaderName::from_static("repr-digest"), &digest);
    }
}
