//! `truehop explain`: the cases of the contract through the binary, and what people and programs read.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

use std::io::Write;
use std::process::{Output, Stdio};
use std::{fs, thread};

use serde_json::Value;
use truehop_e2e::{binary, workspace};

const POLICY: &str = "from = \"x-forwarded-for\"\ntrusted = [\"127.0.0.10\"]";

#[test]
fn every_case_of_the_contract_is_answered_as_expected() {
    let file = workspace().join("crates/address/tests/cases/client-address.jsonl");
    let text = fs::read_to_string(file).unwrap();
    let cases: Vec<&str> = text.lines().collect();
    assert_eq!(cases.len(), 300);
    let output = batch(&cases.join("\n"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answers: Vec<Value> = text_of(&output.stdout).lines().map(parse).collect();
    assert_eq!(answers.len(), cases.len(), "one answer a line");
    let wrong: Vec<String> = (cases.iter().map(|line| parse(line)))
        .zip(&answers)
        .filter(|(case, answer)| !agrees(case, answer))
        .map(|(case, answer)| {
            format!(
                "{answer} instead of {} of {}: {}",
                case["expect"], case["id"], case["why"]
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_line_that_is_no_case_is_told_and_the_run_goes_on() {
    let case =
        r#"{"id": "a", "policy": {"from": "peer"}, "peer": "192.0.2.1:5", "headers": [], "expect": {}}"#;
    let output = batch(&format!("{case}\nnonsense\n{{\"id\": \"b\"}}\n{case}\n"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let answers: Vec<Value> = text_of(&output.stdout).lines().map(parse).collect();
    assert_eq!(answers.len(), 4, "{answers:?}");
    for answer in &answers[1..3] {
        assert_eq!(
            (&answer["id"], &answer["error"]),
            (&Value::Null, &"bad-input".into()),
            "{answer}"
        );
        assert!(answer["detail"].is_string(), "{answer}");
    }
    for answer in [&answers[0], &answers[3]] {
        assert_eq!(
            (&answer["id"], &answer["client"]),
            (&"a".into(), &"192.0.2.1".into()),
            "{answer}"
        );
    }
}

#[test]
fn people_see_a_ladder_that_ends_in_the_client() {
    let output = explain(&[
        "--header",
        "X-Forwarded-For: 198.51.100.7, 203.0.113.9",
        "--policy",
        POLICY,
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let ladder = text_of(&output.stdout);
    let lines: Vec<&str> = ladder.lines().collect();
    assert!(
        lines[0].starts_with("policy   ") && lines[0].contains("x-forwarded-for"),
        "{ladder}"
    );
    assert!(lines.contains(&"client   203.0.113.9"), "{ladder}");
    assert!(ladder.contains("127.0.0.10"), "the peer is a hop: {ladder}");
}

#[test]
fn programs_get_json() {
    let output = explain(&[
        "--json",
        "--header",
        "X-Forwarded-For: 203.0.113.9",
        "--policy",
        POLICY,
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer = parse(&text_of(&output.stdout));
    assert_eq!(answer["client"], "203.0.113.9", "{answer:#}");
    assert_eq!(answer["peer"], "127.0.0.10:5000", "{answer:#}");
    assert!(
        answer["policy"].is_string() && answer["hops"].is_array(),
        "{answer:#}"
    );
}

#[test]
fn no_client_is_an_answer_with_its_reason_and_a_status() {
    let output = explain(&["--policy", POLICY]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text_of(&output.stdout).contains("missing-header"), "{output:?}");
    let output = explain(&["--json", "--policy", POLICY]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        parse(&text_of(&output.stdout))["error"],
        "missing-header",
        "{output:?}"
    );
}

#[test]
fn a_policy_that_cannot_be_is_refused() {
    let output = explain(&[
        "--policy",
        "from = \"x-forwarded-for\"\ntrusted = [\"0.0.0.0/0\"]",
    ]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(text_of(&output.stderr).contains("0.0.0.0/0"), "{output:?}");
}

fn explain(args: &[&str]) -> Output {
    binary()
        .args(["explain", "--peer", "127.0.0.10:5000"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn batch(lines: &str) -> Output {
    let mut command = binary();
    command
        .args(["explain", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, lines) = (child.stdin.take().unwrap(), lines.to_owned());
    // Beside the reading: both pipes are shorter than the cases.
    let writer = thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

fn agrees(case: &Value, answer: &Value) -> bool {
    let expected = case["expect"].as_object().unwrap();
    answer["id"] == case["id"] && expected.iter().all(|(key, value)| &answer[key] == value)
}

#[track_caller]
fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON: {error}: {line}"))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
