//! Whom to probe: the URL, and whether it is near.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use http::Uri;

/// A URL of a deployment, at which it tells whom it takes for its client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// Whether TLS is spoken.
    pub(super) is_tls: bool,
    /// The name or the address, without brackets.
    pub(super) host: String,
    /// The host as requests name it, with its port unless that is the usual one.
    pub(super) authority: String,
    /// The path, with its query.
    pub(super) path: String,
    port: u16,
}

impl Target {
    /// All addresses of the host, in the system's order.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }

    /// The URL.
    pub(super) fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const SHAPE: &str =
            "write it as http://HOST/PATH or https://HOST/PATH, such as http://127.0.0.1:8080/whoami";
        let uri: Uri = text.parse().map_err(|error| format!("{error}; {SHAPE}"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(SHAPE.to_owned()),
        };
        let named = uri.authority().map(|authority| authority.as_str());
        if named.is_none_or(|named| named.contains('@')) {
            return Err(format!("a host without a user is needed; {SHAPE}"));
        }
        let (host, usual) = (uri.host().unwrap_or_default(), if is_tls { 443 } else { 80 });
        if host.is_empty() {
            return Err(SHAPE.to_owned());
        }
        let named = named
            .and_then(|named| named.strip_prefix(host))
            .unwrap_or_default();
        let port = match named.strip_prefix(':') {
            None => usual,
            Some(port) => match port.parse() {
                Ok(number @ 1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => number,
                _ => return Err(format!("{port:?} is no port from 1 to 65535; {SHAPE}")),
            },
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            is_tls,
            authority: match port == usual {
                true => host.to_owned(),
                false => format!("{host}:{port}"),
            },
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            path: match path.starts_with('/') {
                true => path.to_owned(),
                false => format!("/{path}"),
            },
            port,
        })
    }
}

/// Whether an address is of this machine or of a private network, where nobody else is bothered.
pub(super) fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect_and_what_to_ask_for() {
        for (url, is_tls, host, authority, path, port) in [
            ("http://a.example", false, "a.example", "a.example", "/", 80),
            ("http://a:80/w?x=1", false, "a", "a", "/w?x=1", 80),
            ("https://a/w", true, "a", "a", "/w", 443),
            ("https://a:8443/w", true, "a", "a:8443", "/w", 8443),
            ("http://a?x", false, "a", "a", "/?x", 80),
            ("http://[::1]:8080/w", false, "::1", "[::1]:8080", "/w", 8080),
        ] {
            let target: Target = url.parse().unwrap();
            let seen = (
                target.is_tls,
                &*target.host,
                &*target.authority,
                &*target.path,
                target.port,
            );
            assert_eq!(seen, (is_tls, host, authority, path, port), "{url}");
        }
        for url in [
            "a.example",
            "/whoami",
            "ftp://a/",
            "http://",
            "http:///whoami",
            "http://me@a/",
            "http://a b/",
            "http://a:99999/",
            "http://a:abc/",
            "http://a:/",
            "http://a:0/w",
            "http://a:+80/",
            "https://[::1]:/w",
            "",
        ] {
            let refused = url.parse::<Target>().unwrap_err();
            assert!(refused.contains("http://HOST/PATH"), "{refused}");
        }
    }

    #[test]
    fn near_is_what_belongs_to_nobody_else() {
        for ip in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.0.1",
            "172.31.0.1",
            "169.254.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_near(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "203.0.113.9",
            "172.32.0.1",
            "100.64.0.1",
            "2001:db8::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!is_near(ip.parse().unwrap()), "{ip}");
        }
    }
}
