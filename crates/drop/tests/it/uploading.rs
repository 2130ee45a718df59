//! Uploads with PUT.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use bytesize::ByteSize;
use http::StatusCode;
use tokio::sync::mpsc;

use crate::support::*;

/// A body that comes piece by piece, and fails or ends when it is told to.
pub(crate) fn trickle() -> (mpsc::Sender<Result<Bytes, std::io::Error>>, Body) {
    let (sender, mut receiver) = mpsc::channel(1);
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, Body::from_stream(stream))
}

#[tokio::test]
async fn the_answer_is_the_link() {
    let site = Site::new();
    let answer = site.send(ask("PUT", "/a%20b.txt").body("content")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let link = answer.header("location").to_owned();
    let id = link.strip_prefix("http://files.test/d/").unwrap();
    assert!(
        id.len() == 26 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
        "{id}"
    );
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("truehop-owner").len(), 22);
    assert_eq!(answer.header("truehop-expires"), "Sat, 16 Jan 2027 08:00:00 GMT");
    assert_eq!(answer.text().await, format!("{link}\n"));
    assert_eq!(
        site.rows("state = 'ready' AND name = 'a b.txt' AND size = 7 AND length(sha256) = 32"),
        1
    );
}

#[tokio::test]
async fn the_link_is_what_the_client_sees() {
    let site = Site::new();
    let https = site
        .send(ask("PUT", "/a").uri("https://drop.example.org:8443/a"))
        .await;
    assert!(
        https
            .header("location")
            .starts_with("https://drop.example.org:8443/d/")
    );
    let origin_form = site
        .send(ask("PUT", "/a").uri("/a").header("host", "drop.example.org"))
        .await;
    assert!(
        origin_form
            .header("location")
            .starts_with("http://drop.example.org/d/")
    );
}

#[tokio::test]
async fn a_path_is_only_a_name() {
    let site = Site::new();
    for (path, name) in [
        ("/../../etc/passwd", "passwd"),
        ("/..%2f..%2fetc%2fshadow", "shadow"),
        ("/%2e%2e", "file"),
        ("/", "file"),
        ("/C:%5Ctemp%5Cx.txt", "x.txt"),
        ("/evil%0d%0aSet-Cookie:%20a.txt", "evilSet-Cookie: a.txt"),
        ("/%E2%80%AEfdp.exe", "fdp.exe"),
        ("/%ff%fe.bin", "\u{fffd}\u{fffd}.bin"),
    ] {
        let answer = site.send(ask("PUT", path).body("x")).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{path}");
        assert_eq!(
            site.rows(&format!("name = '{name}'")),
            if name == "file" {
                site.rows("name = 'file'")
            } else {
                1
            }
        );
        let raw = format!(
            "{}/raw",
            answer
                .header("location")
                .strip_prefix("http://files.test")
                .unwrap()
        );
        let head = site.send(ask("HEAD", &raw)).await;
        assert!(
            head.header("content-disposition")
                .starts_with("attachment; filename=\""),
            "{path}"
        );
    }
    assert_eq!(site.rows("name = 'file'"), 2);
    assert_eq!(site.on_disk().len(), 8);
    assert!(
        site.on_disk()
            .iter()
            .all(|path| path.starts_with(site.data.path().join("files")))
    );
}

#[tokio::test]
async fn the_time_to_wait_can_be_chosen_and_not_exceeded() {
    let site = Site::new();
    let by_header = site.send(ask("PUT", "/a").header("truehop-expires", "1h")).await;
    assert_eq!(
        by_header.header("truehop-expires"),
        "Fri, 15 Jan 2027 09:00:00 GMT"
    );
    let by_query = site.send(ask("PUT", "/a?expires=2h")).await;
    assert_eq!(
        by_query.header("truehop-expires"),
        "Fri, 15 Jan 2027 10:00:00 GMT"
    );
    for (asked, told) in [
        ("8d", "at most 7 days"),
        ("soon", "at most 7 days"),
        ("0s", "is no time"),
        ("", "is no time"),
    ] {
        let refused = site
            .send(ask("PUT", "/a").header("truehop-expires", asked).body("x"))
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let text = refused.text().await;
        assert!(text.contains(told), "{asked}: {text}");
        let refused = site
            .send(ask("PUT", &format!("/a?expires={asked}")).body("x"))
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(site.rows("true"), 2);
}

#[tokio::test]
async fn too_much_is_refused_at_once_when_announced() {
    let site = Site::with(|c| c.max_size = ByteSize(10));
    let refused = site
        .send(
            ask("PUT", "/a")
                .header("content-length", "11")
                .body("x".repeat(11)),
        )
        .await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.text().await.contains("10 bytes"));
    assert!(site.rows("true") == 0 && site.on_disk().is_empty());
    let taken = site
        .send(
            ask("PUT", "/a")
                .header("content-length", "10")
                .body("x".repeat(10)),
        )
        .await;
    assert_eq!(taken.status, StatusCode::CREATED);
}

#[tokio::test]
async fn too_much_is_refused_while_it_comes_and_nothing_is_left() {
    let site = Site::with(|c| c.max_size = ByteSize(10));
    let (sender, body) = trickle();
    let feed = async move {
        // The upload ends before the client does.
        while sender.send(Ok("12345".into())).await.is_ok() {}
    };
    let (answer, ()) = tokio::join!(site.send(ask("PUT", "/a").body(body)), feed);
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    site.until_empty().await;
}

#[tokio::test]
async fn a_client_that_breaks_off_leaves_nothing() {
    let site = Site::new();
    let (sender, body) = trickle();
    let feed = async move {
        sender.send(Ok("12345".into())).await.unwrap();
        sender
            .send(Err(std::io::ErrorKind::ConnectionReset.into()))
            .await
            .unwrap();
    };
    let (answer, ()) = tokio::join!(site.send(ask("PUT", "/a").body(body)), feed);
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(site.rows("true") == 0 && site.on_disk().is_empty());
}

#[tokio::test]
async fn a_handler_that_is_dropped_in_the_middle_leaves_nothing() {
    let site = Site::new();
    let (sender, body) = trickle();
    let router = site.router.clone();
    let upload = tokio::spawn(send(router, ask("PUT", "/a").body(body)));
    sender.send(Ok("12345".into())).await.unwrap();
    while site.on_disk().is_empty() {
        site.send(ask("GET", "/")).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(site.rows("state = 'receiving'"), 1);
    upload.abort();
    assert!(upload.await.is_err());
    site.until_empty().await;
}

#[tokio::test]
async fn a_file_is_not_there_before_it_is_whole() {
    let site = Site::new();
    let (sender, body) = trickle();
    let upload = tokio::spawn(send(site.router.clone(), ask("PUT", "/a").body(body)));
    sender.send(Ok("12345".into())).await.unwrap();
    while site.on_disk().is_empty() {
        site.send(ask("GET", "/")).await;
        tokio::task::yield_now().await;
    }
    let id: String = site
        .db()
        .query_row("SELECT drop_id FROM files", [], |row| row.get(0))
        .unwrap();
    let path = format!("/d/{id}");
    // What the bytes are called on disk opens nothing.
    let blob = site.on_disk()[0]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert_ne!(blob, id);
    assert_eq!(site.send(ask("GET", &path)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.collect(&path, AWAY).await.status, StatusCode::NOT_FOUND);
    drop(sender);
    assert_eq!(upload.await.unwrap().status, StatusCode::CREATED);
    assert_eq!(site.collect(&path, AWAY).await.deliver().await, "12345");
}

#[tokio::test]
async fn a_large_file_comes_back_to_the_byte() {
    let site = Site::new();
    let content: Vec<u8> = (0..3_000_017u32).map(|n| (n % 251) as u8).collect();
    let put = site.send(ask("PUT", "/big").body(content.clone())).await;
    let path = put.header("location").replace("http://files.test", "");
    let answer = site.collect(&path, AWAY).await;
    let bytes = http_body_util::BodyExt::collect(answer.body)
        .await
        .unwrap()
        .to_bytes();
    assert!(bytes == content);
}

#[tokio::test]
async fn a_part_is_not_taken_for_the_whole() {
    let site = Site::new();
    let part = ask("PUT", "/a")
        .header("content-range", "bytes 0-3/7")
        .body("cont");
    let answer = site.send(part).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().await.contains("Content-Range"));
    assert_eq!(site.rows("true"), 0);
}

#[tokio::test]
async fn a_name_of_ours_cannot_be_uploaded_to() {
    let site = Site::new();
    for path in [
        "/d/a.txt",
        "/d/a.txt/raw",
        "/d/a.txt/zip",
        "/d/a.txt/delete",
        "/d/a.txt/expires",
        "/d/a.txt/b.txt",
        "/d/a.txt/1/raw",
        "/d/a.txt/1/again",
        "/assets/a.css",
    ] {
        let answer = site.send(ask("PUT", path).body("x")).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    let deeper = site.send(ask("PUT", "/d/a/b/c.txt").body("x")).await;
    assert_eq!(deeper.status, StatusCode::CREATED);
    assert_eq!(site.rows("name = 'c.txt'"), 1);
}

/// `every` seconds a piece of `size` bytes, `pieces` times.
async fn at_speed(every: u64, size: usize, pieces: usize) -> StatusCode {
    let site = Site::new();
    let (sender, body) = trickle();
    let feed = async move {
        for _ in 0..pieces {
            if sender.send(Ok(vec![b'x'; size].into())).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(every)).await;
        }
    };
    let (answer, ()) = tokio::join!(site.send(ask("PUT", "/a").body(body)), feed);
    if answer.status != StatusCode::CREATED {
        site.until_empty().await;
    }
    answer.status
}

#[tokio::test(start_paused = true)]
async fn an_upload_has_a_least_speed() {
    assert_eq!(at_speed(25, 1, 100).await, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(at_speed(25, 20_000, 100).await, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(at_speed(25, 65_536, 100).await, StatusCode::CREATED);
    // What is over within the window may be as small as it likes.
    assert_eq!(at_speed(25, 1, 2).await, StatusCode::CREATED);
}
