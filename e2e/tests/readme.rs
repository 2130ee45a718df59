//! The README is true to the letter: its commands are run as they stand there, with this test's port and binary.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use truehop_e2e::{Host, Request, Truehop, binary, blobs_in, eventually, missing, readme, workspace};

#[test]
fn its_three_commands_tell_the_story() {
    if missing(&["curl"]) {
        return;
    }
    let story = readme("sh", "link=$(curl ");
    let afterwards = readme("sh", "%{http_code}");
    let drop = Truehop::start("");
    let here = tempfile::tempdir().unwrap();
    let shell = |script: &str| shell(here.path(), &drop, script);

    let said = shell(&format!("{story}\necho \"$link\" > link"));
    assert_eq!(said.lines().last(), Some("for your eyes only"), "{said}");
    // People type slower than the delivery is confirmed.
    eventually("410", || {
        (shell(&format!("link=$(cat link)\n{afterwards}")).trim() == "410").then_some(())
    });
    eventually("the bytes to be gone", || {
        blobs_in(drop.data()).is_empty().then_some(())
    });
}

#[test]
fn its_commands_for_scripts_do_what_it_says() {
    if missing(&["curl"]) {
        return;
    }
    let drop = Truehop::start("");
    let here = tempfile::tempdir().unwrap();
    let script = readme("sh", "Truehop-Owner");
    let script = format!("echo 'for your eyes only' > note.txt\n{script}\ncat head; echo \"$link\" > link");
    let said = shell(here.path(), &drop, &script);
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("for your eyes only"), "{said}");
    assert!(
        lines.next().is_some_and(|line| line.contains("deleted")),
        "{said}"
    );
    for part in [
        "HTTP/1.1 201 ",
        "location: http://",
        "truehop-owner: ",
        "truehop-expires: ",
    ] {
        assert!(lines.clone().any(|line| line.starts_with(part)), "{part}: {said}");
    }
    // Withdrawn by the second command, and not taken by the first one before it.
    let status = "curl -s -o /dev/null -w '%{http_code}' \"$(cat link)/raw\"";
    assert_eq!(shell(here.path(), &drop, status), "410");
    drop.wait_for_access(&["client=127.0.0.2", "method=DELETE", "status=200"]);
}

#[test]
fn its_statuses_are_what_is_answered() {
    let drop = Truehop::start("[drop]\nmax_size = \"1KiB\"\n");
    let (owner, stranger) = (Host::at(127, 0, 0, 1), Host::at(127, 0, 0, 2));
    let asked = |host: Host, method: &str, path: &str, body: &[u8]| {
        host.send(drop.address(), &Request::new(method, path).body(body))
    };
    let stored = asked(owner, "PUT", "/a?expires=3h", b"a");
    assert_eq!(stored.status, 201);
    let path = stored
        .text()
        .trim_end()
        .replace(&format!("http://{}", drop.address()), "");
    let seen = [
        stored.status,
        asked(owner, "PUT", "/a?expires=soon", b"a").status,
        asked(stranger, "DELETE", &path, b"").status,
        asked(stranger, "GET", "/d/none/raw", b"").status,
        {
            assert_eq!(asked(owner, "DELETE", &path, b"").status, 200);
            asked(stranger, "GET", &format!("{path}/raw"), b"").status
        },
        asked(owner, "PUT", "/a", &[0; 1025]).status,
    ];
    assert_eq!(seen, [201, 400, 403, 404, 410, 413]);
    // 423 and 507 are in `crash.rs` and `bad_input.rs`; all of them are in the table.
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    for status in seen.iter().chain(&[423, 507]) {
        assert!(readme.contains(&format!("\n| `{status}` | ")), "{status}");
    }
}

/// Runs a script of the README with this drop's address.
#[track_caller]
fn shell(directory: &Path, drop: &Truehop, script: &str) -> String {
    let script = script
        .replace("127.0.0.1:8080", &drop.address().to_string())
        .replace("/tmp", ".");
    let output = Command::new("bash")
        .arg("-c")
        .arg(format!("set -euo pipefail\n{script}"))
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    text_of(&output)
}

#[test]
fn its_explanation_is_what_explain_says() {
    let command = readme("sh", "truehop explain");
    let truehop = binary();
    let script = command.replacen("truehop", &truehop.get_program().to_string_lossy(), 1);
    let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        text_of(&output).trim_end(),
        readme("text", "policy ").trim_end(),
        "{output:?}"
    );
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
