//! The PROXY header under a policy: required from trusted peers, forbidden to all others.

use std::error::Error;
use std::fmt;

use super::{BadHeader, Header, Parsed, Signature, Versions, parse, signature};
use crate::arrival::Arrival;
use crate::node::Hop;
use crate::peer::Peer;
use crate::policy::{OnUntrusted, Policy};
use crate::resolve::Unresolved;

impl Policy {
    /// What must be read from a connection of `peer` before anything else; `None` when the policy has no step
    /// `from = "proxy-protocol"`.
    ///
    /// # Errors
    ///
    /// [`RefusedPreface::UntrustedPeer`] when the policy refuses such peers: close the connection.
    pub fn preface(&self, peer: Peer) -> Result<Option<Preface>, RefusedPreface> {
        let Some(step) = &self.proxy_protocol else {
            return Ok(None);
        };
        match (step.trust.believes(peer), step.on_untrusted) {
            (true, _) => Ok(Some(Preface {
                peer,
                required: Some(step.versions),
            })),
            (false, OnUntrusted::Plain) => Ok(Some(Preface { peer, required: None })),
            (false, OnUntrusted::Reject) => Err(RefusedPreface::UntrustedPeer),
        }
    }
}

/// What a policy wants to see at the start of one connection. Feed it all bytes that have arrived so far.
#[derive(Clone, Copy, Debug)]
pub struct Preface {
    peer: Peer,
    /// `None`: there must be no header.
    required: Option<Versions>,
}

/// How far a [`Preface`] has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress<'a> {
    /// At least so many bytes in all are needed. Wait for them, but not for ever.
    NeedMore(usize),
    /// The connection's own bytes begin after `consumed`.
    Done {
        /// The header's length; 0 when there was none and none was allowed.
        consumed: usize,
        /// Where the connection comes from; to be given to [`Policy::resolve`] for each request on it.
        arrival: Arrival,
        /// The header, with all that it tells.
        header: Option<Header<'a>>,
    },
}

impl Preface {
    /// Whether the peer must send a header.
    pub fn is_required(&self) -> bool {
        self.required.is_some()
    }

    /// Looks at `bytes`, which hold all that has arrived on the connection so far.
    ///
    /// # Errors
    ///
    /// [`RefusedPreface`]: close the connection. So must be done when the connection, or the patience with it, ends
    /// while more is needed.
    pub fn feed<'a>(&self, bytes: &'a [u8]) -> Result<Progress<'a>, RefusedPreface> {
        let Some(versions) = self.required else {
            return match signature(bytes) {
                Signature::Partial(needed) => Ok(Progress::NeedMore(needed)),
                Signature::V1 | Signature::V2 => Err(RefusedPreface::UntrustedPeer),
                Signature::None => Ok(Progress::Done {
                    consumed: 0,
                    arrival: Arrival::plain(self.peer),
                    header: None,
                }),
            };
        };
        match parse(bytes, versions).map_err(RefusedPreface::Bad)? {
            Parsed::NeedMore(needed) => Ok(Progress::NeedMore(needed)),
            Parsed::Done { consumed, header } => {
                let source = header.addresses.map(|addresses| addresses.source);
                let claim = source.map(|source| Hop::new(source.ip(), Some(source.port())));
                Ok(Progress::Done {
                    consumed,
                    arrival: Arrival::prefaced(self.peer, claim),
                    header: Some(header),
                })
            }
        }
    }
}

/// Why a connection must be closed before its first request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RefusedPreface {
    /// The peer is not trusted, and either all such are refused or it sent a header that it must not send.
    UntrustedPeer,
    /// The header is missing or wrong.
    Bad(BadHeader),
}

impl RefusedPreface {
    /// The reason, as a request would be told.
    pub fn reason(self) -> Unresolved {
        match self {
            Self::UntrustedPeer => Unresolved::UntrustedPeer,
            Self::Bad(_) => Unresolved::BadProxyHeader,
        }
    }
}

impl fmt::Display for RefusedPreface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UntrustedPeer => self.reason().fmt(f),
            Self::Bad(why) => why.fmt(f),
        }
    }
}

impl Error for RefusedPreface {}
