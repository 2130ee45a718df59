//! Answers: pages, lines of text, refusals; and the headers that go with each.
//!
//! Invariant: no page runs a script, loads from another place, sits in a frame, is cached, indexed, or tells another
//! site where its reader came from. Our own forms do tell us: by that we know them from those of other sites.

use std::time::Duration;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};

use crate::catalog::CatalogError;
use crate::collection::CollectionError;
use crate::file_drop::Shared;
use crate::intake::IntakeError;
use crate::web::asking::{self, Asking, Wants};
use crate::web::pages::Notice;

const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                           frame-ancestors 'none'";

/// A page that a person reads.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let mut response = (status, html).into_response();
            let headers = response.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            );
            headers.insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(PAGE_POLICY),
            );
            private(response)
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page could not be made\n".to_owned(),
            )
        }
    }
}

/// Lines for a tool.
pub(super) fn text(status: StatusCode, lines: String) -> Response {
    // What axum says of a `String` is text/plain.
    private((status, lines).into_response())
}

/// One paragraph, told as a page or as a line.
pub(super) fn notice(status: StatusCode, title: &str, paragraph: &str, wants: Wants) -> Response {
    match wants {
        Wants::Page => {
            let again = None;
            page(
                status,
                &Notice {
                    title,
                    text: paragraph,
                    again,
                },
            )
        }
        Wants::Text => text(status, format!("{paragraph}\n")),
    }
}

/// On to another page of the drop, for a browser that has sent a form.
pub(super) fn see(path: &str) -> Response {
    let mut response = private(StatusCode::SEE_OTHER.into_response());
    insert(response.headers_mut(), header::LOCATION, path);
    response
}

/// Gives a browser the cookie that makes it the owner of the drop at `path`, which waits so long from now.
pub(super) fn know_owner(
    shared: &Shared,
    asking: &Asking,
    path: &str,
    token: &str,
    wait: Duration,
    headers: &mut HeaderMap,
) {
    // The receipt is for the owner too.
    let age = wait + shared.terms.receipts + Duration::from_secs(60);
    let cookie = format!(
        "{}={token}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={}{}",
        asking::OWNER_COOKIE,
        age.as_secs(),
        if asking.is_https { "; Secure" } else { "" }
    );
    insert(headers, header::SET_COOKIE, &cookie);
}

/// Sets a field to ids, secrets, dates, or an authority that was parsed: all of them are visible ASCII.
pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// For the eyes of one: every answer that depends on who asks.
pub(super) fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex"),
    );
    response
}

/// Why somebody does not get what they asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) text: String,
    retry_after: Option<u64>,
    /// The page to look at again, where waiting may help.
    page: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            title,
            text: text.into(),
            retry_after: None,
            page: None,
        }
    }

    pub(super) fn not_found() -> Self {
        let text = "There is no file at this address. Perhaps the link was not copied whole.";
        Self::new(StatusCode::NOT_FOUND, "No such file", text)
    }

    pub(super) fn gone() -> Self {
        let text = "The file that was here is gone. It was downloaded, its time was up, or it was removed.";
        Self::new(StatusCode::GONE, "Gone", text)
    }

    pub(super) fn all_gone() -> Self {
        let text = "The files that were here are gone. They were downloaded, their time was up, or they were removed.";
        Self::new(StatusCode::GONE, "Gone", text)
    }

    /// What is left of the lease is not known.
    pub(super) fn spent(lease: Duration) -> Self {
        let text = "You have had so much of this download already that it cannot begin again. What is still missing of it \
                    may be had: let the download go on where it has stopped.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Repeated too often", text).after(lease)
    }

    pub(super) fn busy(rest: Duration) -> Self {
        let text =
            "Somebody is downloading this right now. If that does not end well, it can be tried again later.";
        Self::new(StatusCode::LOCKED, "Being downloaded", text).after(rest)
    }

    /// Nobody is downloading; `text` says for how long somebody else may still.
    pub(super) fn stopped(text: &str, rest: Duration) -> Self {
        Self::new(StatusCode::LOCKED, "Waiting for somebody else", text).after(rest)
    }

    pub(super) fn uncertain(rest: Duration) -> Self {
        let text = "A download of this was interrupted at its very end, and perhaps it has arrived. Only who began it can \
                    go on, unless the sender gives it another try.";
        Self::new(StatusCode::LOCKED, "Perhaps downloaded", text).after(rest)
    }

    /// Where somebody who waits may look again.
    pub(super) fn seen_at(self, page: String) -> Self {
        Self {
            page: Some(page),
            ..self
        }
    }

    fn after(self, rest: Duration) -> Self {
        let seconds = rest.as_millis().div_ceil(1000).max(1);
        Self {
            retry_after: Some(u64::try_from(seconds).unwrap_or(u64::MAX)),
            ..self
        }
    }

    pub(super) fn not_yours() -> Self {
        let text = "Only who has uploaded it can do that.";
        Self::new(StatusCode::FORBIDDEN, "Not yours", text)
    }

    pub(super) fn cross_site() -> Self {
        let text = "Another site has sent your browser here. Open the link yourself, then use the button.";
        Self::new(StatusCode::FORBIDDEN, "Not from there", text)
    }

    pub(super) fn not_that_way() -> Self {
        let text = "That cannot be done at this address.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Not that way", text)
    }

    pub(super) fn too_slow() -> Self {
        let text = "The upload was too slow; nothing was kept.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "Too slow", text)
    }

    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That did not work", text)
    }

    pub(super) fn too_large(max_size: u64, several: bool) -> Self {
        let what = if several { "files are together" } else { "file is" };
        let text = format!(
            "The {what} larger than {}, the most that is taken here.",
            size_words(max_size)
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", text)
    }

    pub(super) fn answer(self, wants: Wants) -> Response {
        let mut response = match wants {
            Wants::Page => page(
                self.status,
                &Notice {
                    title: self.title,
                    text: &self.text,
                    again: self.page.as_deref(),
                },
            ),
            Wants::Text => notice(self.status, self.title, &self.text, wants),
        };
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Closed => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Closing",
                "The server is shutting down.",
            ),
            CatalogError::Full(_) => {
                let text = "That cannot be recorded now, because the server's disk is full; nothing was changed. \
                            Try again later.";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "No room", text)
            }
            CatalogError::Died | CatalogError::Broken(_) => broken(&error),
        }
    }
}

impl From<CollectionError> for Refusal {
    fn from(error: CollectionError) -> Self {
        match error {
            CollectionError::Catalog(error) => error.into(),
            CollectionError::Disk(error) => broken(&error),
            CollectionError::Stopped => CatalogError::Closed.into(),
        }
    }
}

impl Refusal {
    pub(super) fn of_intake(error: IntakeError, max_size: u64) -> Self {
        match error {
            IntakeError::Aborted => Self::bad_request("The upload stopped before its end; nothing was kept."),
            IntakeError::TooLarge { several } => Self::too_large(max_size, several),
            IntakeError::Full => full(),
            IntakeError::Catalog(error) => error.into(),
            IntakeError::Disk(error) => broken(&error),
            IntakeError::Random(error) => Self::of_random(error),
        }
    }

    pub(super) fn of_random(error: getrandom::Error) -> Self {
        broken(&error)
    }
}

fn full() -> Refusal {
    let text = "There is no room left on the server; nothing was kept. Try again later.";
    Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "No room", text)
}

fn broken(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "a request failed");
    let text = "The server could not do that. Its operator finds the reason in the log.";
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Something broke", text)
}

/// A size as people read it: `1.5 GiB`.
pub(super) fn size_words(size: u64) -> String {
    match size {
        1 => "1 byte".to_owned(),
        0..1024 => format!("{size} bytes"),
        _ => bytesize::ByteSize(size).display().iec().to_string(),
    }
}
