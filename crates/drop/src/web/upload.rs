//! Uploading: a form for browsers, `PUT` for tools.
//!
//! Invariant: the answer that names the link is sent when all files are durable, and no other answer leaves anything
//! behind.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt;
use http::header::{self, HeaderMap};
use http::{StatusCode, Uri};
use truehop_tower::Client;
use truehop_tower::truehop::Resolution;

use crate::config::OwnerRule;
use crate::file_drop::Shared;
use crate::intake::{Received, Upload, Wishes};
use crate::name;
use crate::secret::Secret;
use crate::web::answer::{self, Refusal, insert, size_words};
use crate::web::asking::{self, Asking, Origin, Wants, excerpt};
use crate::web::form;
use crate::web::pace::{Paced, TooSlow};
use crate::web::pages::{self, Choice};

/// What a form needs beside its files.
const FORM_OVERHEAD: u64 = 1024 * 1024;

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
        Ok((received, token)) => created(&asking, &received, &token),
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
        Origin::Ours | Origin::Hidden => {
            receive_form(&shared, &client, &parts.uri, &parts.headers, body).await
        }
    };
    match (received, asking.wants) {
        (Ok((received, token)), Wants::Page) => see_drop(&shared, &asking, &received, &token),
        (Ok((received, token)), Wants::Text) => created(&asking, &received, &token),
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
    let rule = shared.recognition.rule;
    let page = pages::Upload {
        error,
        max_size: size_words(shared.limits.max_size),
        choices: Choice::all(&shared.limits),
        site: &asking.site,
        uses_token: rule.uses_token(),
        may_narrow: rule == OwnerRule::Either,
        is_by_address: rule == OwnerRule::Address,
    };
    answer::page(status, &page)
}

async fn receive_form(
    shared: &Arc<Shared>,
    client: &Resolution,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Received, Secret), Refusal> {
    let limit = shared.limits.max_size;
    if !announced(headers, limit.saturating_add(FORM_OVERHEAD)) {
        let text = format!(
            "That is more than {}, the most that is taken here.",
            size_words(limit)
        );
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", text));
    }
    let wishes = wishes_of(shared, uri, headers)?;
    form::receive(shared, client, headers, wishes, body).await
}

async fn receive_body(
    shared: &Arc<Shared>,
    client: &Resolution,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Received, Secret), Refusal> {
    // RFC 9110 section 14.4: a part must not be taken for the whole.
    if headers.contains_key(header::CONTENT_RANGE) {
        let text = "A file is taken here as a whole; send it without Content-Range.";
        return Err(Refusal::bad_request(text));
    }
    let wishes = wishes_of(shared, uri, headers)?;
    if !announced(headers, shared.limits.max_size) {
        return Err(Refusal::too_large(shared.limits.max_size, false));
    }
    let refused = |error| Refusal::of_intake(error, shared.limits.max_size);
    let mut upload = Upload::begin(shared, client).map_err(refused)?;
    upload
        .file(name::clean(&asking::name_in(uri)))
        .await
        .map_err(refused)?;
    let mut pieces = Paced::new(body);
    while let Some(piece) = upload.unless_failed(pieces.next()).await.map_err(refused)? {
        match piece {
            Ok(bytes) => upload.write(bytes).await.map_err(refused)?,
            Err(error) => {
                upload.abandon().await;
                return Err(match TooSlow::is(&*error) {
                    true => Refusal::too_slow(),
                    false => Refusal::bad_request("The upload stopped before its end; nothing was kept."),
                });
            }
        }
    }
    upload.finish(wishes).await.map_err(refused)
}

/// What the headers and the query want to become of a drop.
fn wishes_of(shared: &Shared, uri: &Uri, headers: &HeaderMap) -> Result<Wishes, Refusal> {
    let wait = asking::expires_of(uri, headers, &shared.limits).map_err(Refusal::bad_request)?;
    Ok(Wishes {
        wait: wait.unwrap_or(shared.limits.expires),
        rule: rule_of(shared, asking::owner_rule_of(uri, headers).as_deref())?,
    })
}

/// The rule for one drop, as somebody has asked for it.
pub(super) fn rule_of(shared: &Shared, asked: Option<&str>) -> Result<OwnerRule, Refusal> {
    shared.recognition.narrowed(asked).ok_or_else(|| {
        let allowed = match shared.recognition.rule {
            OwnerRule::Either => "either, token or address",
            OwnerRule::Token => "token",
            OwnerRule::Address => "address",
        };
        let asked = excerpt(asked.unwrap_or_default());
        Refusal::bad_request(format!(
            "\"{asked}\" is no way to know an owner here; owner can be {allowed}."
        ))
    })
}

/// Whether the announced length, when there is one, is within the limit.
fn announced(headers: &HeaderMap, limit: u64) -> bool {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_none_or(|length| length <= limit)
}

/// For tools: the link is the body, so that a script can take it as it is.
fn created(asking: &Asking, received: &Received, token: &Secret) -> Response {
    let link = asking.link(&received.id);
    let mut response = answer::text(StatusCode::CREATED, format!("{link}\n"));
    let headers = response.headers_mut();
    insert(headers, header::LOCATION, &link);
    insert(headers, asking::EXPIRES, &received.expires_at.http());
    if received.wishes.rule.uses_token() {
        insert(headers, asking::OWNER, token.as_str());
    }
    response
}

/// For browsers: on to the drop's page, with the cookie that makes them its owner.
fn see_drop(shared: &Shared, asking: &Asking, received: &Received, token: &Secret) -> Response {
    let path = format!("/d/{}", received.id);
    let mut response = answer::see(&path);
    if received.wishes.rule.uses_token() {
        let wait = received.wishes.wait;
        answer::know_owner(
            shared,
            asking,
            &path,
            token.as_str(),
            wait,
            response.headers_mut(),
        );
    }
    response
}
