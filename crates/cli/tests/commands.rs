//! The commands as a person sees them: arguments in; standard output, standard error and exit status out.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop and say where"
)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The binary that is shipped, as `cargo xtask test` has built it, or the one that Cargo built for this test.
fn binary() -> PathBuf {
    env::var_os("TRUEHOP_BIN").map_or_else(|| env!("CARGO_BIN_EXE_truehop").into(), PathBuf::from)
}

/// The binary in a directory of its own, where no `truehop.toml` is.
fn truehop(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .current_dir(directory)
        .env("XDG_DATA_HOME", directory.join("share"))
        // Whatever is set must change nothing.
        .env("RUST_LOG", "off");
    command
}

fn output(directory: &TempDir, args: &[&str]) -> (i32, String, String) {
    told(truehop(directory.path(), args).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn is_empty(directory: &TempDir) -> bool {
    fs::read_dir(directory.path()).unwrap().next().is_none()
}

#[test]
fn help_names_the_commands_and_the_exit_statuses() {
    let place = place();
    let (status, stdout, _) = output(&place, &["--help"]);
    assert_eq!(status, 0);
    for part in [
        "check",
        "explain",
        "--listen",
        "64  ",
        "69  ",
        "70  ",
        "73  ",
        "78  ",
        "Examples:",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    let (status, stdout, _) = output(&place, &["--version"]);
    assert_eq!(
        (status, stdout.as_str()),
        (0, concat!("truehop ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    let (status, _, stderr) = output(&place, &["run", "--lisen", "a"]);
    assert_eq!(status, 64);
    assert!(stderr.contains("--listen"), "{stderr}");
}

/// The lines of the examples in a help text, each with its continuations.
fn examples(help: &str) -> Vec<String> {
    let (_, after) = help.split_once("Examples:\n").unwrap();
    let (block, _) = after.split_once("\n\n").unwrap();
    let joined = block.replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("truehop"));
    // What follows two blanks explains.
    lines
        .map(|line| {
            line.split_once("  ")
                .filter(|(_, rest)| !rest.contains("--"))
                .map_or(line, |(command, _)| command)
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_examples_of_every_help_are_true() {
    let place = place();
    fs::write(place.path().join("truehop.toml"), "listen = [\"127.0.0.1:0\"]\n").unwrap();
    fs::write(
        place.path().join("cases.jsonl"),
        "{\"id\":\"a\",\"policy\":{\"from\":\"peer\"},\"peer\":\"1.2.3.4:5\",\"headers\":[]}\n",
    )
    .unwrap();
    let mut run = 0;
    for help in [
        &["--help"][..],
        &["explain", "--help"],
        &["drop", "--help"],
        &["probe", "--help"],
    ] {
        let (status, stdout, _) = output(&place, help);
        assert_eq!(status, 0);
        for example in examples(&stdout) {
            // Those that would serve, or need a drop, are asked for their help, which reads the line all the same.
            let serves = !example.contains(" check ") && !example.contains(" explain ");
            let script = example.replacen("truehop", &binary().display().to_string(), 1);
            let script = if serves { script + " --help" } else { script };
            let output = Command::new("bash")
                .args(["-c", &script])
                .current_dir(place.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{example}: {output:?}");
            run += 1;
        }
    }
    assert_eq!(run, 16);
}

#[test]
fn the_help_of_check_says_what_it_does_not_look_at() {
    let (_, stdout, _) = output(&place(), &["check", "--help"]);
    let words = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["ports are free", "data directory", "locked it"] {
        assert!(words.contains(part), "{part}: {stdout}");
    }
    // And it does not: what would stop `run` passes.
    let place = place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "listen = [\"{}\"]\n[drop]\ndata = \"/dev/null/no\"\n",
        taken.local_addr().unwrap()
    );
    fs::write(place.path().join("truehop.toml"), text).unwrap();
    assert_eq!(output(&place, &["check"]).0, 0);
}

#[test]
fn data_for_a_drop_that_no_route_leads_to_is_a_usage_error() {
    let place = place();
    fs::write(
        place.path().join("truehop.toml"),
        "listen = [\"127.0.0.1:0\"]\n[[route]]\nto = \"whoami\"\n",
    )
    .unwrap();
    let (status, stdout, stderr) = output(&place, &["run", "--data", "data"]);
    assert_eq!((status, stdout.as_str()), (64, ""));
    assert!(
        stderr.contains("--data") && stderr.contains("to = \"drop\"") && stderr.contains("truehop.toml"),
        "{stderr}"
    );
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn the_banner_tells_the_real_port_of_the_operators_listener() {
    let place = place();
    fs::write(
        place.path().join("truehop.toml"),
        "listen = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n",
    )
    .unwrap();
    let server = Server::start(place.path(), &[]);
    let admin = server
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("admin:   http://"));
    let address: SocketAddr = admin.unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"),
        "{answer}"
    );
    assert_eq!(server.stop("-TERM").0, 0);
}

/// What standard error has after one request with a forged header, with `RUST_LOG=off`.
fn warnings_of(args: &[&str]) -> String {
    let place = place();
    let server = Server::start(
        place.path(),
        &[&["run", "--listen", "127.0.0.1:0"], args].concat(),
    );
    let (_, address) = server.lines[1].split_once("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /whoami HTTP/1.1\r\nHost: a\r\nX-Real-IP: 1.2.3.4\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.stop_with_stderr()
}

#[test]
fn an_access_log_that_nobody_reads_does_not_keep_it_from_stopping() {
    let place = place();
    let mut server = Server::start(place.path(), &["run", "--listen", "127.0.0.1:0"]);
    let (_, address) = server.lines[1].split_once("http://").unwrap();
    // More than a pipe holds.
    let path = format!("/whoami/{}", "x".repeat(1000));
    for _ in 0..150 {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let end = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            server.child.kill().unwrap();
            panic!("it does not stop");
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_suspected_proxy_is_told_whatever_the_environment_says() {
    for args in [&[][..], &["--verbose"]] {
        let stderr = warnings_of(args);
        assert!(
            stderr.contains("WARN") && stderr.contains("x-real-ip"),
            "{stderr}"
        );
    }
}

#[test]
fn check_shows_what_a_sound_file_means_and_makes_nothing() {
    let place = place();
    let (status, stdout, stderr) = output(&place, &["check"]);
    assert_eq!(
        (status, stdout.as_str(), stderr.as_str()),
        (
            0,
            "built-in defaults: ok\n\
             listen:  http://127.0.0.1:8080\n\
             clients: from the socket; no header is believed\n\
             route:   /whoami -> whoami\n\
             route:   / -> drop\n",
            ""
        )
    );
    assert!(is_empty(&place));

    let text =
        "listen = [\"127.0.0.1:0\"]\n[client]\nfrom = \"x-forwarded-for\"\ntrusted = [\"192.168.0.0/24\"]\n";
    fs::write(place.path().join("truehop.toml"), text).unwrap();
    let (status, stdout, _) = output(&place, &["check"]);
    assert_eq!(status, 0);
    assert!(stdout.starts_with("truehop.toml: ok\n"), "{stdout}");
    assert!(
        stdout.contains("\nclients: x-forwarded-for, trusted 192.168.0.0/24\n"),
        "{stdout}"
    );
}

#[test]
fn a_fault_in_the_file_stops_every_command_with_78_before_anything_is_made() {
    let place = place();
    fs::write(place.path().join("bad.toml"), "[client]\nform = \"peer\"\n").unwrap();
    for args in [
        &["check", "--config", "bad.toml"][..],
        &["run", "--config", "bad.toml"],
        &["--config", "bad.toml"],
        &["explain", "--peer", "unix", "--config", "bad.toml"],
        &["run", "--config", "missing.toml"],
    ] {
        let (status, stdout, stderr) = output(&place, args);
        assert_eq!((status, stdout.as_str()), (78, ""), "{args:?}");
        assert!(
            stderr.contains("bad.toml:2:1") || stderr.contains("missing.toml: cannot be read"),
            "{stderr}"
        );
        assert!(!stderr.contains('\x1b'), "colours where no terminal is: {stderr}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_port_in_use_is_69_and_makes_no_data_directory() {
    let place = place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, stdout, stderr) = output(&place, &["run", "--listen", &address]);
    assert_eq!((status, stdout.as_str()), (69, ""));
    assert!(
        stderr.contains(&address) && stderr.contains("address already in use"),
        "{stderr}"
    );
    assert!(is_empty(&place));
}

#[test]
fn a_data_directory_that_cannot_be_made_is_73_and_names_the_cure() {
    let place = place();
    fs::write(place.path().join("file"), "").unwrap();
    let (status, stdout, stderr) = output(&place, &["run", "--listen", "127.0.0.1:0", "--data", "file"]);
    assert_eq!((status, stdout.as_str()), (73, ""));
    assert!(
        stderr.contains("file") && stderr.contains("--data DIR"),
        "{stderr}"
    );
}

/// A server, and what it prints.
struct Server {
    child: Child,
    lines: Vec<String>,
}

impl Server {
    fn start(directory: &Path, args: &[&str]) -> Self {
        let mut command = truehop(directory, args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.as_mut().unwrap();
        let mut lines = Vec::new();
        // Line by line and without reading ahead, so that the rest is still there at the end.
        for line in BufReader::with_capacity(1, stdout).lines() {
            lines.push(line.unwrap());
            if lines.last().unwrap() == "ready" {
                break;
            }
        }
        Self { child, lines }
    }

    fn stop(self, signal: &str) -> (i32, String) {
        let (status, stdout, _) = self.end(signal);
        (status, stdout)
    }

    fn stop_with_stderr(self) -> String {
        self.end("-TERM").2
    }

    fn end(self, signal: &str) -> (i32, String, String) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        told(self.child.wait_with_output().unwrap())
    }
}

#[test]
fn run_tells_what_it_serves_and_ends_well_at_a_signal() {
    for signal in ["-TERM", "-INT"] {
        let place = place();
        let server = Server::start(place.path(), &["--listen", "127.0.0.1:0"]);
        let lines: Vec<&str> = server.lines.iter().map(String::as_str).collect();
        assert_eq!(lines[0], concat!("truehop ", env!("CARGO_PKG_VERSION")));
        assert!(
            lines[1].starts_with("listening on http://127.0.0.1:"),
            "{lines:?}"
        );
        assert!(!lines[1].ends_with(":0"), "{lines:?}");
        assert_eq!(lines[2], "config:  built-in defaults");
        assert_eq!(lines[3], "clients: from the socket; no header is believed");
        assert_eq!(lines[4..6], ["route:   /whoami -> whoami", "route:   / -> drop"]);
        assert_eq!(
            lines[6],
            format!("data:    {}", place.path().join("share/truehop").display())
        );
        assert_eq!(lines[7..], ["ready"]);
        assert_eq!(server.stop(signal), (0, "stopping\n".to_owned()));
        assert!(place.path().join("share/truehop").is_dir());
    }
}

#[test]
fn a_data_directory_in_use_is_73() {
    let place = place();
    let args = ["run", "--listen", "127.0.0.1:0", "--data", "data"];
    let server = Server::start(place.path(), &args);
    let (status, stdout, stderr) = output(&place, &args);
    assert_eq!((status, stdout.as_str()), (73, ""));
    assert!(stderr.contains("in use"), "{stderr}");
    assert_eq!(server.stop("-TERM").0, 0);
}

#[test]
fn without_a_route_to_the_drop_no_data_directory_is_made() {
    let place = place();
    fs::write(
        place.path().join("truehop.toml"),
        "listen = [\"127.0.0.1:0\"]\n[[route]]\nto = \"whoami\"\n",
    )
    .unwrap();
    let server = Server::start(place.path(), &[]);
    assert!(
        !server.lines.iter().any(|line| line.starts_with("data:")),
        "{:?}",
        server.lines
    );
    assert_eq!(server.stop("-TERM").0, 0);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn explain_draws_the_ladder_and_tells_by_its_status_whether_there_is_a_client() {
    let place = place();
    let args = [
        "explain",
        "--peer",
        "192.168.0.20:51312",
        "--header",
        "X-Forwarded-For: 6.6.6.6, 203.0.113.95, 192.168.0.10",
        "--policy",
        "from = \"x-forwarded-for\", trusted = [\"192.168.0.0/24\"]",
    ];
    let (status, stdout, stderr) = output(&place, &args);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.ends_with("client   203.0.113.95\n"), "{stdout}");
    assert!(
        stdout.contains("192.168.0.10") && stdout.contains("never looked at"),
        "{stdout}"
    );

    let (status, stdout, _) = output(&place, &[&args[..], &["--json"]].concat());
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((status, &answer["client"]), (0, &Value::from("203.0.113.95")));

    let (status, stdout, _) = output(&place, &["explain", "--peer", "unix"]);
    assert_eq!(status, 1);
    assert!(stdout.contains("no-address"), "{stdout}");
}

#[test]
fn explain_without_a_policy_uses_that_of_the_config() {
    let place = place();
    let text = "[client]\nfrom = \"header\"\nheader = \"X-Real-IP\"\ntrusted = [\"unix\"]\n";
    fs::write(place.path().join("truehop.toml"), text).unwrap();
    let (status, stdout, _) = output(
        &place,
        &["explain", "--peer", "unix", "--header", "x-real-ip: 1.2.3.4"],
    );
    assert_eq!(status, 0);
    assert!(stdout.ends_with("client   1.2.3.4\n"), "{stdout}");
}

#[test]
fn the_batch_agrees_with_every_case() {
    let cases = include_str!("../../address/tests/cases/client-address.jsonl");
    let place = place();
    let mut child = batch(place.path());
    let stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || feed(stdin, cases));
    let (status, stdout, _) = told(child.wait_with_output().unwrap());
    writer.join().unwrap();

    let answers: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let cases: Vec<Value> = cases
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((status, answers.len()), (0, cases.len()));
    for (case, answer) in cases.iter().zip(&answers) {
        assert_eq!(answer["id"], case["id"]);
        for (key, value) in case["expect"].as_object().unwrap() {
            assert_eq!(&answer[key], value, "{}: {answer}", case["id"]);
        }
    }
    assert_eq!(answers.len(), 300);
}

#[test]
fn a_recipe_is_a_pair_of_which_ours_is_a_sound_config() {
    let place = place();
    let (status, names, _) = output(&place, &["recipe"]);
    assert_eq!((status, names.lines().count()), (0, 18));
    for name in names.lines().filter_map(|line| line.split_whitespace().next()) {
        let (status, stdout, _) = output(&place, &["recipe", name]);
        let (proxy, ours) = stdout.split_once("# truehop.toml:\n\n").unwrap();
        assert!(status == 0 && proxy.lines().count() > 4, "{name}");
        fs::write(place.path().join("truehop.toml"), ours).unwrap();
        let (status, _, stderr) = output(&place, &["check"]);
        assert_eq!(status, 0, "{name}: {stderr}");
    }
    let (status, _, stderr) = output(&place, &["recipe", "ngnix"]);
    assert!(status == 64 && stderr.contains("nginx-chain"), "{stderr}");
}

#[test]
fn check_tells_the_age_of_sets_and_what_is_risky_and_reads_files_beside_the_config() {
    let place = place();
    let config = "listen = [\"0.0.0.0:0\"]\n[client]\nfrom = \"x-forwarded-for\"\n\
                  trusted = [\"cloudflare\", \"private\", \"file:proxies.txt\"]\n";
    fs::create_dir(place.path().join("etc")).unwrap();
    fs::write(place.path().join("etc/truehop.toml"), config).unwrap();
    let check = || output(&place, &["check", "--config", "etc/truehop.toml"]);
    let (status, _, stderr) = check();
    assert!(status == 78 && stderr.contains("proxies.txt"), "{stderr}");

    fs::write(place.path().join("etc/proxies.txt"), "192.0.2.0/24\n").unwrap();
    let (status, stdout, _) = check();
    assert_eq!(status, 0);
    for part in [
        "set:     cloudflare, taken 20",
        " days ago\n",
        "note:    private-on-public: ",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
}

#[test]
fn a_bad_line_in_a_batch_is_told_by_status_1() {
    let place = place();
    let mut child = batch(place.path());
    let stdin = child.stdin.take().unwrap();
    feed(
        stdin,
        "no case\n{\"id\":\"a\",\"policy\":{\"from\":\"peer\"},\"peer\":\"1.2.3.4:5\",\"headers\":[]}\n",
    );
    let (status, stdout, _) = told(child.wait_with_output().unwrap());
    assert_eq!(status, 1);
    assert_eq!(
        stdout,
        "{\"id\":null,\"error\":\"bad-input\",\"detail\":\"not a JSON object\"}\n{\"id\":\"a\",\"client\":\"1.2.3.4\"}\n"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = place();
    let mut child = batch(place.path());
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // The answer has nowhere to go, and the batch ends without a word; writing may fail then.
    let _ = writeln!(stdin, "{{}}");
    let (status, _, stderr) = told(child.wait_with_output().unwrap());
    assert_eq!((status, stderr.as_str()), (0, ""));
}

fn batch(directory: &Path) -> Child {
    truehop(directory, &["explain", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn feed(mut stdin: ChildStdin, text: &str) {
    stdin.write_all(text.as_bytes()).unwrap();
}
