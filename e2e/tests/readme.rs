//! The README is true to the letter: its commands are run as they stand there, with this test's port and binary.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

use std::fs;
use std::process::{Command, Output};

use truehop_e2e::{Truehop, binary, eventually, files_in, missing, workspace};

#[test]
fn its_three_commands_tell_the_story() {
    if missing(&["curl"]) {
        return;
    }
    let story = block("sh", "link=$(curl ");
    let afterwards = block("sh", "%{http_code}");
    let drop = Truehop::start("");
    let here = tempfile::tempdir().unwrap();
    let shell = |script: &str| {
        let script = script
            .replace("127.0.0.1:8080", &drop.address().to_string())
            .replace("/tmp", ".");
        let script = format!("set -euo pipefail\n{script}");
        let output = Command::new("bash")
            .arg("-c")
            .arg(script)
            .current_dir(here.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        text_of(&output)
    };

    let said = shell(&format!("{story}\necho \"$link\" > link"));
    assert_eq!(said.lines().last(), Some("for your eyes only"), "{said}");
    // People type slower than the delivery is confirmed.
    eventually("410", || {
        (shell(&format!("link=$(cat link)\n{afterwards}")).trim() == "410").then_some(())
    });
    eventually("the bytes to be gone", || {
        files_in(&drop.data().join("files")).is_empty().then_some(())
    });
}

#[test]
fn its_explanation_is_what_explain_says() {
    let command = block("sh", "truehop explain");
    let truehop = binary();
    let script = command.replacen("truehop", &truehop.get_program().to_string_lossy(), 1);
    let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
    assert_eq!(
        text_of(&output).trim_end(),
        block("text", "policy ").trim_end(),
        "{output:?}"
    );
}

/// The fenced block of this language that contains `part`.
#[track_caller]
fn block(language: &str, part: &str) -> String {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let mut blocks = readme
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.split_once('\n'));
    let found = blocks.find(|(of, text)| *of == language && text.contains(part));
    found
        .unwrap_or_else(|| panic!("the README has no {language} block with `{part}`"))
        .1
        .to_owned()
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
