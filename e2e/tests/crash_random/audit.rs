//! The end of the history: whatever is left is collected, and then nothing must be left.

use truehop_e2e::{
    Home, Host, Outcome, Request, Truehop, Visitor, eventually, leftovers_in, links_in, states_in,
};

use crate::books::{Books, Known};
use crate::{CONFIG, RECIPIENTS};

/// Somebody who was not there before.
const FRESH: Host = Host::at(127, 0, 4, 1);

/// Collects everything that is still there, and looks at the disk. What was found, in words.
#[track_caller]
pub(crate) fn audit(home: Home, books: &Books) -> String {
    let promised = books.all();
    // Committed by a process that died before it could say so.
    let mut untold = links_in(home.data());
    untold.retain(|link| !promised.iter().any(|known| known.link == *link));
    let drop = Truehop::start_in(home, CONFIG);
    for link in &untold {
        let take = |number| Visitor::new(FRESH, drop.address()).get(&link.bytes(number));
        let taken = (1..).map(take).take_while(|answer| answer.status != 404);
        taken.for_each(|answer| assert_eq!(answer.status, 200, "{link}: {answer:?}"));
    }
    let (mut collected, mut uncertain) = (0, 0);
    for known in &promised {
        for number in known.numbers() {
            match end(&drop, books, known, number) {
                End::Fresh => collected += 1,
                End::Returned => uncertain += 1,
                End::Gone => {}
            }
        }
    }
    books.close_chapter(0);
    eventually("the disk to be empty", || {
        leftovers_in(drop.data()).is_empty().then_some(())
    });
    let (exit, home) = drop.stop();
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    home.verify();
    let states = states_in(home.data());
    assert!(
        states.keys().all(|state| state == "deleted"),
        "rows that wait for something: {states:?}"
    );
    format!(
        "{collected} files were left for others, {uncertain} for the one who may have had them, {} drops for nobody",
        untold.len()
    )
}

enum End {
    /// Anybody could have it.
    Fresh,
    /// Only who may have had it before.
    Returned,
    Gone,
}

/// Has the file come to its end.
#[track_caller]
fn end(drop: &Truehop, books: &Books, known: &Known, number: u32) -> End {
    let mut returned = false;
    let ask = |host: Host| {
        let outcome = Visitor::new(host, drop.address()).ask(&Request::new("GET", &known.link.bytes(number)));
        let Outcome::Answered(answer) = &outcome else {
            panic!("file {number} of {}: {outcome:?}", known.link);
        };
        match answer.status {
            200 => books.got(known.at, number, host, 0, &answer.body, false),
            410 => books.gone(known.at, number),
            423 => {}
            _ => panic!("file {number} of {}: {answer:?}", known.link),
        }
        answer.status
    };
    let mut found = End::Gone;
    eventually("its end", || {
        match ask(FRESH) {
            410 => return Some(()),
            200 => found = End::Fresh,
            _ => {
                // Somebody holds it. Whoever gets it now is the one who had it, or the next after a lease.
                for n in 1..=RECIPIENTS {
                    returned |= ask(Host::at(127, 0, 2, n)) == 200;
                }
            }
        }
        None
    });
    match found {
        End::Gone if returned => End::Returned,
        found => found,
    }
}
