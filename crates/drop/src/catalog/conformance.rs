//! What any catalog must do, said once and asked of each.

mod site;

use std::sync::Barrier;
use std::thread;

use super::*;
use crate::lifecycle::Phase;
use crate::open::on_a_thread;
use site::{DAY, GRACE, LEASE, MIB, TERMS, Who, complete, granted, how};
pub(crate) use site::{Site, alike, who};

/// Each test once with each catalog.
macro_rules! conformance {
    ($($name:ident)*) => {
        mod in_sqlite {
            $(#[test] fn $name() { super::$name(super::Site::in_sqlite()) })*
        }

        mod in_memory {
            $(#[test] fn $name() { super::$name(super::Site::in_memory()) })*
        }
    };
}

conformance! {
    a_file_is_found_from_its_announcement_on
    a_drop_is_ready_as_a_whole
    what_is_abandoned_was_never_there
    a_name_that_begins_like_another_opens_nothing
    of_many_who_ask_at_once_one_gets_it
    of_many_who_ask_for_several_files_one_gets_them_all
    a_delivery_ends_it_and_erases_what_is_known
    a_drop_keeps_the_owner_until_its_last_file_is_over
    what_was_broken_off_goes_on_where_it_ended
    a_word_for_one_request_is_none_for_another_like_it
    what_may_be_everything_is_written_down_before
    a_lease_does_not_lapse_while_a_request_is_under_way
    attempts_are_counted_and_run_out
    a_second_try_is_the_same_recipients_and_one
    parts_of_an_archive_stay_while_it_is_collected
    a_withdrawal_cuts_what_is_on_its_way_and_ends_the_grace
    a_word_that_comes_late_puts_the_receipt_right
    the_owner_may_extend_what_is_live
    the_owner_may_give_it_another_try
    what_is_over_is_unlinked_and_then_forgotten
    a_restart_gives_back_one_attempt_and_keeps_the_coverage
    who_resumes_after_a_crash_and_may_have_everything_is_the_only_one
    a_clock_that_was_set_back_makes_nobody_wait_longer_than_a_lease
    the_next_sweep_is_known_and_not_sooner
    lists_come_in_pages_and_strays_are_told
    unknown_recipients_are_counted_with_their_lease
    a_closed_catalog_says_so
}

fn a_file_is_found_from_its_announcement_on(site: Site) {
    let id = DropId::random().unwrap();
    assert!(site.ask(|catalog| catalog.find(&id)).is_none());
    site.announce(&id, &[0, 0]);
    let drop = site.find(&id);
    assert_eq!(
        (drop.rule, drop.salt, drop.uploader),
        (OwnerRule::Either, Some([7; 32]), None)
    );
    assert_eq!(drop.files.len(), 2);
    assert!(drop.files.iter().all(|file| file.life.state == State::Receiving));
    assert!(matches!(site.admit(&id, 0..1, who(1)), Admission::Gone));
}

fn a_drop_is_ready_as_a_whole(site: Site) {
    let id = DropId::random().unwrap();
    site.announce(&id, &[5, 6]);
    let ready = |sizes: &[u64]| {
        let uploader = Some(AddressDigest::stored([8; 32]));
        let files = complete(sizes);
        on_a_thread(|| site.catalog.ready(&id, files, DAY, OwnerRule::Address, uploader))
    };
    assert!(ready(&[5]).is_err() && ready(&[5, 6, 7]).is_err());
    assert!(
        site.find(&id)
            .files
            .iter()
            .all(|file| file.life.state == State::Receiving)
    );
    let until = ready(&[5, 6]).unwrap();
    let drop = site.find(&id);
    assert_eq!(until, drop.now.plus(DAY));
    assert_eq!(
        (drop.rule, drop.uploader),
        (OwnerRule::Address, Some(AddressDigest::stored([8; 32])))
    );
    let [one, two] = &drop.files[..] else { panic!() };
    assert_eq!((one.life.size, two.life.size), (5, 6));
    assert_eq!(
        (two.sha256, two.crc32, two.name.as_deref()),
        (Some([2; 32]), Some(u32::MAX), Some("file 2"))
    );
    assert_eq!((one.life.state, one.life.expires_at), (State::Ready, until));
    assert!(ready(&[5, 6]).is_err(), "only once");
}

fn what_is_abandoned_was_never_there(site: Site) {
    let id = DropId::random().unwrap();
    site.announce(&id, &[0, 0]);
    let (kept, _) = site.upload(&[1]);
    for id in [&id, &kept] {
        site.ask(|catalog| catalog.abandon(id));
    }
    assert!(site.ask(|catalog| catalog.find(&id)).is_none());
    assert_eq!(site.state(&kept), State::Ready);
}

/// All at once, each on a thread.
fn a_name_that_begins_like_another_opens_nothing(site: Site) {
    let (id, _) = site.upload(&[10, 20]);
    let alike = alike(&id);
    let before = format!("{:?}", site.find(&id));
    assert!(site.ask(|catalog| catalog.find(&alike)).is_none());
    for number in [1, 2] {
        let claim = site.admit_all(&alike, vec![(number, 0..10)], who(1), &Leash::default());
        assert!(matches!(claim, Admission::Gone), "{claim:?}");
        assert!(!site.ask(|catalog| catalog.rearm(&alike, number)));
        let collection = SecretHash([1; 32]);
        assert!(!site.ask(|catalog| catalog.last_piece(&alike, number, collection)));
    }
    for which in [Which::All, Which::One(2)] {
        assert_eq!(
            site.ask(|catalog| catalog.end(&alike, which, Ending::Withdrawn)),
            []
        );
    }
    assert_eq!(site.ask(|catalog| catalog.extend(&alike, DAY * 2)), None);
    let ready = on_a_thread(|| {
        let of_both = complete(&[10, 20]);
        site.catalog.ready(&alike, of_both, DAY, OwnerRule::Either, None)
    });
    assert!(ready.is_err());
    site.ask(|catalog| catalog.abandon(&alike));
    assert_eq!(format!("{:?}", site.find(&id)), before);
}

fn race<T: Send>(site: &Site, many: u8, ask: impl Fn(&Site, u8) -> T + Sync) -> Vec<T> {
    let (barrier, ask) = (&Barrier::new(many.into()), &ask);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..many)
            .map(|name| {
                scope.spawn(move || {
                    barrier.wait();
                    ask(site, name)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn of_many_who_ask_at_once_one_gets_it(site: Site) {
    for _ in 0..10 {
        let (id, _) = site.upload(&[10 * MIB]);
        let admissions = race(&site, 16, |site, name| site.admit(&id, 0..10 * MIB, who(name)));
        let mut grants = admissions.iter().filter_map(|admission| match admission {
            Admission::Granted(grant) => Some(grant),
            Admission::Busy { rest } => {
                assert_eq!(*rest, LEASE);
                None
            }
            other => panic!("{other:?}"),
        });
        let grant = grants.next().unwrap();
        assert!(grants.next().is_none());
        let file = site.file(&id);
        assert!(file.is_alive && file.life.attempts == 1);
        assert_eq!(file.life.hold.unwrap().collection, grant.collection);
        // A delivery is told once, however many requests have it.
        let all: Vec<Grant> = race(&site, 8, |site, _| {
            let whole = Who {
                asker: Asker {
                    shown: Some(grant.collection),
                    has_range: true,
                    ..who(0).asker
                },
            };
            match site.admit(&id, 0..MIB, whole) {
                Admission::Granted(grant) => grant,
                other => panic!("{other:?}"),
            }
        });
        let mut settled = race(&site, 8, |site, name| {
            site.settle(&all[usize::from(name)], Some(MIB))
        });
        assert!(settled.iter().all(|settled| *settled == Settled::Held));
        settled = race(&site, 4, |site, _| site.settle(grant, Some(10 * MIB)));
        assert_eq!(
            settled
                .iter()
                .filter(|settled| **settled == Settled::Delivered)
                .count(),
            1
        );
        assert!(!site.file(&id).is_alive);
    }
}

fn of_many_who_ask_for_several_files_one_gets_them_all(site: Site) {
    let (id, _) = site.upload(&[3, 4, 5]);
    let wants = || vec![(1, 0..3), (2, 0..4), (3, 0..5)];
    let admissions = race(&site, 12, |site, name| {
        // Half of them want one file only.
        let wants = match name % 2 {
            0 => wants(),
            _ => vec![(u32::from(name) % 3 + 1, 0..1)],
        };
        site.admit_all(&id, wants, who(name), &Leash::default())
    });
    let grants: Vec<&Grant> = admissions
        .iter()
        .filter_map(|admission| match admission {
            Admission::Granted(grant) => Some(grant),
            _ => None,
        })
        .collect();
    // Whoever has a file has it alone, and whoever has three has all.
    let drop = site.find(&id);
    let mut held = 0;
    for file in &drop.files {
        let of_it: Vec<_> = grants
            .iter()
            .filter(|grant| grant.files.iter().any(|granted| granted.number == file.number))
            .collect();
        assert!(of_it.len() <= 1);
        if let [grant] = of_it[..] {
            assert_eq!(file.life.hold.as_ref().unwrap().collection, grant.collection);
            held += 1;
        }
    }
    assert_eq!(held, grants.iter().map(|grant| grant.files.len()).sum::<usize>());
    assert!(grants.iter().all(|grant| matches!(grant.files.len(), 1 | 3)) && held > 0);
}

fn a_delivery_ends_it_and_erases_what_is_known(site: Site) {
    let (id, blobs) = site.upload(&[10]);
    assert_eq!(site.deliver(&id, who(1)), Settled::Delivered);
    let drop = site.find(&id);
    let file = &drop.files[0];
    assert_eq!(
        (file.life.state, file.life.ending),
        (State::Delivered, Some(Ending::Delivered))
    );
    assert_eq!(
        (&file.name, file.sha256, file.crc32, &file.life.hold),
        (&None, None, None, &None)
    );
    assert_eq!((drop.salt, drop.uploader), (None, None));
    assert!(matches!(site.admit(&id, 0..10, who(1)), Admission::Gone));
    assert_eq!(site.sweep().unlink, blobs);
}

fn a_drop_keeps_the_owner_until_its_last_file_is_over(site: Site) {
    let (id, _) = site.upload(&[10, 20]);
    let grant = granted(site.admit_all(&id, vec![(1, 0..10)], who(1), &Leash::default()));
    site.settle(&grant, Some(10));
    let drop = site.find(&id);
    assert!(drop.salt.is_some() && drop.uploader.is_some());
    assert_eq!(
        (&drop.files[0].name, drop.files[1].name.as_deref()),
        (&None, Some("file 2"))
    );
    assert_eq!(
        site.ask(|catalog| catalog.end(&id, Which::All, Ending::Withdrawn)),
        [2]
    );
    let drop = site.find(&id);
    assert_eq!((drop.salt, drop.uploader), (None, None));
}

fn what_was_broken_off_goes_on_where_it_ended(site: Site) {
    let (id, _) = site.upload(&[10 * MIB]);
    let grant = site.granted(&id, 0..10 * MIB, who(1));
    assert!(grant.files[0].is_gated);
    assert_eq!(site.settle(&grant, Some(4 * MIB)), Settled::Held);
    assert_eq!(
        (site.state(&id), site.file(&id).progress),
        (State::Collecting, 4 * MIB)
    );
    assert!(matches!(site.admit(&id, 0..1, who(2)), Admission::Busy { .. }));
    // By the address, as nothing is under way.
    let rest = site.granted(&id, 4 * MIB..10 * MIB, who(1).without_cookie(true));
    assert_eq!(rest.collection, grant.collection);
    assert_eq!(site.file(&id).life.attempts, 1);
    assert_eq!(site.settle(&rest, Some(6 * MIB)), Settled::Delivered);
}

fn a_word_for_one_request_is_none_for_another_like_it(site: Site) {
    let (id, _) = site.upload(&[MIB]);
    let first = site.granted(&id, 0..MIB, who(1));
    // By this the first is said to have arrived up to here; and the third is like the first.
    site.granted(&id, 500..MIB, who(1));
    let third = site.granted(&id, 0..MIB, who(1));
    for (grant, has) in [(third, ""), (first, "0-500")] {
        let nothing_was_acknowledged = Settlement {
            left: 500,
            ..how(&grant.files[0].range, Some(0))
        };
        let settled = site.ask(|catalog| catalog.settle(&grant, vec![(1, nothing_was_acknowledged)]));
        assert_eq!(settled, [(1, Settled::Held)]);
        assert_eq!(site.file(&id).life.hold.unwrap().covered.text(), has);
    }
}

fn what_may_be_everything_is_written_down_before(site: Site) {
    let closing = |id: &DropId| site.file(id).life.hold.is_some_and(|hold| hold.last_piece);
    // Little: with the grant.
    let (small, _) = site.upload(&[truehop_delivery::LAST_PIECE]);
    let grant = site.granted(&small, 0..truehop_delivery::LAST_PIECE, who(1));
    assert!(!grant.files[0].is_gated && closing(&small));
    site.settle(&grant, Some(5));
    assert!(!closing(&small), "known to be incomplete");
    // Nothing at all: of that nobody has too much.
    let (empty, _) = site.upload(&[0]);
    let grant = site.granted(&empty, 0..0, who(1));
    assert!(!grant.files[0].is_gated && !closing(&empty));
    site.settle(&grant, None);
    assert_eq!(
        site.state(&empty),
        State::Collecting,
        "not even its head has arrived"
    );
    let grant = site.granted(&empty, 0..0, who(1));
    assert_eq!(site.settle(&grant, Some(0)), Settled::Delivered);
    // Much: when it is asked, and only by who holds it.
    let (large, _) = site.upload(&[3 * MIB]);
    let half = site.granted(&large, 0..MIB, who(1));
    assert!(
        !half.files[0].is_gated && !closing(&large),
        "the rest has not been asked for"
    );
    let rest = site.granted(&large, MIB..3 * MIB, who(1));
    assert!(rest.files[0].is_gated && !closing(&large));
    assert!(!site.ask(|catalog| catalog.last_piece(&large, 1, SecretHash([2; 32]))));
    assert!(!site.ask(|catalog| catalog.last_piece(&large, 2, rest.collection)));
    assert!(site.ask(|catalog| catalog.last_piece(&large, 1, rest.collection)) && closing(&large));
    site.settle(&rest, None);
    assert!(closing(&large), "the other request may yet arrive");
    site.settle(&half, None);
    assert!(!closing(&large));
    site.ask(|catalog| catalog.end(&large, Which::All, Ending::Withdrawn));
    assert!(!site.ask(|catalog| catalog.last_piece(&large, 1, rest.collection)));
}

fn a_lease_does_not_lapse_while_a_request_is_under_way(site: Site) {
    let (id, _) = site.upload(&[3 * MIB]);
    let (one, two) = (
        site.granted(&id, 0..MIB, who(1)),
        site.granted(&id, MIB..2 * MIB, who(1)),
    );
    for _ in 0..5 {
        site.advance(LEASE * 2);
        assert!(site.sweep().ended.is_empty());
        assert!(matches!(site.admit(&id, 0..1, who(2)), Admission::Busy { .. }));
    }
    site.settle(&one, Some(5));
    site.advance(LEASE * 2);
    assert!(site.file(&id).is_alive);
    assert!(matches!(site.admit(&id, 0..1, who(2)), Admission::Busy { rest } if rest <= LEASE));
    site.settle(&two, Some(5));
    assert!(matches!(site.admit(&id, 0..1, who(2)), Admission::Busy { rest } if rest == LEASE));
    site.advance(LEASE);
    site.sweep();
    assert_eq!(site.state(&id), State::Ready);
    let other = site.granted(&id, 0..1, who(2));
    assert_eq!(site.file(&id).life.hold.unwrap().collection, other.collection);
    // Nobody swept here: the clock alone decides.
    site.settle(&other, None);
    site.advance(LEASE);
    site.granted(&id, 0..1, who(3));
}

fn attempts_are_counted_and_run_out(site: Site) {
    let (id, _) = site.upload(&[MIB]);
    for attempt in 1..=TERMS.attempts {
        let grant = site.granted(&id, 0..MIB, who(attempt as u8));
        assert_eq!(site.file(&id).life.attempts, attempt);
        site.settle(&grant, Some(5));
        site.advance(LEASE);
    }
    assert!(matches!(site.admit(&id, 0..MIB, who(9)), Admission::Gone));
    let swept = site.sweep();
    assert_eq!(swept.ended, [(id.clone(), Ending::Exhausted)]);
    assert_eq!((swept.unlink.len(), site.state(&id)), (1, State::Failed));
    // Who asks for all of it again and again pays for each.
    let (id, _) = site.upload(&[MIB]);
    for _ in 0..TERMS.attempts {
        let grant = site.granted(&id, 0..MIB, who(1));
        site.settle(&grant, Some(MIB - 1));
    }
    assert!(matches!(site.admit(&id, 0..MIB, who(1)), Admission::Spent));
    assert_eq!(site.file(&id).life.attempts, TERMS.attempts);
}

fn a_second_try_is_the_same_recipients_and_one(site: Site) {
    let (id, blobs) = site.upload(&[10]);
    assert_eq!(site.deliver(&id, who(1).behind_proxy()), Settled::Delivered);
    let drop = site.find(&id);
    assert!(drop.salt.is_some() && drop.files[0].name.is_some());
    assert!(matches!(site.admit(&id, 0..10, who(2)), Admission::Gone));
    let part = site.granted(&id, 5..10, who(1));
    assert!(part.files[0].is_again && !part.files[0].is_gated);
    site.settle(&part, None);
    let again = site.granted(&id, 0..10, who(1).without_cookie(false));
    assert!(again.files[0].is_again);
    assert!(
        matches!(site.admit(&id, 0..10, who(1)), Admission::Gone),
        "there is one"
    );
    assert_eq!(site.find(&id).salt, None);
    site.settle(&again, None);
    assert!(site.sweep().unlink.is_empty(), "not before the grace is over");
    site.advance(GRACE);
    assert_eq!(site.sweep().unlink, blobs);
}

fn parts_of_an_archive_stay_while_it_is_collected(site: Site) {
    let (id, blobs) = site.upload(&[10, MIB]);
    let one = who(1);
    let grant = granted(site.admit_all(&id, vec![(1, 0..10), (2, 0..MIB)], one, &Leash::default()));
    let part = |range: Range<u64>, arrived| Settlement {
        is_part: true,
        ..how(&range, Some(arrived))
    };
    let settle = |grant: &Grant, files| site.ask(|catalog| catalog.settle(grant, files));
    let settled = settle(&grant, vec![(1, part(0..10, 10)), (2, part(0..MIB, 5))]);
    assert_eq!(settled, [(1, Settled::Delivered), (2, Settled::Held)]);
    // Resumed behind the first file, again and again; all the while nobody sweeps it away.
    for _ in 0..4 {
        site.advance(LEASE / 2);
        let grant = granted(site.admit_all(&id, vec![(1, 0..0), (2, 5..MIB)], one, &Leash::default()));
        assert!(grant.files[0].is_again && !grant.files[1].is_again);
        site.advance(LEASE * 2);
        assert!(site.sweep().unlink.is_empty());
        assert!(site.file(&id).life.has_bytes(site.find(&id).now));
        settle(&grant, vec![(2, part(5..MIB, 0))]);
    }
    site.advance(LEASE + Duration::from_secs(1));
    assert_eq!(site.sweep().unlink, blobs[..1]);
    assert!(matches!(
        site.admit_all(&id, vec![(1, 0..0), (2, 5..MIB)], one, &Leash::default()),
        Admission::Gone
    ));
}

fn a_withdrawal_cuts_what_is_on_its_way_and_ends_the_grace(site: Site) {
    let (id, blobs) = site.upload(&[MIB, 10]);
    let leash = Leash::default();
    let grant = granted(site.admit_all(&id, vec![(1, 0..MIB), (2, 0..10)], who(1).behind_proxy(), &leash));
    site.ask(|catalog| catalog.settle(&grant, vec![(2, how(&(0..10), Some(10)))]));
    let again = Leash::default();
    granted(site.admit_all(&id, vec![(2, 0..5)], who(1), &again));
    assert_eq!(
        site.ask(|catalog| catalog.end(&id, Which::One(1), Ending::Withdrawn)),
        [1]
    );
    assert!(!leash.is_cut() || !again.is_cut(), "the other file goes on");
    assert_eq!(
        site.ask(|catalog| catalog.end(&id, Which::All, Ending::Withdrawn)),
        [] as [u32; 0]
    );
    assert!(again.is_cut());
    let drop = site.find(&id);
    assert_eq!(drop.files[0].life.ending, Some(Ending::Withdrawn));
    assert_eq!(
        (drop.files[1].life.ending, drop.salt),
        (Some(Ending::Delivered), None)
    );
    let mut unlink = site.sweep().unlink;
    unlink.sort();
    let mut all = blobs;
    all.sort();
    assert_eq!(unlink, all);
}

fn a_word_that_comes_late_puts_the_receipt_right(site: Site) {
    for unlinked in [false, true] {
        let (id, blobs) = site.upload(&[MIB]);
        let leash = Leash::default();
        let grant = granted(site.admit_all(&id, vec![(1, 0..MIB)], who(1), &leash));
        site.ask(|catalog| catalog.end(&id, Which::All, Ending::Withdrawn));
        assert!(leash.is_cut() && site.file(&id).is_alive);
        if unlinked {
            site.ask(|catalog| catalog.unlinked(&blobs[0]));
        }
        assert_eq!(
            site.settle(&grant, Some(MIB)),
            Settled::DeliveredAfter(Ending::Withdrawn)
        );
        let file = site.file(&id);
        assert_eq!(
            (file.life.ending, file.is_alive),
            (Some(Ending::Delivered), false)
        );
        assert_eq!(site.sweep().unlink.len(), usize::from(!unlinked));
        site.ask(|catalog| catalog.unlinked(&blobs[0]));
        assert_eq!(site.settle(&grant, Some(MIB)), Settled::Nothing);
    }
}

fn the_owner_may_extend_what_is_live(site: Site) {
    let (id, _) = site.upload(&[10, 10]);
    site.ask(|catalog| catalog.end(&id, Which::One(1), Ending::Withdrawn));
    site.advance(DAY / 2);
    let until = site.ask(|catalog| catalog.extend(&id, DAY)).unwrap();
    let drop = site.find(&id);
    assert_eq!(
        (until, drop.files[1].life.expires_at),
        (drop.now.plus(DAY), until)
    );
    assert_ne!(drop.files[0].life.expires_at, until);
    // What is over stays so, also when nobody has written it down.
    site.advance(DAY);
    assert_eq!(site.ask(|catalog| catalog.extend(&id, DAY)), None);
    assert_eq!(site.sweep().ended, [(id.clone(), Ending::Expired)]);
}

fn the_owner_may_give_it_another_try(site: Site) {
    let (id, blobs) = site.upload(&[10]);
    assert!(!site.ask(|catalog| catalog.rearm(&id, 1)), "it is ready");
    site.deliver(&id, who(1).behind_proxy());
    assert!(site.ask(|catalog| catalog.rearm(&id, 1)));
    let file = site.file(&id);
    assert_eq!(
        (file.life.state, file.life.attempts, file.life.ending),
        (State::Ready, 0, None)
    );
    assert!(file.name.is_some());
    site.advance(GRACE);
    assert!(
        site.sweep().unlink.is_empty(),
        "nothing is to be unlinked any more"
    );
    // What is being unlinked cannot come back, even if the clock is set back.
    site.deliver(&id, who(2).behind_proxy());
    site.advance(GRACE);
    assert_eq!(site.sweep().unlink, blobs);
    site.set_back(GRACE);
    assert!(!site.ask(|catalog| catalog.rearm(&id, 1)));
    assert!(!site.ask(|catalog| catalog.rearm(&id, 7)));
}

fn what_is_over_is_unlinked_and_then_forgotten(site: Site) {
    let (id, blobs) = site.upload(&[10]);
    site.advance(DAY);
    let swept = site.sweep();
    assert_eq!(
        (swept.ended, &swept.unlink),
        (vec![(id.clone(), Ending::Expired)], &blobs)
    );
    assert_eq!(site.sweep().unlink, blobs, "until it is told");
    site.ask(|catalog| catalog.postpone(&blobs[0], GRACE));
    assert!(site.sweep().unlink.is_empty());
    site.advance(GRACE);
    assert_eq!(site.sweep().unlink, blobs);
    site.ask(|catalog| catalog.unlinked(&blobs[0]));
    assert!(site.sweep().unlink.is_empty());
    assert_eq!(site.state(&id), State::Deleted);
    site.ask(|catalog| catalog.unlinked(&blobs[0]));
    site.advance(TERMS.receipts);
    site.sweep();
    assert!(site.ask(|catalog| catalog.find(&id)).is_none());
    assert_eq!(site.ask(|catalog| catalog.next_due()), None);
}

fn a_restart_gives_back_one_attempt_and_keeps_the_coverage(site: Site) {
    let (id, _) = site.upload(&[10 * MIB]);
    let grant = site.granted(&id, 0..10 * MIB, who(1));
    site.settle(&grant, Some(4 * MIB));
    site.granted(&id, 4 * MIB..10 * MIB, who(1));
    let mut site = site.restart();
    assert_eq!(site.ask(|catalog| catalog.interrupt()), 1);
    // Dying while it starts costs and gives nothing more.
    for _ in 0..3 {
        site = site.restart();
        assert_eq!(site.ask(|catalog| catalog.interrupt()), 0);
    }
    let file = site.file(&id);
    assert_eq!(
        (file.life.attempts, file.life.interrupted, file.is_alive),
        (0, 1, false)
    );
    assert!(matches!(site.admit(&id, 0..1, who(2)), Admission::Busy { rest } if rest == LEASE));
    let rest = site.granted(&id, 4 * MIB..10 * MIB, who(1));
    assert!(rest.files[0].is_gated);
    assert_eq!(site.settle(&rest, Some(6 * MIB)), Settled::Delivered);
}

fn who_resumes_after_a_crash_and_may_have_everything_is_the_only_one(site: Site) {
    let (id, blobs) = site.upload(&[10 * MIB]);
    site.granted(&id, 0..10 * MIB, who(1));
    let site = site.restart();
    site.ask(|catalog| catalog.interrupt());
    let rest = site.granted(&id, 9 * MIB..10 * MIB, who(1));
    assert!(
        rest.files[0].is_gated,
        "the crash may have met it after nine parts of ten"
    );
    assert!(site.ask(|catalog| catalog.last_piece(&id, 1, rest.collection)));
    assert_eq!(site.settle(&rest, Some(MIB)), Settled::Held);
    site.advance(LEASE * 3);
    site.sweep();
    assert_eq!(site.phase(&id), Phase::Uncertain);
    assert!(matches!(site.admit(&id, 0..1, who(2)), Admission::Busy { .. }));
    // Their own coverage counts, and the owner may decide otherwise.
    let again = site.granted(&id, 0..9 * MIB, who(1));
    site.settle(&again, Some(8 * MIB));
    assert_eq!(site.phase(&id), Phase::Uncertain);
    assert!(site.ask(|catalog| catalog.rearm(&id, 1)));
    let other = site.granted(&id, 0..10 * MIB, who(2));
    assert_eq!(site.settle(&other, Some(10 * MIB)), Settled::Delivered);
    assert_eq!(site.sweep().unlink, blobs);
    // Without an owner it waits for its expiry, and no longer.
    let (id, _) = site.upload(&[10]);
    site.granted(&id, 0..10, who(1));
    let site = site.restart();
    site.ask(|catalog| catalog.interrupt());
    assert_eq!(site.phase(&id), Phase::Uncertain);
    site.advance(DAY);
    assert_eq!(site.sweep().ended, [(id, Ending::Expired)]);
}

fn a_clock_that_was_set_back_makes_nobody_wait_longer_than_a_lease(site: Site) {
    let (id, _) = site.upload(&[10 * MIB]);
    let grant = site.granted(&id, 0..10 * MIB, who(1));
    site.settle(&grant, None);
    site.set_back(DAY / 2);
    assert!(matches!(site.admit(&id, 0..1, who(2)), Admission::Busy { rest } if rest <= LEASE));
    site.sweep();
    site.advance(LEASE);
    site.granted(&id, 0..1, who(2));
    // Nor do bytes that are over.
    let (over, blobs) = site.upload(&[10]);
    site.deliver(&over, who(1).behind_proxy());
    site.set_back(DAY / 2);
    assert!(site.sweep().unlink.is_empty());
    site.advance(LEASE);
    assert_eq!(site.sweep().unlink, blobs);
}

fn the_next_sweep_is_known_and_not_sooner(site: Site) {
    let due = || site.ask(|catalog| catalog.next_due());
    assert_eq!(due(), None);
    let (id, blobs) = site.upload(&[10]);
    assert_eq!(due(), Some(DAY));
    // Little may be everything: while that is under way nothing lapses.
    let grant = site.granted(&id, 0..10, who(1));
    assert_eq!(due(), Some(DAY + LEASE));
    site.settle(&grant, None);
    assert_eq!(due(), Some(LEASE));
    site.advance(LEASE);
    assert_eq!(due(), Some(Duration::ZERO));
    site.sweep();
    assert_eq!(due(), Some(DAY - LEASE));
    // A request that goes on is looked at once in a lease, no oftener.
    let (long, _) = site.upload(&[MIB]);
    let grant = site.granted(&long, 0..MIB, who(1));
    for _ in 0..3 {
        site.advance(due().unwrap());
        site.sweep();
        assert_eq!(due(), Some(LEASE));
    }
    site.settle(&grant, Some(MIB));
    site.deliver(&id, who(1).behind_proxy());
    assert_eq!(due(), Some(Duration::ZERO));
    for blob in site.sweep().unlink {
        site.ask(|catalog| catalog.unlinked(&blob));
    }
    assert_eq!(due(), Some(GRACE));
    site.advance(GRACE);
    site.sweep();
    site.ask(|catalog| catalog.unlinked(&blobs[0]));
    assert_eq!(due(), Some(TERMS.receipts - GRACE));
}

fn lists_come_in_pages_and_strays_are_told(site: Site) {
    let mut all: Vec<(DropId, u32)> = Vec::new();
    let mut blobs = Vec::new();
    for _ in 0..5 {
        let (id, of_it) = site.upload(&[1, 2, 3]);
        all.extend((1..=3).map(|number| (id.clone(), number)));
        blobs.extend(of_it);
    }
    let half = DropId::random().unwrap();
    let unfinished = site.announce(&half, &[0]);
    all.push((half, 1));
    all.sort();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = site.ask(|catalog| catalog.list(after, 4));
        assert!(page.len() <= 4);
        after = page.last().map(|last| (last.id.clone(), last.number));
        listed.extend(page);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        listed
            .iter()
            .map(|file| (file.id.clone(), file.number))
            .collect::<Vec<_>>(),
        all
    );
    assert_eq!(
        listed.iter().filter(|file| file.state == State::Ready).count(),
        15
    );
    // One is over, and then gone.
    let gone = listed.iter().find(|file| file.state == State::Ready).unwrap();
    site.ask(|catalog| catalog.end(&gone.id, Which::One(gone.number), Ending::Lost));
    let strays = |complete| {
        let nobodys = BlobId::parse("abcdefghijklmnopqrstuvwxyz").unwrap();
        let asked = [blobs.clone(), unfinished.clone(), vec![nobodys]].concat();
        site.ask(|catalog| catalog.strays(asked, complete)).len()
    };
    assert_eq!((strays(true), strays(false)), (2, 16));
    site.ask(|catalog| catalog.unlinked(&gone.blob));
    assert_eq!((strays(true), strays(false)), (3, 16));
    let mut census = site.ask(|catalog| catalog.census());
    census.sort();
    let bytes = 5 * 6 - gone.size;
    assert_eq!(
        census,
        [
            (State::Receiving, 1, 0),
            (State::Ready, 14, bytes),
            (State::Deleted, 1, gone.size)
        ]
    );
}

fn unknown_recipients_are_counted_with_their_lease(site: Site) {
    let (id, _) = site.upload(&[MIB]);
    let claim = |range| Claim {
        id: id.clone(),
        wants: vec![(1, range)],
        asker: who(1).asker,
        unknown: Some("missing-header"),
        leash: Leash::default(),
    };
    for _ in 0..3 {
        let first = granted(site.ask(|catalog| catalog.admit(claim(0..5))));
        let second = granted(site.ask(|catalog| catalog.admit(claim(5..10))));
        site.settle(&first, None);
        site.settle(&second, None);
        site.advance(LEASE);
    }
    let drop = site.find(&id);
    assert_eq!(
        (drop.unknown, drop.unknown_why.as_deref()),
        (3, Some("missing-header"))
    );
}

fn a_closed_catalog_says_so(site: Site) {
    let (id, _) = site.upload(&[1]);
    site.catalog.close();
    let found = on_a_thread(|| site.catalog.find(&id));
    assert!(matches!(found, Err(CatalogError::Closed)));
    let swept = on_a_thread(|| site.catalog.sweep());
    assert!(matches!(swept, Err(CatalogError::Closed)));
    let site = site.restart();
    assert_eq!(site.state(&id), State::Ready);
}
