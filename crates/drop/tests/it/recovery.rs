//! What a crash leaves behind, put right at the next start.

use std::fs;

use http::StatusCode;

use crate::support::*;

fn id_of(file: &Uploaded) -> String {
    file.path.strip_prefix("/d/").unwrap().to_owned()
}

#[tokio::test]
async fn a_half_received_file_is_removed() {
    let site = Site::new();
    let (whole, half) = (site.upload("whole", "x").await, site.upload("half", "y").await);
    let published = site.upload("published", "z").await;
    let site = site.restart(|db, data| {
        let half = id_of(&half);
        fs::rename(data.join("files").join(&half), data.join("incoming").join(&half)).unwrap();
        // Crashed between the rename and the commit.
        let sql = "UPDATE file SET state = 'receiving', size = NULL WHERE id IN (?1, ?2)";
        assert_eq!(db.execute(sql, [&half, &id_of(&published)]).unwrap(), 2);
    });
    assert_eq!(site.rows("true"), 1);
    assert_eq!(site.on_disk().len(), 1);
    assert_eq!(site.collect(&whole.path, AWAY).await.deliver().await, "x");
    assert_eq!(
        site.send(ask("GET", &half.path)).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_collection_does_not_survive_and_costs_no_attempt() {
    let mut site = Site::with(|c| c.attempts = 2);
    let file = site.upload("a", "content").await;
    for stops in 1..=3 {
        let held = site.collect(&file.path, AWAY).await;
        assert_eq!(held.status, StatusCode::OK);
        site = site.restart(|db, _| {
            let state: String = db
                .query_row("SELECT state FROM file", [], |row| row.get(0))
                .unwrap();
            assert_eq!(state, "collecting");
        });
        drop(held);
        let given_back = format!("state = 'ready' AND attempts = 0 AND interrupted = {stops}");
        assert_eq!(site.rows(&given_back), 1);
    }
    // It may have been complete: nobody here knows.
    let page = site.send(ask("GET", &file.path)).await.text().await;
    assert!(page.contains("3 downloads were interrupted here"), "{page}");
    assert_eq!(site.collect(&file.path, AWAY).await.deliver().await, "content");
}

#[tokio::test]
async fn what_was_being_collected_when_its_time_was_up_has_expired() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    site.advance(std::time::Duration::from_secs(86_400));
    let site = site.restart(|_, _| ());
    drop(held);
    assert_eq!(site.rows("ending = 'expired' AND interrupted = 1"), 1);
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
    let site = site.restart(|_, data| fs::remove_file(data.join("files").join(id_of(&file))).unwrap());
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
    let site = site.restart(|_, data| {
        fs::write(data.join("files").join(orphan), "x").unwrap();
        fs::write(data.join("incoming").join(orphan), "x").unwrap();
        fs::write(data.join("files/holiday.jpg"), "not ours").unwrap();
    });
    let left: Vec<_> = site
        .on_disk()
        .iter()
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&"holiday.jpg".into()) && left.contains(&id_of(&file).into()));
}

#[tokio::test]
async fn a_row_without_its_bytes_is_failed_and_damaged_bytes_are_not_handed_out() {
    let site = Site::new();
    let (missing, short) = (
        site.upload("a", "content").await,
        site.upload("b", "content").await,
    );
    let site = site.restart(|_, data| {
        fs::remove_file(data.join("files").join(id_of(&missing))).unwrap();
        fs::write(data.join("files").join(id_of(&short)), "cont").unwrap();
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
