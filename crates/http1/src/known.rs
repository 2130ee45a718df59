//! Field names that something here or next to it looks for.
//!
//! Invariant: a name is recognised without case, and each variant has exactly one name.

use crate::bytes::is_named;

macro_rules! known {
    ($($variant:ident = $name:literal,)*) => {
        /// A field name that is recognised when a head is parsed, so that nobody compares it again.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum Known {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Known {
            /// The usual way to write the name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

known! {
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    Authorization = "Authorization",
    CacheControl = "Cache-Control",
    Connection = "Connection",
    ContentEncoding = "Content-Encoding",
    ContentLength = "Content-Length",
    ContentRange = "Content-Range",
    ContentType = "Content-Type",
    Cookie = "Cookie",
    Date = "Date",
    ETag = "ETag",
    Expect = "Expect",
    Forwarded = "Forwarded",
    Host = "Host",
    IfMatch = "If-Match",
    IfModifiedSince = "If-Modified-Since",
    IfNoneMatch = "If-None-Match",
    IfRange = "If-Range",
    IfUnmodifiedSince = "If-Unmodified-Since",
    KeepAlive = "Keep-Alive",
    LastModified = "Last-Modified",
    Location = "Location",
    Origin = "Origin",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyConnection = "Proxy-Connection",
    Range = "Range",
    Referer = "Referer",
    Server = "Server",
    SetCookie = "Set-Cookie",
    Te = "TE",
    Trailer = "Trailer",
    TransferEncoding = "Transfer-Encoding",
    Upgrade = "Upgrade",
    UserAgent = "User-Agent",
    Vary = "Vary",
    Via = "Via",
    XAccelBuffering = "X-Accel-Buffering",
    XForwardedFor = "X-Forwarded-For",
    XForwardedHost = "X-Forwarded-Host",
    XForwardedPort = "X-Forwarded-Port",
    XForwardedProto = "X-Forwarded-Proto",
    XRealIp = "X-Real-IP",
    XRequestId = "X-Request-ID",
}

impl Known {
    /// Recognises a name, which is a token, compared without case.
    ///
    /// Length and first letter leave at most a few candidates, nearly always none or the right one.
    pub fn of(name: &[u8]) -> Option<Self> {
        let candidates: &[Self] = match (name.len(), name.first()?.to_ascii_lowercase()) {
            (2, b't') => &[Self::Te],
            (3, b'v') => &[Self::Via],
            (4, b'd') => &[Self::Date],
            (4, b'e') => &[Self::ETag],
            (4, b'h') => &[Self::Host],
            (4, b'v') => &[Self::Vary],
            (5, b'r') => &[Self::Range],
            (6, b'a') => &[Self::Accept],
            (6, b'c') => &[Self::Cookie],
            (6, b'e') => &[Self::Expect],
            (6, b'o') => &[Self::Origin],
            (6, b's') => &[Self::Server],
            (7, b'r') => &[Self::Referer],
            (7, b't') => &[Self::Trailer],
            (7, b'u') => &[Self::Upgrade],
            (8, b'i') => &[Self::IfMatch, Self::IfRange],
            (8, b'l') => &[Self::Location],
            (9, b'f') => &[Self::Forwarded],
            (9, b'x') => &[Self::XRealIp],
            (10, b'c') => &[Self::Connection],
            (10, b'k') => &[Self::KeepAlive],
            (10, b's') => &[Self::SetCookie],
            (10, b'u') => &[Self::UserAgent],
            (12, b'c') => &[Self::ContentType],
            (12, b'x') => &[Self::XRequestId],
            (13, b'a') => &[Self::Authorization],
            (13, b'c') => &[Self::CacheControl, Self::ContentRange],
            (13, b'i') => &[Self::IfNoneMatch],
            (13, b'l') => &[Self::LastModified],
            (14, b'c') => &[Self::ContentLength],
            (15, b'a') => &[Self::AcceptEncoding],
            (15, b'x') => &[Self::XForwardedFor],
            (16, b'c') => &[Self::ContentEncoding],
            (16, b'p') => &[Self::ProxyConnection],
            (16, b'x') => &[Self::XForwardedHost, Self::XForwardedPort],
            (17, b'i') => &[Self::IfModifiedSince],
            (17, b't') => &[Self::TransferEncoding],
            (17, b'x') => &[Self::XAccelBuffering, Self::XForwardedProto],
            (18, b'p') => &[Self::ProxyAuthenticate],
            (19, b'i') => &[Self::IfUnmodifiedSince],
            (19, b'p') => &[Self::ProxyAuthorization],
            _ => return None,
        };
        candidates
            .iter()
            .copied()
            .find(|known| is_named(name, known.name().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognised_in_any_case_and_only_whole() {
        for &known in Known::ALL {
            let name = known.name();
            for text in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                assert_eq!(Known::of(text.as_bytes()), Some(known), "{text}");
            }
            assert_eq!(Known::of(&name.as_bytes()[1..]), None, "{name}");
            assert_eq!(Known::of(format!("{name}s").as_bytes()), None, "{name}");
            assert_ne!(
                Known::of(name.replace('-', "_").as_bytes()).filter(|_| name.contains('-')),
                Some(known)
            );
        }
        assert_eq!(Known::of(b""), None);
    }
}
