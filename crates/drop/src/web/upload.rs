//! Uploading: a form for browsers, `PUT` for tools.
//!
//! Invariant: the answer that names the link is sent when the file is durable, and no other answer leaves anything
//! behind.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};
use truehop_tower::Client;
use truehop_tower::truehop::Resolution;

use crate::file_drop::Shared;
use crate::intake::{Intake, Stored};
use crate::name;
use crate::owner::Token;
use crate::web::answer::{self, Refusal, size_words};
use crate::web::asking::{self, Asking, Origin, Wants};
use crate::web::form;
use crate::web::pace::{Paced, TooSlow};
use crate::web::pages::{Choice, Upload};

/// What a form needs beside its file.
const FORM_OVERHEAD: u64 = 64 * 1024;

pub(super) async fn page(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asking = Asking::of(request.method(), request.uri(), request.headers());
    upload_page(&shared, &asking, None)
}

/// `curl -T FILE https://files.example.org/`
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Client(client): Client,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let asking = Asking::of(&parts.method, &parts.uri, &parts.headers);
    match receive_body(&shared, &client, &parts.uri, &parts.headers, body).await {
        Ok((stored, token)) => created(&shared, &asking, &stored, &token),
        Err(refusal) => refusal.answer(asking.wants),
    }
}

/// The form of the page, or `curl -F file=@FILE https://files.example.org/`
pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    Client(client): Client,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let asking = Asking::of(&parts.method, &parts.uri, &parts.headers);
    let received = match asking.origin {
        Origin::Foreign => Err(Refusal::cross_site()),
        Origin::Ours | Origin::Hidden => match announced(
            &parts.headers,
            shared.limits.max_size.saturating_add(FORM_OVERHEAD),
        ) {
            false => Err(Refusal::too_large(shared.limits.max_size)),
            true => form::receive(&shared, &client, &parts.headers, body).await,
        },
    };
    match (received, asking.wants) {
        (Ok((stored, token)), Wants::Page) => see_file(&shared, &asking, &stored, &token),
        (Ok((stored, token)), Wants::Text) => created(&shared, &asking, &stored, &token),
        (Err(refusal), Wants::Page) if refusal.status == StatusCode::BAD_REQUEST => {
            upload_page(&shared, &asking, Some(&refusal.text))
        }
        (Err(refusal), wants) => refusal.answer(wants),
    }
}

fn upload_page(shared: &Shared, asking: &Asking, error: Option<&str>) -> Response {
    let status = if error.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    let page = Upload {
        error,
        max_size: size_words(shared.limits.max_size),
        choices: Choice::all(&shared.limits),
        site: &asking.site,
        uses_token: shared.recognition.rule.uses_token(),
    };
    answer::page(status, &page)
}

async fn receive_body(
    shared: &Arc<Shared>,
    client: &Resolution,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Stored, Token), Refusal> {
    // RFC 9110 section 14.4: a part must not be taken for the whole.
    if headers.contains_key(header::CONTENT_RANGE) {
        let text = "A file is taken here as a whole; send it without Content-Range.";
        return Err(Refusal::bad_request(text));
    }
    let expires = asking::expires_of(uri, headers, &shared.limits).map_err(Refusal::bad_request)?;
    if !announced(headers, shared.limits.max_size) {
        return Err(Refusal::too_large(shared.limits.max_size));
    }
    let refused = |error| Refusal::of_intake(error, shared.limits.max_size);
    let name = name::clean(&asking::name_in(uri));
    let mut intake = Intake::begin(shared, name, client).map_err(refused)?;
    let mut pieces = Paced::new(body);
    while let Some(piece) = intake.unless_failed(pieces.next()).await.map_err(refused)? {
        match piece {
            Ok(bytes) => intake.write(bytes).await.map_err(refused)?,
            Err(error) => {
                intake.abandon().await;
                return Err(match TooSlow::is(&*error) {
                    true => Refusal::too_slow(),
                    false => Refusal::bad_request("The upload stopped before its end; nothing was kept."),
                });
            }
        }
    }
    intake.finish(expires).await.map_err(refused)
}

/// Whether the announced length, when there is one, is within the limit.
fn announced(headers: &HeaderMap, limit: u64) -> bool {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_none_or(|length| length <= limit)
}

/// For tools: the link is the body, so that a script can take it as it is.
fn created(shared: &Shared, asking: &Asking, stored: &Stored, token: &Token) -> Response {
    let link = asking.link(&stored.id);
    let mut response = answer::text(StatusCode::CREATED, format!("{link}\n"));
    let headers = response.headers_mut();
    insert(headers, header::LOCATION, &link);
    insert(headers, asking::EXPIRES, &stored.expires_at.http());
    if shared.recognition.rule.uses_token() {
        insert(headers, asking::OWNER, token.as_str());
    }
    response
}

/// For browsers: on to the file's page, with the cookie that makes them its owner.
fn see_file(shared: &Shared, asking: &Asking, stored: &Stored, token: &Token) -> Response {
    let mut response = answer::private(StatusCode::SEE_OTHER.into_response());
    let headers = response.headers_mut();
    let path = format!("/d/{}", stored.id);
    insert(headers, header::LOCATION, &path);
    if shared.recognition.rule.uses_token() {
        // The receipt is for the owner too.
        let age =
            stored.expires_at.after(shared.clock.now()) + shared.terms.receipts + Duration::from_secs(60);
        let cookie = format!(
            "{}={}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={}{}",
            asking::COOKIE,
            token.as_str(),
            age.as_secs(),
            if asking.is_https { "; Secure" } else { "" }
        );
        insert(headers, header::SET_COOKIE, &cookie);
    }
    response
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    // Ids, tokens, dates, and an authority that was parsed: all of them are visible ASCII.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
