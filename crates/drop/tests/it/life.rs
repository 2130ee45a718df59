//! What time does.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;

use crate::support::*;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_file_expires_unread_and_is_forgotten_after_its_receipt() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    site.advance(DAY - Duration::from_secs(1));
    assert_eq!(site.drop.sweep().await, Some(Duration::from_secs(1)));
    assert_eq!(
        site.send(ask("GET", &file.path).from(AWAY)).await.status,
        StatusCode::OK
    );

    site.advance(Duration::from_secs(1));
    // Gone at the second, whether or not anybody has swept.
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
    assert_eq!(site.collect(&file.path, HOME).await.status, StatusCode::GONE);
    assert_eq!(site.drop.sweep().await, Some(7 * DAY));
    assert!(site.on_disk().is_empty());
    let told = site.send(ask("GET", &file.path).token(&file.token).page()).await;
    assert_eq!(told.status, StatusCode::GONE);
    assert!(told.text().await.contains("Expired"));
    let neutral = site
        .send(ask("GET", &file.path).page().from(AWAY))
        .await
        .text()
        .await;
    assert!(!neutral.contains("Expired"), "{neutral}");

    site.advance(7 * DAY);
    assert_eq!(
        site.send(ask("GET", &file.path)).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(site.drop.sweep().await, None);
    assert_eq!(site.rows("true"), 0);
}

/// A laptop that slept, a clock that was set, a download that takes longer than a lease: nobody else gets in.
#[tokio::test]
async fn a_living_collection_is_alone_however_late_it_is() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    for (later, rest) in [(0, "120"), (119, "1"), (1, "120"), (50_000, "120")] {
        site.advance(Duration::from_secs(later));
        site.drop.sweep().await;
        let busy = site.collect(&file.path, STRANGER).await;
        assert_eq!(
            (busy.status, busy.header("retry-after")),
            (StatusCode::LOCKED, rest),
            "{later} s later"
        );
        assert!(busy.courier.is_none());
    }
    assert_eq!(held.deliver().await, "content");
    site.until(&file.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nobody_wait_for_it() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    site.advance(DAY / 2);
    let held = site.collect(&file.path, AWAY).await;
    *site.now.lock().unwrap() -= DAY / 2;
    let busy = site.collect(&file.path, STRANGER).await;
    assert_eq!(busy.header("retry-after"), "120");
    drop(held);
    site.until_raw_from(AWAY, &file.path, StatusCode::OK).await;
    site.lapse().await;
    site.until_raw(&file.path, StatusCode::OK).await;
}

/// The word of the first recipient cannot be written down: the file is still nobody else's.
#[tokio::test(start_paused = true)]
async fn a_delivery_that_cannot_be_written_yet_keeps_others_out() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    let db = rusqlite::Connection::open(site.data.path().join("catalog.sqlite")).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON files WHEN new.ending IS NOT NULL
                  BEGIN SELECT raise(ABORT, 'not now'); END";
    db.execute_batch(refuse).unwrap();
    held.deliver().await;
    for _ in 0..5 {
        site.advance(Duration::from_secs(200));
        site.drop.sweep().await;
        let other = site.collect(&file.path, STRANGER).await;
        assert_eq!(other.status, StatusCode::LOCKED);
        tokio::time::advance(Duration::from_secs(11)).await;
    }
    db.execute_batch("DROP TRIGGER refuse").unwrap();
    for _ in 0..LOOKS {
        tokio::time::advance(Duration::from_secs(11)).await;
        if site.rows("ending = 'delivered'") == 1 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the delivery is never written down");
}

#[tokio::test]
async fn a_stop_of_the_server_costs_no_attempt() {
    let site = Site::with(|c| c.attempts = 1);
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    site.drop.stopping();
    drop(held);
    site.until_raw_from(AWAY, &file.path, StatusCode::OK).await;
    assert_eq!(site.rows("attempts = 0 AND interrupted = 1"), 1);
    site.lapse().await;
    let page = site.send(ask("GET", &file.path).page()).await.text().await;
    assert!(
        page.contains("interrupted by the server") && !page.contains("Nobody has downloaded"),
        "{page}"
    );
    // Who got it all has it, also while we stop.
    site.collect(&file.path, AWAY).await.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_costs_no_attempt() {
    let site = Site::with(|c| c.attempts = 1);
    let file = site.upload("a", "content").await;
    std::fs::write(&site.on_disk()[0], "cont").unwrap();
    let held = site.collect(&file.path, AWAY).await;
    assert!(held.body.collect().await.is_err());
    drop(held.courier);
    site.until_raw_from(AWAY, &file.path, StatusCode::OK).await;
    assert_eq!(site.rows("attempts = 0 AND interrupted = 1"), 1);
}

#[tokio::test]
async fn a_file_that_is_being_collected_does_not_expire_under_its_recipient() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    site.advance(DAY - Duration::from_secs(60));
    let held = site.collect(&file.path, AWAY).await;
    site.advance(Duration::from_secs(90));
    site.drop.sweep().await;
    assert_eq!(site.rows("state = 'collecting'"), 1);
    // Nobody else gets in any more, and the owner is told why it is still there.
    assert_eq!(site.collect(&file.path, STRANGER).await.status, StatusCode::GONE);
    let page = site.send(ask("GET", &file.path).page()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().await.contains("is still downloading it"));
    assert_eq!(site.collect(&file.path, HOME).await.text().await, "content");
    drop(held);
    // The one who began may go on, until a lease after the expiry.
    site.until_raw_from(AWAY, &file.path, StatusCode::OK).await;
    site.advance(Duration::from_secs(89));
    site.until_raw_from(AWAY, &file.path, StatusCode::OK).await;
    site.advance(Duration::from_secs(1));
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
    until_told(&site, &file, "Nobody is known to have all of it").await;
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
}

#[tokio::test]
async fn who_began_in_time_has_a_lease_more_and_is_cut_off_then() {
    let site = Site::new();
    let content = "x".repeat(600_000);
    let file = site.upload("a", &content).await;
    site.advance(DAY - Duration::from_secs(1));
    let mut held = site.collect(&file.path, AWAY).await;
    // The lease is due first; it is renewed.
    assert_eq!(site.drop.sweep().await, Some(Duration::from_secs(120)));
    assert!(held.body.frame().await.unwrap().is_ok());
    site.advance(Duration::from_secs(120));
    site.drop.sweep().await;
    assert!(
        held.body.frame().await.unwrap().is_ok(),
        "a second of the lease is left"
    );
    site.advance(Duration::from_secs(1));
    site.drop.sweep().await;
    assert!(held.body.frame().await.unwrap().is_err());
    assert_eq!(site.rows("ending = 'expired'"), 1);
    assert!(site.on_disk().is_empty());
    drop(held);
    until_told(&site, &file, "Nobody is known to have all of it").await;
}

#[tokio::test]
async fn a_delivery_after_the_end_is_a_fact_and_the_receipt_says_so() {
    let site = Site::new();
    for sweep_first in [false, true] {
        let file = site.upload("a", "content").await;
        let held = site.collect(&file.path, AWAY).await;
        let bytes = held.body.collect().await.unwrap().to_bytes();
        assert_eq!(bytes, "content", "all of it has left before the owner acts");
        let withdrawn = site.send(ask("DELETE", &file.path).token(&file.token)).await;
        assert_eq!(withdrawn.status, StatusCode::OK);
        if sweep_first {
            site.drop.sweep().await;
        }
        // Not "before anybody had it": nobody knows yet.
        until_told(&site, &file, "whether it was complete will be known soon").await;
        held.courier.unwrap().delivered();
        until_told(&site, &file, "Delivered Fri, 15 Jan 2027 08:00:00 GMT").await;
        site.drop.sweep().await;
        assert!(site.on_disk().is_empty());
        until_told(&site, &file, "GMT. Somebody else has all of it.").await;
    }
    assert_eq!(
        site.rows("state = 'deleted' AND ending = 'delivered' AND name IS NULL"),
        2
    );
}

async fn until_told(site: &Site, file: &Uploaded, words: &str) {
    let mut told = String::new();
    for _ in 0..LOOKS {
        told = site
            .send(ask("GET", &file.path).token(&file.token))
            .await
            .text()
            .await;
        if told.contains(words) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("not {words:?} but {told:?}");
}

#[tokio::test]
async fn withdrawing_cuts_the_running_download_and_nobody_had_it() {
    let site = Site::new();
    let content = "x".repeat(600_000);
    let file = site.upload("a", &content).await;
    let mut held = site.collect(&file.path, AWAY).await;
    assert!(held.body.frame().await.unwrap().is_ok());
    let own = site.collect(&file.path, HOME).await;
    site.send(ask("POST", &format!("{}/delete", file.path)).token(&file.token))
        .await;
    assert!(held.body.frame().await.unwrap().is_err());
    drop(held);
    until_told(&site, &file, "Nobody is known to have all of it").await;
    // The owner's own copy hangs on nothing.
    assert_eq!(own.text().await.len(), content.len());

    let untouched = site.upload("a", "content").await;
    site.send(ask("DELETE", &untouched.path)).await;
    until_told(&site, &untouched, "before anybody had it").await;
}

#[tokio::test]
async fn the_sweeper_wakes_for_work_and_ends_with_the_drop() {
    let site = Site::new();
    let sweeper = tokio::spawn(site.drop.sweep_forever());
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    // Until the sweeper has nothing to do but to wait for the lease's end.
    for _ in 0..200 {
        site.send(ask("GET", &file.path)).await;
    }
    held.deliver().await;
    // No timer is waited for: the delivery itself wakes the sweeper.
    site.until_rows("state = 'deleted'", 1).await;
    assert!(site.on_disk().is_empty());
    let Site { drop, router, .. } = site;
    drop.close();
    sweeper.await.unwrap().unwrap();
    let closed = send(router, ask("GET", &file.path)).await;
    assert_eq!(closed.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_file_that_vanished_is_failed_and_not_offered_again() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    std::fs::remove_file(&site.on_disk()[0]).unwrap();
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
    assert_eq!(site.rows("state = 'failed' AND ending = 'lost'"), 1);
    let page = site
        .send(ask("GET", &file.path).token(&file.token).page())
        .await
        .text()
        .await;
    assert!(page.contains("lost"), "{page}");
}
