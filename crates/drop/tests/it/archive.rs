//! Drops of several files, and taking them as one archive.

use std::io::{Cursor, Read};

use http::StatusCode;
use http_body_util::BodyExt;

use crate::support::*;

const THREE: [(&str, &str); 3] = [("a.txt", "first"), ("b.txt", ""), ("a.txt", "third one")];

/// What is in an archive.
fn unpacked(bytes: Vec<u8>) -> Vec<(String, String)> {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..archive.len())
        .map(|n| {
            let mut file = archive.by_index(n).unwrap();
            let mut content = String::new();
            file.read_to_string(&mut content).unwrap();
            (file.name().to_owned(), content)
        })
        .collect()
}

fn of(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, content): &(&str, &str)| ((*name).to_owned(), (*content).to_owned());
    files.iter().map(owned).collect()
}

/// A recipient's button, and the archive that it leads to.
async fn take_all(site: &Site, path: &str) -> Answer {
    site.press(ask("POST", path).from(AWAY)).await
}

#[tokio::test]
async fn all_of_them_are_one_archive_of_a_known_length_and_gone_after_it() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    assert_eq!(site.on_disk().len(), 3);
    let archive = take_all(&site, &drop.path).await;
    assert_eq!(archive.status, StatusCode::OK);
    for (name, value) in [
        ("content-type", "application/zip"),
        (
            "content-disposition",
            "attachment; filename=\"files.zip\"; filename*=UTF-8''files.zip",
        ),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("accept-ranges", "bytes"),
        ("repr-digest", ""),
    ] {
        assert_eq!(archive.header(name), value, "{name}");
    }
    let announced: usize = archive.header("content-length").parse().unwrap();
    let courier = archive.courier.clone().unwrap();
    let bytes = archive.bytes().await;
    assert_eq!(bytes.len(), announced);
    courier.delivered();
    assert_eq!(
        unpacked(bytes),
        of(&[("a.txt", "first"), ("b.txt", ""), ("a (2).txt", "third one")])
    );
    site.until(&drop.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
    assert_eq!(
        site.rows("state = 'deleted' AND ending = 'delivered' AND name IS NULL"),
        3
    );
}

#[tokio::test]
async fn each_can_be_had_alone_and_the_rest_as_an_archive() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    let third = site
        .press(ask("POST", &format!("{}/3", drop.path)).from(AWAY))
        .await;
    assert!(third.header("content-disposition").contains("filename=\"a.txt\""));
    assert_eq!(third.deliver().await, "third one");
    site.until_rows("ending = 'delivered'", 1).await;
    let gone = site
        .send(ask("GET", &format!("{}/3/raw", drop.path)).from(STRANGER))
        .await;
    assert_eq!(gone.status, StatusCode::GONE);
    assert!(gone.text().await.contains("The file that was here is gone"));
    let page = site.send(ask("GET", &drop.path).from(STRANGER)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().await.contains("3. 9 bytes: Gone."));

    // Another recipient, by the address that a tool would ask.
    let archive = site.collect(&drop.path, STRANGER).await;
    let courier = archive.courier.clone().unwrap();
    assert_eq!(unpacked(archive.bytes().await), of(&THREE[..2]));
    courier.delivered();
    site.until(&drop.path, StatusCode::GONE).await;
    for path in ["", "/raw", "/zip", "/1", "/1/raw"] {
        let gone = site
            .send(ask("GET", &format!("{}{path}", drop.path)).from(STRANGER))
            .await;
        assert_eq!(gone.status, StatusCode::GONE, "{path}");
    }
    let gone = site
        .send(ask("GET", &drop.path).from(STRANGER))
        .await
        .text()
        .await;
    assert!(gone.contains("The files that were here are gone"), "{gone}");
}

#[tokio::test]
async fn the_last_one_is_led_to_by_itself_and_one_file_is_no_archive() {
    let site = Site::new();
    let drop = site.upload_all(&THREE[..2]).await;
    site.send(ask("DELETE", &format!("{}/1", drop.path))).await;
    let led = site.send(ask("POST", &drop.path).from(AWAY)).await;
    assert!(
        led.header("location")
            .starts_with(&format!("{}/2/raw?collection=", drop.path))
    );
    // An archive of one that is left is still one.
    let archive = site
        .send(ask("GET", &format!("{}/zip", drop.path)).from(AWAY))
        .await;
    assert_eq!(unpacked(archive.bytes().await), of(&THREE[1..2]));

    let single = site.upload("a", "content").await;
    for method in ["GET", "HEAD"] {
        let none = site
            .send(ask(method, &format!("{}/zip", single.path)).from(AWAY))
            .await;
        assert_eq!(none.status, StatusCode::NOT_FOUND);
    }
    let one = site.upload_all(&THREE[..1]).await;
    let none = site.send(ask("GET", &format!("{}/zip", one.path))).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_head_of_an_archive_is_that_of_its_bytes() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    let zip = format!("{}/zip", drop.path);
    let head = site.send(ask("HEAD", &zip).from(AWAY)).await;
    let tag = head.header("etag").to_owned();
    let same = site
        .send(ask("GET", &zip).from(AWAY).header("if-none-match", &tag))
        .await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    assert_eq!(site.rows("state = 'ready' AND attempts = 0"), 3);
    let get = site.send(ask("GET", &zip).from(AWAY)).await;
    for (name, value) in &get.headers {
        let told = ["location", "set-cookie", "truehop-collection"].contains(&name.as_str());
        assert_eq!(head.headers.get(name), Some(value).filter(|_| !told), "{name}");
    }
    assert_eq!(
        get.header("location"),
        format!("{zip}?collection={}", get.collection())
    );
    drop_undelivered(&site, get).await;
    // Other files are other bytes.
    site.send(ask("DELETE", &format!("{}/2", drop.path))).await;
    let other = site.send(ask("HEAD", &zip).from(AWAY)).await;
    assert_ne!(other.header("etag"), tag);
}

async fn drop_undelivered(site: &Site, answer: Answer) {
    drop(answer);
    site.until_rows("state = 'collecting' AND last_piece = 1", 0)
        .await;
}

/// The archive breaks off within the second file.
#[tokio::test]
async fn of_a_part_of_an_archive_the_complete_files_are_delivered_and_the_same_one_goes_on() {
    let site = Site::new();
    let (first, second, third) = ("x".repeat(1000), "y".repeat(1000), "z".repeat(1000));
    let files = [
        ("a", first.as_str()),
        ("b", second.as_str()),
        ("c", third.as_str()),
    ];
    for shows in ["query", "address"] {
        let drop = site.upload_all(&files).await;
        let mine = format!("drop_id = '{}'", &drop.path[3..]);
        let archive = take_all(&site, &drop.path).await;
        let (to, tag) = (
            archive.header("location").to_owned(),
            archive.header("etag").to_owned(),
        );
        let courier = archive.courier.clone().unwrap();
        let whole = archive.bytes().await;
        let cut = 31 + 1000 + 31 + 500;
        courier.cut_short(cut as u64, cut as u64);
        site.until_rows(&format!("{mine} AND state = 'delivered' AND number = 1"), 1)
            .await;
        site.until_rows(&format!("{mine} AND state = 'collecting' AND last_piece = 0"), 2)
            .await;
        assert_eq!(
            site.rows(&format!("{mine} AND covered = '0-500' AND number = 2")),
            1
        );

        site.until_under_way(0).await;

        // The bytes of the first are still there, for this archive only.
        let other = site
            .send(ask("GET", &format!("{}/zip", drop.path)).from(STRANGER))
            .await;
        assert_eq!(other.status, StatusCode::LOCKED);
        let other = site
            .send(ask("GET", &format!("{}/1/raw", drop.path)).from(STRANGER))
            .await;
        assert_eq!(other.status, StatusCode::GONE);
        site.advance(std::time::Duration::from_secs(119));
        site.drop.sweep().await;

        // It breaks off once more, much later.
        let resume = |from: usize| match shows {
            "query" => ask("GET", &to).from(STRANGER).range(&format!("{from}-")),
            _ => ask("GET", &format!("{}/zip", drop.path))
                .from(AWAY)
                .range(&format!("{from}-")),
        };
        let part = site.send(resume(cut).header("if-range", &tag)).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{shows}");
        let last = whole.len() - 1;
        assert_eq!(
            part.header("content-range"),
            format!("bytes {cut}-{last}/{}", whole.len())
        );
        site.advance(std::time::Duration::from_secs(1000));
        site.drop.sweep().await;
        part.cut_short(100);
        site.until_rows(&format!("{mine} AND covered = '0-600' AND number = 2"), 1)
            .await;
        site.advance(std::time::Duration::from_secs(119));
        site.drop.sweep().await;
        // curl -C - does not say of which bytes.
        let rest = site.send(resume(cut + 100)).await;
        assert_eq!(rest.status, StatusCode::PARTIAL_CONTENT, "{shows}");
        let courier = rest.courier.clone().unwrap();
        assert!(rest.bytes().await == whole[cut + 100..]);
        courier.delivered();
        site.until_rows(&format!("{mine} AND ending = 'delivered'"), 3)
            .await;
        assert_eq!(site.rows(&format!("{mine} AND attempts = 1")), 3);
        // At the latest a lease later the bytes are gone, too.
        site.advance(std::time::Duration::from_secs(120));
        site.drop.sweep().await;
        assert!(site.on_disk().is_empty());
    }
}

#[tokio::test]
async fn what_does_not_come_back_leaves_the_rest_to_others() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    let archive = take_all(&site, &drop.path).await;
    // The headers of the first two files, and the first.
    let first_two = 35 + 5 + 35;
    archive.cut_short(first_two);
    site.until_rows("state = 'delivered'", 2).await;
    site.lapse().await;
    site.drop.sweep().await;
    assert_eq!(site.on_disk().len(), 1);
    let rest = site
        .send(ask("GET", &format!("{}/3/raw", drop.path)).from(STRANGER))
        .await;
    assert_eq!(rest.deliver().await, "third one");
    site.until(&drop.path, StatusCode::GONE).await;
}

/// A byte less: then nobody knows whether the empty file is there.
#[tokio::test]
async fn an_empty_file_is_delivered_with_its_name() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    take_all(&site, &drop.path).await.cut_short(35 + 5 + 34);
    site.until_rows("state = 'delivered'", 1).await;
    site.until_rows("state = 'collecting' AND last_piece = 0", 2)
        .await;
}

#[tokio::test]
async fn what_somebody_else_is_taking_is_left_out_of_an_archive() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    let zip = format!("{}/zip", drop.path);
    let second = site
        .send(ask("GET", &format!("{}/2/raw", drop.path)).from(AWAY))
        .await;
    let page = site
        .send(ask("GET", &drop.path).from(STRANGER).page())
        .await
        .text()
        .await;
    assert!(page.contains("Download the other 2 as ZIP (14 bytes)"), "{page}");
    let head = site.send(ask("HEAD", &zip).from(STRANGER)).await;
    // As the page promises, the button leads to them; and they are one collection.
    let others = site.press(ask("POST", &drop.path).from(STRANGER)).await;
    assert_eq!(others.status, StatusCode::OK);
    assert_eq!(others.header("etag"), head.header("etag"));
    let (name, tag) = (others.collection(), others.header("etag").to_owned());
    let busy = site.send(ask("GET", &zip).from("192.0.2.77").page()).await;
    assert_eq!(
        (busy.status, busy.header("retry-after")),
        (StatusCode::LOCKED, "120")
    );
    let busy = busy.text().await;
    assert!(
        busy.contains("Being downloaded")
            && busy.contains(&format!("<a href=\"{}\">Look again</a>", drop.path)),
        "{busy}"
    );
    // The owner has all of them at any time.
    let own = site.send(ask("GET", &zip)).await;
    assert_eq!(unpacked(own.bytes().await).len(), 3);
    // It goes on by its tag, also when the other one is free.
    others.cut_short(10);
    drop_undelivered(&site, second).await;
    let resume = ask("GET", &zip)
        .from(STRANGER)
        .collection(&name)
        .range("10-")
        .header("if-range", &tag);
    let again = site.send(resume).await;
    assert_eq!(again.status, StatusCode::PARTIAL_CONTENT, "2 is held by another");
    drop_undelivered(&site, again).await;
    site.lapse().await;

    let archive = site.send(ask("GET", &zip).from(STRANGER)).await;
    assert_eq!(unpacked(archive.bytes().await).len(), 3);
}

/// A collection is one name; who takes two files under two names has two.
#[tokio::test]
async fn an_archive_is_one_collection() {
    let site = Site::new();
    let drop = site.upload_all(&[THREE[0], THREE[2]]).await;
    for number in [1, 2] {
        let raw = format!("{}/{number}/raw", drop.path);
        drop_undelivered(&site, site.send(ask("GET", &raw).from(AWAY)).await).await;
    }
    let page = site
        .send(ask("GET", &drop.path).from(AWAY).page())
        .await
        .text()
        .await;
    assert!(page.contains("get-1") && page.contains("get-2"), "{page}");
    assert!(!page.contains("as ZIP"), "{page}");
    let archive = site
        .send(ask("GET", &format!("{}/zip", drop.path)).from(AWAY))
        .await;
    assert_eq!(unpacked(archive.bytes().await), of(&THREE[..1]));
}

#[tokio::test]
async fn what_was_repeated_too_often_is_left_out_of_an_archive() {
    let site = Site::with(|c| c.attempts = 1);
    let drop = site.upload_all(&[("a", &"x".repeat(100)), ("b", "y")]).await;
    let raw = site
        .send(ask("GET", &format!("{}/1/raw", drop.path)).from(AWAY))
        .await;
    let name = raw.collection();
    raw.cut_short(99);
    site.until_rows("covered = '0-99'", 1).await;
    let spent = site
        .send(ask("GET", &format!("{}/1/raw", drop.path)).from(AWAY))
        .await;
    assert_eq!(spent.status, StatusCode::TOO_MANY_REQUESTS);
    let archive = ask("GET", &format!("{}/zip", drop.path))
        .from(AWAY)
        .collection(&name);
    let archive = site.send(archive).await;
    assert_eq!(unpacked(archive.bytes().await), of(&[("b", "y")]));
}

#[tokio::test]
async fn an_archive_that_has_become_another_is_not_gone_on_with() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    let zip = format!("{}/zip", drop.path);
    let archive = site.send(ask("GET", &zip).from(AWAY)).await;
    let (name, tag) = (archive.collection(), archive.header("etag").to_owned());
    archive.cut_short(10);
    site.until_rows("last_piece = 0", 3).await;
    assert_eq!(
        site.send(ask("DELETE", &format!("{}/3", drop.path))).await.status,
        StatusCode::OK
    );
    let resume = || ask("GET", &zip).from(AWAY).collection(&name).range("10-");
    for ask in [resume(), resume().header("if-range", &tag)] {
        let whole = site.send(ask).await;
        assert_eq!(
            (whole.status, whole.header("content-range")),
            (StatusCode::OK, "")
        );
        assert_ne!(whole.header("etag"), tag);
        drop_undelivered(&site, whole).await;
    }
    let new = site.send(ask("HEAD", &zip).from(AWAY).collection(&name)).await;
    let pinned = resume().header("if-range", new.header("etag"));
    assert_eq!(site.send(pinned).await.status, StatusCode::PARTIAL_CONTENT);
}

#[tokio::test]
async fn a_file_that_is_deleted_meanwhile_stops_the_archive_and_the_others_are_not_charged() {
    let site = Site::with(|c| c.attempts = 1);
    let drop = site.upload_all(&[("a", "x"), ("b", &"y".repeat(300_000))]).await;
    let mut archive = take_all(&site, &drop.path).await;
    archive.read(200).await;
    let deleted = site.send(ask("DELETE", &format!("{}/1", drop.path))).await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert!(archive.body.frame().await.unwrap().is_err());
    archive.cut_short(0);
    site.until_rows("state = 'collecting' AND attempts = 0 AND interrupted = 1", 1)
        .await;
    assert_eq!(site.rows("ending = 'withdrawn'"), 1);
}

#[tokio::test]
async fn a_lost_file_does_not_keep_the_others() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    std::fs::remove_file(site.blob(&drop.path, 1)).unwrap();
    let archive = take_all(&site, &drop.path).await;
    assert_eq!(archive.status, StatusCode::OK);
    assert_eq!(
        unpacked(archive.bytes().await),
        of(&[("b.txt", ""), ("a.txt", "third one")])
    );
    assert_eq!(
        site.rows("state = 'failed' AND ending = 'lost' AND attempts = 0"),
        1
    );
    // The owner has what is left, too.
    let own = site.send(ask("GET", &format!("{}/zip", drop.path))).await;
    assert!(own.courier.is_none());
    assert_eq!(unpacked(own.bytes().await).len(), 2);
}

#[tokio::test]
async fn any_range_of_an_archive_is_that_range_of_it() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    let zip = format!("{}/zip", drop.path);
    let whole = site.send(ask("GET", &zip)).await.bytes().await;
    for from in (0..whole.len()).step_by(7) {
        for to in (from..whole.len()).step_by(11) {
            let part = site.send(ask("GET", &zip).range(&format!("{from}-{to}"))).await;
            assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
            assert_eq!(part.bytes().await, whole[from..=to], "{from}-{to}");
        }
    }
    let none = site
        .send(ask("GET", &zip).range(&format!("{}-", whole.len())))
        .await;
    assert_eq!(none.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(site.rows("state = 'ready' AND attempts = 0"), 3);
}

/// As a downloader with several connections does, the last part first.
#[tokio::test]
async fn parts_of_an_archive_may_come_in_any_order() {
    let site = Site::new();
    let drop = site.upload_all(&THREE).await;
    let zip = format!("{}/zip", drop.path);
    let whole = site.send(ask("GET", &zip)).await.bytes().await;
    let mut fetched = vec![0; whole.len()];
    let step = whole.len().div_ceil(5);
    for from in (0..whole.len()).step_by(step).rev() {
        let to = (from + step).min(whole.len());
        let part = site
            .send(ask("GET", &zip).from(AWAY).range(&format!("{from}-{}", to - 1)))
            .await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{from}");
        let courier = part.courier.clone().unwrap();
        fetched[from..to].copy_from_slice(&part.bytes().await);
        courier.delivered();
        // Until that one is written down.
        site.until_raw_from(AWAY, &drop.path, StatusCode::OK).await;
        site.advance(std::time::Duration::from_secs(100));
        site.drop.sweep().await;
    }
    assert!(fetched == whole);
    site.until_rows("ending = 'delivered' AND attempts = 1", 3).await;
    site.advance(std::time::Duration::from_secs(120));
    site.drop.sweep().await;
    assert!(site.on_disk().is_empty());
}

/// Acknowledged to the middle of the first file, left to the middle of the third: whoever goes on in between has what is
/// before.
#[tokio::test]
async fn who_resumes_an_archive_behind_a_file_has_what_had_left_of_it() {
    const FILE: usize = 31 + 1000;
    for from in [FILE + FILE + 31 + 500, FILE + FILE, FILE + 31 + 500, FILE] {
        let site = Site::new();
        let content = "x".repeat(1000);
        let names = ["a", "b", "c"].map(|name| (name, content.as_str()));
        let drop = site.upload_all(&names).await;
        let archive = take_all(&site, &drop.path).await;
        let to = archive.header("location").to_owned();
        archive.vanish(31 + 500, (FILE + FILE + 31 + 500) as u64);
        site.until_under_way(0).await;
        let rest = ask("GET", &to).from(STRANGER).range(&format!("{from}-"));
        let rest = site.send(rest).await;
        let courier = rest.courier.clone().unwrap();
        rest.bytes().await;
        courier.delivered();
        site.until_under_way(0).await;
        assert_eq!(site.rows("ending = 'delivered'"), 3, "from {from}");
        // Should it have been no word, nothing is lost.
        let again = ask("GET", &to).from(STRANGER).range("600-700");
        assert_eq!(site.send(again).await.status, StatusCode::PARTIAL_CONTENT);
    }
}

#[tokio::test]
async fn an_archive_goes_on_after_a_restart() {
    let site = Site::new();
    let large = "y".repeat(300_000);
    let drop = site.upload_all(&[("a", "x"), ("b", &large)]).await;
    let mut archive = take_all(&site, &drop.path).await;
    let (to, tag) = (
        archive.header("location").to_owned(),
        archive.header("etag").to_owned(),
    );
    let had = archive.read(100_000).await;
    let site = site.restart(|_, _| ());
    std::mem::drop(archive);
    // The small one may have arrived as a whole.
    assert_eq!(site.rows("last_piece = 1 AND number = 1"), 1);
    assert_eq!(site.rows("last_piece = 0 AND number = 2 AND attempts = 0"), 1);
    let from = had.len() - 10;
    let rest = ask("GET", &to)
        .from(STRANGER)
        .range(&format!("{from}-"))
        .header("if-range", &tag);
    let rest = site.send(rest).await;
    assert_eq!(rest.status, StatusCode::PARTIAL_CONTENT);
    let rest = rest.bytes().await;
    let files = unpacked([&had[..from], &rest].concat());
    assert!(files[0].1 == "x" && files[1].1 == large);
}
