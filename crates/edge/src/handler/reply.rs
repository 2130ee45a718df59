//! A fixed answer, such as a redirect.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use truehop_http1::Method;

use super::Context;
use crate::body::Body;
use crate::config::{BadConfig, Key, ReplyConfig};
use crate::page::method_not_allowed;

#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    location: Option<HeaderValue>,
    body: Bytes,
}

impl Reply {
    pub(crate) fn new(config: &ReplyConfig, at: &[Key]) -> Result<Self, BadConfig> {
        let under = |key| [at, &[Key::Name(key)]].concat();
        let code = config
            .status
            .unwrap_or(if config.location.is_some() { 302 } else { 200 });
        let status = StatusCode::from_u16(code)
            .ok()
            .filter(|_| (200..600).contains(&code))
            .ok_or_else(|| {
                BadConfig::new(
                    &under("status"),
                    format!("{code} is no final status"),
                    "write a number from 200 to 599",
                )
            })?;
        let has_body = config.body.as_ref().is_some_and(|body| !body.is_empty());
        if has_body && matches!(code, 204 | 205 | 304) {
            return Err(BadConfig::new(
                &under("body"),
                format!("an answer {code} has no body"),
                "remove it",
            ));
        }
        let location = match &config.location {
            None => None,
            Some(location) => Some(HeaderValue::try_from(location).map_err(|_| {
                BadConfig::new(
                    &under("location"),
                    format!("{location:?} is no location"),
                    "write a URL or a path",
                )
            })?),
        };
        Ok(Self {
            status,
            location,
            body: config.body.clone().unwrap_or_default().into(),
        })
    }

    pub(crate) fn handle(&self, context: &Context<'_>) -> Response<Body> {
        // A success would tell who sends something that it has arrived.
        if self.status.is_success() && !matches!(context.request.method(), Method::Get | Method::Head) {
            return method_not_allowed("GET, HEAD", context.id);
        }
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        if !self.body.is_empty() {
            response.headers_mut().insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
        }
        if let Some(location) = &self.location {
            response.headers_mut().insert(LOCATION, location.clone());
        }
        response
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reply {}", self.status.as_u16())?;
        match self.location.as_ref().and_then(|location| location.to_str().ok()) {
            Some(location) => write!(f, " {location}"),
            None => Ok(()),
        }
    }
}
