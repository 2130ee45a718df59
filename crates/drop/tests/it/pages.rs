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
        ("accept-ranges", "none"),
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
