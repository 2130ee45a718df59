//! What the end-to-end tests are written with: the built binary, real peers, and hosts with addresses of their own.
//!
//! Every host of a test is one address of the loopback range: `127.0.0.1` uploads, `127.0.0.2` is a stranger, proxies
//! connect onward from `127.0.0.10` and up. So one machine has as many hosts as a drawing needs.
//!
//! Invariant: a test waits for events and never for time, every wait has a deadline, and a child never outlives the
//! value that started it.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness stops at the first surprise"
)]

mod answers;
mod chain;
mod clock;
mod dice;
mod disk;
mod forgery;
mod haproxy;
mod http;
mod internet;
mod kernel;
mod peers;
mod pieces;
mod process;
mod recorder;
mod soak;
mod stage;
mod strace;
mod suite;
mod tls;
mod truehop;
mod upstream;
mod visitor;
mod websocket;
mod wire;
mod zip;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

pub use answers::answers;
pub use chain::{App, Applications, Chain, Joint, Pair, Proxy, Words, peer, version};
pub use clock::Clock;
pub use dice::Dice;
pub use disk::{
    Tmpfs, blobs_in, deleted_in, files_in, incoming_in, leftovers_in, links_in, rows_in, states_in,
};
pub use forgery::{Answer, Cast, Forgery, Speaks, Visit};
pub use haproxy::Haproxy;
pub use http::{Connection, End, Host, Request, Response};
pub use internet::{Family, Internet, Loss, Machine};
pub use kernel::stand_still;
pub use peers::{Browser, Gunicorn, Nginx, Page, missing};
pub use pieces::Pieces;
pub use process::{Exit, Process, Stream};
pub use recorder::{Kind, Part, Recorder, Seen};
pub use soak::Soak;
pub use stage::Stage;
pub use strace::{Call, Trace, Traced};
pub use suite::{Case, declined, either, passed, refused, refused_with, suite, suite_byte_by_byte};
pub use tls::Certificate;
pub use truehop::{Home, Truehop, binary, failing_at};
pub use upstream::Upstream;
pub use visitor::{Link, Outcome, Uploaded, Visitor, content, form, form_of, range_of};
pub use websocket::WebSocketServer;
pub use wire::Wire;
pub use zip::{Entry, archive, entries};

/// How long a test waits for anything. Far more than anything takes, for machines that are busy.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again until there is an answer.
///
/// # Panics
/// When there is none before [`DEADLINE`]; `what` names what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {DEADLINE:?} in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Tells that a test proves nothing here, past the test runner's capture: nobody should take silence for a proof. The
/// one way out of a test that cannot run.
///
/// # Panics
/// When `CI=true`, where everything must be there.
#[track_caller]
pub fn skipped(why: &str) {
    let must_run = env::var("CI").as_deref() == Ok("true");
    assert!(!must_run, "{why}; in CI nothing is skipped");
    tell(&format!("skipped: {why}"));
}

/// Writes a line past the test runner's capture: for numbers that somebody wants to know of tests that pass, too.
pub fn tell(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

/// The fenced block of the README in this language that contains `part`.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn readme(language: &str, part: &str) -> String {
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
