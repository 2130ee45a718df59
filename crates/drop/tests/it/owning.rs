//! Who is the owner, and that owners never delete by downloading.

use http::StatusCode;
use prometheus_client::registry::Registry;
use truehop_drop::OwnerRule;

use crate::support::*;

#[tokio::test]
async fn owner_by_token_keeps_the_file() {
    let site = Site::with(|c| c.owner = OwnerRule::Token);
    let file = site.upload("a.txt", "content").await;
    assert_eq!(
        site.rows("uploader IS NOT NULL"),
        0,
        "no address is stored under the rule token"
    );
    for _ in 0..3 {
        let answer = site
            .send(
                ask("GET", &format!("{}/raw", file.path))
                    .from(AWAY)
                    .token(&file.token),
            )
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.courier.is_none());
        assert_eq!(answer.text().await, "content");
    }
    let cookie = format!("x=1; owner={}", file.token);
    let answer = site
        .press(ask("POST", &file.path).from(AWAY).header("cookie", &cookie))
        .await;
    assert!(answer.status == StatusCode::OK && answer.courier.is_none());
    assert_eq!(site.rows("state = 'ready' AND attempts = 0"), 1);
}

#[tokio::test]
async fn owner_by_address_keeps_the_file_and_the_address_is_not_stored_as_it_is() {
    let site = Site::with(|c| c.owner = OwnerRule::Address);
    let file = site.upload("a.txt", "content").await;
    assert_eq!(file.token, "", "a token would be good for nothing");
    let answer = site.collect(&file.path, HOME).await;
    assert!(answer.status == StatusCode::OK && answer.courier.is_none());
    assert_eq!(site.rows("length(uploader) = 32 AND length(salt) = 32"), 1);

    let answer = site.collect(&file.path, AWAY).await;
    assert!(answer.courier.is_some());
}

#[tokio::test]
async fn the_token_counts_for_nothing_under_the_rule_address_and_a_wrong_one_never() {
    let site = Site::new();
    let file = site.upload("a.txt", "content").await;
    let wrong = site
        .send(
            ask("GET", &format!("{}/raw", file.path))
                .from(AWAY)
                .token("wrong"),
        )
        .await;
    assert!(wrong.courier.is_some());
    let withdrawn = site
        .send(ask("DELETE", &file.path).from(AWAY).token("wrong"))
        .await;
    assert_eq!(withdrawn.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_ipv6_network_is_one_owner_and_another_one_is_not() {
    let site = Site::new();
    let put = ask("PUT", "/a").from("2001:db8:1:2::10").body("x");
    let path = site
        .send(put)
        .await
        .header("location")
        .replace("http://files.test", "");
    let same = site.collect(&path, "2001:db8:1:2:abcd::1").await;
    assert!(same.status == StatusCode::OK && same.courier.is_none());
    assert!(site.collect(&path, "2001:db8:1:3::10").await.courier.is_some());
}

#[tokio::test]
async fn a_mapped_address_is_the_ipv4_address_and_not_all_of_ipv4() {
    let site = Site::new();
    let file = site.upload("a", "x").await;
    let same = site.collect(&file.path, "::ffff:203.0.113.1").await;
    assert!(same.status == StatusCode::OK && same.courier.is_none());
    assert!(
        site.collect(&file.path, "::ffff:203.0.113.2")
            .await
            .courier
            .is_some()
    );
}

#[tokio::test]
async fn an_unknown_client_counts_as_somebody_else_is_counted_and_shown() {
    let site = Site::new();
    let mut registry = Registry::default();
    site.drop.register(&mut registry);
    let file = site.upload("a", "x").await;
    let answer = site
        .send(ask("GET", &format!("{}/raw", file.path)).resolved(stood_in_for()))
        .await;
    assert!(answer.courier.is_some());
    drop(answer);
    site.lapse().await;

    let page = site.send(ask("GET", &file.path).page()).await.text().await;
    assert!(
        page.contains(
            "One download came from an address that could not be determined (missing-header) and counted as"
        ),
        "{page}"
    );
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &registry).unwrap();
    let line = "truehop_drop_verdicts_total{verdict=\"unknown\",reason=\"missing-header\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn an_uploader_whom_a_proxy_stands_in_for_leaves_no_address_and_owns_by_token_only() {
    let site = Site::new();
    let put = site
        .send(ask("PUT", "/a").resolved(stood_in_for()).body("x"))
        .await;
    let (path, token) = (
        put.header("location").replace("http://files.test", ""),
        put.header("truehop-owner").to_owned(),
    );
    assert_eq!(site.rows("uploader IS NOT NULL"), 0);
    let owner = site
        .send(ask("GET", &path).from(AWAY).token(&token).page())
        .await
        .text()
        .await;
    assert!(owner.contains("could not be determined"), "{owner}");
    // The proxy's own address is nobody's.
    assert!(site.collect(&path, "10.0.0.1").await.courier.is_some());
}

#[tokio::test]
async fn the_owner_may_download_while_somebody_collects() {
    let site = Site::new();
    let file = site.upload("a", "x").await;
    let held = site.collect(&file.path, AWAY).await;
    assert_eq!(site.collect(&file.path, HOME).await.status, StatusCode::OK);
    assert!(held.deliver().await == "x");
    site.until(&file.path, StatusCode::GONE).await;
    assert_eq!(site.collect(&file.path, HOME).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn only_the_owner_withdraws() {
    let site = Site::new();
    for (method, suffix) in [("DELETE", ""), ("POST", "/delete")] {
        let file = site.upload("a", "x").await;
        let path = format!("{}{suffix}", file.path);
        assert_eq!(
            site.send(ask(method, &path).from(AWAY)).await.status,
            StatusCode::FORBIDDEN
        );
        let forbidden = site.send(ask(method, &path).resolved(stood_in_for())).await;
        assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
        assert_eq!(
            site.send(ask(method, &path).from(AWAY).token(&file.token))
                .await
                .status,
            StatusCode::OK
        );
        assert_eq!(site.collect(&file.path, AWAY).await.status, StatusCode::GONE);
        assert_eq!(
            site.send(ask(method, &path)).await.status,
            StatusCode::GONE,
            "the address is forgotten, and nobody can say that it is not theirs"
        );
        assert_eq!(
            site.send(ask(method, &path).token(&file.token)).await.status,
            StatusCode::GONE
        );
        site.drop.sweep().await;
        assert!(site.on_disk().is_empty());
    }
}

#[tokio::test]
async fn who_was_the_owner_by_address_is_told_that_it_is_gone_and_not_that_it_is_not_theirs() {
    let site = Site::with(|c| c.owner = OwnerRule::Address);
    let page = site.send(ask("GET", "/").page()).await.text().await;
    assert!(
        page.contains("Nothing of it is kept once the files are gone"),
        "{page}"
    );
    let file = site.upload_all(&[("a", "x"), ("b", "y")]).await;
    let page = site.send(ask("GET", &file.path).page()).await.text().await;
    assert!(
        page.contains("Nothing of the address is kept once it is gone"),
        "{page}"
    );
    let acts = ["/1/delete", "/1/again", "/delete", "/expires?expires=1h"];
    let act = |path: &str| ask("POST", &format!("{}{path}", file.path));
    // One of two: the address is still known.
    site.send(act("/1/delete")).await;
    assert_eq!(site.send(act("/1/delete")).await.status, StatusCode::GONE);
    assert_eq!(
        site.send(act("/1/delete").from(AWAY)).await.status,
        StatusCode::FORBIDDEN
    );
    let second = ask("GET", &format!("{}/2/raw", file.path)).from(AWAY);
    site.send(second).await.deliver().await;
    site.until(&file.path, StatusCode::GONE).await;
    for path in acts {
        assert_eq!(site.send(act(path)).await.status, StatusCode::GONE, "{path}");
    }
    // By the secret it is known for ever who is not the owner.
    let site = Site::with(|c| c.owner = OwnerRule::Token);
    let file = site.upload("a", "x").await;
    site.send(ask("DELETE", &file.path).token(&file.token)).await;
    assert_eq!(
        site.send(ask("DELETE", &file.path)).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_page_of_another_site_or_of_nowhere_cannot_delete() {
    let site = Site::new();
    let file = site.upload("a", "x").await;
    let delete = format!("{}/delete", file.path);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://files.test:8080"),
        ("origin", "null"),
    ] {
        let answer = site.send(ask("POST", &delete).header(name, value)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(site.rows("state = 'ready'"), 1);
    let own = ask("POST", &delete).header("origin", "http://files.test");
    assert_eq!(site.send(own).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_forwarding_header_means_nothing_here() {
    let site = Site::new();
    let file = site.upload("a", "x").await;
    let raw = format!("{}/raw", file.path);
    let forged = ask("GET", &raw)
        .from(AWAY)
        .header("x-real-ip", HOME)
        .header("x-forwarded-for", HOME);
    assert!(
        site.send(forged.header("forwarded", "for=203.0.113.1"))
            .await
            .courier
            .is_some()
    );
}
