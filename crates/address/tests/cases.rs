//! The cases of the contract, one line each, through `resolve` and `explain`.
#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::Value;
use truehop::proxy_protocol::Progress;
use truehop::{Arrival, BadPolicy, Peer, Policy, PolicyConfig, Unresolved};

#[test]
fn every_case_is_answered_as_expected() {
    let (mut passed, mut failures) = (0, Vec::new());
    for line in include_str!("cases/client-address.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        match answer(&case) {
            got if agrees(&got, &case["expect"]) => passed += 1,
            got => failures.push(format!(
                "{}: got {got}, expected {}: {}",
                case["id"], case["expect"], case["why"]
            )),
        }
    }
    assert_eq!(failures, [""; 0]);
    assert_eq!(passed, 300);
}

fn answer(case: &Value) -> Value {
    let Ok(policy) = policy(&case["policy"]) else {
        return serde_json::json!({ "error": "bad-policy" });
    };
    let peer: Peer = case["peer"].as_str().unwrap().parse().unwrap();
    let wire = case["wire_hex"].as_str().map(bytes).unwrap_or_default();
    let arrival = match arrive(&policy, peer, &wire) {
        Ok(arrival) => arrival,
        Err(reason) => return serde_json::json!({ "error": reason.code() }),
    };
    let headers: Vec<(String, String)> = serde_json::from_value(case["headers"].clone()).unwrap();
    let outcome = policy.resolve(arrival, &headers[..]);
    assert_eq!(policy.explain(arrival, &headers[..]).outcome(), outcome);
    match outcome {
        Ok(resolution) => {
            serde_json::json!({ "client": resolution.client().ip(), "port": resolution.client().port() })
        }
        Err(reason) => serde_json::json!({ "error": reason.code() }),
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

/// Feeds the bytes one more at a time, as a slow peer would; the end of the bytes is the end of the connection.
fn arrive(policy: &Policy, peer: Peer, wire: &[u8]) -> Result<Arrival, Unresolved> {
    let Some(preface) = policy.preface(peer).map_err(|refused| refused.reason())? else {
        return Ok(peer.into());
    };
    for have in 0..=wire.len() {
        match preface.feed(&wire[..have]).map_err(|refused| refused.reason())? {
            Progress::Done {
                arrival, consumed, ..
            } => {
                assert!(consumed <= have);
                return Ok(arrival);
            }
            Progress::NeedMore(needed) => assert!(needed > have, "{needed} {have}"),
        }
    }
    Err(Unresolved::BadProxyHeader)
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn agrees(got: &Value, expect: &Value) -> bool {
    expect
        .as_object()
        .unwrap()
        .iter()
        .all(|(key, value)| &got[key] == value)
}
