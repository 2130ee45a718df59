//! Ranges, resumption, and to whom a collection belongs.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;

use crate::support::*;

const LAST_PIECE: usize = 64 * 1024;

/// A button's collection: what it leads to, and the name.
async fn begin(site: &Site, path: &str) -> (String, String) {
    let led = site.send(ask("POST", path).from(AWAY).page()).await;
    assert_eq!(led.status, StatusCode::SEE_OTHER);
    let to = led.header("location").to_owned();
    let name = to.split_once("?collection=").unwrap().1.to_owned();
    let cookie = format!("collection={name}; Path={path}; HttpOnly; SameSite=Lax");
    assert_eq!(led.header("set-cookie"), cookie);
    (to, name)
}

#[tokio::test]
async fn a_button_leads_to_the_bytes_and_names_the_collection() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let (to, name) = begin(&site, &file.path).await;
    assert_eq!(to, format!("{}/1/raw?collection={name}", file.path));
    assert_eq!(
        site.rows("state = 'ready' AND attempts = 0"),
        1,
        "nobody has asked for bytes"
    );
    let cookie = format!("collection={name}");
    let answer = site
        .send(ask("GET", &to).from(AWAY).header("cookie", &cookie))
        .await;
    assert_eq!(answer.collection(), name);
    assert_eq!(answer.header("location"), to);
    assert_eq!(
        answer.header("set-cookie"),
        format!("collection={name}; Path={}; HttpOnly; SameSite=Lax", file.path)
    );
    // The secret itself is nowhere.
    let kept: Vec<u8> = site
        .db()
        .query_row("SELECT collection FROM files", [], |row| row.get(0))
        .unwrap();
    assert!(kept.len() == 32 && kept != name.as_bytes());
    // A second press goes on with it.
    let cookie = format!("collection={name}");
    drop(answer);
    site.until_raw_from(AWAY, &file.path, StatusCode::OK).await;
    let again = ask("POST", &file.path)
        .from(STRANGER)
        .page()
        .header("cookie", &cookie);
    assert_eq!(site.send(again).await.header("location"), to);
    let secure = ask("POST", &file.path).uri(&format!("https://files.test{}", file.path));
    let secure = site.send(secure.from(AWAY).page()).await;
    assert!(secure.header("set-cookie").ends_with("; Secure"));
}

#[tokio::test]
async fn who_asks_without_a_button_is_told_the_name_and_an_owner_is_not() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let own = site.collect(&file.path, HOME).await;
    assert_eq!(own.status, StatusCode::OK);
    for name in ["truehop-collection", "location", "set-cookie"] {
        assert_eq!(own.header(name), "", "{name}");
    }
    let answer = site.collect(&file.path, AWAY).await;
    let name = answer.collection();
    assert_eq!(name.len(), 22);
    assert_eq!(
        answer.header("location"),
        format!("{}/1/raw?collection={name}", file.path)
    );
    assert_eq!(
        answer.header("etag"),
        // printf content | sha256sum
        "\"ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73\""
    );
}

#[tokio::test]
async fn ranges_that_meet_deliver_and_a_gap_does_not() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let (to, _) = begin(&site, &file.path).await;
    let part = |range: &str| site.send(ask("GET", &to).from(AWAY).range(range));
    for (range, told, bytes) in [
        ("0-1", "bytes 0-1/7", "co"),
        ("-2", "bytes 5-6/7", "nt"),
        ("3-3", "bytes 3-3/7", "t"),
        ("1-2", "bytes 1-2/7", "on"),
    ] {
        let answer = part(range).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.header("content-range"), told);
        assert_eq!(answer.header("content-length"), bytes.len().to_string());
        assert_eq!(answer.deliver().await, bytes);
        site.until_rows("last_piece = 0", 1).await;
        assert_eq!(site.rows("state = 'collecting' AND attempts = 1"), 1, "{range}");
        assert_eq!(
            site.collect(&file.path, STRANGER).await.status,
            StatusCode::LOCKED
        );
    }
    assert_eq!(part("4-4").await.deliver().await, "e");
    site.until(&file.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
}

#[tokio::test]
async fn a_broken_download_is_resumed_by_whatever_shows_that_it_is_the_same() {
    let site = Site::new();
    for shows in ["query", "header", "cookie", "address"] {
        let file = site.upload("a", "content").await;
        let (to, name) = begin(&site, &file.path).await;
        let raw = format!("{}/raw", file.path);
        let cookie = format!("collection={name}");
        let answer = site
            .send(ask("GET", &to).from(AWAY).header("cookie", &cookie))
            .await;
        let etag = answer.header("etag").to_owned();
        answer.cut_short(3);
        site.until_rows(&format!("covered = '0-3' AND drop_id = '{}'", &file.path[3..]), 1)
            .await;
        let resume = match shows {
            "query" => ask("GET", &to).from(STRANGER),
            "header" => ask("GET", &raw).from(STRANGER).collection(&name),
            "cookie" => ask("GET", &raw)
                .from(STRANGER)
                .header("cookie", &format!("collection={name}")),
            _ => ask("GET", &raw).from(AWAY),
        };
        let rest = site.send(resume.range("3-").header("if-range", &etag)).await;
        assert_eq!(rest.status, StatusCode::PARTIAL_CONTENT, "{shows}");
        // Who is known by the address is not told a secret that nobody kept.
        assert_eq!(
            rest.collection(),
            if shows == "address" { "" } else { name.as_str() }
        );
        assert_eq!(rest.deliver().await, "tent");
        site.until(&file.path, StatusCode::GONE).await;
    }
    assert_eq!(site.rows("ending = 'delivered' AND attempts = 1"), 4);
}

#[tokio::test]
async fn what_nobody_is_known_to_have_is_asked_for_again() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let (to, name) = begin(&site, &file.path).await;
    // The first three bytes have left, and are acknowledged.
    let cookie = format!("collection={name}");
    let answer = site
        .send(ask("GET", &to).from(AWAY).header("cookie", &cookie))
        .await;
    let courier = answer.courier.clone().unwrap();
    assert_eq!(answer.bytes().await, b"content");
    courier.cut_short(3, 3);
    site.until_rows("covered = '0-3'", 1).await;
    let rest = site.send(ask("GET", &to).from(AWAY).range("4-")).await;
    rest.deliver().await;
    site.until_rows("covered = '0-3,4-7'", 1).await;
    assert_eq!(site.rows("state = 'collecting'"), 1);
    site.send(ask("GET", &to).from(AWAY).range("3-3"))
        .await
        .deliver()
        .await;
    site.until(&file.path, StatusCode::GONE).await;
}

#[tokio::test]
async fn who_resumes_behind_what_was_acknowledged_is_taken_at_its_word_and_may_have_it_again() {
    // Its connection is dead: it resumes after that was seen here, and before.
    for comes_first in [false, true] {
        let site = Site::new();
        let file = site.upload("a", "content").await;
        let (to, name) = begin(&site, &file.path).await;
        let cookie = format!("collection={name}");
        let first = site
            .send(ask("GET", &to).from(AWAY).header("cookie", &cookie))
            .await;
        let resumed = ask("GET", &to).from(AWAY).header("cookie", &cookie).range("5-");
        let rest = if comes_first {
            let rest = site.send(resumed).await;
            first.vanish(3, 6);
            rest
        } else {
            first.vanish(3, 6);
            site.until_rows("covered = '0-3'", 1).await;
            site.send(resumed).await
        };
        assert_eq!(rest.deliver().await, "nt");
        site.until(&file.path, StatusCode::GONE).await;
        assert_eq!(site.rows("ending = 'delivered' AND attempts = 1"), 1);
        // Should the word have been none, nothing is lost.
        let raw = format!("{}/raw", file.path);
        let status = site.send(ask("GET", &raw).from(STRANGER)).await.status;
        assert_eq!(status, StatusCode::GONE);
        let again = ask("GET", &to).from(AWAY).header("cookie", &cookie).range("3-4");
        assert_eq!(site.send(again).await.deliver().await, "te");
    }
}

#[tokio::test]
async fn of_a_body_of_which_nobody_tells_no_more_has_left_than_was_read() {
    let site = Site::new();
    let file = site.upload("a", &"x".repeat(1_000_000)).await;
    let mut answer = site.collect(&file.path, AWAY).await;
    let read = answer.read(100_000).await.len();
    drop(answer);
    site.lapse().await;
    let left: String = site
        .db()
        .query_row("SELECT unsettled FROM files", [], |row| row.get(0))
        .unwrap();
    let (start, end) = left.split_once('-').unwrap();
    assert_eq!(start, "0");
    assert!((read..300_000).contains(&end.parse().unwrap()), "{left}");
    assert_eq!(site.rows("last_piece = 0"), 1);
}

#[tokio::test]
async fn what_has_left_whole_and_was_not_acknowledged_goes_to_nobody_else() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let (to, name) = begin(&site, &file.path).await;
    let cookie = format!("collection={name}");
    let mine = || ask("GET", &to).from(AWAY).header("cookie", &cookie);
    site.send(mine()).await.vanish(3, 7);
    site.until_rows("covered = '0-3' AND last_piece = 1", 1).await;
    site.lapse().await;
    let raw = format!("{}/raw", file.path);
    let status = site.send(ask("GET", &raw).from(STRANGER)).await.status;
    assert_eq!(status, StatusCode::LOCKED);
    assert_eq!(site.send(mine()).await.deliver().await, "content");
    site.until(&file.path, StatusCode::GONE).await;
}

#[tokio::test]
async fn parts_may_be_fetched_at_the_same_time_and_others_stay_out() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let raw = format!("{}/raw", file.path);
    let mut parts = Vec::new();
    for range in ["0-1", "2-3", "4-6"] {
        let part = site.send(ask("GET", &raw).from(AWAY).range(range)).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        parts.push(part);
    }
    let name = parts[0].collection();
    // Somebody at the same address who wants all of it is perhaps somebody else.
    assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::LOCKED);
    let shown = site
        .send(ask("GET", &raw).from(STRANGER).collection(&name).range("0-0"))
        .await;
    assert_eq!(shown.status, StatusCode::PARTIAL_CONTENT);
    drop(shown);
    for (ask, why) in [
        (ask("GET", &raw).from(STRANGER), "another address"),
        (
            ask("GET", &raw).from(STRANGER).range("0-1"),
            "another address with a range",
        ),
        (
            ask("GET", &raw)
                .from(AWAY)
                .range("0-1")
                .collection(&"A".repeat(22)),
            "another collection",
        ),
    ] {
        let other = site.send(ask).await;
        assert_eq!(other.status, StatusCode::LOCKED, "{why}");
        assert!(other.courier.is_none());
    }
    for (part, bytes) in parts.into_iter().zip(["co", "nt", "ent"]).rev() {
        assert_eq!(site.rows("ending IS NOT NULL"), 0);
        assert_eq!(part.deliver().await, bytes);
    }
    site.until(&file.path, StatusCode::GONE).await;
    assert_eq!(site.rows("attempts = 1"), 1);
}

#[tokio::test]
async fn a_range_is_for_the_same_bytes_or_it_is_none() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let raw = format!("{}/raw", file.path);
    let etag = site.send(ask("HEAD", &raw)).await.header("etag").to_owned();
    for (name, value, status) in [
        ("if-range", etag.as_str(), StatusCode::PARTIAL_CONTENT),
        ("if-range", "\"other\"", StatusCode::OK),
        ("if-range", "Fri, 15 Jan 2027 08:00:00 GMT", StatusCode::OK),
        ("range", "bytes=0-1", StatusCode::OK),
        ("if-match", etag.as_str(), StatusCode::PARTIAL_CONTENT),
        ("if-match", "\"other\"", StatusCode::PRECONDITION_FAILED),
    ] {
        let answer = site.send(ask("GET", &raw).range("1-3").header(name, value)).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
    for range in ["bytes=0-1,3-4", "bytes=3-1", "lines=1-2", "bytes=x-"] {
        let answer = site.send(ask("GET", &raw).header("range", range)).await;
        assert_eq!(
            (answer.status, answer.header("content-range")),
            (StatusCode::OK, ""),
            "{range}"
        );
        assert_eq!(answer.text().await, "content");
    }
}

#[tokio::test]
async fn what_sends_no_bytes_has_no_effect() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let raw = format!("{}/raw", file.path);
    let etag = site.send(ask("HEAD", &raw)).await.header("etag").to_owned();
    let weak = format!("W/{etag}");
    for (method, name, value, status) in [
        ("GET", "if-none-match", etag.as_str(), StatusCode::NOT_MODIFIED),
        ("GET", "if-none-match", weak.as_str(), StatusCode::NOT_MODIFIED),
        ("GET", "if-none-match", "*", StatusCode::NOT_MODIFIED),
        ("HEAD", "if-none-match", etag.as_str(), StatusCode::NOT_MODIFIED),
        ("GET", "if-match", "\"other\"", StatusCode::PRECONDITION_FAILED),
        ("GET", "range", "bytes=7-", StatusCode::RANGE_NOT_SATISFIABLE),
        ("GET", "range", "bytes=-0", StatusCode::RANGE_NOT_SATISFIABLE),
        ("HEAD", "range", "bytes=0-1", StatusCode::OK),
        ("HEAD", "range", "bytes=9-", StatusCode::OK),
    ] {
        let answer = site.send(ask(method, &raw).from(AWAY).header(name, value)).await;
        assert_eq!(answer.status, status, "{method} {name}: {value}");
        assert!(answer.courier.is_none() && answer.collection().is_empty());
        match status {
            StatusCode::RANGE_NOT_SATISFIABLE => assert_eq!(answer.header("content-range"), "bytes */7"),
            StatusCode::NOT_MODIFIED => {
                assert_eq!(
                    (answer.header("etag"), answer.header("content-length")),
                    (&*etag, "7")
                );
            }
            StatusCode::OK => assert_eq!(answer.header("content-length"), "7"),
            _ => {}
        }
        let text = answer.text().await;
        assert!(text.is_empty() || text.contains("other bytes"), "{text}");
    }
    assert_eq!(
        site.rows("state = 'ready' AND attempts = 0 AND collection IS NULL"),
        1
    );
    let other = site
        .send(ask("GET", &raw).from(AWAY).header("if-none-match", "\"other\""))
        .await;
    assert_eq!(other.deliver().await, "content");
}

#[tokio::test]
async fn an_owner_has_any_part_at_any_time() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    let raw = format!("{}/raw", file.path);
    let part = site.send(ask("GET", &raw).range("2-4")).await;
    assert_eq!(
        (part.status, part.header("content-range")),
        (StatusCode::PARTIAL_CONTENT, "bytes 2-4/7")
    );
    assert!(part.courier.is_none());
    assert_eq!(part.text().await, "nte");
    drop(held);
}

/// One byte less than all, again and again.
#[tokio::test]
async fn repeating_is_no_free_copy() {
    let site = Site::with(|c| c.attempts = 2);
    let content = "x".repeat(100);
    let file = site.upload("a", &content).await;
    let (to, name) = begin(&site, &file.path).await;
    for attempts in [1, 2] {
        let cookie = format!("collection={name}");
        let answer = site
            .send(ask("GET", &to).from(AWAY).header("cookie", &cookie))
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.cut_short(99);
        site.until_rows("last_piece = 0", 1).await;
        assert_eq!(site.rows(&format!("attempts = {attempts}")), 1);
    }
    for ask in [
        ask("GET", &to).from(AWAY),
        ask("HEAD", &to).from(AWAY),
        ask("POST", &file.path).from(AWAY),
    ] {
        let spent = site.send(ask).await;
        assert_eq!(
            (spent.status, spent.header("retry-after")),
            (StatusCode::TOO_MANY_REQUESTS, "120")
        );
        assert!(spent.courier.is_none());
    }
    let spent = site.send(ask("GET", &to).from(AWAY)).await.text().await;
    assert!(
        spent.contains("let the download go on where it has stopped"),
        "{spent}"
    );
    let page = site.send(ask("GET", &file.path).from(AWAY)).await.text().await;
    assert!(page.contains("it can only go on where it has stopped"), "{page}");
    // What is missing may still be had.
    let rest = site.send(ask("GET", &to).from(AWAY).range("99-")).await;
    assert_eq!(rest.status, StatusCode::PARTIAL_CONTENT);
    drop(rest);
    site.lapse().await;
    assert_eq!(site.collect(&file.path, STRANGER).await.status, StatusCode::GONE);
    site.drop.sweep().await;
    assert_eq!(site.rows("state = 'deleted' AND ending = 'attempts'"), 1);
}

#[tokio::test]
async fn of_a_large_file_the_last_piece_leaves_when_that_is_written_down() {
    let site = Site::new();
    let content: String = (0..300_000u32)
        .map(|n| char::from(b'a' + (n % 26) as u8))
        .collect();
    let file = site.upload("a", &content).await;
    let mut held = site.collect(&file.path, AWAY).await;
    let before = held.read(content.len() - LAST_PIECE).await;
    assert_eq!(before.len(), content.len() - LAST_PIECE);
    assert_eq!(site.rows("state = 'collecting' AND last_piece = 0"), 1);
    let last = held.body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(last.len(), LAST_PIECE);
    assert_eq!(site.rows("last_piece = 1"), 1);
    assert!([before, last.to_vec()].concat() == content.as_bytes());
    held.courier.unwrap().delivered();
    site.until(&file.path, StatusCode::GONE).await;
}

#[tokio::test]
async fn what_cannot_be_written_down_does_not_leave_and_costs_no_attempt() {
    let site = Site::with(|c| c.attempts = 1);
    let file = site.upload("a", &"x".repeat(300_000)).await;
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON files WHEN new.last_piece = 1
                  BEGIN SELECT raise(ABORT, 'not now'); END";
    site.db().execute_batch(refuse).unwrap();
    let mut held = site.collect(&file.path, AWAY).await;
    assert_eq!(held.read(300_000 - LAST_PIECE).await.len(), 300_000 - LAST_PIECE);
    assert!(held.body.frame().await.unwrap().is_err());
    held.cut_short(200_000);
    site.until_rows("covered = '0-200000' AND attempts = 0 AND interrupted = 1", 1)
        .await;

    // A small file is not even begun.
    let small = site.upload("b", "content").await;
    let refused = site.collect(&small.path, AWAY).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(refused.courier.is_none());
    site.db().execute_batch("DROP TRIGGER refuse").unwrap();
    let rest = ask("GET", &format!("{}/raw", file.path))
        .from(AWAY)
        .range("200000-");
    assert_eq!(site.send(rest).await.deliver().await.len(), 100_000);
    site.until(&file.path, StatusCode::GONE).await;
    assert_eq!(site.collect(&small.path, AWAY).await.deliver().await, "content");
}

#[tokio::test]
async fn only_what_completes_the_file_waits() {
    let site = Site::new();
    let file = site.upload("a", &"x".repeat(300_000)).await;
    let raw = format!("{}/raw", file.path);
    let part = |range: &str| site.send(ask("GET", &raw).from(AWAY).range(range));
    assert_eq!(part("0-199999").await.deliver().await.len(), 200_000);
    site.until_rows("covered = '0-200000' AND last_piece = 0", 1)
        .await;
    // Small, and not the rest.
    assert_eq!(part("200000-200999").await.deliver().await.len(), 1000);
    site.until_rows("covered = '0-201000' AND last_piece = 0", 1)
        .await;
    let mut rest = part("201000-").await;
    assert_eq!(rest.read(99_000 - LAST_PIECE).await.len(), 99_000 - LAST_PIECE);
    assert_eq!(site.rows("last_piece = 0"), 1);
    assert_eq!(rest.read(1).await.len(), LAST_PIECE);
    assert_eq!(site.rows("last_piece = 1"), 1);
    rest.cut_short(1);
    // It is known that they do not have it.
    site.until_rows("covered = '0-201001' AND last_piece = 0", 1)
        .await;
    let tail = part("299000-").await;
    assert_eq!(site.rows("last_piece = 0"), 1);
    drop(tail);
    let rest = part("201001-").await;
    assert_eq!(rest.deliver().await.len(), 98_999);
    site.until(&file.path, StatusCode::GONE).await;
}

#[tokio::test]
async fn a_last_piece_does_not_leave_for_who_has_lost_the_file() {
    let site = Site::new();
    let file = site.upload("a", &"x".repeat(300_000)).await;
    let mut held = site.collect(&file.path, AWAY).await;
    held.read(300_000 - LAST_PIECE).await;
    assert_eq!(site.send(ask("DELETE", &file.path)).await.status, StatusCode::OK);
    assert!(held.body.frame().await.unwrap().is_err());
    assert_eq!(site.rows("last_piece = 1"), 0);
}

#[tokio::test]
async fn a_lease_runs_on_for_who_comes_back_and_then_it_is_somebody_elses() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let (to, name) = begin(&site, &file.path).await;
    let cookie = format!("collection={name}");
    let answer = site
        .send(ask("GET", &to).from(AWAY).header("cookie", &cookie))
        .await;
    answer.cut_short(3);
    site.until_rows("covered = '0-3'", 1).await;
    site.until_under_way(0).await;
    site.advance(Duration::from_secs(119));
    // Coming back makes it a whole lease again.
    site.send(ask("GET", &to).from(AWAY).range("3-3"))
        .await
        .deliver()
        .await;
    site.until_rows("covered = '0-4'", 1).await;
    site.until_under_way(0).await;
    site.advance(Duration::from_secs(119));
    assert_eq!(
        site.collect(&file.path, STRANGER).await.status,
        StatusCode::LOCKED
    );
    site.advance(Duration::from_secs(1));
    let other = site.collect(&file.path, STRANGER).await;
    assert_eq!(other.status, StatusCode::OK);
    // The first one is another now, and has nothing any more.
    let late = site.send(ask("GET", &to).from(AWAY).range("4-")).await;
    assert_eq!(late.status, StatusCode::LOCKED);
    assert_eq!(site.rows("covered = '' AND attempts = 2"), 1);
    assert_eq!(other.deliver().await, "content");
    site.until(&file.path, StatusCode::GONE).await;
}

/// Nobody else has had it since: what they have still counts.
#[tokio::test]
async fn who_comes_back_late_and_before_anybody_else_goes_on_and_it_counts_an_attempt() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let (to, name) = begin(&site, &file.path).await;
    let cookie = format!("collection={name}");
    let answer = site
        .send(ask("GET", &to).from(AWAY).header("cookie", &cookie))
        .await;
    answer.cut_short(3);
    site.until_rows("covered = '0-3'", 1).await;
    site.until_under_way(0).await;
    for swept in [false, true] {
        site.advance(Duration::from_secs(500));
        if swept {
            site.drop.sweep().await;
            assert_eq!(site.rows("state = 'ready'"), 1);
        }
    }
    let rest = site.send(ask("GET", &to).from(STRANGER).range("3-")).await;
    assert_eq!(rest.deliver().await, "tent");
    site.until(&file.path, StatusCode::GONE).await;
    assert_eq!(site.rows("ending = 'delivered' AND attempts = 2"), 1);
}

#[tokio::test]
async fn within_the_grace_the_same_collection_has_it_again_from_anywhere() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let raw = format!("{}/raw", file.path);
    let via = |ip: &str| ask("GET", &raw).resolved(behind_proxy(ip));
    let answer = site.send(via(AWAY)).await;
    let name = answer.collection();
    answer.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    // A part is what is missing; it does not use up the try.
    let part = site.send(via(STRANGER).collection(&name).range("5-")).await;
    assert_eq!(
        (part.status, part.text().await.as_str()),
        (StatusCode::PARTIAL_CONTENT, "nt")
    );
    let page = site.send(ask("GET", &file.path).from(AWAY)).await;
    assert_eq!(page.status, StatusCode::OK);
    let page = page.text().await;
    assert!(page.contains("you can try once more within 1 minute"), "{page}");
    assert_eq!(
        site.send(via(AWAY).collection(&"A".repeat(22))).await.status,
        StatusCode::GONE
    );
    assert_eq!(
        site.send(via(STRANGER).collection(&name)).await.text().await,
        "content"
    );
    assert_eq!(site.send(via(AWAY)).await.status, StatusCode::GONE);
    assert_eq!(
        site.send(ask("GET", &file.path).from(AWAY)).await.status,
        StatusCode::GONE
    );
}

#[tokio::test]
async fn buttons_refuse_what_the_bytes_would_refuse() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    for path in [file.path.clone(), format!("{}/1", file.path)] {
        let busy = site.send(ask("POST", &path).from(STRANGER).page()).await;
        assert_eq!(
            (busy.status, busy.header("retry-after")),
            (StatusCode::LOCKED, "120")
        );
        assert_eq!(busy.header("set-cookie"), "");
        assert!(busy.text().await.contains("Being downloaded"));
    }
    held.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    let gone = site.send(ask("POST", &file.path).from(STRANGER).page()).await;
    assert_eq!(gone.status, StatusCode::GONE);
    let missing = site
        .send(ask("POST", &format!("{}/2", file.path)).from(AWAY))
        .await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    for number in ["0", "01x", "01", "+1", "%31%20", "-1", "99999999999999999999"] {
        let missing = site
            .send(ask("GET", &format!("{}/{number}/raw", file.path)).from(AWAY))
            .await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{number}");
    }
}

#[tokio::test]
async fn all_of_an_empty_file_is_no_part_of_it() {
    let site = Site::new();
    let file = site.upload("empty", "").await;
    let raw = format!("{}/raw", file.path);
    let none = site.send(ask("GET", &raw).from(AWAY).range("1-")).await;
    assert_eq!(none.status, StatusCode::RANGE_NOT_SATISFIABLE);
    let whole = site.send(ask("GET", &raw).from(AWAY).range("0-")).await;
    assert_eq!(whole.status, StatusCode::OK);
    whole.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
}

#[tokio::test]
async fn who_waits_is_told_whether_somebody_is_downloading() {
    let site = Site::with(|c| c.attempts = 2);
    let file = site.upload_all(&[("a", &"x".repeat(200)), ("b", "y")]).await;
    let one = format!("{}/1/raw", file.path);
    let told = |text: String, words: &str| assert!(text.contains(words), "{words}: {text}");
    let stopped = "Somebody's download has stopped; until Fri, 15 Jan 2027 08:02:00 GMT only they can go on.";
    site.send(ask("GET", &one).from(AWAY)).await.cut_short(99);
    site.until_rows("covered = '0-99'", 1).await;
    let page = || ask("GET", &file.path).from(STRANGER);
    told(
        site.send(page()).await.text().await,
        &format!("{stopped} After that you can try."),
    );
    let busy = site.send(ask("GET", &one).from(STRANGER)).await;
    assert_eq!(
        (busy.status, busy.header("retry-after")),
        (StatusCode::LOCKED, "120")
    );
    told(busy.text().await, &format!("{stopped} After that you can try."));
    let owners = site.send(ask("GET", &file.path).page()).await.text().await;
    told(
        owners.clone(),
        "A download has stopped at 49\u{a0}%. For 2 minutes it can only be resumed; then anybody",
    );
    told(owners, "<h1>Ready to share</h1>");
    // The last attempt: after it nobody can.
    for asked in [198, 297] {
        let again = site.send(ask("GET", &one).from(AWAY).range("0-")).await;
        again.cut_short(99);
        site.until_rows(&format!("asked = {asked}"), 1).await;
    }
    assert_eq!(site.rows("attempts = 2"), 1);
    told(
        site.send(page()).await.text().await,
        &format!("{stopped} After that it is deleted."),
    );
    told(
        site.send(ask("GET", &file.path)).await.text().await,
        "then the file is deleted",
    );
}

#[tokio::test]
async fn an_empty_file_that_did_not_arrive_is_for_others_again() {
    let site = Site::new();
    let file = site.upload("empty", "").await;
    let first = site.collect(&file.path, AWAY).await;
    // Its end gives the lease another end, by which it is seen to have been written down.
    let until = "lease_until > (SELECT max(expires_at) FROM files) - 86400000 + 120000";
    site.advance(Duration::from_secs(1));
    drop(first);
    site.until_rows(until, 1).await;
    site.advance(site.config.lease);
    let other = site.collect(&file.path, STRANGER).await;
    other.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
}

/// Who sends somebody a link with a name of their own choice must not belong to what begins with it.
#[tokio::test]
async fn a_link_alone_does_not_name_a_new_collection() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let link = format!("{}/raw?collection={}", file.path, "A".repeat(22));
    let answer = site.send(ask("GET", &link).from(AWAY)).await;
    assert_ne!(answer.collection(), "A".repeat(22));
    let other = site.send(ask("GET", &link).from(STRANGER)).await;
    assert_eq!(other.status, StatusCode::LOCKED);
}
