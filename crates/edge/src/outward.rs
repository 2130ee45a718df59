//! What the edge tells an upstream about the client: one clean line each.
//!
//! Invariant: an upstream sees no forwarding header that the edge did not write. What came in under these names, or
//! under their underscore twins (CGI and WSGI cannot tell `X_Real_IP` from `X-Real-IP`), is deleted first; what is
//! written is built from the resolution alone.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use truehop::{Policy, Resolution};
use truehop_http1::Host;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Where the client sent its request: what the first server in the chain was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) https: bool,
    pub(crate) host: Host,
}

impl Origin {
    pub(crate) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    fn port(&self) -> u16 {
        self.host.port().unwrap_or(if self.https { 443 } else { 80 })
    }
}

/// Replaces the forwarding headers of a request on its way to an upstream. With `forwarded`, RFC 7239's is written too.
pub(crate) fn rewrite(
    headers: &mut HeaderMap,
    policy: &Policy,
    resolution: &Resolution,
    origin: &Origin,
    forwarded: bool,
) {
    let chain = chain(headers, policy, resolution);
    remove_claims(headers, policy);

    let mut list = String::new();
    let mut rfc7239 = String::new();
    for hop in &chain {
        let separator = if list.is_empty() { "" } else { ", " };
        let (text, node) = match hop {
            None => ("unknown".to_owned(), "unknown".to_owned()),
            Some(ip @ IpAddr::V4(_)) => (ip.to_string(), ip.to_string()),
            Some(ip @ IpAddr::V6(_)) => (ip.to_string(), format!("\"[{ip}]\"")),
        };
        // Writing to a String cannot fail.
        let _ = write!(list, "{separator}{text}");
        let _ = write!(rfc7239, "{separator}for={node}");
    }
    // Host and proto belong to the first element: the client asked the first proxy for them.
    if forwarded && let Some(first) = rfc7239.find(", ").or(Some(rfc7239.len())) {
        rfc7239.insert_str(
            first,
            &format!(";host=\"{}\";proto={}", origin.host, origin.scheme()),
        );
    }
    let client = resolution.client().ip().to_string();
    for (name, value) in [
        (X_FORWARDED_FOR, list),
        (X_REAL_IP, client),
        (X_FORWARDED_PROTO, origin.scheme().to_owned()),
        (X_FORWARDED_HOST, origin.host.to_string()),
        (X_FORWARDED_PORT, origin.port().to_string()),
        (FORWARDED, if forwarded { rfc7239 } else { String::new() }),
    ] {
        // Addresses and parsed hosts are always valid values.
        if !value.is_empty()
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(name, value);
        }
    }
}

/// The verified chain and the peer, farthest first. A Unix peer has no address and leaves no entry.
fn chain(headers: &HeaderMap, policy: &Policy, resolution: &Resolution) -> Vec<Option<IpAddr>> {
    let mut nearest_first: Vec<_> = resolution.peer().ip().map(Some).into_iter().collect();
    nearest_first.extend(
        policy
            .hops(resolution, headers)
            .map(|hop| hop.map(|hop| hop.ip())),
    );
    nearest_first.reverse();
    nearest_first
}

/// Names under which some proxy or application tells or believes a client's address, beside all that begin with
/// `x-forwarded`. Also `proxy`, which CGI programs take for the setting `HTTP_PROXY`.
const CLAIMS: [&str; 22] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "client-ip",
    "cloudfront-viewer-address",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "forwarded-for",
    "proxy",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-original-forwarded-for",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-ip",
];

/// Deletes every field that claims an address, and whatever an application could take for one: names are compared as
/// CGI and WSGI fold them, with every sign but letters and digits alike.
fn remove_claims(headers: &mut HeaderMap, policy: &Policy) {
    let folded = |name: &str| -> String {
        name.chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect()
    };
    let read = policy.reads().map(folded);
    let is_claim = |name: &HeaderName| {
        let name = folded(name.as_str());
        name.starts_with("x-forwarded") || CLAIMS.contains(&name.as_str()) || read.as_ref() == Some(&name)
    };
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
    for claim in claims {
        headers.remove(claim);
    }
}

#[cfg(test)]
mod tests {
    use truehop::Peer;

    use super::*;

    fn rewritten(policy: &Policy, peer: &str, fields: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        let peer: Peer = peer.parse().unwrap();
        let resolution = policy.resolve(peer, &headers).unwrap();
        let origin = Origin {
            https: true,
            host: Host::parse(b"Files.example.org").unwrap(),
        };
        rewrite(&mut headers, policy, &resolution, &origin, true);
        // What our edge writes, our resolver accepts.
        if let Some(edge) = resolution.peer().ip() {
            let next = Policy::x_forwarded_for()
                .trusted_any()
                .hops(resolution.depth() as u32 + 1)
                .build()
                .unwrap();
            let seen = next
                .resolve(Peer::from(std::net::SocketAddr::new(edge, 1)), &headers)
                .unwrap();
            assert_eq!(seen.client().ip(), resolution.client().ip());
        }
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_direct_client_gets_one_clean_line_each() {
        let forged = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("x-real-ip", "6.6.6.6"),
            ("x_real_ip", "6.6.6.6"),
            ("x_forwarded-for", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-forwarded-prefix", "/evil"),
            ("x-forwarded-ssl", "on"),
            ("x.real.ip", "6.6.6.6"),
            ("true-client-ip", "6.6.6.6"),
            ("proxy", "evil:80"),
            ("cookie", "a=b"),
        ];
        assert_eq!(
            rewritten(&Policy::peer(), "203.0.113.9:4", &forged),
            [
                "cookie: a=b",
                "forwarded: for=203.0.113.9;host=\"files.example.org\";proto=https",
                "x-forwarded-for: 203.0.113.9",
                "x-forwarded-host: files.example.org",
                "x-forwarded-port: 443",
                "x-forwarded-proto: https",
                "x-real-ip: 203.0.113.9",
            ]
        );
    }

    #[test]
    fn the_verified_part_of_the_chain_goes_on_and_the_forged_part_does_not() {
        let policy = Policy::x_forwarded_for().trusted(["10.0.0.0/8"]).build().unwrap();
        let lines = rewritten(
            &policy,
            "10.0.0.2:4",
            &[
                ("x-forwarded-for", "6.6.6.6, 2001:db8::1"),
                ("x-forwarded-for", "10.0.0.1"),
            ],
        );
        assert!(
            lines.contains(&"x-forwarded-for: 2001:db8::1, 10.0.0.1, 10.0.0.2".to_owned()),
            "{lines:?}"
        );
        assert!(lines.contains(&"x-real-ip: 2001:db8::1".to_owned()), "{lines:?}");
        assert!(
            lines[0].starts_with("forwarded: for=\"[2001:db8::1]\";host="),
            "{lines:?}"
        );
    }

    #[test]
    fn a_header_policy_passes_the_client_and_hides_its_own_header() {
        let policy = Policy::header("CF-Connecting-IP").trusted_any().build().unwrap();
        let lines = rewritten(
            &policy,
            "10.0.0.2:4",
            &[("cf-connecting-ip", "1.2.3.4"), ("cf_connecting_ip", "6.6.6.6")],
        );
        assert!(
            lines.contains(&"x-forwarded-for: 1.2.3.4, 10.0.0.2".to_owned()),
            "{lines:?}"
        );
        assert!(!lines.iter().any(|line| line.starts_with("cf")), "{lines:?}");
    }

    #[test]
    fn a_unix_peer_leaves_no_entry() {
        let policy = Policy::header("X-Real-IP").trusted(["unix"]).build().unwrap();
        let lines = rewritten(&policy, "unix", &[("x-real-ip", "1.2.3.4")]);
        assert!(
            lines.contains(&"x-forwarded-for: 1.2.3.4".to_owned()),
            "{lines:?}"
        );
    }
}
