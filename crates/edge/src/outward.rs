//! What the edge tells an upstream about the client: one clean line each.
//!
//! Invariant: an upstream sees no forwarding header that the edge did not write. What came in under these names, or
//! under their underscore twins (CGI and WSGI cannot tell `X_Real_IP` from `X-Real-IP`), is deleted first; what is
//! written is built from the resolution alone.

use std::fmt;
use std::net::IpAddr;

use truehop::{Policy, Resolution};
use truehop_http1::{BadValue, Field, Host, Known, Request, RequestBody, Rewrite};

use crate::forward::is_websocket;
use crate::front::HeadFields;
use crate::page::RequestId;

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

/// What an upstream is told.
pub(crate) struct Told<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) resolution: Resolution,
    pub(crate) origin: Origin,
    /// Whether RFC 7239's field is written too.
    pub(crate) forwarded: bool,
    pub(crate) id: RequestId,
}

impl Told<'_> {
    /// Puts together the head that an upstream gets: what the client sent, without the fields that end at this hop and
    /// without claims, and then what is known.
    pub(crate) fn rewrite(&self, request: Request<'_>, head: &mut Rewrite) {
        let reads = self.policy.reads();
        head.clear();
        head.request_line(request.method_text(), request.path_and_query());
        for field in request.fields() {
            let ends_here =
                request.ends_here(field) || field.known == Some(Known::XRequestId) || is_claim(field, reads);
            if !ends_here {
                head.keep(field);
            }
        }
        // Addresses, parsed hosts and our own words are always valid values.
        let _ = self.add_to(request, head);
        head.finish();
    }

    fn add_to(&self, request: Request<'_>, head: &mut Rewrite) -> Result<(), BadValue> {
        let origin = &self.origin;
        let hops = self.hops(request);
        let mut text = Vec::with_capacity(64);
        if !hops.is_empty() {
            for (n, hop) in hops.iter().enumerate() {
                text.extend_from_slice(if n > 0 { b", " } else { b"" });
                match hop {
                    Some(ip) => push_ip(&mut text, *ip),
                    None => text.extend_from_slice(b"unknown"),
                }
            }
            head.add("X-Forwarded-For", &text)?;
        }
        text.clear();
        push_ip(&mut text, self.resolution.client().ip());
        head.add("X-Real-IP", &text)?;
        head.add("X-Forwarded-Proto", origin.scheme().as_bytes())?;
        match origin.host.port() {
            None => head.add("X-Forwarded-Host", origin.host.name().as_bytes())?,
            Some(_) => head.add_display("X-Forwarded-Host", &origin.host)?,
        }
        text.clear();
        push_decimal(&mut text, origin.port());
        head.add("X-Forwarded-Port", &text)?;
        if self.forwarded && !hops.is_empty() {
            head.add_display("Forwarded", rfc7239(&hops, origin))?;
        }
        head.add("X-Request-ID", &self.id.digits())?;
        if request.body() == RequestBody::Chunked {
            head.add("Transfer-Encoding", b"chunked")?;
        }
        if is_websocket(request) {
            head.add("Connection", b"upgrade")?;
            head.add("Upgrade", b"websocket")?;
        }
        Ok(())
    }

    /// The verified chain and the peer, farthest first. A Unix peer has no address and leaves no entry.
    fn hops(&self, request: Request<'_>) -> Vec<Option<IpAddr>> {
        let mut nearest_first: Vec<_> = self.resolution.peer().ip().map(Some).into_iter().collect();
        let fields = HeadFields(request);
        nearest_first.extend(
            self.policy
                .hops(&self.resolution, &fields)
                .map(|hop| hop.map(|hop| hop.ip())),
        );
        nearest_first.reverse();
        nearest_first
    }
}

/// The chain as RFC 7239 writes it. Host and proto belong to the first element: the client asked the first proxy for
/// them.
fn rfc7239(hops: &[Option<IpAddr>], origin: &Origin) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        for (n, hop) in hops.iter().enumerate() {
            f.write_str(if n > 0 { ", " } else { "" })?;
            match hop {
                Some(ip @ IpAddr::V4(_)) => write!(f, "for={ip}")?,
                Some(ip @ IpAddr::V6(_)) => write!(f, "for=\"[{ip}]\"")?,
                None => f.write_str("for=unknown")?,
            }
            if n == 0 {
                write!(f, ";host=\"{}\";proto={}", origin.host, origin.scheme())?;
            }
        }
        Ok(())
    })
}

/// Writes an address. By hand for the usual kind: this is done for every request, and the formatting machinery takes
/// longer than all the rest of it.
fn push_ip(text: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            for (n, octet) in ip.octets().into_iter().enumerate() {
                text.extend_from_slice(if n > 0 { b"." } else { b"" });
                push_decimal(text, u16::from(octet));
            }
        }
        IpAddr::V6(ip) => text.extend_from_slice(ip.to_string().as_bytes()),
    }
}

fn push_decimal(text: &mut Vec<u8>, number: u16) {
    let mut significant = false;
    for place in [10_000, 1000, 100, 10, 1] {
        let digit = number / place % 10;
        significant |= digit > 0 || place == 1;
        if significant {
            text.push(b'0' + digit as u8);
        }
    }
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

/// Whether a field claims an address, or an application could take it for one that does: names are compared as CGI and
/// WSGI fold them, with every sign but letters and digits alike. `reads` is the header that the policy reads.
pub(crate) fn is_claim(field: Field<'_>, reads: Option<&str>) -> bool {
    // Compared without a copy: this runs for every field of every request.
    let folded = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            byte.to_ascii_lowercase()
        } else {
            b'-'
        }
    };
    let name = field.name.as_bytes();
    let is = |claim: &str| {
        claim.len() == name.len() && claim.bytes().zip(name).all(|(a, &b)| folded(a) == folded(b))
    };
    if reads.is_some_and(is) {
        return true;
    }
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'x') => {
            const PREFIX: &[u8] = b"x-forwarded";
            let starts = name.len() >= PREFIX.len() && PREFIX.iter().zip(name).all(|(&a, &b)| a == folded(b));
            starts || CLAIMS.into_iter().any(is)
        }
        Some(b'c' | b'f' | b'p' | b't' | b'w') => CLAIMS.into_iter().any(is),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use truehop::Peer;
    use truehop_http1::{Limits, RequestHead};

    use super::*;

    fn rewritten(policy: &Policy, peer: &str, fields: &[(&str, &str)]) -> Vec<String> {
        let mut text = b"GET /a?b HTTP/1.1\r\nHost: files.example.org\r\n".to_vec();
        for (name, value) in fields {
            text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        let mut head = RequestHead::default();
        assert_eq!(head.parse(&text, &Limits::default()), Ok(true));
        let request = head.view(&text);
        let peer: Peer = peer.parse().unwrap();
        let resolution = policy.resolve(peer, &HeadFields(request)).unwrap();
        let told = Told {
            policy,
            resolution,
            origin: Origin {
                https: true,
                host: request.host(),
            },
            forwarded: true,
            id: RequestId(7),
        };
        let mut outward = Rewrite::default();
        told.rewrite(request, &mut outward);
        let written: Vec<u8> = outward.pieces(&text).flatten().copied().collect();
        let mut head = RequestHead::default();
        assert_eq!(head.parse(&written, &Limits::default()), Ok(true));
        let fields = HeadFields(head.view(&written));
        // What our edge writes, our resolver accepts.
        if let Some(edge) = resolution.peer().ip() {
            let next = Policy::x_forwarded_for()
                .trusted_any()
                .hops(resolution.depth() as u32 + 1)
                .build()
                .unwrap();
            let seen = next
                .resolve(Peer::from(std::net::SocketAddr::new(edge, 1)), &fields)
                .unwrap();
            assert_eq!(seen.client().ip(), resolution.client().ip());
        }
        let mut lines: Vec<_> = fields
            .0
            .fields()
            .filter(|field| !matches!(field.known, Some(Known::Host | Known::XRequestId)))
            .map(|field| {
                format!(
                    "{}: {}",
                    field.name.to_ascii_lowercase(),
                    str::from_utf8(field.value).unwrap()
                )
            })
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn numbers_are_written_as_everybody_writes_them() {
        for number in 0..=u16::MAX {
            let mut text = Vec::new();
            push_decimal(&mut text, number);
            assert_eq!(text, number.to_string().as_bytes());
        }
        for ip in ["0.0.0.0", "255.10.100.1", "2001:db8::1", "::ffff:1.2.3.4"] {
            let mut text = Vec::new();
            push_ip(&mut text, ip.parse().unwrap());
            assert_eq!(text, ip.as_bytes());
        }
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
