//! Deaths while the next process tidies up after a death.

use truehop_e2e::{Home, Link, Request, Truehop, Wire, blobs_in, content, eventually, incoming_in};

use crate::{
    ANOTHER, CONFIG, LARGE, SMALL, STRANGER, THIRD, UPLOADER, at, count, dies_at_boot, disk_holds, doomed,
    ends_soundly, told,
};

/// More than sockets hold: what has not left yet is not the last piece.
const HUGE: usize = 16 << 20;

const POINTS: [&str; 4] = [
    "boot-discarded",
    "boot-interrupted",
    "boot-unlinked",
    "boot-swept",
];

/// What a process left that was killed amid an upload, a collection, and a deletion.
struct Wreck {
    home: Home,
    /// A part of it was collected by [`STRANGER`].
    half: Link,
    /// Delivered, and its bytes are still there.
    delivered: Link,
    /// Nobody has touched it.
    ready: Link,
}

fn wreck() -> Option<Wreck> {
    let drop = doomed("delivered", Home::new())?;
    let half = at(UPLOADER, &drop).put(&content(1, HUGE)).link;
    let delivered = at(UPLOADER, &drop).put(&content(2, SMALL)).link;
    let ready = at(UPLOADER, &drop).put(&content(3, LARGE)).link;
    let mut upload = Wire::connect(UPLOADER, drop.address()).unwrap();
    upload
        .write(format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes())
        .unwrap();
    upload.write(&[7; LARGE / 2]).unwrap();
    eventually("half an upload", || {
        (!incoming_in(drop.data()).is_empty()).then_some(())
    });
    let mut collection = STRANGER.connect_narrow(drop.address(), 4096);
    collection.write(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", half.raw()));
    assert!(collection.read_head().starts_with("HTTP/1.1 200 "));
    collection.read_exact(HUGE / 4);
    let _ = at(ANOTHER, &drop).ask(&Request::new("GET", &delivered.raw()));
    let home = drop.killed_itself();
    count();
    assert_eq!(
        (blobs_in(home.data()).len(), incoming_in(home.data()).len()),
        (3, 1),
        "else the test proves nothing"
    );
    Some(Wreck {
        home,
        half,
        delivered,
        ready,
    })
}

impl Wreck {
    /// Whatever happened meanwhile, all of it must be as it was.
    #[track_caller]
    fn put_right(self) {
        let drop = Truehop::start_in(self.home, CONFIG);
        disk_holds(&drop, 2);
        for host in [STRANGER, ANOTHER, THIRD, UPLOADER] {
            assert_eq!(at(host, &drop).status(&self.delivered.raw()), 410, "{host}");
        }
        let got = at(THIRD, &drop).get(&self.ready.raw());
        assert!(got.status == 200 && got.body == content(3, LARGE), "{got:?}");
        let got = eventually("the lease to lapse", || {
            Some(at(ANOTHER, &drop).get(&self.half.raw())).filter(|got| got.status != 423)
        });
        assert!(got.status == 200 && got.body == content(1, HUGE), "{got:?}");
        disk_holds(&drop, 0);
        ends_soundly(drop);
    }
}

#[test]
fn a_boot_may_die_at_each_of_its_steps() {
    for point in POINTS {
        println!("{point}");
        let Some(mut wreck) = wreck() else { return };
        wreck.home = dies_at_boot(point, wreck.home);
        wreck.put_right();
    }
}

#[test]
fn a_boot_may_die_again_and_again() {
    let Some(mut wreck) = wreck() else { return };
    for point in POINTS.iter().chain(POINTS.iter().rev()).cycle().take(24) {
        println!("{point}");
        wreck.home = dies_at_boot(point, wreck.home);
    }
    wreck.put_right();
    told("of boots");
}

/// A collection that a crash broke off counts for nothing; however often the next processes die, no earlier one is
/// forgiven with it.
#[test]
fn crashes_forgive_no_attempt_but_the_one_that_they_broke_off() {
    let config = format!("{CONFIG}attempts = 2\n");
    let size = LARGE;
    let Some(command) = truehop_e2e::failing_at("admitted:2") else {
        return;
    };
    let drop = Truehop::start_by(command, Home::new(), &config);
    let link = at(UPLOADER, &drop).put(&content(1, size)).link;
    // The first attempt fails by the recipient.
    let outcome = at(STRANGER, &drop).ask_some(&Request::new("GET", &link.raw()), size / 4);
    assert!(!outcome.is_whole());
    // The second one, by another after the lease, meets the crash.
    eventually("the crash", || {
        let outcome = at(ANOTHER, &drop).ask(&Request::new("GET", &link.raw()));
        (outcome.status() != Some(423)).then_some(())
    });
    let mut home = drop.killed_itself();
    count();
    for point in ["boot-swept", "boot-interrupted", "boot-swept"] {
        home = Truehop::dies_by(truehop_e2e::failing_at(point).unwrap(), home, &config);
        count();
    }
    let drop = Truehop::start_in(home, &config);
    // What is left is one attempt, and this is it.
    let outcome = eventually("the lease to lapse", || {
        let outcome = at(THIRD, &drop).ask_some(&Request::new("GET", &link.raw()), size / 4);
        (outcome.status() != Some(423)).then_some(outcome)
    });
    assert_eq!(outcome.status(), Some(200), "{outcome:?}");
    let last = eventually("the lease to lapse again", || {
        let status = at(ANOTHER, &drop)
            .ask(&Request::new("HEAD", &link.raw()))
            .status();
        let outcome = at(ANOTHER, &drop).ask_some(&Request::new("GET", &link.raw()), size / 4);
        (outcome.status() != Some(423)).then_some((status, outcome.status()))
    });
    assert_eq!(
        last.1,
        Some(410),
        "an attempt more than there are: HEAD says {:?}",
        last.0
    );
    disk_holds(&drop, 0);
    ends_soundly(drop);
}
