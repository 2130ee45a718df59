//! The operator's listener: `/metrics`, `/live`, `/ready`.
//!
//! Readiness tells what looks wrong (a proxy that the policy does not know) without ceasing to be ready: a sign is no
//! proof, and taking the service away would be an outage that anybody could cause with one header.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use truehop::Suspicion;

use crate::body::Body;
use crate::edge::Shared;

/// What `/metrics` and `/ready` tell of.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Arc<Registry>,
}

impl Admin {
    pub(crate) fn answer(&self, path: &str) -> Response<Body> {
        let (kind, body) = match path {
            "/live" => ("text/plain; charset=utf-8", "ok\n".to_owned()),
            "/ready" => {
                let warnings = warnings(&self.shared.detector.suspicions());
                (
                    "application/json",
                    format!("{}\n", json!({ "ready": true, "warnings": warnings })),
                )
            }
            "/metrics" => {
                let mut text = String::new();
                match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
                    Ok(()) => ("application/openmetrics-text; version=1.0.0; charset=utf-8", text),
                    Err(error) => {
                        return page(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string());
                    }
                }
            }
            _ => {
                return page(
                    StatusCode::NOT_FOUND,
                    "text/plain",
                    "/metrics, /live or /ready\n".into(),
                );
            }
        };
        page(StatusCode::OK, kind, body)
    }
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Suspicions as JSON, for `/ready` and `/whoami`.
pub(crate) fn warnings(suspicions: &[Suspicion]) -> Value {
    suspicions
        .iter()
        .map(|s| json!({ "code": s.code(), "message": s.to_string() }))
        .collect()
}
