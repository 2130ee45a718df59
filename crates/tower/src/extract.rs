//! The client as an argument of an axum handler.
//!
//! Invariant: an extractor reads the request's extensions and never a header, so what it gives was resolved.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use truehop::Resolution;

use crate::origin::ClientOrigin;

/// The resolved client of this request, with its evidence.
///
/// Taken from the request's extensions, where [`ClientLayer`](crate::ClientLayer) or the server put it. `Option<Client>`
/// serves routes that stand both inside and outside the layer.
///
/// # Examples
///
/// ```
/// use truehop_tower::Client;
///
/// async fn handler(client: Client) -> String {
///     format!("you are {}, and {} connected to us", client.ip(), client.0.peer())
/// }
/// # let _ = handler;
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client(pub Resolution);

impl Client {
    /// The client's address, IPv4-mapped IPv6 folded to IPv4.
    pub fn ip(&self) -> IpAddr {
        self.0.client().ip()
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = NoResolution;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get().copied().map(Self).ok_or(NoResolution)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get().copied().map(Self))
    }
}

/// All parts are `None` when the client was resolved and nobody who is believed said what it asked for.
impl<S: Sync> FromRequestParts<S> for ClientOrigin {
    type Rejection = NoResolution;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match parts.extensions.get::<Resolution>() {
            Some(_) => Ok(parts.extensions.get().cloned().unwrap_or_default()),
            None => Err(NoResolution),
        }
    }
}

/// Nobody resolved the client of this request: the layer is missing. Answers 500, for the fault is the server's.
///
/// A middleware that needs the client and finds no [`Resolution`] may answer by it too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoResolution;

impl NoResolution {
    /// The status of its response.
    pub fn status(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

impl fmt::Display for NoResolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no client was resolved: add truehop_tower::ClientLayer")
    }
}

impl Error for NoResolution {}

impl IntoResponse for NoResolution {
    fn into_response(self) -> Response {
        (self.status(), self.to_string()).into_response()
    }
}
