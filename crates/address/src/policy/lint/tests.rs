//! Every lint, and the cases beside it that must stay quiet.

use super::*;
use crate::policy::{Format, PolicyConfig};

fn codes(words: PolicyConfig) -> Vec<&'static str> {
    codes_in(words, LintContext::new())
}

fn codes_in(words: PolicyConfig, context: LintContext) -> Vec<&'static str> {
    let lints = words.build().unwrap().lint_in(&context);
    lints.iter().for_each(is_told_in_two_sentences);
    lints.iter().map(Lint::code).collect()
}

fn is_told_in_two_sentences(lint: &Lint) {
    for text in [lint.consequence(), lint.mend()] {
        assert!(
            text.ends_with('.') && !text.contains(". ") && !text.contains('\n'),
            "{text}"
        );
        assert!(text.starts_with(|c: char| c.is_uppercase() || c == '"'), "{text}");
    }
    assert_eq!(
        lint.to_string(),
        format!("{}: {} {}", lint.code(), lint.consequence(), lint.mend())
    );
}

fn walking(rules: &[&str]) -> PolicyConfig {
    Policy::x_forwarded_for().trusted(rules.iter().copied())
}

fn header(name: &str, rules: &[&str]) -> PolicyConfig {
    Policy::header(name).trusted(rules.iter().copied())
}

const NONE: [&str; 0] = [];

#[test]
fn a_policy_that_names_its_proxies_has_no_lint() {
    let context = LintContext::new()
        .public_listener(true)
        .today("2026-06-07".parse().unwrap());
    for words in [
        walking(&["192.168.0.0/24", "unix", "2001:db8::/64"]),
        walking(&["10.1.2.3"]).hops(2).max_hops(5),
        header("X-Real-IP", &["loopback", "unix"]),
        header("CF-Connecting-IP", &["cloudflare"]),
        header("CloudFront-Viewer-Address", &["cloudfront"]).format(Format::IpPortUnbracketed),
        Policy::forwarded().trusted(["fd00:1::/64"]),
        Policy::proxy_protocol().trusted(["10.0.0.0/24"]),
        PolicyConfig::from(crate::Method::Peer),
    ] {
        assert_eq!(codes_in(words, context), NONE);
    }
}

#[test]
fn trusting_anybody_is_told_with_what_they_can_write() {
    assert_eq!(
        codes(Policy::x_forwarded_for().trusted_any().hops(1)),
        ["hops-without-gate"]
    );
    assert_eq!(codes(Policy::header("X-Real-IP").trusted_any()), ["trusts-any"]);
    assert_eq!(codes(Policy::proxy_protocol().trusted_any()), ["trusts-any"]);

    let steps = [
        Policy::proxy_protocol().trusted(["10.0.0.1"]),
        Policy::header("X-Real-IP").trusted_any(),
    ];
    let lints = PolicyConfig::build_steps(steps).unwrap().lint();
    assert_eq!(lints.len(), 1);
    assert!(
        lints[0]
            .consequence()
            .starts_with("Every client that a PROXY header names")
    );
}

#[test]
fn trusting_nobody_is_told() {
    assert_eq!(codes(walking(&[])), ["trusts-nobody"]);
}

#[test]
fn both_steps_are_looked_at() {
    let steps = [
        Policy::proxy_protocol().trusted(["10.0.0.2/26"]),
        walking(&["10.0.0.0/8", "10.0.0.0/8"]),
    ];
    let lints = PolicyConfig::build_steps(steps).unwrap().lint();
    assert_eq!(
        lints.iter().map(Lint::code).collect::<Vec<_>>(),
        ["host-bits", "repeated-rule"]
    );
}

#[test]
fn a_rule_inside_of_another_is_told_once() {
    assert_eq!(
        codes(walking(&["10.1.0.0/16", "10.0.0.0/8"])),
        ["overlapping-rule"]
    );
    assert_eq!(
        codes(walking(&["10.0.0.0/8", "10.1.0.0/16"])),
        ["overlapping-rule"]
    );
    assert_eq!(codes(walking(&["private", "192.168.0.7"])), ["overlapping-rule"]);
    assert_eq!(codes(walking(&["::1", "loopback"])), ["overlapping-rule"]);
    assert_eq!(codes(walking(&["cloudflare", "10.0.0.0/8"])), NONE);
    // A set that lies in it only in part is no less needed.
    assert_eq!(codes(walking(&["private", "10.0.0.0/8"])), ["overlapping-rule"]);
    assert_eq!(codes(walking(&["10.0.0.0/9", "10.128.0.0/9"])), NONE);
}

#[test]
fn a_rule_that_stands_twice_is_told_once() {
    assert_eq!(
        codes(walking(&["10.0.0.0/8", "::ffff:10.0.0.0/104"])),
        ["repeated-rule"]
    );
    assert_eq!(codes(walking(&["unix", "10.0.0.1", "unix"])), ["repeated-rule"]);
    assert_eq!(codes(walking(&["private", "private"])), ["repeated-rule"]);
}

#[test]
fn a_rule_in_a_file_is_told_with_its_place() {
    let load = |_: &str| Ok("10.0.0.0/8\n\n10.1.0.0/16 # spare\n".to_owned());
    let policy = walking(&["file:proxies.txt"]).build_with(&load).unwrap();
    let lints = policy.lint();
    assert_eq!(lints.len(), 1);
    assert!(
        lints[0]
            .consequence()
            .starts_with("\"10.1.0.0/16\" (proxies.txt:3) lies inside of \"10.0.0.0/8\" (proxies.txt:1)")
    );
}

#[test]
fn host_bits_are_told() {
    assert_eq!(codes(walking(&["10.0.0.2/26"])), ["host-bits"]);
    assert_eq!(codes(walking(&["2001:db8::1/64"])), ["host-bits"]);
    for clean in [
        "10.0.0.2",
        "10.0.0.2/32",
        "10.0.0.0/26",
        "::ffff:10.0.0.0/104",
        "::ffff:10.0.0.2",
    ] {
        assert_eq!(codes(walking(&[clean])), NONE, "{clean}");
    }
}

#[test]
fn halves_of_everything_are_told() {
    assert_eq!(
        codes(walking(&["0.0.0.0/1", "128.0.0.0/1"])),
        ["wide-rule", "wide-rule"]
    );
    assert_eq!(codes(walking(&["2000::/3"])), ["wide-rule"]);
    assert_eq!(codes(walking(&["fc00::/7"])), NONE);
    assert_eq!(codes(walking(&["fe00::/7"])), ["wide-rule"]);
    assert_eq!(codes(walking(&["fc00::/6"])), ["wide-rule"]);
}

#[test]
fn addresses_that_no_peer_has_are_told() {
    for rule in [
        "0.0.0.0/8",
        "0.0.0.0",
        "239.1.2.3",
        "255.255.255.255",
        "::",
        "ff02::1",
    ] {
        assert_eq!(codes(walking(&[rule])), ["unreachable-rule"], "{rule}");
    }
}

#[test]
fn private_networks_are_told_where_strangers_can_connect() {
    let public = LintContext::new().public_listener(true);
    for rule in [
        "private",
        "10.0.0.0/8",
        "192.168.0.0/16",
        "172.16.0.0/12",
        "fc00::/7",
    ] {
        assert_eq!(
            codes_in(walking(&[rule]), public),
            ["private-on-public"],
            "{rule}"
        );
        assert_eq!(codes(walking(&[rule])), NONE, "{rule}");
    }
    for rule in [
        "192.168.0.0/24",
        "10.0.0.1",
        "loopback",
        "cloudflare",
        "unix",
        "fd00::/8",
    ] {
        assert_eq!(codes_in(walking(&[rule]), public), NONE, "{rule}");
    }
}

#[test]
fn an_old_snapshot_is_told_and_an_rfc_is_never_old() {
    let on = |day: &str| LintContext::new().today(day.parse().unwrap());
    let taken = NamedSet::find("cloudflare").unwrap().taken().unwrap();
    assert_eq!(
        codes_in(walking(&["cloudflare"]), LintContext::new().today(taken)),
        NONE
    );
    assert_eq!(
        codes_in(walking(&["cloudflare", "cloudfront"]), on("2030-01-01")),
        ["stale-set", "stale-set"]
    );
    assert_eq!(
        codes_in(walking(&["private", "loopback"]), on("2030-01-01")),
        NONE
    );
    assert_eq!(codes(walking(&["cloudflare"])), NONE);
}

#[test]
fn a_header_that_proxies_append_to_is_told() {
    for name in ["X-Original-Forwarded-For", "Forwarded-For", "X-Forwarded"] {
        assert_eq!(codes(header(name, &["10.0.0.1"])), ["header-appended"], "{name}");
    }
}

#[test]
fn a_header_that_proxies_pass_on_is_told_even_from_a_provider() {
    assert_eq!(
        codes(header("X-Client-IP", &["10.0.0.1"])),
        ["header-passed-through"]
    );
    assert_eq!(
        codes(header("True-Client-IP", &["cloudflare"])),
        ["header-passed-through"]
    );
}

#[test]
fn a_providers_header_is_told_when_others_may_send_it() {
    assert_eq!(
        codes(header("CF-Connecting-IP", &["cloudflare", "10.0.0.1"])),
        ["header-of-a-provider"]
    );
    assert_eq!(
        codes(header("CF-Connecting-IP", &["unix"])),
        ["header-of-a-provider"]
    );
    assert_eq!(codes(header("CF-Connecting-IP", &["104.16.0.0/16"])), NONE);
    assert_eq!(
        codes(Policy::header("CF-Connecting-IP").trusted_any()),
        ["trusts-any", "header-of-a-provider"]
    );
}

#[test]
fn a_header_that_needs_a_format_is_told() {
    assert_eq!(
        codes(header("CloudFront-Viewer-Address", &["cloudfront"])),
        ["header-format"]
    );
}

#[test]
fn an_underscore_is_told() {
    assert_eq!(codes(header("X_Real_IP", &["10.0.0.1"])), ["underscore-name"]);
}

#[test]
fn each_way_to_the_peer_is_told() {
    use Otherwise::Peer;
    let trusted = || walking(&["10.0.0.1"]);
    assert_eq!(codes(trusted().on_missing(Peer)), ["missing-is-peer"]);
    assert_eq!(codes(trusted().on_malformed(Peer)), ["malformed-is-peer"]);
    assert_eq!(codes(trusted().hops(2).on_too_few(Peer)), ["too-few-is-peer"]);
    assert_eq!(
        codes(trusted().on_all_trusted(OnAllTrusted::Peer)),
        ["all-trusted-is-peer"]
    );
    assert_eq!(
        codes(trusted().on_all_trusted(OnAllTrusted::Leftmost)),
        ["all-trusted-is-leftmost"]
    );
    let twice = header("X-Real-IP", &["10.0.0.1"]).on_duplicate(OnDuplicate::Last);
    assert_eq!(codes(twice), ["duplicate-last"]);
}

#[test]
fn knobs_that_cannot_matter_are_told() {
    let trusted = || walking(&["10.0.0.1"]);
    assert_eq!(
        codes(trusted().hops(1).on_too_few(Otherwise::Peer)),
        ["never-used"]
    );
    assert_eq!(codes(trusted().hops(3).max_hops(2)), ["never-answers"]);
    assert_eq!(codes(trusted().hops(3).max_hops(3)), NONE);
}
