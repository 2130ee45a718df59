//! The bytes of a file as a response.
//!
//! Invariant: whatever was uploaded, a browser saves it and never shows or runs it, and nobody on the way keeps a copy.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use data_encoding::BASE64;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use truehop_delivery::{FileRegion, Guard, Parcel, ParcelBody};

use crate::catalog::Record;
use crate::collection::Held;
use crate::leash::Leash;
use crate::name::attachment;
use crate::web::show::name_of;

/// The file, and the courier that tells whether it arrived.
pub(super) fn of(record: &Record, file: File, held: Option<Held>) -> Response {
    let mut region = FileRegion::new(Arc::new(file), 0, record.size);
    let mut courier = None;
    if let Some(held) = held {
        let tag = record.id.tag();
        region = region.guarded_by(Arc::new(Leashed {
            tag,
            leash: held.leash,
        }));
        courier = Some(held.courier);
    }
    let parcel = Parcel::from(region);
    let mut response = Response::new(Body::new(ParcelBody::from(parcel.clone())));
    // For a server that has the kernel send it.
    response.extensions_mut().insert(parcel);
    if let Some(courier) = courier {
        response.extensions_mut().insert(courier);
    }
    headers(record, response.headers_mut());
    response
}

/// What [`of`] would say, without the file.
pub(super) fn head_of(record: &Record) -> Response {
    let mut response = Response::new(Body::empty());
    headers(record, response.headers_mut());
    response
}

fn headers(record: &Record, headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::ACCEPT_RANGES, "none"),
        // A proxy that buffers would take the bytes long before the recipient does.
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_LENGTH, record.size.into());
    // It is ASCII on one line, whatever the name.
    let disposition = HeaderValue::try_from(attachment(name_of(record)));
    headers.insert(
        header::CONTENT_DISPOSITION,
        disposition.unwrap_or(HeaderValue::from_static("attachment")),
    );
    if let Some(sha256) = &record.sha256 {
        // RFC 9530: the recipient can check what arrived.
        let digest = format!("sha-256=:{}:", BASE64.encode(sha256));
        if let Ok(digest) = HeaderValue::try_from(digest) {
            headers.insert(HeaderName::from_static("repr-digest"), digest);
        }
    }
}

/// Watches over the bytes of a collection: they stop when it is cut.
#[derive(Debug)]
struct Leashed {
    tag: String,
    leash: Leash,
}

impl Guard for Leashed {
    fn poll_piece(&self, _: u64, _: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(!self.leash.is_cut())
    }

    fn cannot_read(&self, error: &io::Error) {
        tracing::error!(file = self.tag, %error, "a file could not be read while it was sent");
        self.leash.fail();
    }
}
