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

fn owner(rule: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; name=\"owner\"\r\n\r\n{rule}\r\n")
}

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
async fn what_is_no_form_with_a_file_is_refused_and_leaves_nothing() {
    let site = Site::new();
    let nothing_chosen = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n";
    let strange = "--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n";
    let too_long = EXPIRES.replace("1h", "30d");
    let endless = EXPIRES.replace("1h", &"1".repeat(1000));
    for (parts, told) in [
        (&[nothing_chosen, EXPIRES, END][..], "Choose a file"),
        (&[FILE, nothing_chosen, END], "Choose a file"),
        (&[EXPIRES, END], "Choose a file"),
        (&[END], "Choose a file"),
        (&[FILE, strange, END], "neither file nor expires nor owner"),
        (&[FILE, FILE, strange, END], "neither file nor expires nor owner"),
        (
            &[FILE, &owner("me"), END],
            "is no way to know an owner here; owner can be either, token or address",
        ),
        (&[FILE, &owner(&"x".repeat(100)), END], "too long"),
        (&[FILE, &too_long, END], "at most 7 days"),
        (&[FILE, &endless, END], "too long"),
        (&[FILE], "stopped before its end"),
        (&[FILE, EXPIRES], "stopped before its end"),
        (&[FILE, FILE], "stopped before its end"),
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

#[tokio::test]
async fn a_name_is_what_it_was_before_the_browser_wrote_it_into_the_form() {
    let site = Site::new();
    let named = FILE.replace("a.txt", "a %22b%22%0D%0A 50%25.txt");
    let drop = Uploaded::of(&site.send(form(&[&named, END])).await);
    assert_eq!(site.rows("name = 'a \"b\" 50%25.txt'"), 1);
    let raw = site.send(ask("GET", &format!("{}/raw", drop.path))).await;
    let disposition = raw.header("content-disposition");
    assert!(
        disposition.ends_with("''a%20%22b%22%2050%2525.txt"),
        "{disposition}"
    );
}

#[tokio::test]
async fn several_files_are_one_drop_in_their_order() {
    let site = Site::new();
    let (long, owned) = ("x".repeat(2_000_000), owner("token"));
    let second = FILE.replace("a.txt", "../b.txt").replace("content", &long);
    let (sender, body) = trickle();
    let whole = [FILE, &owned, &second, EXPIRES, FILE, END].concat();
    let feed = async move {
        for piece in whole.as_bytes().chunks(10_000) {
            sender.send(Ok(piece.to_vec().into())).await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(site.send(post(body)), feed);
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("truehop-expires"), "Fri, 15 Jan 2027 09:00:00 GMT");
    for (number, name, size) in [(1, "a.txt", 7), (2, "b.txt", 2_000_000), (3, "a.txt", 7)] {
        let row = format!("number = {number} AND name = '{name}' AND size = {size} AND state = 'ready'");
        assert_eq!(site.rows(&row), 1);
    }
    assert_eq!(site.rows("length(sha256) = 32 AND crc32 IS NOT NULL"), 3);
    let drops = "SELECT count(DISTINCT drop_id) FROM files";
    let drops: i64 = site.db().query_row(drops, [], |row| row.get(0)).unwrap();
    assert_eq!((drops, site.on_disk().len()), (1, 3));
    let drop = Uploaded::of(&answer);
    for (number, content) in [(1, "content"), (2, long.as_str()), (3, "content")] {
        let raw = ask("GET", &format!("{}/{number}/raw", drop.path)).token(&drop.token);
        assert!(site.send(raw).await.text().await == content, "{number}");
    }
    assert_eq!(site.rows("attempts = 0 AND state = 'ready'"), 3);
}

/// Nobody sees a part of a drop.
#[tokio::test]
async fn a_drop_is_not_there_before_all_of_it_is() {
    let site = Site::new();
    let (sender, body) = trickle();
    let upload = tokio::spawn(send(site.router.clone(), post(body)));
    sender.send(Ok(FILE.into())).await.unwrap();
    sender.send(Ok(FILE[..FILE.len() - 5].into())).await.unwrap();
    site.until_rows("state = 'receiving'", 2).await;
    let id: String = site
        .db()
        .query_row("SELECT DISTINCT drop_id FROM files", [], |row| row.get(0))
        .unwrap();
    let path = format!("/d/{id}");
    for path in [
        path.clone(),
        format!("{path}/raw"),
        format!("{path}/1/raw"),
        format!("{path}/zip"),
    ] {
        for from in [HOME, AWAY] {
            assert_eq!(
                site.send(ask("GET", &path).from(from)).await.status,
                StatusCode::NOT_FOUND
            );
        }
    }
    assert_eq!(
        site.send(ask("DELETE", &path)).await.status,
        StatusCode::NOT_FOUND
    );
    sender.send(Ok(FILE[FILE.len() - 5..].into())).await.unwrap();
    sender.send(Ok(END.into())).await.unwrap();
    std::mem::drop(sender);
    assert_eq!(upload.await.unwrap().status, StatusCode::CREATED);
    assert_eq!(site.rows("state = 'ready'"), 2);
    assert_eq!(
        site.send(ask("GET", &path).from(AWAY)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_later_file_that_breaks_off_takes_the_earlier_ones_with_it() {
    let site = Site::new();
    let (sender, body) = trickle();
    let upload = tokio::spawn(send(site.router.clone(), post(body)));
    sender.send(Ok(FILE.into())).await.unwrap();
    sender.send(Ok(FILE[..FILE.len() - 5].into())).await.unwrap();
    site.until_rows("state = 'receiving'", 2).await;
    upload.abort();
    assert!(upload.await.is_err());
    site.until_empty().await;
}

#[tokio::test]
async fn the_limit_is_for_all_files_together() {
    let site = Site::with(|c| c.max_size = ByteSize(13));
    let refused = site.send(form(&[FILE, FILE, END])).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let text = refused.text().await;
    assert!(
        text.contains("The files are together larger than 13 bytes"),
        "{text}"
    );
    site.until_empty().await;
    let alone = FILE.replace("content", "fourteen bytes");
    let text = site.send(form(&[&alone, END])).await.text().await;
    assert!(text.contains("The file is larger than 13 bytes"), "{text}");
    site.until_empty().await;
}

#[tokio::test]
async fn an_uploader_may_narrow_by_what_they_are_known() {
    let site = Site::new();
    let kept = |asked: Ask| async {
        let answer = site.send(asked).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let id = answer.header("location").rsplit('/').next().unwrap().to_owned();
        let sql = "SELECT rule, uploader IS NOT NULL FROM files WHERE drop_id = ?1";
        let row = site.db().query_row(sql, [id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
        });
        let (rule, has_address) = row.unwrap();
        (rule, has_address, !answer.header("truehop-owner").is_empty())
    };
    for (rule, has_address, has_token) in [
        ("either", true, true),
        ("token", false, true),
        ("address", true, false),
    ] {
        let expected = (rule.to_owned(), has_address, has_token);
        // The field may stand behind the file.
        assert_eq!(kept(form(&[FILE, &owner(rule), END])).await, expected);
        assert_eq!(kept(form(&[&owner(rule), FILE, END])).await, expected);
        assert_eq!(
            kept(ask("PUT", &format!("/a?owner={rule}")).body("x")).await,
            expected
        );
        let header = ask("PUT", "/a").header("truehop-owner-rule", rule).body("x");
        assert_eq!(kept(header).await, expected);
    }
    assert_eq!(kept(form(&[FILE, END])).await.0, "either");

    let strict = Site::with(|c| c.owner = truehop_drop::OwnerRule::Token);
    for (rule, status) in [
        ("token", StatusCode::CREATED),
        ("either", StatusCode::BAD_REQUEST),
        ("address", StatusCode::BAD_REQUEST),
    ] {
        let put = ask("PUT", &format!("/a?owner={rule}")).body("x");
        assert_eq!(strict.send(put).await.status, status, "{rule}");
    }
    let refused = strict
        .send(ask("PUT", "/a?owner=address").body("x"))
        .await
        .text()
        .await;
    assert!(refused.contains("owner can be token"), "{refused}");
    assert_eq!(strict.rows("true"), 1);
}

/// A browser that is known by its secret only is no owner by address, and keeps no cookie under `address`.
#[tokio::test]
async fn what_was_narrowed_holds_for_that_drop() {
    let site = Site::new();
    let answer = site.send(form(&[&owner("token"), FILE, END]).page()).await;
    let path = answer.header("location").to_owned();
    let page = site.send(ask("GET", &path).page()).await.text().await;
    assert!(page.contains("A file is waiting"), "{page}");
    let cookie = answer.header("set-cookie").split(';').next().unwrap();
    let page = site.send(ask("GET", &path).page().header("cookie", cookie)).await;
    assert!(page.text().await.contains("not by your address"));

    let answer = site.send(form(&[&owner("address"), FILE, END]).page()).await;
    assert_eq!(answer.header("set-cookie"), "");
    let page = site.send(ask("GET", answer.header("location")).page()).await;
    assert!(page.text().await.contains("by your address"));
}
