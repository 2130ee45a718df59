//! What a request asks for: its method and the four forms of a target (RFC 9112 section 3.2).
//!
//! Invariant: the method decides which form may stand there, and an absolute target names exactly one host, so that no
//! reader further on finds another host or path in the same bytes.

use memchr::memchr;

use crate::bad_request::BadRequest;
use crate::field::Span;
use crate::host::Host;

/// A request's method (RFC 9110 section 9, RFC 5789); compared with case.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// `PATCH`
    Patch,
    /// `TRACE`
    Trace,
    /// `CONNECT`
    Connect,
    /// Any other token; the head has its text.
    Other,
}

impl Method {
    pub(crate) fn of(text: &[u8]) -> Self {
        match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// Where the parts of a target stand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target {
    pub(crate) text: Span,
    /// What stands between `://` and the path, or all of a `CONNECT` target.
    pub(crate) authority: Option<Span>,
    pub(crate) path: Path,
}

/// The part in origin form.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Path {
    /// A path from its slash on, or `*`; `whole` holds the query too.
    Here { whole: Span, without_query: Span },
    /// `/`, which an absolute form need not write.
    #[default]
    Root,
    /// There is none: `CONNECT`.
    None,
}

impl Target {
    /// Reads a target that stands at `start`; `text` is visible ASCII, not empty, without `#`.
    pub(crate) fn parse(method: Method, text: &[u8], start: u32) -> Result<Self, BadRequest> {
        let end = start + text.len() as u32;
        let whole = Span { start, end };
        if method == Method::Connect {
            check_tunnel(text)?;
            return Ok(Self {
                text: whole,
                authority: Some(whole),
                path: Path::None,
            });
        }
        match text {
            [b'/', ..] => Ok(Self {
                text: whole,
                authority: None,
                path: Path::at(text, start),
            }),
            b"*" if method == Method::Options => Ok(Self {
                text: whole,
                authority: None,
                path: Path::at(text, start),
            }),
            b"*" => Err(BadRequest::AsteriskForm),
            _ => {
                let scheme = scheme_length(text)?;
                let after = &text[scheme..];
                let length = after.iter().position(|byte| b"/?".contains(byte));
                let (authority, rest) = after.split_at(length.unwrap_or(after.len()));
                check_authority(authority)?;
                let authority_start = start + scheme as u32;
                let authority_end = authority_start + authority.len() as u32;
                Ok(Self {
                    text: whole,
                    authority: Some(Span {
                        start: authority_start,
                        end: authority_end,
                    }),
                    path: match rest {
                        [] => Path::Root,
                        // The origin form of this is `/?query`, which does not stand in the buffer.
                        [b'?', ..] => return Err(BadRequest::QueryWithoutPath),
                        _ => Path::at(rest, authority_end),
                    },
                })
            }
        }
    }
}

impl Path {
    fn at(text: &[u8], start: u32) -> Self {
        let whole = Span {
            start,
            end: start + text.len() as u32,
        };
        Self::Here {
            whole,
            without_query: Span {
                start,
                end: memchr(b'?', text).map_or(whole.end, |query| start + query as u32),
            },
        }
    }
}

/// The length of `http://` or `https://`.
fn scheme_length(text: &[u8]) -> Result<usize, BadRequest> {
    for scheme in [&b"http://"[..], b"https://"] {
        if text
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        {
            return Ok(scheme.len());
        }
    }
    if memchr::memmem::find(text, b"://").is_some() {
        Err(BadRequest::Scheme)
    } else {
        Err(BadRequest::TargetForm)
    }
}

fn check_authority(authority: &[u8]) -> Result<(), BadRequest> {
    match authority {
        _ if authority.contains(&b'@') => Err(BadRequest::Userinfo),
        [] | [b':', ..] => Err(BadRequest::EmptyAuthority),
        _ => Host::parse(authority)
            .map(|_| ())
            .map_err(|_| BadRequest::Authority),
    }
}

/// `uri-host ":" port`, with a port that one can connect to (RFC 9110 section 9.3.6).
fn check_tunnel(authority: &[u8]) -> Result<(), BadRequest> {
    match Host::parse(authority) {
        Ok(host) if host.port().is_some_and(|port| port != 0) => Ok(()),
        _ => Err(BadRequest::AuthorityForm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Authority, path and query.
    fn read(method: Method, text: &str) -> Result<(Option<&str>, String, String), BadRequest> {
        let at = |span: Span| &text[span.start as usize - 7..span.end as usize - 7];
        let target = Target::parse(method, text.as_bytes(), 7)?;
        assert_eq!(at(target.text), text);
        let (path, whole) = match target.path {
            Path::Here { whole, without_query } => (at(without_query), at(whole)),
            Path::Root => ("root", "root"),
            Path::None => ("none", "none"),
        };
        Ok((target.authority.map(at), path.to_owned(), whole.to_owned()))
    }

    #[test]
    fn each_form_has_its_parts() {
        use Method::{Connect, Get, Options, Other};
        for (method, text, authority, path, whole) in [
            (Get, "/", None, "/", "/"),
            (Other, "/a/b?c?d", None, "/a/b", "/a/b?c?d"),
            (Get, "//a/b", None, "//a/b", "//a/b"),
            (Get, "/http://b/", None, "/http://b/", "/http://b/"),
            (Get, "/?", None, "/", "/?"),
            (Options, "*", None, "*", "*"),
            (Options, "http://a", Some("a"), "root", "root"),
            (Get, "http://a/", Some("a"), "/", "/"),
            (Get, "HTTPS://a:8443/b?c", Some("a:8443"), "/b", "/b?c"),
            (Get, "http://[::1]:80/x@y", Some("[::1]:80"), "/x@y", "/x@y"),
            (Connect, "a:443", Some("a:443"), "none", "none"),
            (Connect, "[::1]:443", Some("[::1]:443"), "none", "none"),
        ] {
            assert_eq!(
                read(method, text),
                Ok((authority, path.to_owned(), whole.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn other_forms_are_refused_by_name() {
        use Method::{Connect, Get, Options};
        for (method, text, fault) in [
            (Get, "*", BadRequest::AsteriskForm),
            (Options, "**", BadRequest::TargetForm),
            (Get, "a", BadRequest::TargetForm),
            (Get, "a:443", BadRequest::TargetForm),
            (Get, "http:/a/", BadRequest::TargetForm),
            (Get, "?a", BadRequest::TargetForm),
            (Get, "\\a", BadRequest::TargetForm),
            (Get, "ftp://a/", BadRequest::Scheme),
            (Get, "://a/", BadRequest::Scheme),
            (Get, "httpss://a/", BadRequest::Scheme),
            (Get, "http://u@a/", BadRequest::Userinfo),
            (Get, "http://u:p@a/", BadRequest::Userinfo),
            (Get, "http://@/", BadRequest::Userinfo),
            (Get, "http://", BadRequest::EmptyAuthority),
            (Get, "http:///a", BadRequest::EmptyAuthority),
            (Get, "http://:80/a", BadRequest::EmptyAuthority),
            (Get, "http://a:b/", BadRequest::Authority),
            (Get, "http://a\\b/", BadRequest::Authority),
            (Get, "http://[::1/", BadRequest::Authority),
            (Get, "http://a:65536/", BadRequest::Authority),
            (Get, "http://a?b", BadRequest::QueryWithoutPath),
            (Connect, "/", BadRequest::AuthorityForm),
            (Connect, "*", BadRequest::AuthorityForm),
            (Connect, "a", BadRequest::AuthorityForm),
            (Connect, "a:", BadRequest::AuthorityForm),
            (Connect, "a:0", BadRequest::AuthorityForm),
            (Connect, "u@a:1", BadRequest::AuthorityForm),
            (Connect, "http://a:1/", BadRequest::AuthorityForm),
        ] {
            assert_eq!(read(method, text), Err(fault), "{text}");
        }
    }
}
