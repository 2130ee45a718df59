//! What is known about single-value headers: who sets them, and who only lets them through.
//!
//! Invariant: only a header that a proxy *overwrites on every request* is its word. The names in here are those that
//! common proxies are known to append to, to pass on, or to set at one provider only.

use super::{Lint, Shown};
use crate::network::Networks;
use crate::network::sets::NamedSet;
use crate::policy::{Format, Trust};

/// nginx, HAProxy, Caddy, Apache httpd, Traefik and Envoy neither set nor remove these unless told to. Cloudflare sets
/// `True-Client-IP` only for some plans, where it is switched on.
const PASSED_THROUGH: [&str; 10] = [
    "client-ip",
    "proxy-client-ip",
    "remote-addr",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-remote-addr",
    "x-remote-ip",
];

/// Headers that one provider sets, with the set of its networks.
const PROVIDERS: [(&str, &str); 3] = [
    ("cf-connecting-ip", "cloudflare"),
    ("cf-connecting-ipv6", "cloudflare"),
    (VIEWER_ADDRESS, "cloudfront"),
];

const VIEWER_ADDRESS: &str = "cloudfront-viewer-address";

pub(super) fn lint(name: &str, format: Option<Format>, trust: &Trust, lints: &mut Vec<Lint>) {
    if name.ends_with("forwarded-for") || name == "x-forwarded" {
        lints.push(Lint::new(
            "header-appended",
            format!("Proxies append to {name} rather than set it, so its value may begin with what a client wrote."),
            "Read X-Forwarded-For as from = \"x-forwarded-for\", or a header that the proxy overwrites, such as \
             X-Real-IP.",
        ));
    }
    if PASSED_THROUGH.contains(&name) {
        lints.push(Lint::new(
            "header-passed-through",
            format!("Common proxies pass {name} on as the client wrote it unless they are told to set it."),
            format!("Let the proxy overwrite {name} on every request, or read a header that it sets, such as X-Real-IP."),
        ));
    }
    if let Some((_, provider)) = PROVIDERS.iter().find(|(header, _)| *header == name) {
        lints.extend(from_others(name, provider, trust));
    }
    if name == VIEWER_ADDRESS && format.is_none() {
        lints.push(Lint::new(
            "header-format",
            format!("In {name} an IPv6 address has a port and no brackets, and is read as another address."),
            "Write format = \"ip:port-unbracketed\" beside it.",
        ));
    }
    if name.contains('_') {
        lints.push(Lint::new(
            "underscore-name",
            format!("Many proxies drop {name}, and others cannot tell it from the same name with hyphens, which a client may send."),
            "Choose a name with hyphens.",
        ));
    }
}

/// A provider's header is a client's word when it comes from anybody else.
fn from_others(name: &str, provider: &str, trust: &Trust) -> Option<Lint> {
    let set = NamedSet::find(provider)?;
    let networks = Networks::new(set.networks().iter().copied());
    let stranger = trust.rules.iter().find(|rule| {
        // A Unix socket has no network, and is nobody's but this machine's.
        rule.networks().is_empty() || !rule.networks().iter().all(|network| networks.covers(network))
    });
    let who = match stranger {
        Some(rule) => Shown(rule).to_string(),
        None if trust.any => "anybody".to_owned(),
        None => return None,
    };
    Some(Lint::new(
        "header-of-a-provider",
        format!(
            "Only {provider} sets {name}, but {who} is trusted to send it, and may pass on what a client wrote."
        ),
        format!(
            "Trust \"{provider}\" alone, or whoever overwrites the header or takes requests from {provider} only."
        ),
    ))
}
