//! What a crash leaves behind, put right at the next start.

use std::fs;

use http::StatusCode;

use crate::support::*;

fn id_of(file: &Uploaded) -> &str {
    file.path.strip_prefix("/d/").unwrap()
}

#[tokio::test]
async fn a_half_received_file_is_removed() {
    let site = Site::new();
    let (whole, half) = (site.upload("whole", "x").await, site.upload("half", "y").await);
    let published = site.upload("published", "z").await;
    let blob = site.blob(&half.path, 1);
    let site = site.restart(|db, data| {
        fs::rename(&blob, data.join("incoming").join(blob.file_name().unwrap())).unwrap();
        // Crashed between the rename and the commit.
        let sql = "UPDATE files SET state = 'receiving', size = 0 WHERE drop_id IN (?1, ?2)";
        assert_eq!(db.execute(sql, [id_of(&half), id_of(&published)]).unwrap(), 2);
    });
    assert_eq!(site.rows("true"), 1);
    assert_eq!(site.on_disk().len(), 1);
    assert_eq!(site.collect(&whole.path, AWAY).await.deliver().await, "x");
    assert_eq!(
        site.send(ask("GET", &half.path)).await.status,
        StatusCode::NOT_FOUND
    );
}

/// A file that is not larger than a last piece may have arrived as a whole, and the crash has taken the answer.
#[tokio::test]
async fn of_a_small_file_nobody_knows_whether_it_arrived_and_only_the_same_recipient_has_it() {
    let mut site = Site::with(|c| c.attempts = 2);
    let file = site.upload("a", "content").await;
    for _ in 1..=3 {
        let held = site.collect(&file.path, AWAY).await;
        assert_eq!(held.status, StatusCode::OK);
        site = site.restart(|db, _| {
            let row = db.query_row("SELECT state, last_piece FROM files", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
            });
            assert_eq!(row.unwrap(), ("collecting".to_owned(), true));
        });
        drop(held);
        assert_eq!(site.rows("attempts = 0 AND interrupted > 0"), 1);
        // However long that lasts.
        site.advance(std::time::Duration::from_secs(1000));
        site.drop.sweep().await;
        let other = site.collect(&file.path, STRANGER).await;
        assert_eq!(other.status, StatusCode::LOCKED);
        assert!(other.text().await.contains("perhaps it has arrived"));
    }
    let page = site.send(ask("GET", &file.path)).await.text().await;
    assert!(page.contains("nobody knows whether it arrived"), "{page}");
    assert_eq!(site.collect(&file.path, AWAY).await.deliver().await, "content");
    site.until(&file.path, StatusCode::GONE).await;
}

#[tokio::test]
async fn the_owner_may_release_what_nobody_knows_of() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    let site = site.restart(|_, _| ());
    drop(held);
    let again = format!("{}/1/again", file.path);
    for (from, status) in [
        (AWAY, StatusCode::FORBIDDEN),
        (HOME, StatusCode::OK),
        (HOME, StatusCode::CONFLICT),
    ] {
        assert_eq!(
            site.send(ask("POST", &again).from(from)).await.status,
            status,
            "{from}"
        );
    }
    assert_eq!(
        site.collect(&file.path, STRANGER).await.deliver().await,
        "content"
    );
    site.until(&file.path, StatusCode::GONE).await;
}

/// Of a large one it is known that the last piece never left.
#[tokio::test]
async fn a_download_of_which_the_end_never_left_goes_on_after_the_restart() {
    let site = Site::with(|c| c.attempts = 1);
    let content = "x".repeat(300_000);
    let file = site.upload("a", &content).await;
    let mut held = site.collect(&file.path, AWAY).await;
    held.read(1).await;
    let site = site.restart(|_, _| ());
    drop(held);
    assert_eq!(
        site.rows("last_piece = 0 AND attempts = 0 AND interrupted = 1"),
        1
    );
    assert_eq!(
        site.collect(&file.path, STRANGER).await.status,
        StatusCode::LOCKED
    );
    let resumed = site.collect(&file.path, AWAY).await;
    assert_eq!(resumed.status, StatusCode::OK);
    drop(resumed);
    site.until_raw_from(AWAY, &file.path, StatusCode::OK).await;

    // Who does not come back in time has lost their place.
    let other = site.upload("b", &content).await;
    drop(site.collect(&other.path, AWAY).await);
    let site = site.restart(|_, _| ());
    site.advance(std::time::Duration::from_secs(120));
    assert_eq!(site.collect(&other.path, STRANGER).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_was_being_collected_when_its_time_was_up_expires_a_lease_later() {
    let site = Site::new();
    let (small, large) = (
        site.upload("a", "x").await,
        site.upload("b", &"x".repeat(100_000)).await,
    );
    let held = [
        site.collect(&small.path, AWAY).await,
        site.collect(&large.path, AWAY).await,
    ];
    site.advance(std::time::Duration::from_secs(86_400));
    let site = site.restart(|_, _| ());
    drop(held);
    site.drop.sweep().await;
    assert_eq!(
        site.rows("ending = 'expired' AND interrupted = 1 AND size = 1"),
        1
    );
    assert_eq!(site.collect(&large.path, STRANGER).await.status, StatusCode::GONE);
    site.advance(std::time::Duration::from_secs(120));
    site.drop.sweep().await;
    assert_eq!(site.rows("ending = 'expired' AND interrupted = 1"), 2);
    assert!(site.on_disk().is_empty());
}

#[tokio::test]
async fn the_outbox_is_replayed() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    site.collect(&file.path, AWAY).await.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    assert_eq!(site.on_disk().len(), 1, "nobody has swept yet");
    let site = site.restart(|db, _| {
        let waiting: i64 = db
            .query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))
            .unwrap();
        assert_eq!(waiting, 1);
    });
    assert!(site.on_disk().is_empty());
    assert_eq!(site.rows("state = 'deleted'"), 1);
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn an_unlink_that_was_not_written_down_is_done_again() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    site.collect(&file.path, AWAY).await.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    let blob = site.blob(&file.path, 1);
    let site = site.restart(|_, _| fs::remove_file(blob).unwrap());
    assert_eq!(site.rows("state = 'deleted'"), 1);
}

#[tokio::test]
async fn a_grace_outlives_a_restart() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let raw = format!("{}/raw", file.path);
    site.send(ask("GET", &raw).resolved(behind_proxy(AWAY)))
        .await
        .deliver()
        .await;
    site.until(&file.path, StatusCode::GONE).await;
    let site = site.restart(|_, _| ());
    assert_eq!(site.on_disk().len(), 1);
    assert_eq!(
        site.send(ask("GET", &raw).resolved(behind_proxy(AWAY)))
            .await
            .text()
            .await,
        "content"
    );
}

#[tokio::test]
async fn bytes_without_a_row_go_and_strangers_files_stay() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let orphan = "abcdefghijklmnopqrstuvwxyz";
    let blob = site.blob(&file.path, 1);
    let site = site.restart(|_, data| {
        fs::create_dir_all(data.join("files/a/b")).unwrap();
        fs::write(data.join("files/a/b").join(orphan), "x").unwrap();
        fs::write(data.join("incoming").join(orphan), "x").unwrap();
        fs::write(data.join("files/holiday.jpg"), "not ours").unwrap();
    });
    let mut left = site.on_disk();
    left.sort();
    let mut expected = [blob, site.data.path().join("files/holiday.jpg")];
    expected.sort();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn a_row_without_its_bytes_is_failed_and_damaged_bytes_are_not_handed_out() {
    let site = Site::new();
    let (missing, short) = (
        site.upload("a", "content").await,
        site.upload("b", "content").await,
    );
    let blobs = [&missing, &short].map(|file| site.blob(&file.path, 1));
    let site = site.restart(|_, _| {
        fs::remove_file(&blobs[0]).unwrap();
        fs::write(&blobs[1], "cont").unwrap();
    });
    for file in [&missing, &short] {
        assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
    }
    assert_eq!(site.rows("state = 'deleted' AND ending = 'lost'"), 2);
    assert!(site.on_disk().is_empty());
}

#[tokio::test]
async fn what_expired_meanwhile_is_gone_at_the_start() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    site.advance(std::time::Duration::from_secs(86_400));
    let site = site.restart(|_, _| ());
    assert!(site.on_disk().is_empty());
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
}
