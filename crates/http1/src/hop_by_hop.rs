//! Fields that end at this hop (RFC 9110 section 7.6.1).
//!
//! Invariant: a proxy sends none of them on; it writes its own. A sender may nominate more in `Connection`, but only
//! optional ones: nominating `Host` or a framing field is an attack on the next hop, and is not obeyed for these.

use crate::known::Known;

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
