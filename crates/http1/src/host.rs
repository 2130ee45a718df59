//! Which host a request is for (RFC 9112 section 3.2, RFC 9110 section 7.2).
//!
//! Invariant: one request has one host. A missing, repeated or malformed `Host`, or one that differs from the
//! request target's authority, is an error, because the next reader may choose the other.

use std::fmt;
use std::net::Ipv6Addr;

use thiserror::Error;

use crate::bytes::ascii;

/// The host of a request, in lower case, with its port when one was written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Host {
    name: Name,
    port: Option<u16>,
}

/// Names that are longer are allocated.
const SHORT: usize = 54;

/// A host's name, in place when it is short, so that reading a request allocates nothing.
#[derive(Clone, Eq, PartialEq)]
enum Name {
    /// What follows `length` is zero.
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    Long(Box<str>),
}

impl Host {
    /// The name or address without the port; IPv6 in brackets.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The port, when one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same host with this port, or with none.
    pub fn with_port(mut self, port: Option<u16>) -> Self {
        self.port = port;
        self
    }

    /// Reads `uri-host [ ":" port ]` (RFC 9110 section 7.2).
    ///
    /// # Errors
    ///
    /// [`BadHost::Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, BadHost> {
        let text = std::str::from_utf8(text).map_err(|_| BadHost::Malformed)?;
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (inside, rest) = rest.split_once(']').ok_or(BadHost::Malformed)?;
                inside.parse::<Ipv6Addr>().map_err(|_| BadHost::Malformed)?;
                (
                    &text[..inside.len() + 2],
                    rest.strip_prefix(':')
                        .or(if rest.is_empty() { None } else { Some("!") }),
                )
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| BadHost::Malformed)?)
            }
            Some(_) => return Err(BadHost::Malformed),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        // What stands in brackets was read as an address.
        if name.is_empty() || !(name.starts_with('[') || name.bytes().all(plain)) {
            return Err(BadHost::Malformed);
        }
        Ok(Self {
            name: Name::folded(name),
            port,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

impl Name {
    fn folded(name: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(name.as_bytes());
                start.make_ascii_lowercase();
                Self::Short { length, bytes }
            }
            _ => Self::Long(name.to_ascii_lowercase().into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Short { length, bytes } => ascii(bytes.get(..usize::from(*length)).unwrap_or_default()),
            Self::Long(name) => name,
        }
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::folded("")
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// The host that a request is for, from the authority of its target (absolute form) and all its `Host` lines.
///
/// # Errors
///
/// [`BadHost`]: answer 400 (RFC 9112 section 3.2).
pub(crate) fn effective_host<'a>(
    authority: Option<&str>,
    host_lines: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Host, BadHost> {
    let mut lines = host_lines.into_iter();
    let line = lines.next().ok_or(BadHost::Missing)?;
    if lines.next().is_some() {
        return Err(BadHost::Several);
    }
    let host = Host::parse(line.trim_ascii())?;
    match authority {
        Some(authority) if Host::parse(authority.as_bytes())? != host => Err(BadHost::Differs),
        _ => Ok(host),
    }
}

/// Why a request's host is not known.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadHost {
    /// No `Host` line.
    #[error("the request has no Host")]
    Missing,
    /// More than one `Host` line.
    #[error("the request has several Host lines")]
    Several,
    /// Not `uri-host [ ":" port ]`.
    #[error("the request's Host is malformed")]
    Malformed,
    /// `Host` and the request target name different hosts.
    #[error("the request's Host differs from its target")]
    Differs,
}

impl BadHost {
    /// A stable name for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing-host",
            Self::Several => "several-hosts",
            Self::Malformed => "bad-host",
            Self::Differs => "host-differs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<String, BadHost> {
        Host::parse(text.as_bytes()).map(|host| host.to_string())
    }

    #[test]
    fn hosts_are_read_strictly_and_folded() {
        for (text, shown) in [
            ("Files.Example.org", "files.example.org"),
            ("a:8080", "a:8080"),
            ("a:", "a"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]", "[::1]"),
            ("[::1]:443", "[::1]:443"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(shown));
        }
        for text in [
            "", ":80", "a b", "a/b", "a@b", "a:b", "a:+1", "a:65536", "a:1:2", "[::1", "[::1]x", "[a]",
            "a]b", "a[::1]", "a\0b", "é",
        ] {
            assert_eq!(host(text), Err(BadHost::Malformed), "{text:?}");
        }
    }

    #[test]
    fn long_names_are_kept_whole() {
        for length in [1, SHORT - 1, SHORT, SHORT + 1, 300] {
            let name = "a".repeat(length);
            let host = Host::parse(name.to_uppercase().as_bytes()).unwrap();
            assert_eq!(host.name(), name);
            assert_eq!(host, Host::parse(name.as_bytes()).unwrap());
        }
    }

    #[test]
    fn host_twice() {
        assert_eq!(effective_host(None, [&b"a"[..], b"a"]), Err(BadHost::Several));
        assert_eq!(effective_host(Some("a"), []), Err(BadHost::Missing));
    }

    #[test]
    fn absolute_form() {
        assert!(effective_host(Some("A:80"), [&b"a:80"[..]]).is_ok());
        assert_eq!(effective_host(Some("a"), [&b"b"[..]]), Err(BadHost::Differs));
        assert_eq!(effective_host(Some("a:81"), [&b"a"[..]]), Err(BadHost::Differs));
    }
}
