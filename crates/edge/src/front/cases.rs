//! The cases of the contract, sent through the edge's own way: the bytes of a connection's start, a head on the wire, and
//! what the edge makes of them.

use serde_json::{Value, json};
use truehop::proxy_protocol::Progress;
use truehop::{Arrival, BadPolicy, Peer, Policy, PolicyConfig, Unresolved};
use truehop_http1::{Limits, RequestHead, Rewrite};

use super::{Decision, Record, decide};
use crate::config::{EdgeConfig, ListenConfig, RouteConfig};
use crate::edge::Edge;
use crate::server::Worker;

#[test]
fn every_case_is_answered_as_expected() {
    let (mut passed, mut failures) = (0, Vec::new());
    for line in include_str!("../../../address/tests/cases/client-address.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let got = match policy(&case["policy"]) {
            Err(_) => json!({ "error": "bad-policy" }),
            Ok(policy) => {
                let peer = case["peer"].as_str().unwrap().parse().unwrap();
                let start = case["wire_hex"].as_str().map(bytes).unwrap_or_default();
                match arrive(&policy, peer, &start) {
                    Err(reason) => json!({ "error": reason.code() }),
                    Ok(arrival) => answer(policy, arrival, &case),
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
    assert_eq!(failures, [""; 0]);
    assert_eq!(passed, 300);
}

/// What the edge knows of the client when it decides, and what an upstream would be told.
fn answer(policy: Policy, arrival: Arrival, case: &Value) -> Value {
    let mut text = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for field in case["headers"].as_array().unwrap() {
        let (name, value) = (field[0].as_str().unwrap(), field[1].as_str().unwrap());
        text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    let mut head = RequestHead::default();
    if head.parse(&text, &Limits::default()).is_err() {
        // What is no HTTP does not come as far as a policy.
        return json!({ "error": Unresolved::Malformed.code() });
    }
    let worker = worker(policy);
    let mut record = Record::new(&worker, arrival.peer(), "GET");
    let mut outward = Rewrite::default();
    let decision = decide(
        &worker,
        arrival,
        false,
        head.view(&text),
        &mut outward,
        &mut record.line,
    );
    match record.line.client {
        Err(reason) => {
            assert!(matches!(decision, Decision::Answer(page) if page.status() == 400));
            json!({ "error": reason.unwrap().code() })
        }
        Ok(resolution) => {
            assert!(matches!(decision, Decision::Forward(_)));
            let client = resolution.client();
            let told: Vec<u8> = outward.pieces(&text).flatten().copied().collect();
            let line = format!("\r\nX-Real-IP: {}\r\n", client.ip());
            assert!(told.windows(line.len()).any(|window| window == line.as_bytes()));
            json!({ "client": client.ip(), "port": client.port() })
        }
    }
}

fn worker(policy: Policy) -> Worker {
    let config = EdgeConfig {
        listen: vec![ListenConfig::parse("127.0.0.1:0").unwrap()],
        workers: 1,
        client: policy,
        routes: vec![RouteConfig {
            proxy: Some(vec!["http://127.0.0.1:1".into()]),
            ..RouteConfig::default()
        }],
        timeouts: Default::default(),
        limits: Default::default(),
        forwarded: true,
        access_log: false,
        admin: None,
    };
    Worker::new(Edge::new(config, Vec::new()).unwrap().shared, None)
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

fn arrive(policy: &Policy, peer: Peer, start: &[u8]) -> Result<Arrival, Unresolved> {
    let Some(preface) = policy.preface(peer).map_err(|refused| refused.reason())? else {
        return Ok(peer.into());
    };
    match preface.feed(start).map_err(|refused| refused.reason())? {
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
