//! The cases of the contract, one line each, through `resolve` and `explain`.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![cfg(feature = "serde")]

use serde_json::Value;
use truehop::{Peer, PolicyConfig};

/// The kinds whose methods this library has; the others belong to methods that the words do not know yet.
const KINDS: [&str; 4] = ["peer-", "hdr-", "cnt-", "cidr-"];

#[test]
fn every_case_of_the_known_methods_is_answered_as_expected() {
    let (mut passed, mut failures) = (0, Vec::new());
    for line in include_str!("cases/client-address.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        if !KINDS.iter().any(|kind| id.starts_with(kind)) {
            continue;
        }
        match answer(&case) {
            got if agrees(&got, &case["expect"]) => passed += 1,
            got => failures.push(format!(
                "{id}: got {got}, expected {}: {}",
                case["expect"], case["why"]
            )),
        }
    }
    assert_eq!(failures, [""; 0]);
    assert_eq!(passed, 12 + 47 + 40 + 93);
}

fn answer(case: &Value) -> Value {
    let policy = match serde_json::from_value::<PolicyConfig>(case["policy"].clone()) {
        Ok(config) => config.build().map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let Ok(policy) = policy else {
        return serde_json::json!({ "error": "bad-policy" });
    };
    let peer: Peer = case["peer"].as_str().unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = serde_json::from_value(case["headers"].clone()).unwrap();
    let outcome = policy.resolve(peer, &headers[..]);
    assert_eq!(policy.explain(peer, &headers[..]).outcome(), outcome);
    match outcome {
        Ok(resolution) => {
            serde_json::json!({ "client": resolution.client().ip(), "port": resolution.client().port() })
        }
        Err(reason) => serde_json::json!({ "error": reason.code() }),
    }
}

fn agrees(got: &Value, expect: &Value) -> bool {
    expect
        .as_object()
        .unwrap()
        .iter()
        .all(|(key, value)| &got[key] == value)
}
