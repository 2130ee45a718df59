//! The cases of the contract, sent through the layer: what the service sees, and what it never gets to see.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower_layer::Layer;
use tower_service::Service;
use truehop::proxy_protocol::Progress;
use truehop::{Arrival, BadPolicy, Peer, Policy, PolicyConfig, Resolution, Unresolved};
use truehop_tower::{ClientLayer, Refused};

#[tokio::test]
async fn every_case_is_answered_as_expected() {
    let failures = failures(arrive).await;
    assert_eq!(failures, [""; 0]);
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn every_case_is_answered_as_expected_when_its_start_is_read_from_a_stream() {
    use std::time::Duration;

    async fn read(policy: &Policy, peer: Peer, wire: &[u8]) -> Result<Arrival, Unresolved> {
        match truehop_tower::read_preface(wire, policy, peer, Duration::from_secs(1)).await {
            Ok((arrival, _)) => Ok(arrival),
            Err(error) => Err(error.reason().unwrap()),
        }
    }
    assert_eq!(failures(read).await, [""; 0]);
}

/// The cases that are answered otherwise; `arrive` makes an arrival of a connection's first bytes.
async fn failures(arrive: impl AsyncFn(&Policy, Peer, &[u8]) -> Result<Arrival, Unresolved>) -> Vec<String> {
    let (mut passed, mut failures) = (0, Vec::new());
    for line in include_str!("../../address/tests/cases/client-address.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let got = match policy(&case["policy"]) {
            Err(_) => json!({ "error": "bad-policy" }),
            Ok(policy) => {
                let peer = case["peer"].as_str().unwrap().parse().unwrap();
                let wire = case["wire_hex"].as_str().map(bytes).unwrap_or_default();
                match arrive(&policy, peer, &wire).await {
                    Err(reason) => json!({ "error": reason.code() }),
                    Ok(arrival) => answer(policy, arrival, &case["headers"]).await,
                }
            }
        };
        let expected = case["expect"].as_object().unwrap();
        match expected.iter().all(|(key, value)| &got[key] == value) {
            true => passed += 1,
            false => failures.push(format!(
                "{}: got {got}, expected {}: {}",
                case["id"], case["expect"], case["why"]
            )),
        }
    }
    assert_eq!(passed + failures.len(), 300);
    failures
}

async fn answer(policy: Policy, arrival: Arrival, headers: &Value) -> Value {
    let mut request = Request::new(());
    request.extensions_mut().insert(arrival);
    for field in headers.as_array().unwrap() {
        let name = HeaderName::from_bytes(field[0].as_str().unwrap().as_bytes()).unwrap();
        let value = HeaderValue::from_bytes(field[1].as_str().unwrap().as_bytes()).unwrap();
        request.headers_mut().append(name, value);
    }
    // What is removed afterwards cannot change the answer.
    let layer = ClientLayer::new(policy).remove_forwarding_headers(true);
    let response = layer.layer(TellsTheClient).call(request).await.unwrap();
    match response.extensions().get::<Refused>() {
        Some(Refused(reason)) => {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            assert_eq!(response.body(), &Value::Null);
            json!({ "error": reason.code() })
        }
        None => response.into_body(),
    }
}

fn policy(words: &Value) -> Result<Policy, BadPolicy> {
    let steps = match words {
        Value::Array(steps) => steps.clone(),
        step => vec![step.clone()],
    };
    // A word that is not known is a bad policy as well.
    let unknown = |_| PolicyConfig::from(truehop::Method::Header).build().unwrap_err();
    let steps = steps
        .into_iter()
        .map(|step| serde_json::from_value::<PolicyConfig>(step).map_err(unknown));
    PolicyConfig::build_steps(steps.collect::<Result<Vec<_>, _>>()?)
}

async fn arrive(policy: &Policy, peer: Peer, wire: &[u8]) -> Result<Arrival, Unresolved> {
    let Some(preface) = policy.preface(peer).map_err(|refused| refused.reason())? else {
        return Ok(peer.into());
    };
    match preface.feed(wire).map_err(|refused| refused.reason())? {
        Progress::Done { arrival, .. } => Ok(arrival),
        // The end of the bytes is the end of the connection.
        Progress::NeedMore(_) => Err(Unresolved::BadProxyHeader),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[derive(Clone)]
struct TellsTheClient;

impl Service<Request<()>> for TellsTheClient {
    type Response = Response<Value>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let client = request.extensions().get::<Resolution>().unwrap().client();
        ready(Ok(Response::new(
            json!({ "client": client.ip(), "port": client.port() }),
        )))
    }
}
