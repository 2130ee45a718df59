//! What people see.

use std::time::Duration;

use http::StatusCode;
use truehop_drop::OwnerRule;

use crate::support::*;

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

fn assert_is_page(answer: &Answer) {
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("content-security-policy"), POLICY);
    assert_eq!(answer.header("referrer-policy"), "same-origin");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-robots-tag"), "noindex");
}

#[tokio::test]
async fn the_form_says_the_rule_and_offers_what_is_allowed() {
    let site = Site::with(|c| c.max_expires = Duration::from_secs(3 * 86_400));
    let answer = site.send(ask("GET", "/").page()).await;
    assert_is_page(&answer);
    let page = answer.text().await;
    assert!(page.contains("Deleted once somebody else has downloaded it, or after"));
    for words in [
        "1 hour",
        "3 days",
        "2.0 GiB",
        "curl -T FILE http://files.test/",
        "-H 'Truehop-Expires: 1h'",
        "curl -X DELETE -H 'Truehop-Owner: SECRET' LINK",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(page.contains("<option value=\"1day\" selected>1 day"), "{page}");
    assert!(!page.contains("7 days") && !page.contains("<script") && !page.contains("style=\""));
}

#[tokio::test]
async fn the_style_sheet_may_be_cached_for_ever() {
    let site = Site::new();
    let page = site.send(ask("GET", "/").page()).await.text().await;
    let path = page
        .split("href=\"")
        .find(|rest| rest.starts_with("/assets/"))
        .unwrap();
    let path = path.split('"').next().unwrap();
    let style = site.send(ask("GET", path)).await;
    assert_eq!(
        (style.status, style.header("content-type")),
        (StatusCode::OK, "text/css; charset=utf-8")
    );
    assert!(style.header("cache-control").contains("immutable"));
    assert_eq!(
        site.send(ask("GET", "/assets/style.css")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_recipient_is_told_before_the_click_and_names_are_text() {
    let site = Site::new();
    let file = site.upload("%3Cb%3E%22x%22.txt", "content").await;
    let answer = site.send(ask("GET", &file.path).from(AWAY).page()).await;
    assert_is_page(&answer);
    let page = answer.text().await;
    assert!(
        page.contains("It can be downloaded once") && page.contains("5 attempts are left"),
        "{page}"
    );
    assert!(
        page.contains("7 bytes")
            && page.contains(&format!("<form method=\"post\" action=\"{}\">", file.path))
    );
    assert!(
        !page.contains("<b>") && page.contains("<bdi>&#60;b&#62;"),
        "{page}"
    );
    assert!(!page.contains("Delete now"));
    let title = page.split("</title>").next().unwrap();
    assert!(!title.contains(".txt"), "no preview shall show the name: {title}");
}

#[tokio::test]
async fn the_owner_sees_link_state_and_why() {
    let site = Site::new();
    let file = site.upload("a.txt", "content").await;
    let by_address = site.send(ask("GET", &file.path).page()).await.text().await;
    assert!(
        by_address.contains("by your address") && by_address.contains(&file.link),
        "{by_address}"
    );
    assert!(by_address.contains("Nobody has downloaded it yet") && by_address.contains("does not count"));
    let by_token = site
        .send(ask("GET", &file.path).from(AWAY).token(&file.token).page())
        .await
        .text()
        .await;
    assert!(
        by_token.contains("by a secret that this browser keeps"),
        "{by_token}"
    );
    for page in [&by_address, &by_token] {
        assert!(
            page.contains("counts as the uploader too, and can delete it")
                && !page.contains("not by your address"),
            "{page}"
        );
    }

    let held = site.collect(&file.path, AWAY).await;
    let busy = site.send(ask("GET", &file.path).page()).await.text().await;
    assert!(busy.contains("Somebody is downloading it right now"), "{busy}");
    held.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    site.drop.sweep().await;
    let over = site.send(ask("GET", &file.path).token(&file.token).page()).await;
    assert_eq!(over.status, StatusCode::GONE);
    assert_is_page(&over);
    let over = over.text().await;
    assert!(
        over.contains("Delivered and deleted") && over.contains("datetime=\"2027-01-15T08:00:00Z\""),
        "{over}"
    );
}

#[tokio::test]
async fn under_the_rule_token_an_address_counts_for_nothing_and_under_address_no_secret_is_spoken_of() {
    let site = Site::with(|c| c.owner = OwnerRule::Token);
    let file = site.upload("a.txt", "content").await;
    let page = site
        .send(ask("GET", &file.path).token(&file.token).page())
        .await
        .text()
        .await;
    assert!(
        page.contains("not by your address") && !page.contains("can delete it"),
        "{page}"
    );
    let site = Site::with(|c| c.owner = OwnerRule::Address);
    let page = site.send(ask("GET", "/").page()).await.text().await;
    assert!(
        page.contains("Truehop-Expires") && !page.contains("Truehop-Owner"),
        "{page}"
    );
}

#[tokio::test]
async fn what_is_gone_is_gone_for_any_of_the_reasons() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    site.send(ask("DELETE", &file.path)).await;
    let told = site.collect(&file.path, AWAY).await.text().await;
    assert_eq!(
        told,
        "The file that was here is gone. It was downloaded, its time was up, or it was removed.\n"
    );
}

#[tokio::test]
async fn a_tool_gets_lines_and_the_command() {
    let site = Site::new();
    let file = site.upload("a.txt", "content").await;
    let answer = site
        .send(ask("GET", &file.path).from(AWAY).header("accept", "*/*"))
        .await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    let text = answer.text().await;
    assert!(
        text.contains("a.txt") && text.contains("7 bytes") && text.contains("downloaded once"),
        "{text}"
    );
    assert!(
        text.ends_with(&format!("\ncurl -OJ {}/raw\n", file.link)),
        "{text}"
    );
    let head = site.send(ask("HEAD", &file.path).from(AWAY)).await;
    assert_eq!((head.status, head.text().await.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn bytes_are_for_saving_only() {
    let site = Site::new();
    let file = site
        .upload("%E4%BD%A0%22.html", "<script>alert(1)</script>")
        .await;
    let answer = site.collect(&file.path, AWAY).await;
    for (name, value) in [
        (
            "content-disposition",
            "attachment; filename=\"__.html\"; filename*=UTF-8''%E4%BD%A0%22.html",
        ),
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-accel-buffering", "no"),
        ("accept-ranges", "bytes"),
        ("content-length", "25"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn what_never_was_is_not_found() {
    let site = Site::new();
    for path in [
        "/d/abcdefghijklmnopqrstuvwxyz",
        "/d/x",
        "/d/..%2f..%2fcatalog.sqlite",
        "/nothing",
        "/d/",
    ] {
        let answer = site.send(ask("GET", path).page()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_is_page(&answer);
        assert_eq!(
            site.send(ask("GET", path)).await.header("content-type"),
            "text/plain; charset=utf-8"
        );
    }
    assert_eq!(
        site.collect("/d/abcdefghijklmnopqrstuvwxyz", AWAY).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        site.send(ask("DELETE", "/d/abcdefghijklmnopqrstuvwxyz"))
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_an_address_does_not_do_is_told_and_what_it_does() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    for (method, path, allow) in [
        ("PATCH", "/", "GET,HEAD,POST,PUT"),
        ("POST", &format!("{}/raw", file.path), "GET,HEAD"),
        ("PUT", &file.path, "GET,HEAD,POST,DELETE"),
    ] {
        let answer = site.send(ask(method, path).page()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
        let mut expected: Vec<&str> = allow.split(',').collect();
        allowed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(allowed, expected, "{method} {path}");
        assert_is_page(&answer);
        let line = site.send(ask(method, path)).await.text().await;
        assert_eq!(line, "That cannot be done at this address.\n");
    }
}

/// Where a word stands in a page, so that an order can be told.
fn at(page: &str, words: &str) -> usize {
    page.find(words).unwrap_or_else(|| panic!("{words}: {page}"))
}

#[tokio::test]
async fn the_form_takes_several_files_and_a_narrower_rule_where_there_is_one() {
    let site = Site::new();
    let page = site.send(ask("GET", "/").page()).await.text().await;
    for words in [
        "<input id=\"file\" type=\"file\" name=\"file\" multiple required>",
        "together at most 2.0 GiB",
        "<input id=\"owner\" type=\"checkbox\" name=\"owner\" value=\"token\" aria-describedby=\"owner-why\">",
        "Only this browser is me",
        "everybody at your address counts as you too",
        "curl -F file=@FILE -F file=@FILE http://files.test/",
        "-H 'Truehop-Owner-Rule: token'",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    for rule in [OwnerRule::Token, OwnerRule::Address] {
        let site = Site::with(|c| c.owner = rule);
        let page = site.send(ask("GET", "/").page()).await.text().await;
        assert!(
            !page.contains("Only this browser") && !page.contains("Owner-Rule"),
            "{page}"
        );
    }
}

#[tokio::test]
async fn a_recipient_of_several_files_sees_each_with_its_state_and_its_button() {
    let site = Site::new();
    let files = [
        ("one<.txt", "first"),
        ("two.txt", "second"),
        ("three.txt", "third"),
    ];
    let file = site.upload_all(&files).await;
    let page = site.send(ask("GET", &file.path).from(AWAY).page()).await;
    assert_is_page(&page);
    let page = page.text().await;
    for words in [
        "<h1>Files are waiting</h1>",
        "Each file can be downloaded once.",
        "5 attempts are left",
        "Download all as ZIP (16 bytes)",
        "<bdi id=\"name-1\">one&#60;.txt</bdi> <span class=\"size\">5 bytes</span>",
        "aria-labelledby=\"get-2 name-2\"",
        &format!("<form method=\"post\" action=\"{}/3\">", file.path),
        "<title>Files are waiting",
        "og:title\" content=\"Files are waiting\"",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let title = page.split("<body>").next().unwrap();
    assert!(!title.contains(".txt"), "no preview shall show a name: {title}");

    // One is gone, one is being downloaded, one is left.
    let raw = |number: u32| ask("GET", &format!("{}/{number}/raw", file.path)).from(AWAY);
    site.send(raw(1)).await.deliver().await;
    site.until_rows("ending = 'delivered'", 1).await;
    let mut held = site.send(raw(2)).await;
    held.read(3).await;
    let page = site
        .send(ask("GET", &file.path).from(STRANGER).page())
        .await
        .text()
        .await;
    assert!(!page.contains("as ZIP") && !page.contains("one&#60;"), "{page}");
    assert!(page.contains("File 1"), "{page}");
    assert!(
        page.contains("Somebody is downloading it right now (99\u{a0}%)"),
        "{page}"
    );
    assert!(
        page.contains("get-3") && !page.contains("get-2") && !page.contains("get-1"),
        "{page}"
    );
    assert!(at(&page, "Gone.") < at(&page, "two.txt"));
    // The same in lines.
    let lines = site
        .send(ask("GET", &file.path).from(STRANGER))
        .await
        .text()
        .await;
    for line in [
        "1. 5 bytes: Gone.\n",
        "2. two.txt, 6 bytes: Somebody is downloading it right now (99\u{a0}%).",
        "3. three.txt, 5 bytes: Waiting.\n",
        "Each file can be downloaded once",
    ] {
        assert!(lines.contains(line), "{line}: {lines}");
    }
    assert!(
        lines.ends_with(&format!("\ncurl -OJ {}/3/raw\n", file.link)),
        "{lines}"
    );

    // Who has it sees how far it is.
    held.cut_short(3);
    site.until_rows("covered = '0-3'", 1).await;
    let page = site
        .send(ask("GET", &file.path).from(AWAY).page())
        .await
        .text()
        .await;
    assert!(
        page.contains("Your download has come to 50\u{a0}%; you can go on, or start again."),
        "{page}"
    );
    assert!(
        page.contains("Download the other 2 as ZIP (11 bytes)") && page.contains("get-2"),
        "{page}"
    );
    let lines = site.send(ask("GET", &file.path).from(AWAY)).await.text().await;
    assert!(
        lines.contains(&format!("curl -OJ {}/zip\n", file.link)),
        "{lines}"
    );
}

#[tokio::test]
async fn the_last_attempt_is_told_before_the_click() {
    let site = Site::with(|c| c.attempts = 2);
    let (one, several) = (
        site.upload("a", "content").await,
        site.upload_all(&[("a", "x"), ("b", "y")]).await,
    );
    drop(site.collect(&one.path, AWAY).await);
    drop(
        site.send(ask("GET", &format!("{}/2/raw", several.path)).from(AWAY))
            .await,
    );
    site.lapse().await;
    let page = site
        .send(ask("GET", &one.path).from(STRANGER).page())
        .await
        .text()
        .await;
    assert!(page.contains("This is the last attempt"), "{page}");
    let page = site
        .send(ask("GET", &several.path).from(STRANGER).page())
        .await
        .text()
        .await;
    assert!(
        page.contains("For at least one of them this is the last attempt"),
        "{page}"
    );
    let lines = site.send(ask("GET", &one.path).from(STRANGER)).await.text().await;
    assert!(lines.contains("Attempts left: 1."), "{lines}");
}

#[tokio::test]
async fn an_owner_of_several_files_sees_what_has_become_of_each() {
    let site = Site::new();
    let content = "x".repeat(200_000);
    let files = [
        ("one", content.as_str()),
        ("two", "x"),
        ("three", "y"),
        ("four", "z"),
    ];
    let file = site.upload_all(&files).await;
    let see = || site.send(ask("GET", &file.path).token(&file.token).page());
    let page = see().await;
    assert_is_page(&page);
    let page = page.text().await;
    for words in [
        "<h1>Ready to share</h1>",
        &format!("value=\"{}\"", file.link),
        "Whoever has this link can download the files. Each is deleted once somebody else has downloaded it",
        "Waiting. Nobody has downloaded it yet.",
        "aria-labelledby=\"delete-4 name-4\"",
        "Test download of all as ZIP (does not count)",
        "Delete all now",
        "Keep them from now for",
        "We know you as the uploader by a secret",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("Look again"), "nothing is moving");

    let raw = |number: u32| format!("{}/{number}/raw", file.path);
    let mut held = site.send(ask("GET", &raw(1)).from(AWAY)).await;
    held.read(120_000).await;
    site.send(ask("GET", &raw(2)).from(STRANGER))
        .await
        .deliver()
        .await;
    site.until_rows("ending = 'delivered'", 1).await;
    site.send(ask("DELETE", &format!("{}/3", file.path))).await;
    let page = see().await.text().await;
    for words in [
        "<h1>Being downloaded</h1>",
        "Being downloaded: 67\u{a0}%.",
        "<progress value=\"67\" max=\"100\" aria-label=\"Downloaded\">67&nbsp;%</progress>",
        "Delivered <time datetime=\"2027-01-15T08:00:00Z\">Fri, 15 Jan 2027 08:00:00 GMT</time> (confirmed by the \
         recipient&#39;s system). It is about to be deleted here.",
        "You have deleted it before anybody had it. Deleted <time",
        "File 2",
        "Look again",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    for (number, is_live) in [(1, true), (2, false), (3, false), (4, true)] {
        let button = format!("action=\"{}/{number}/delete\"", file.path);
        assert_eq!(page.contains(&button), is_live, "{number}");
    }
    let lines = site
        .send(ask("GET", &file.path).token(&file.token))
        .await
        .text()
        .await;
    for line in [
        "1. one, 195.3 KiB: Being downloaded: 67\u{a0}%.",
        "2. 1 byte: Delivered Fri, 15 Jan 2027 08:00:00 GMT (confirmed by the recipient's system). It",
        "4. four, 1 byte: Waiting.",
        "This is yours: your downloads do not count.",
    ] {
        assert!(lines.contains(line), "{line}: {lines}");
    }
    held.cut_short(50_000);
    site.until_rows("covered = '0-50000'", 1).await;
    let page = see().await.text().await;
    assert!(
        page.contains("A download has stopped at 25\u{a0}%. For 2 minutes it can only be resumed"),
        "{page}"
    );
    assert!(
        page.contains("<h1>1 of 4 delivered</h1>"),
        "nobody is downloading: {page}"
    );
    site.lapse().await;
    let page = see().await.text().await;
    assert!(page.contains("<h1>1 of 4 delivered</h1>"), "{page}");
    assert!(
        page.contains("One download was begun and did not reach its end."),
        "{page}"
    );

    site.send(ask("DELETE", &file.path)).await;
    site.drop.sweep().await;
    let over = see().await;
    assert_eq!(over.status, StatusCode::GONE);
    let over = over.text().await;
    assert!(
        over.contains("Delivered <time") && over.contains("You have deleted it. Nobody is known"),
        "{over}"
    );
    assert!(!over.contains("<form"), "{over}");
    let lines = site.send(ask("GET", &file.path).token(&file.token)).await;
    assert_eq!(lines.status, StatusCode::GONE);
    assert!(
        lines
            .text()
            .await
            .contains("4. 1 byte: You have deleted it before anybody had it. Deleted Fri, 15 Jan 2027")
    );
}

#[tokio::test]
async fn what_nobody_knows_is_not_told_as_known() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let held = site.collect(&file.path, AWAY).await;
    let site = site.restart(|_, _| ());
    drop(held);
    let page = site.send(ask("GET", &file.path).page()).await.text().await;
    for words in [
        "<h1>Perhaps delivered</h1>",
        "nobody knows whether it arrived",
        "Give it another try",
        "Delete now",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let lines = site.send(ask("GET", &file.path)).await.text().await;
    assert!(
        lines.contains(&format!("Another try: curl -X POST {}/1/again", file.link)),
        "{lines}"
    );
    let by_token = ask("GET", &file.path).from(AWAY).token(&file.token);
    let lines = site.send(by_token).await.text().await;
    assert!(
        lines.contains(&format!(
            "curl -X POST -H 'Truehop-Owner: SECRET' {}/1/again",
            file.link
        )),
        "{lines}"
    );
    let page = site.send(ask("GET", &file.path).from(STRANGER).page()).await;
    assert_eq!(page.status, StatusCode::OK);
    let page = page.text().await;
    assert!(
        page.contains("perhaps it has arrived") && !page.contains("<button"),
        "{page}"
    );
    let page = site
        .send(ask("GET", &file.path).from(AWAY).page())
        .await
        .text()
        .await;
    assert!(
        page.contains("Your download was interrupted at its very end") && page.contains("<button"),
        "{page}"
    );
}

#[tokio::test]
async fn a_proxys_word_is_told_as_a_proxys() {
    let site = Site::new();
    let file = site.upload("a", "content").await;
    let raw = format!("{}/raw", file.path);
    site.send(ask("GET", &raw).resolved(behind_proxy(AWAY)))
        .await
        .deliver()
        .await;
    site.until(&file.path, StatusCode::GONE).await;
    let told = site.send(ask("GET", &file.path)).await;
    assert_eq!(told.status, StatusCode::GONE);
    let told = told.text().await;
    assert!(
        told.starts_with(
            "Delivered Fri, 15 Jan 2027 08:00:00 GMT (confirmed by a proxy: whether somebody else has it, only the proxy \
             knows). The bytes stay until Fri, 15 Jan 2027 08:01:00 GMT so that its recipient can go on; until then"
        ),
        "{told}"
    );
    site.advance(Duration::from_secs(60));
    site.drop.sweep().await;
    let told = site
        .send(ask("GET", &file.path).token(&file.token))
        .await
        .text()
        .await;
    assert!(
        told.starts_with("Delivered Fri, 15 Jan 2027 08:00:00 GMT. Somebody else has all of it."),
        "{told}"
    );
}
