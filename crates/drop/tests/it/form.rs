//! Uploads with the page's form.

use std::time::Duration;

use axum::body::Body;
use bytesize::ByteSize;
use http::StatusCode;

use crate::support::*;
use crate::uploading::trickle;

const EXPIRES: &str = "--B\r\nContent-Disposition: form-data; name=\"expires\"\r\n\r\n1h\r\n";
const FILE: &str = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
                    Content-Type: text/plain\r\n\r\ncontent\r\n";
const END: &str = "--B--\r\n";

fn form(parts: &[&str]) -> Ask {
    post(parts.concat())
}

fn post(body: impl Into<Body>) -> Ask {
    ask("POST", "/")
        .header("content-type", "multipart/form-data; boundary=B")
        .body(body)
}

#[tokio::test]
async fn the_browser_is_led_to_its_file_with_the_owners_cookie() {
    let site = Site::new();
    let answer = site.send(form(&[FILE, EXPIRES, END]).page()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let path = answer.header("location").to_owned();
    assert!(path.starts_with("/d/"));
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.starts_with("owner=") && !cookie.contains("Secure"),
        "{cookie}"
    );
    assert!(
        cookie.contains(&format!("; Path={path}; HttpOnly; SameSite=Lax; Max-Age=608460")),
        "{cookie}"
    );
    let secret = cookie.split(';').next().unwrap();
    let page = site
        .send(ask("GET", &path).from(AWAY).page().header("cookie", secret))
        .await
        .text()
        .await;
    assert!(page.contains("Delete now"), "{page}");

    let secure = site
        .send(form(&[FILE, END]).page().uri("https://files.test/"))
        .await;
    assert!(secure.header("set-cookie").ends_with("; Secure"));
}

#[tokio::test]
async fn the_fields_may_come_in_either_order() {
    let site = Site::new();
    for parts in [[FILE, EXPIRES, END], [EXPIRES, FILE, END]] {
        let answer = site.send(form(&parts)).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(answer.header("truehop-expires"), "Fri, 15 Jan 2027 09:00:00 GMT");
        assert_eq!(answer.header("truehop-owner").len(), 22);
    }
    assert_eq!(site.rows("name = 'a.txt' AND size = 7"), 2);
}

#[tokio::test]
async fn what_is_no_single_file_is_refused_and_leaves_nothing() {
    let site = Site::new();
    let nothing_chosen = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n";
    let strange = "--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n";
    let too_long = EXPIRES.replace("1h", "30d");
    let endless = EXPIRES.replace("1h", &"1".repeat(1000));
    for (parts, told) in [
        (&[FILE, FILE, END][..], "One file at a time"),
        (&[nothing_chosen, EXPIRES, END], "Choose a file"),
        (&[EXPIRES, END], "Choose a file"),
        (&[END], "Choose a file"),
        (&[FILE, strange, END], "neither file nor expires"),
        (&[FILE, &too_long, END], "at most 7 days"),
        (&[FILE, &endless, END], "too long"),
        (&[FILE], "stopped before its end"),
        (&[FILE, EXPIRES], "stopped before its end"),
        (&["nonsense"], "stopped before its end"),
    ] {
        for page in [false, true] {
            let ask = form(parts);
            let answer = site.send(if page { ask.page() } else { ask }).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{parts:?}");
            let text = answer.text().await;
            assert!(text.contains(told), "{parts:?}: {text}");
            assert_eq!(text.contains("<form"), page);
            assert!(site.rows("true") == 0 && site.on_disk().is_empty(), "{parts:?}");
        }
    }
    let no_form = ask("POST", "/").header("content-type", "text/plain").body("x");
    assert_eq!(site.send(no_form).await.status, StatusCode::BAD_REQUEST);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://elsewhere.test"),
    ] {
        let foreign = form(&[FILE, END]).header(name, value);
        assert_eq!(site.send(foreign).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(site.rows("true"), 0);
}

#[tokio::test]
async fn a_form_that_is_too_large_or_breaks_off_leaves_nothing() {
    let site = Site::with(|c| c.max_size = ByteSize(6));
    assert_eq!(
        site.send(form(&[FILE, END])).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    site.until_empty().await;
    // Refused in the middle, long before the form ends.
    let (sender, body) = trickle();
    let feed = async move {
        let mut next = FILE[..FILE.len() - 9].to_owned();
        while sender
            .send(Ok(std::mem::replace(&mut next, "x".repeat(1000)).into()))
            .await
            .is_ok()
        {}
    };
    let (answer, ()) = tokio::join!(site.send(post(body)), feed);
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    site.until_empty().await;
    let announced = form(&[FILE, END]).header("content-length", "100000");
    assert_eq!(site.send(announced).await.status, StatusCode::PAYLOAD_TOO_LARGE);

    let (sender, body) = trickle();
    let feed = async move {
        sender.send(Ok(FILE[..FILE.len() - 5].into())).await.unwrap();
        sender
            .send(Err(std::io::ErrorKind::ConnectionReset.into()))
            .await
            .unwrap();
    };
    let (answer, ()) = tokio::join!(site.send(post(body)), feed);
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    site.until_empty().await;
}

#[tokio::test]
async fn a_head_without_an_end_is_cut_off() {
    let site = Site::new();
    let (sender, body) = trickle();
    let feed = async move {
        let mut sent = 0;
        sender
            .send(Ok("--B\r\nContent-Disposition: form-data; name=\"".into()))
            .await
            .unwrap();
        while sender.send(Ok("x".repeat(65536).into())).await.is_ok() {
            sent += 1;
            assert!(sent < 100, "the server keeps listening");
        }
    };
    let (answer, ()) = tokio::join!(site.send(post(body)), feed);
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_large_file_passes_piece_by_piece() {
    let site = Site::new();
    let (sender, body) = trickle();
    let feed = async move {
        sender.send(Ok(FILE[..FILE.len() - 9].into())).await.unwrap();
        for _ in 0..64 {
            sender.send(Ok(vec![b'\r'; 65536].into())).await.unwrap();
        }
        sender.send(Ok("\r\n--B--\r\n".into())).await.unwrap();
    };
    let (answer, ()) = tokio::join!(site.send(post(body)), feed);
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(site.rows("size = 4194304"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_form_that_says_a_byte_now_and_then_is_ended() {
    let site = Site::new();
    for start in [
        "--B\r\nContent-Disposition: form-data; name=\"",
        &FILE[..FILE.len() - 9],
    ] {
        let (sender, body) = trickle();
        let feed = async move {
            sender.send(Ok(start.to_owned().into())).await.unwrap();
            while sender.send(Ok("x".into())).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(25)).await;
            }
        };
        let (answer, ()) = tokio::join!(site.send(post(body)), feed);
        assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
        assert!(answer.text().await.contains("too slow"));
        site.until_empty().await;
    }
}
