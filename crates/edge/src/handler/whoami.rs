//! Tells a client what the server sees of it, and why.

use std::fmt::Write;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};

use super::Context;
use crate::body::Body;
use crate::page::method_not_allowed;

pub(super) fn handle(request: &Request<Body>, context: &Context<'_>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return method_not_allowed("GET, HEAD", context.id);
    }
    let shared = &context.worker.shared;
    let explanation = context.policy.explain(context.arrival, request.headers());
    let suspicions = shared.detector.suspicions_of(context.resolution.peer());
    let wants_json = request.headers().get_all(ACCEPT).iter().any(|accept| {
        accept
            .as_bytes()
            .windows(b"application/json".len())
            .any(|part| part == b"application/json")
    });
    let (kind, text) = if wants_json {
        let mut json = serde_json::to_value(&explanation).unwrap_or_default();
        json["warnings"] = crate::admin::warnings(&suspicions);
        ("application/json", format!("{json:#}\n"))
    } else {
        let mut text = format!("{explanation}\n");
        for suspicion in suspicions {
            // Writing to a String cannot fail.
            let _ = write!(text, "\nwarning  {suspicion}");
        }
        ("text/plain; charset=utf-8", text)
    };
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
