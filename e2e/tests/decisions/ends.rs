//! Something ends while somebody collects: the process, the file's time, the owner's patience, the disk.

use std::fs;
use std::time::{Duration, Instant};

use truehop_e2e::{Home, Request, Tmpfs, Truehop, eventually, incoming_in};

use crate::stage::{Begun, CONFIG, LARGE, NEXT, SIZE, Stage, UPLOADER, Who};

pub(crate) fn a_kill(who: Who) -> Option<Stage> {
    Some(broken_off(who, |drop| Truehop::start_in(drop.kill(), CONFIG)))
}

pub(crate) fn a_stop(who: Who) -> Option<Stage> {
    Some(broken_off(who, |drop| {
        let (exit, home) = drop.stop();
        assert_eq!(exit.status, Some(0), "{exit:#?}");
        Truehop::start_in(home, CONFIG)
    }))
}

/// The recipient goes on where it was, and leaves again: others wait for its lease.
fn broken_off(who: Who, ends: impl Fn(Truehop) -> Truehop) -> Stage {
    let config = format!("{CONFIG}[timeouts]\nshutdown = \"1s\"\n");
    let stage = Stage::with(who, LARGE, Truehop::start(&config), &[]);
    let begun = stage.begin();
    let collection = begun.collection.clone();
    let stage = Stage {
        drop: ends(stage.drop),
        ..stage
    };
    assert!(!begun.drain(&stage), "it had everything: the test proves nothing");
    if who != Who::Owner {
        stage.is_busy();
    }
    let mut part = stage.request().header("Range", "bytes=100-199");
    if let Some(collection) = collection {
        part = part.header("Truehop-Collection", &collection);
    }
    let resumed = stage.ask(&part);
    assert_eq!(resumed.status(), Some(206), "{resumed:?}");
    assert!(resumed.body() == &stage.content[100..200], "other bytes");
    stage
}

/// Who began in time may come to the end, within one lease; nobody else begins.
pub(crate) fn the_expiry(who: Who) -> Option<Stage> {
    let (stage, begun) = begun_and_expired(who);
    match who {
        Who::Owner => drop(begun),
        Who::Other | Who::Unknown => begun.finish(&stage),
    }
    Some(stage)
}

/// Then it is cut, so that a trickle cannot keep a file for ever.
pub(crate) fn the_expiry_and_no_end(who: Who) -> Option<Stage> {
    let (stage, begun) = begun_and_expired(who);
    eventually("the end of the file", || {
        (stage.endings("expired") == 1).then_some(())
    });
    // An owner's download is its own affair: nothing waits for it.
    if who != Who::Owner {
        assert!(!begun.drain(&stage), "the recipient got everything after all");
    }
    Some(stage)
}

fn begun_and_expired(who: Who) -> (Stage, Begun) {
    let stage = Stage::with(who, LARGE, Truehop::start(CONFIG), &[("Truehop-Expires", "1s")]);
    let begun = stage.begin();
    eventually("the expiry", || match who {
        // An owner's download locks nothing: another could still have it.
        Who::Owner => (stage.endings("expired") == 1).then_some(()),
        Who::Other | Who::Unknown => {
            let next = stage.next();
            assert!(matches!(next.status, 410 | 423), "a second recipient: {next:?}");
            (next.status == 410).then_some(())
        }
    });
    (stage, begun)
}

/// Cut at once, whoever collects.
pub(crate) fn a_withdrawal(who: Who) -> Option<Stage> {
    let stage = Stage::large(who);
    let begun = stage.begin();
    let request = Request::new("DELETE", stage.file.link.page()).header("Truehop-Owner", &stage.file.owner);
    let said = stage.at(UPLOADER).ask(&request).answer();
    assert!(matches!(said.status, 200 | 303), "{said:?}");
    if who != Who::Owner {
        assert!(!begun.drain(&stage), "it went on: {:?}", stage.counted());
    }
    assert_eq!(stage.endings("withdrawn"), 1);
    assert_eq!(stage.at(UPLOADER).status(&stage.path()), 410);
    assert_eq!(stage.at(NEXT).status(&stage.path()), 410);
    Some(stage)
}

/// Whatever cannot be written down is not done: nobody gets what could go to two.
pub(crate) fn a_full_disk(who: Who) -> Option<Stage> {
    let disk = Tmpfs::mount("64m")?;
    let drop = Truehop::start_in(Home::with_data(&disk.path().join("data")), CONFIG);
    let stage = Stage::with(who, SIZE, drop, &[]);
    let filler = disk.fill();
    let upload = stage
        .at(NEXT)
        .ask(&Request::new("PUT", "/x").body(&vec![1; 1 << 20]))
        .answer();
    assert_eq!(upload.status, 507, "{upload:?}");
    assert!(
        incoming_in(stage.drop.data()).is_empty(),
        "what did not fit is left there"
    );
    let outcome = stage.ask(&stage.request());
    assert!(matches!(outcome.status(), Some(200 | 507)), "{outcome:?}");
    fs::remove_file(filler).unwrap();
    match outcome.status() {
        Some(200) => stage.is_all(&outcome),
        _ => stage.is_all(&stage.ask(&stage.request())),
    }
    Some(Stage {
        disk: Some(disk),
        ..stage
    })
}

/// The end of a wait for something that must not happen.
pub(crate) fn past(lease: Duration) -> Instant {
    Instant::now() + lease + lease / 2
}
