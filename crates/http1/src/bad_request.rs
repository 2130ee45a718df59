//! Why a request head is refused, and what to answer.

use thiserror::Error;

use crate::head::BadHead;
use crate::host::BadHost;

/// A fault of a request head. The connection cannot be used further: where the next request starts is not known.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadRequest {
    /// A fault that responses may have too.
    #[error(transparent)]
    Head(#[from] BadHead),
    /// Which host the request is for is not known.
    #[error(transparent)]
    Host(#[from] BadHost),
    /// A second empty line where a request should start.
    #[error("the request line is empty")]
    EmptyLine,
    /// What stands first is no token (RFC 9110 section 9.1).
    #[error("the method is malformed")]
    Method,
    /// There is a method, and nothing else.
    #[error("the request line has no target")]
    NoTarget,
    /// There is no version: HTTP/0.9.
    #[error("the request line has no version")]
    NoVersion,
    /// More than the two spaces of a request line (RFC 9112 section 3).
    #[error("the request line has too many spaces")]
    ExtraSpace,
    /// The request line does not end within [`Limits::head`](crate::Limits::head).
    #[error("the request line is too long")]
    LineTooLong,
    /// The target has a byte that is no visible ASCII, or a fragment.
    #[error("the target has a byte that cannot stand in it")]
    Target,
    /// The target is neither a path nor an absolute form.
    #[error("the target has none of the forms of a target")]
    TargetForm,
    /// `*` with a method other than `OPTIONS` (RFC 9112 section 3.2.4).
    #[error("the target is an asterisk")]
    AsteriskForm,
    /// `CONNECT`, and the target is not `host:port` (RFC 9112 section 3.2.3).
    #[error("the target of CONNECT is not a host and a port")]
    AuthorityForm,
    /// An absolute form with a scheme other than `http` and `https`.
    #[error("the target's scheme is not supported")]
    Scheme,
    /// `user@` in a target (RFC 9110 section 4.2.4).
    #[error("the target has user information")]
    Userinfo,
    /// An absolute form without a host (RFC 9110 section 4.2.1).
    #[error("the target has no host")]
    EmptyAuthority,
    /// The host or port of an absolute form is malformed.
    #[error("the target's host is malformed")]
    Authority,
    /// `http://host?query`, which has an origin form that does not stand in it.
    #[error("the target has a query but no path")]
    QueryWithoutPath,
    /// `Expect` is not `100-continue` once (RFC 9110 section 10.1.1).
    #[error("the expectation is unknown")]
    Expectation,
}

impl BadRequest {
    /// The status to answer with, before the connection is closed.
    pub fn status(self) -> u16 {
        match self {
            Self::Head(fault) => fault.status(),
            Self::LineTooLong => 414,
            Self::Expectation => 417,
            _ => 400,
        }
    }

    /// A stable name for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Head(fault) => fault.code(),
            Self::Host(fault) => fault.code(),
            Self::EmptyLine => "empty-request-line",
            Self::Method => "bad-method",
            Self::NoTarget => "no-target",
            Self::NoVersion => "no-version",
            Self::ExtraSpace => "extra-space",
            Self::LineTooLong => "request-line-too-long",
            Self::Target => "bad-target",
            Self::TargetForm => "bad-target-form",
            Self::AsteriskForm => "asterisk-form",
            Self::AuthorityForm => "authority-form",
            Self::Scheme => "bad-scheme",
            Self::Userinfo => "userinfo",
            Self::EmptyAuthority => "empty-authority",
            Self::Authority => "bad-authority",
            Self::QueryWithoutPath => "query-without-path",
            Self::Expectation => "unknown-expectation",
        }
    }
}
