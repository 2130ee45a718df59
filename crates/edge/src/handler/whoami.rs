//! Tells a client what the server sees of it, and why.

use std::fmt::Write;

use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use truehop_http1::Method;

use super::Context;
use crate::body::Body;
use crate::front::HeadFields;
use crate::page::method_not_allowed;

pub(crate) fn handle(context: &Context<'_>) -> Response<Body> {
    let request = context.request;
    if !matches!(request.method(), Method::Get | Method::Head) {
        return method_not_allowed("GET, HEAD", context.id);
    }
    let shared = &context.worker.shared;
    let explanation = context.policy.explain(context.arrival, &HeadFields(request));
    let suspicions = shared.detector.suspicions_of(context.resolution.peer());
    let wants_json = request.lines("accept").any(|accept| {
        accept
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
