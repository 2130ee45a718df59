//! The process kills itself (SIGKILL) at each point of its work, and an ordinary one goes on from what is on the disk.
//!
//! What must hold after each of these deaths: a file is never deleted undelivered; never do two recipients have all of it;
//! nothing lies on the disk that no row names, and no row waits for what is not there; what was promised (201) is there,
//! byte for byte.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

mod boot;
mod collecting;
mod uploading;
mod withdrawing;

use std::sync::atomic::{AtomicUsize, Ordering};

use truehop_e2e::{Home, Host, Truehop, Visitor, blobs_in, eventually, failing_at, incoming_in, tell};

pub(crate) const UPLOADER: Host = Host::at(127, 0, 0, 1);
pub(crate) const STRANGER: Host = Host::at(127, 0, 0, 2);
pub(crate) const ANOTHER: Host = Host::at(127, 0, 0, 3);
pub(crate) const THIRD: Host = Host::at(127, 0, 0, 4);

/// The shortest lease, so that the next recipient need not wait for long.
pub(crate) const CONFIG: &str = "[client]\nfrom = \"peer\"\n[drop]\nlease = \"1s\"\ngrace = \"1s\"\n";

/// As one piece and less.
pub(crate) const SMALL: usize = 4 << 10;
/// Many pieces, and more than the kernel holds for a client that does not read.
pub(crate) const LARGE: usize = 3 << 20;

static KILLS: AtomicUsize = AtomicUsize::new(0);

/// Starts one that dies at `point`. `None`, told as skipped, where no such binary is.
#[track_caller]
pub(crate) fn doomed(point: &str, home: Home) -> Option<Truehop> {
    Some(Truehop::start_by(failing_at(point)?, home, CONFIG))
}

/// Starts one that dies at `point` before it serves anybody.
#[track_caller]
pub(crate) fn dies_at_boot(point: &str, home: Home) -> Home {
    let home = Truehop::dies_by(failing_at(point).unwrap(), home, CONFIG);
    count();
    home
}

/// Its death, and one that goes on from there.
#[track_caller]
pub(crate) fn resurrected(drop: Truehop) -> Truehop {
    let home = drop.killed_itself();
    count();
    Truehop::start_in(home, CONFIG)
}

pub(crate) fn count() {
    KILLS.fetch_add(1, Ordering::Relaxed);
}

/// Tells how many there were by now, past the test runner's capture.
pub(crate) fn told(what: &str) {
    let kills = KILLS.load(Ordering::Relaxed);
    tell(&format!("crash points: {kills} kills with those {what}"));
}

pub(crate) fn at(host: Host, drop: &Truehop) -> Visitor {
    Visitor::new(host, drop.address())
}

/// Waits until so many complete files are on the disk, and nothing else.
#[track_caller]
pub(crate) fn disk_holds(drop: &Truehop, files: usize) {
    eventually(&format!("{files} files on the disk"), || {
        let is_so = blobs_in(drop.data()).len() == files && incoming_in(drop.data()).is_empty();
        is_so.then_some(())
    });
}

/// Stops it, and has the operator's tool look at what it leaves.
#[track_caller]
pub(crate) fn ends_soundly(drop: Truehop) -> Home {
    let (exit, home) = drop.stop();
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    home.verify();
    home
}
