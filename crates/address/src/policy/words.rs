//! The choices of a policy, each with the words that TOML, JSON and Rust share.
//!
//! Invariant: what a choice does when nothing was written is the strictest it can do: every `Default` here refuses.

/// Where the client's address comes from: the key `from`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[non_exhaustive]
pub enum Method {
    /// The socket; no header is read.
    Peer,
    /// A header with a single value, named by the key `header`.
    Header,
    /// The list in `X-Forwarded-For`.
    XForwardedFor,
    /// The list in `Forwarded` (RFC 7239).
    Forwarded,
    /// The PROXY header in front of the connection's bytes.
    ProxyProtocol,
}

impl Method {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Header => "header",
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::ProxyProtocol => "proxy-protocol",
        }
    }
}

/// What happens when the policy's header gives no answer: the keys `on_missing`, `on_malformed`, `on_too_few`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum Otherwise {
    /// The request has no client; the error says why.
    #[default]
    Reject,
    /// The peer, which is the proxy, is taken for the client. For health checks that the proxy itself makes.
    Peer,
}

/// What happens when every entry of a list is trusted: the key `on_all_trusted`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum OnAllTrusted {
    /// The request has no client.
    #[default]
    Reject,
    /// The peer is taken for the client.
    Peer,
    /// The leftmost entry is taken for the client. Right only where no stranger can reach the proxies.
    Leftmost,
}

/// What happens when a single-value header stands on several lines: the key `on_duplicate`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum OnDuplicate {
    /// The request has no client: a proxy that appends was taken for one that sets.
    #[default]
    #[cfg_attr(feature = "serde", serde(alias = "error"))]
    Reject,
    /// The last line counts. For a proxy that is known to append its own line.
    Last,
}

/// What happens to a zone id (`fe80::1%eth0`) in a header: the key `on_zone`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum OnZone {
    /// The entry is malformed.
    #[default]
    Reject,
    /// The zone id is cut off.
    Strip,
}

/// A spelling of addresses that only a named proxy writes: the key `format`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[non_exhaustive]
pub enum Format {
    /// `192.0.2.1:80` or `2001:db8::1:80`, as in `CloudFront-Viewer-Address`: always a port, never brackets.
    #[cfg_attr(feature = "serde", serde(rename = "ip:port-unbracketed"))]
    IpPortUnbracketed,
}

/// What happens to a peer from which no PROXY header is believed: the key `on_untrusted`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum OnUntrusted {
    /// Its connections are closed.
    #[default]
    Reject,
    /// It must speak without the header, and is the client itself.
    Plain,
}

/// A second list that must tell the same story: the key `cross_check`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[non_exhaustive]
pub enum CrossCheck {
    /// `X-Forwarded-For`, when it is there, must name the same addresses as far as `Forwarded` is walked.
    XForwardedFor,
}

/// A claim about what the client asked for: an entry of the key `origin`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum OriginPart {
    /// `http` or `https`: `X-Forwarded-Proto`, or `proto` of `Forwarded`.
    Proto,
    /// The host: `X-Forwarded-Host`, or `host` of `Forwarded`.
    Host,
    /// The port: `X-Forwarded-Port`.
    Port,
}
