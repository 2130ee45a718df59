//! What the client asked for, as the proxy that saw it says: scheme, host and port.
//!
//! Invariant: a claim about the target is believed only when the policy's key `origin` names it, and only from the hop
//! whose word made the client: the same peer test, the same place in the list, the same errors. An application that
//! believed `X-Forwarded-Host` from anyone would make links to anywhere.

use std::str;

use crate::fields::{Fields, FromRight};
use crate::forwarded::{self, Element, Value};
use crate::policy::{List, Policy, Source};
use crate::resolve::{Resolution, Unresolved, is_nominated};

const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_PORT: &str = "x-forwarded-port";

/// The scheme by which the client spoke to the first proxy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// What the client asked for, as far as the policy believes claims about it. `None`: nobody who is believed said so.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Origin<'a> {
    /// The scheme.
    pub scheme: Option<Scheme>,
    /// The host, as in a `Host` field: a name or address, perhaps with a port.
    pub host: Option<&'a str>,
    /// The port.
    pub port: Option<u16>,
}

impl Policy {
    /// What the client asked for.
    ///
    /// `fields` must be those that `resolution` was made of. In a list the claim is taken from the same place as the
    /// client. A list of one entry was set by one proxy and passed on by those behind it.
    ///
    /// # Errors
    ///
    /// A claim that is believed, is there, and cannot be read; with the reasons of [`resolve`](Self::resolve).
    ///
    /// # Examples
    ///
    /// ```
    /// use truehop::{OriginPart, Peer, Policy, Scheme};
    ///
    /// let policy = Policy::x_forwarded_for().trusted(["10.0.0.0/8"]).origin([OriginPart::Proto]).build()?;
    /// let headers = [("X-Forwarded-For", "203.0.113.95"), ("X-Forwarded-Proto", "https")];
    /// let resolution = policy.resolve("10.0.0.1:40000".parse::<Peer>()?, &headers[..])?;
    /// assert_eq!(policy.origin(&resolution, &headers[..])?.scheme, Some(Scheme::Https));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn origin<'a, F: Fields + ?Sized>(
        &self,
        resolution: &Resolution,
        fields: &'a F,
    ) -> Result<Origin<'a>, Unresolved> {
        let depth = resolution.depth();
        if depth == 0 {
            return Ok(Origin::default());
        }
        match self.source {
            Source::Peer => Ok(Origin::default()),
            Source::List {
                list: List::Forwarded { .. },
                ..
            } => self.origin_of_element(depth, fields),
            Source::List {
                list: List::XForwardedFor,
                ..
            }
            | Source::Header { .. } => {
                let claim = |believed, name: &'static str| match believed {
                    true => claim_at(depth, name, fields),
                    false => Ok(None),
                };
                Ok(Origin {
                    scheme: claim(self.origin.proto, X_FORWARDED_PROTO)?
                        .map(scheme)
                        .transpose()?,
                    host: claim(self.origin.host, X_FORWARDED_HOST)?.map(host).transpose()?,
                    port: claim(self.origin.port, X_FORWARDED_PORT)?.map(port).transpose()?,
                })
            }
        }
    }

    fn origin_of_element<'a, F: Fields + ?Sized>(
        &self,
        depth: usize,
        fields: &'a F,
    ) -> Result<Origin<'a>, Unresolved> {
        let mut elements = forwarded::FromRight::new(fields.lines(forwarded::FORWARDED));
        let element = elements
            .nth(depth - 1)
            .and_then(Element::parse)
            .ok_or(Unresolved::Malformed)?;
        // Neither a scheme nor a host needs escapes.
        let plain = |value: Value<'a>| value.plain().ok_or(Unresolved::Malformed);
        let proto = element
            .proto()
            .filter(|_| self.origin.proto)
            .map(plain)
            .transpose()?;
        let name = element
            .host()
            .filter(|_| self.origin.host)
            .map(plain)
            .transpose()?;
        Ok(Origin {
            scheme: proto.map(scheme).transpose()?,
            host: name.map(host).transpose()?,
            port: None,
        })
    }
}

/// The entry of a claim at the client's place.
fn claim_at<'a, F: Fields + ?Sized>(
    depth: usize,
    name: &'static str,
    fields: &'a F,
) -> Result<Option<&'a [u8]>, Unresolved> {
    if is_nominated(name, fields) {
        return Err(Unresolved::HopByHop);
    }
    let mut entries = FromRight::new(fields.lines(name));
    let Some(nearest) = entries.next() else {
        return Ok(None);
    };
    match depth {
        1 => Ok(Some(nearest)),
        _ => match (entries.next(), depth - 2) {
            (None, _) => Ok(Some(nearest)),
            (Some(second), 0) => Ok(Some(second)),
            (Some(_), further) => entries.nth(further - 1).map(Some).ok_or(Unresolved::TooFewHops),
        },
    }
}

fn scheme(text: &[u8]) -> Result<Scheme, Unresolved> {
    if text.eq_ignore_ascii_case(b"https") {
        Ok(Scheme::Https)
    } else if text.eq_ignore_ascii_case(b"http") {
        Ok(Scheme::Http)
    } else {
        Err(Unresolved::Malformed)
    }
}

/// `uri-host [ ":" port ]` as far as its bytes go: nothing that could end a header, a URL's host, or an HTML attribute.
fn host(text: &[u8]) -> Result<&str, Unresolved> {
    let plain = |&b: &u8| b.is_ascii_alphanumeric() || b"-._~[]:".contains(&b);
    let text = str::from_utf8(text).map_err(|_| Unresolved::Malformed)?;
    match !text.is_empty() && text.as_bytes().iter().all(plain) {
        true => Ok(text),
        false => Err(Unresolved::Malformed),
    }
}

fn port(text: &[u8]) -> Result<u16, Unresolved> {
    crate::node::parse_port(text).ok_or(Unresolved::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;
    use crate::policy::{OriginPart, PolicyConfig};

    const ALL: [OriginPart; 3] = [OriginPart::Proto, OriginPart::Host, OriginPart::Port];

    fn origin<'a>(config: PolicyConfig, headers: &'a [(&'a str, &'a str)]) -> Result<Origin<'a>, Unresolved> {
        let policy = config.build().unwrap();
        let resolution = policy
            .resolve("10.0.0.1:1".parse::<Peer>().unwrap(), headers)
            .unwrap();
        policy.origin(&resolution, headers)
    }

    fn walked() -> PolicyConfig {
        Policy::x_forwarded_for().trusted(["10.0.0.0/8"]).origin(ALL)
    }

    #[test]
    fn a_claim_comes_from_the_same_place_as_the_client() {
        let headers = [
            ("X-Forwarded-For", "6.6.6.6, 1.2.3.4, 10.0.0.2"),
            ("X-Forwarded-Proto", "gopher, https, http"),
            ("X-Forwarded-Host", "evil, files.example.org, inner"),
            ("X-Forwarded-Port", "1, 443, 80"),
        ];
        let expected = Origin {
            scheme: Some(Scheme::Https),
            host: Some("files.example.org"),
            port: Some(443),
        };
        assert_eq!(origin(walked(), &headers), Ok(expected));
    }

    #[test]
    fn a_claim_that_one_proxy_set_is_passed_on_by_the_others() {
        let headers = [
            ("X-Forwarded-For", "1.2.3.4, 10.0.0.2, 10.0.0.3"),
            ("X-Forwarded-Proto", "https"),
        ];
        assert_eq!(origin(walked(), &headers).unwrap().scheme, Some(Scheme::Https));
        let headers = [
            ("X-Forwarded-For", "1.2.3.4, 10.0.0.2, 10.0.0.3"),
            ("X-Forwarded-Proto", "https, http"),
        ];
        assert_eq!(origin(walked(), &headers), Err(Unresolved::TooFewHops));
    }

    #[test]
    fn nothing_is_believed_that_is_not_written_down_or_comes_from_a_stranger() {
        let headers = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Host", "evil")];
        let silent = Policy::x_forwarded_for().trusted(["10.0.0.0/8"]);
        assert_eq!(origin(silent, &headers), Ok(Origin::default()));
        let stranger = Policy::x_forwarded_for().trusted(["192.0.2.1"]).origin(ALL);
        assert_eq!(origin(stranger, &headers), Ok(Origin::default()));
    }

    #[test]
    fn a_claim_that_cannot_be_read_is_an_error() {
        for (name, value) in [
            ("X-Forwarded-Proto", "javascript"),
            ("X-Forwarded-Host", "a\"onload=\"b"),
            ("X-Forwarded-Host", "a/b"),
            ("X-Forwarded-Port", "+80"),
            ("X-Forwarded-Port", "65536"),
        ] {
            let headers = [("X-Forwarded-For", "1.2.3.4"), (name, value)];
            assert_eq!(origin(walked(), &headers), Err(Unresolved::Malformed), "{value}");
        }
        let headers = [
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-Proto", "https"),
            ("Connection", "x-forwarded-proto"),
        ];
        assert_eq!(origin(walked(), &headers), Err(Unresolved::HopByHop));
    }

    #[test]
    fn forwarded_tells_it_in_the_clients_element() {
        let config = || {
            Policy::forwarded()
                .trusted(["10.0.0.0/8"])
                .origin([OriginPart::Proto, OriginPart::Host])
        };
        let headers = [(
            "Forwarded",
            "for=6.6.6.6;host=evil, for=1.2.3.4;proto=https;host=\"files.example.org:8443\", for=10.0.0.2;host=inner",
        )];
        let expected = Origin {
            scheme: Some(Scheme::Https),
            host: Some("files.example.org:8443"),
            port: None,
        };
        assert_eq!(origin(config(), &headers), Ok(expected));
        let headers = [("Forwarded", "for=1.2.3.4;host=\"a\\b\"")];
        assert_eq!(origin(config(), &headers), Err(Unresolved::Malformed));
        assert_eq!(config().origin(ALL).build().unwrap_err().key, "origin");
    }

    #[test]
    fn a_single_value_header_goes_with_single_claims() {
        let config = || Policy::header("X-Real-IP").trusted(["10.0.0.0/8"]).origin(ALL);
        let headers = [("X-Real-IP", "1.2.3.4"), ("X-Forwarded-Proto", "http, https")];
        assert_eq!(origin(config(), &headers).unwrap().scheme, Some(Scheme::Https));
    }
}
