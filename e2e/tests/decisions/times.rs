//! The clock is set while somebody collects.
//!
//! Leases are no matter of the wall clock: nobody's may end early because of it, and nobody's last for ever.

use std::time::Duration;

use truehop_e2e::{Clock, Home, Truehop, eventually};

use crate::ends::past;
use crate::stage::{CONFIG, LARGE, Stage, Who};

/// Past every lease, and not past the expiry (a day).
pub(crate) fn forward(who: Who) -> Option<Stage> {
    let clock = Clock::right()?;
    let stage = at(&clock, who);
    let begun = stage.begin();
    clock.set("+1h");
    if who != Who::Owner {
        stays_busy(&stage);
    }
    clock.set("-1h");
    if who != Who::Owner {
        stays_busy(&stage);
    }
    begun.finish(&stage);
    Some(stage.by(clock))
}

/// Past the expiry: who began before may come to the end or be cut, and that is told as it was; nobody else begins.
pub(crate) fn far_forward(who: Who) -> Option<Stage> {
    let clock = Clock::right()?;
    let stage = at(&clock, who);
    let begun = stage.begin();
    clock.set("+2d");
    eventually("410", || {
        let next = stage.next();
        assert!(matches!(next.status, 410 | 423), "{next:?}");
        (next.status == 410).then_some(())
    });
    if who == Who::Owner {
        drop(begun);
    } else {
        let has_all = begun.drain(&stage);
        eventually("the end of the collection", || {
            (stage.drop.collecting() == 0).then_some(())
        });
        assert_eq!(
            stage.endings("delivered"),
            u64::from(has_all),
            "the receipt says something else"
        );
    }
    Some(stage.by(clock))
}

/// The lease was to end at a time that is an hour away now; it still takes a second.
pub(crate) fn back_after_a_break(who: Who) -> Option<Stage> {
    let clock = Clock::right()?;
    let stage = at(&clock, who);
    drop(stage.begin());
    eventually("the end of the collection", || {
        (stage.drop.collecting() == 0).then_some(())
    });
    clock.set("-1h");
    Some(stage.by(clock))
}

fn at(clock: &Clock, who: Who) -> Stage {
    Stage::with(
        who,
        LARGE,
        Truehop::start_by(clock.binary(), Home::new(), CONFIG),
        &[],
    )
}

impl Stage {
    fn by(self, clock: Clock) -> Self {
        Self {
            clock: Some(clock),
            ..self
        }
    }
}

/// Longer than a lease.
#[track_caller]
fn stays_busy(stage: &Stage) {
    let end = past(Duration::from_secs(1));
    eventually("a lease's time to pass", || {
        stage.is_busy();
        (std::time::Instant::now() > end).then_some(())
    });
}
