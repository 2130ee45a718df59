//! The cases of the contract, sent through the layer: what the service sees, and what it never gets to see.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower_layer::Layer;
use tower_service::Service;
use truehop::{Peer, PolicyConfig, Resolution};
use truehop_tower::{ClientLayer, Refused};

#[tokio::test]
async fn every_case_of_the_known_methods_is_answered_as_expected() {
    let (mut passed, mut failures) = (0, Vec::new());
    for line in include_str!("../../address/tests/cases/client-address.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        if !["peer-", "hdr-", "cnt-", "cidr-"]
            .iter()
            .any(|kind| id.starts_with(kind))
        {
            continue;
        }
        let Ok(config) = serde_json::from_value::<PolicyConfig>(case["policy"].clone()) else {
            assert_eq!(case["expect"]["error"], "bad-policy", "{id}");
            continue;
        };
        let Ok(policy) = config.build() else {
            assert_eq!(case["expect"]["error"], "bad-policy", "{id}");
            continue;
        };
        let mut service = ClientLayer::new(policy).layer(TellsTheClient);
        let response = service.call(request(&case)).await.unwrap();
        let got = match response.extensions().get::<Refused>() {
            Some(Refused(reason)) => {
                assert_eq!(response.status(), StatusCode::BAD_REQUEST);
                json!({ "error": reason.code() })
            }
            None => json!({ "client": response.body() }),
        };
        match case["expect"]
            .as_object()
            .unwrap()
            .iter()
            .all(|(key, value)| &got[key] == value)
        {
            true => passed += 1,
            false => failures.push(format!("{id}: got {got}, expected {}", case["expect"])),
        }
    }
    assert_eq!(failures, [""; 0]);
    assert!(passed > 170, "{passed}");
}

#[tokio::test]
async fn a_request_without_a_peer_is_refused() {
    let mut service = ClientLayer::new(truehop::Policy::peer()).layer(TellsTheClient);
    let response = service.call(Request::new(())).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

fn request(case: &Value) -> Request<()> {
    let mut request = Request::new(());
    request
        .extensions_mut()
        .insert(case["peer"].as_str().unwrap().parse::<Peer>().unwrap());
    for field in case["headers"].as_array().unwrap() {
        let name = HeaderName::from_bytes(field[0].as_str().unwrap().as_bytes()).unwrap();
        let value = HeaderValue::from_bytes(field[1].as_str().unwrap().as_bytes()).unwrap();
        request.headers_mut().append(name, value);
    }
    request
}

#[derive(Clone)]
struct TellsTheClient;

impl Service<Request<()>> for TellsTheClient {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let resolution = request.extensions().get::<Resolution>().unwrap();
        ready(Ok(Response::new(resolution.client().ip().to_string())))
    }
}
