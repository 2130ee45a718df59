//! SIGKILL at random moments under load, again and again on the same data; then everything must add up.
//!
//! A process lives for so many events: requests that were written, heads and pieces that came, at whichever client. The dice
//! say how many; whoever makes the last one kills it before doing anything else. Uploaders, recipients and owners go on with
//! the next process where the last one left them.
//!
//! What must hold over the whole history: no two recipients have all of a file; no file is gone that nobody can have had;
//! every upload that was promised (201) is there until then, byte for byte; and at the end the disk holds what the catalog
//! says.
#![expect(clippy::expect_used, reason = "what a test sets up must work")]

mod audit;
mod books;
mod fuse;
mod people;

use std::env;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;
use truehop_e2e::{Dice, Home, Truehop, tell};

use books::Books;
use fuse::Fuse;
use people::{Recipient, Uploader};

/// A short lease, so that files change hands; attempts without end, because every one that breaks off here may count.
pub(crate) const CONFIG: &str = "[client]\nfrom = \"peer\"\n[drop]\nlease = \"1s\"\ngrace = \"1s\"\nattempts = 1000000\nmax_expires = \"30d\"\nexpires = \"30d\"\n[timeouts]\nshutdown = \"1s\"\n";

/// How many processes are killed.
const KILLS: u64 = 250;

const UPLOADERS: u8 = 3;
const RECIPIENTS: u8 = 5;

#[test]
fn crashes_under_load_add_up() {
    let seed = env::var("TRUEHOP_CRASH_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let begun = Instant::now();
    let books = Books::default();
    let mut dice = Dice::new(seed);
    let mut uploaders: Vec<Uploader> = (1..=UPLOADERS).map(|n| Uploader::new(n, seed)).collect();
    let mut recipients: Vec<Recipient> = (1..=RECIPIENTS).map(|n| Recipient::new(n, seed)).collect();
    let mut home = Home::new();
    let (mut process, mut stops) = (0, 0);
    while process - stops < KILLS {
        process += 1;
        let drop = Truehop::start_in(home, CONFIG);
        let events = 1 + match dice.below(8) {
            0 => dice.below(12),
            1 => dice.below(2000),
            _ => dice.below(400),
        };
        // Some are asked to end, and may finish or cut what is under way.
        let is_stop = dice.one_in(8);
        let signal = if is_stop { Signal::TERM } else { Signal::KILL };
        let fuse = Fuse::new(drop.id(), signal, events);
        let address = drop.address();
        thread::scope(|scope| {
            for uploader in &mut uploaders {
                scope.spawn(|| uploader.live(address, &fuse, &books));
            }
            for recipient in &mut recipients {
                scope.spawn(|| recipient.live(address, &fuse, &books));
            }
        });
        home = match is_stop {
            true => {
                stops += 1;
                let (exit, home) = drop.wait();
                assert_eq!(exit.status, Some(0), "{exit:#?}");
                home
            }
            false => drop.killed_itself(),
        };
        books.close_chapter(process);
    }
    let audited = audit::audit(home, &books);
    tell(&format!(
        "random crashes: {KILLS} kills and {stops} stops with seed {seed}, {}; {audited}; {:.0} s",
        books.totals(),
        begun.elapsed().as_secs_f64()
    ));
}
