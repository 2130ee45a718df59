//! What deletes, and what never does.

use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn somebody_elses_download_deletes_the_file_for_good() {
    let site = Site::new();
    let file = site.upload("secret.txt", "content").await;
    assert_eq!(site.on_disk().len(), 1);
    let answer = site.collect(&file.path, AWAY).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-length"), "7");
    assert_eq!(answer.deliver().await, "content");
    site.until(&file.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
    let erased =
        "state = 'deleted' AND ending = 'delivered' AND name IS NULL AND uploader IS NULL AND salt IS NULL";
    assert_eq!(site.rows(erased), 1);
}

#[tokio::test]
async fn the_button_of_the_page_collects_too_and_an_empty_file_can_be_delivered() {
    let site = Site::new();
    let file = site.upload("empty", "").await;
    let button = ask("POST", &file.path)
        .page()
        .header("sec-fetch-site", "same-origin");
    let answer = site.press(button.from(AWAY)).await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (StatusCode::OK, "0")
    );
    assert_eq!(answer.deliver().await, "");
    site.until(&file.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
}

#[tokio::test]
async fn looking_never_deletes() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let raw = format!("{}/raw", file.path);
    let bot = "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)";
    for look in [
        ask("GET", &file.path),
        ask("GET", &file.path).page(),
        ask("HEAD", &file.path),
        ask("HEAD", &raw),
        ask("OPTIONS", &raw),
        ask("GET", &raw).header("sec-purpose", "prefetch;prerender"),
        ask("GET", &raw).header("purpose", "PREFETCH"),
        ask("POST", &file.path).header("x-moz", "prefetch"),
        ask("GET", &raw).header("user-agent", bot),
        ask("GET", &raw).header("user-agent", "WhatsApp/2.23.20.0 A"),
        ask("HEAD", &raw).header("user-agent", bot),
        ask("POST", &file.path).header("sec-purpose", "prefetch"),
        // What another site's page includes.
        ask("GET", &raw)
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "no-cors")
            .header("sec-fetch-dest", "image"),
        ask("GET", &raw)
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "iframe"),
        ask("GET", &format!("{raw}?collection={}", "A".repeat(22)))
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty"),
    ] {
        let answer = site.send(look.from(AWAY)).await;
        assert!(answer.courier.is_none());
        assert_ne!(answer.text().await, "content");
    }
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://files.test"),
        ("origin", "http://elsewhere.test"),
    ] {
        let foreign = site
            .send(ask("POST", &file.path).from(AWAY).header(name, value))
            .await;
        assert_eq!(foreign.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(site.rows("state = 'ready' AND attempts = 0"), 1);
}

/// Whatever a browser is called, the one who presses the button is a person.
#[tokio::test]
async fn the_button_is_for_every_browser() {
    let site = Site::new();
    for (name, value) in [
        (
            "user-agent",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        ),
        ("sec-fetch-site", "none"),
        ("origin", "http://files.test"),
        ("origin", "null"),
    ] {
        let file = site.upload("a", "content").await;
        let answer = site
            .press(ask("POST", &file.path).from(AWAY).header(name, value))
            .await;
        assert_eq!(answer.deliver().await, "content", "{name}: {value}");
    }
}

#[tokio::test]
async fn head_tells_what_get_would_send() {
    let site = Site::new();
    let file = site.upload("a.txt", "content").await;
    let head = site
        .send(ask("HEAD", &format!("{}/raw", file.path)).from(AWAY))
        .await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (StatusCode::OK, "7")
    );
    let get = site.collect(&file.path, AWAY).await;
    for (name, value) in &get.headers {
        // Only who gets bytes is told the name of the collection.
        let told = ["location", "set-cookie", "truehop-collection"].contains(&name.as_str());
        assert_eq!(head.headers.get(name), Some(value).filter(|_| !told), "{name}");
    }
    assert_eq!(head.text().await, "");
}

#[tokio::test]
async fn an_undelivered_file_is_ready_again_and_gone_after_the_last_attempt() {
    let site = Site::with(|c| c.attempts = 3);
    let file = site.upload("a", "content").await;
    for attempt in 1..=3 {
        site.until_raw(&file.path, StatusCode::OK).await;
        // All bytes may have been sent: without the acknowledgement nobody knows.
        let answer = site.collect(&file.path, AWAY).await;
        assert_eq!(answer.status, StatusCode::OK);
        drop(answer);
        site.lapse().await;
        let after = if attempt < 3 {
            StatusCode::OK
        } else {
            StatusCode::GONE
        };
        site.until_raw(&file.path, after).await;
    }
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
    let page = site.send(ask("GET", &file.path).token(&file.token).page()).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(page.text().await.contains("Too many downloads"));
}

#[tokio::test]
async fn a_second_recipient_is_told_to_wait() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let first = site.collect(&file.path, AWAY).await;
    site.advance(Duration::from_secs(50));
    let second = site.collect(&file.path, STRANGER).await;
    assert_eq!(
        (second.status, second.header("retry-after")),
        (StatusCode::LOCKED, "70")
    );
    assert!(second.courier.is_none());
    drop(first);
    // The first one may come back until the lease lapses.
    site.until_rows("last_piece = 0", 1).await;
    let second = site.collect(&file.path, STRANGER).await;
    assert_eq!(
        (second.status, second.header("retry-after")),
        (StatusCode::LOCKED, "120")
    );
    site.lapse().await;
    assert_eq!(site.collect(&file.path, STRANGER).await.status, StatusCode::OK);
}

#[tokio::test]
async fn behind_a_proxy_the_same_recipient_may_try_once_more_within_the_grace() {
    let site = Site::new();
    let file = site.upload("a.txt", "content").await;
    let raw = format!("{}/raw", file.path);
    let via = |ip: &str| ask("GET", &raw).resolved(behind_proxy(ip));
    assert_eq!(site.send(via(AWAY)).await.deliver().await, "content");
    site.until(&file.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert_eq!(site.on_disk().len(), 1, "the bytes stay for the grace");
    // The owner may give it another try, and is known by what was kept.
    assert_eq!(site.rows("uploader IS NOT NULL AND state = 'delivered'"), 1);

    site.advance(Duration::from_secs(59));
    assert_eq!(site.send(via(STRANGER)).await.status, StatusCode::GONE);
    assert_eq!(site.send(via(HOME)).await.status, StatusCode::GONE);
    let again = site.send(via(AWAY)).await;
    assert_eq!(again.status, StatusCode::OK);
    assert!(again.header("content-disposition").contains("a.txt"));
    assert_eq!(again.text().await, "content");
    assert_eq!(
        site.send(via(AWAY)).await.status,
        StatusCode::GONE,
        "once means once"
    );

    site.advance(Duration::from_secs(1));
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
    assert_eq!(
        site.rows(
            "state = 'deleted' AND recipient IS NULL AND name IS NULL AND salt IS NULL AND uploader IS NULL"
        ),
        1
    );
}

#[tokio::test]
async fn a_direct_recipient_has_no_grace() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    site.collect(&file.path, AWAY).await.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
}

/// Several runtimes at once, as the edge has them.
#[test]
fn of_32_collectors_exactly_one_gets_the_file() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (site, file) = runtime().block_on(async {
        let site = Site::new();
        let file = site.upload("a", "content").await;
        (site, file)
    });
    let (router, raw) = (&site.router, format!("{}/raw", file.path));
    let start = std::sync::Barrier::new(4);
    // The winner's runtime must live on until the receipt is written down.
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (raw, start) = (&raw, &start);
                scope.spawn(move || {
                    let runtime = runtime();
                    let answers = runtime.block_on(async {
                        start.wait();
                        let mut asked = JoinSet::new();
                        for i in 0..8 {
                            asked.spawn(send(
                                router.clone(),
                                ask("GET", raw).from(&format!("192.0.2.{}", n * 8 + i)),
                            ));
                        }
                        asked.join_all().await
                    });
                    (runtime, answers)
                })
            })
            .collect();
        let (runtimes, answers): (Vec<_>, Vec<_>) = threads.into_iter().map(|t| t.join().unwrap()).unzip();
        let mut winners = Vec::new();
        for answer in answers.into_iter().flatten() {
            match answer.status {
                StatusCode::OK => winners.push(answer),
                status => assert_eq!(status, StatusCode::LOCKED),
            }
        }
        assert_eq!(winners.len(), 1);
        let winner = winners.pop().unwrap();
        runtimes[0].block_on(async { assert_eq!(winner.deliver().await, "content") });
        // The task that waits for the receipt sits on the winner's runtime, whichever that is: let each one run.
        std::thread::scope(|scope| {
            for runtime in &runtimes {
                scope.spawn(|| runtime.block_on(site.until(&file.path, StatusCode::GONE)));
            }
        });
        runtimes[0].block_on(site.drop.sweep());
    });
    assert!(site.on_disk().is_empty());
}
