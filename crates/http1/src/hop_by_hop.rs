//! Fields that end at this hop (RFC 9110 section 7.6.1).
//!
//! Invariant: a proxy sends none of them on; it writes its own. A sender may nominate more in `Connection`, but only
//! optional ones: nominating `Host` or a framing field is an attack on the next hop, and is not obeyed for these.

use crate::known::Known;

/// The fields of one message that end at this hop.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HopByHop {
    nominated: Vec<String>,
}

/// Fields that end at each hop even when `Connection` does not name them.
const ALWAYS: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields without which the message would mean something else.
const NEVER_NOMINATED: [&str; 3] = ["content-length", "content-type", "host"];

impl HopByHop {
    /// Reads the values of all `Connection` lines of a message.
    pub fn new<'a>(connection_lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let nominated = connection_lines
            .into_iter()
            .flat_map(|line| line.split(|&b| b == b','))
            .map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase())
            .filter(|option| !matches!(option.as_str(), "" | "close" | "keep-alive"))
            .filter(|option| !NEVER_NOMINATED.contains(&option.as_str()))
            .collect();
        Self { nominated }
    }

    /// Whether the field `name`, in lower case, ends at this hop.
    pub fn contains(&self, name: &str) -> bool {
        ALWAYS.contains(&name) || self.nominated.iter().any(|nominated| nominated == name)
    }
}

/// Whether a field ends at each hop even when `Connection` does not name it.
pub(crate) fn ends_always(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyAuthenticate
            | Known::ProxyAuthorization
            | Known::ProxyConnection
            | Known::Te
            | Known::Trailer
            | Known::TransferEncoding
            | Known::Upgrade
    )
}

/// Whether a nomination of this field is not obeyed.
pub(crate) fn is_never_nominated(known: Known) -> bool {
    matches!(known, Known::ContentLength | Known::ContentType | Known::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nominated_fields_end_here_and_others_go_on() {
        let ends = HopByHop::new([&b"close, X-Secret"[..], b" \tx-other ,,"]);
        for name in ["connection", "te", "transfer-encoding", "x-secret", "x-other"] {
            assert!(ends.contains(name), "{name}");
        }
        for name in ["x-secret2", "cookie", "close", ""] {
            assert!(!ends.contains(name), "{name}");
        }
    }

    #[test]
    fn known_names_say_the_same() {
        let ends = HopByHop::default();
        for known in Known::ALL {
            let name = known.name().to_ascii_lowercase();
            assert_eq!(ends_always(*known), ends.contains(&name), "{name}");
            assert_eq!(
                is_never_nominated(*known),
                NEVER_NOMINATED.contains(&name.as_str()),
                "{name}"
            );
        }
    }

    #[test]
    fn connection_nominates_host() {
        let ends = HopByHop::new([&b"Host, Content-Length"[..]]);
        assert!(!ends.contains("host") && !ends.contains("content-length"));
    }
}
