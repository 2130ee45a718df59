//! What an owner does to a drop: delete a file of it, have it wait longer, give another try.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;

use crate::support::*;

const DAY: Duration = Duration::from_secs(86_400);

fn wait_on(file: &Uploaded, expires: &str) -> Ask {
    ask("POST", &format!("{}/expires", file.path))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("expires={expires}"))
}

#[tokio::test]
async fn a_drop_waits_longer_or_shorter_from_now_on() {
    let site = Site::new();
    let file = site.upload_all(&[("a", "content"), ("b", "x")]).await;
    site.advance(DAY / 2);
    let told = site.send(wait_on(&file, "3d")).await;
    assert_eq!(
        (told.status, told.header("truehop-expires")),
        (StatusCode::OK, "Mon, 18 Jan 2027 20:00:00 GMT")
    );
    assert!(told.text().await.contains("until Mon, 18 Jan 2027 20:00:00 GMT"));
    site.advance(2 * DAY);
    site.drop.sweep().await;
    assert_eq!(site.rows("state = 'ready'"), 2);
    for ask in [
        ask("POST", &format!("{}/expires?expires=1h", file.path)),
        ask("POST", &format!("{}/expires", file.path)).header("truehop-expires", "1h"),
        wait_on(&file, "1h"),
    ] {
        let told = site.send(ask).await;
        assert_eq!(told.header("truehop-expires"), "Sun, 17 Jan 2027 21:00:00 GMT");
    }
    // A browser sees the page again, and is known as long as the drop is there.
    let cookie = format!("owner={}", file.token);
    let seen = site
        .send(wait_on(&file, "7days").page().header("cookie", &cookie))
        .await;
    assert_eq!(
        (seen.status, seen.header("location")),
        (StatusCode::SEE_OTHER, file.path.as_str())
    );
    let kept = format!(
        "{cookie}; Path={}; HttpOnly; SameSite=Lax; Max-Age=1209660",
        file.path
    );
    assert_eq!(seen.header("set-cookie"), kept);
    let seen = site.send(wait_on(&file, "1h").page()).await;
    assert_eq!(seen.header("set-cookie"), "", "known by the address");
    site.advance(Duration::from_secs(3600));
    assert_eq!(site.send(wait_on(&file, "1h")).await.status, StatusCode::GONE);
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn not_for_ever_and_not_by_anybody() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    for (expires, told) in [
        ("8d", "at most 7 days"),
        ("soon", "at most 7 days"),
        ("", "is no time"),
        ("0s", "is no time"),
    ] {
        let refused = site.send(wait_on(&file, expires)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{expires}");
        assert!(refused.text().await.contains(told), "{expires}");
    }
    let nothing = site.send(ask("POST", &format!("{}/expires", file.path))).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
    assert!(nothing.text().await.contains("expires=3d"));
    for refused in [
        wait_on(&file, "1h").from(AWAY),
        wait_on(&file, "1h").from(AWAY).token("wrong"),
        wait_on(&file, "1h").resolved(stood_in_for()),
        wait_on(&file, "1h").header("origin", "null"),
        wait_on(&file, "1h").header("sec-fetch-site", "cross-site"),
    ] {
        assert_eq!(site.send(refused).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(site.rows("expires_at = 1800086400000"), 1);
}

/// What would have expired under its recipient does not.
#[tokio::test]
async fn a_drop_that_is_being_collected_can_wait_longer_too() {
    let site = Site::new();
    let file = site.upload("a", &"x".repeat(300_000)).await;
    site.advance(DAY - Duration::from_secs(1));
    let mut held = site.collect(&file.path, AWAY).await;
    held.read(1).await;
    assert_eq!(site.send(wait_on(&file, "1d")).await.status, StatusCode::OK);
    site.advance(Duration::from_secs(1000));
    site.drop.sweep().await;
    held.read(1).await;
    held.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
}

#[tokio::test]
async fn one_file_is_deleted_and_the_others_stay() {
    let site = Site::new();
    for page in [false, true] {
        let file = site.upload_all(&[("a", "1"), ("b", "2"), ("c", "3")]).await;
        let mut number = 0;
        let mut delete = || {
            number += 1;
            match page {
                false => ask("DELETE", &format!("{}/{number}", file.path)),
                true => ask("POST", &format!("{}/{number}/delete", file.path)).page(),
            }
        };
        let deleted = site.send(delete()).await;
        match page {
            true => assert_eq!(deleted.header("location"), file.path),
            false => assert_eq!(deleted.text().await, "File 1 is deleted.\n"),
        }
        assert_eq!(
            site.rows(&format!("drop_id = '{}' AND state = 'ready'", &file.path[3..])),
            2
        );
        site.drop.sweep().await;
        assert_eq!(site.on_disk().len(), 2);
        site.send(delete()).await;
        let last = site.send(delete()).await;
        assert_eq!(last.status, StatusCode::OK);
        assert!(
            last.text()
                .await
                .contains("The file is deleted. Its link leads nowhere now.")
        );
        site.drop.sweep().await;
        assert!(site.on_disk().is_empty());
        let again = ask("DELETE", &file.path).token(&file.token);
        assert_eq!(site.send(again).await.status, StatusCode::GONE);
    }
    let all = site.upload_all(&[("a", "1"), ("b", "2")]).await;
    let deleted = site.send(ask("DELETE", &all.path)).await.text().await;
    assert_eq!(deleted, "The files are deleted. Their link leads nowhere now.\n");
}

#[tokio::test]
async fn only_the_owner_acts() {
    let site = Site::new();
    let file = site.upload_all(&[("a", "1"), ("b", "2")]).await;
    for (method, path) in [
        ("DELETE", "/1"),
        ("POST", "/1/delete"),
        ("POST", "/1/again"),
        ("POST", "/delete"),
        ("DELETE", ""),
        ("POST", "/expires?expires=1h"),
    ] {
        let path = format!("{}{path}", file.path);
        for refused in [
            ask(method, &path).from(AWAY),
            ask(method, &path).resolved(stood_in_for()),
            ask(method, &path).from(AWAY).token(&"A".repeat(22)),
        ] {
            assert_eq!(
                site.send(refused).await.status,
                StatusCode::FORBIDDEN,
                "{method} {path}"
            );
        }
        if method == "POST" {
            for (name, value) in [
                ("sec-fetch-site", "same-site"),
                ("origin", "null"),
                ("origin", "http://other.test"),
            ] {
                let refused = site.send(ask(method, &path).header(name, value)).await;
                assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {name}: {value}");
            }
        }
    }
    assert_eq!(site.rows("state = 'ready' AND expires_at = 1800086400000"), 2);
}

#[tokio::test]
async fn within_the_grace_the_owner_gives_another_try() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let raw = format!("{}/raw", file.path);
    let via = |ip: &str| ask("GET", &raw).resolved(behind_proxy(ip));
    let again = || ask("POST", &format!("{}/1/again", file.path)).page();
    let early = site.send(again()).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    let first = site.send(via(AWAY)).await;
    let name = first.collection();
    first.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    site.advance(Duration::from_secs(20));
    let page = site.send(ask("GET", &file.path).page()).await;
    assert_eq!(page.status, StatusCode::GONE);
    let page = page.text().await;
    for words in [
        "Delivered <time datetime=\"2027-01-15T08:00:00Z\">Fri, 15 Jan 2027 08:00:00 GMT</time> (confirmed by a proxy: whether \
         somebody else has it, only the proxy knows). The bytes stay until Fri, 15 Jan 2027 08:01:00 GMT so that its \
         recipient can go on; until then you can give it another try.",
        "<button type=\"submit\">Give it another try</button>",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let seen = site.send(again()).await;
    assert_eq!(
        (seen.status, seen.header("location")),
        (StatusCode::SEE_OTHER, file.path.as_str())
    );
    // It is as new: for anybody, once.
    assert_eq!(
        site.rows("state = 'ready' AND attempts = 0 AND collection IS NULL AND ending IS NULL"),
        1
    );
    site.drop.sweep().await;
    site.advance(Duration::from_secs(3600));
    site.drop.sweep().await;
    let other = site.send(ask("GET", &raw).from(STRANGER)).await;
    assert_eq!(other.status, StatusCode::OK);
    let first_again = site.send(via(AWAY).collection(&name).range("1-")).await;
    assert_eq!(first_again.status, StatusCode::LOCKED);
    assert_eq!(other.deliver().await, "content");
    site.until(&file.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
    assert_eq!(
        site.send(again().token(&file.token)).await.status,
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn within_the_grace_the_owner_deletes_at_once() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let raw = format!("{}/raw", file.path);
    site.send(ask("GET", &raw).resolved(behind_proxy(AWAY)))
        .await
        .deliver()
        .await;
    site.until(&file.path, StatusCode::GONE).await;
    let page = site.send(ask("GET", &file.path).page()).await.text().await;
    assert!(page.contains("/delete\""), "{page}");
    let deleted = site.send(ask("DELETE", &file.path)).await;
    assert_eq!(deleted.status, StatusCode::OK);
    let again = site.send(ask("GET", &raw).resolved(behind_proxy(AWAY))).await;
    assert_eq!(again.status, StatusCode::GONE);
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
    assert_eq!(site.rows("ending = 'delivered'"), 1, "it was, and stays so");
}

/// The second try of somebody who has it is stopped by a deletion, and by nothing else.
#[tokio::test]
async fn a_second_try_is_cut_off_by_a_deletion() {
    let site = Site::new();
    let file = site.upload("a", &"x".repeat(600_000)).await;
    let raw = format!("{}/raw", file.path);
    let via = || ask("GET", &raw).resolved(behind_proxy(AWAY));
    site.send(via()).await.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    // The first request is over for others a moment before it is over for its own recipient.
    let mut again = loop {
        let again = site.send(via()).await;
        if again.status == StatusCode::OK {
            break again;
        }
    };
    again.read(1).await;
    let deleted = site.send(ask("DELETE", &file.path).token(&file.token)).await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert!(again.body.frame().await.unwrap().is_err());
}
