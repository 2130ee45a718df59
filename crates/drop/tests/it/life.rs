//! What time does.

use std::time::Duration;

use http::StatusCode;

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

#[tokio::test]
async fn a_lease_that_nobody_renews_lapses() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    assert_eq!(site.drop.sweep().await, Some(Duration::from_secs(120)));
    site.advance(Duration::from_secs(120));
    site.drop.sweep().await;
    assert_eq!(site.rows("state = 'ready' AND attempts = 1"), 1);
    let other = site.collect(&file.path, "192.0.2.9").await;
    assert_eq!(other.status, StatusCode::OK);
    // The first one arrives after all: that is a fact, and the file is over.
    held.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    // Nothing that the second one does changes it back.
    drop(other);
    site.drop.sweep().await;
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
    assert!(site.on_disk().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_but_living_download_keeps_its_lease() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    for _ in 0..3 {
        site.advance(Duration::from_secs(100));
        tokio::time::advance(Duration::from_secs(41)).await;
        loop {
            let busy = site.collect(&file.path, "192.0.2.9").await;
            if busy.header("retry-after") == "120" {
                break;
            }
            assert_eq!(busy.status, StatusCode::LOCKED);
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(held.deliver().await, "content");
    site.until(&file.path, StatusCode::GONE).await;
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
    // Undelivered after its time: nobody else gets it.
    drop(held);
    site.until_raw(&file.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
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
    for _ in 0..LOOKS {
        site.send(ask("GET", &file.path)).await;
    }
    assert!(site.on_disk().is_empty());
    let Site { drop, router, .. } = site;
    drop.close();
    sweeper.await.unwrap();
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
