//! What answers a request once its client is known and its route chosen.
//!
//! Invariant: a handler gets the client as a typed value in [`Context`] and never reads a forwarding header.

mod files;
mod proxy;
mod reply;
pub(crate) mod service;
pub(crate) mod whoami;

use std::fmt;

use truehop::{Arrival, Policy, Resolution};
use truehop_http1::Request;

pub(crate) use self::files::{Files, Served, Shelf, Small};
pub(crate) use self::proxy::Proxy;
pub(crate) use self::reply::Reply;
pub use self::service::Service;
use crate::page::RequestId;
use crate::server::Worker;

/// The target of a route.
#[derive(Debug)]
pub(crate) enum Handler {
    Files(Files),
    Proxy(Proxy),
    Reply(Reply),
    Service { name: &'static str, service: Service },
    WhoAmI,
}

/// A request that the edge itself answers, and what is known about it beside its head.
pub(crate) struct Context<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) request: Request<'a>,
    /// The policy under which this request was resolved.
    pub(crate) policy: &'a Policy,
    pub(crate) arrival: Arrival,
    pub(crate) resolution: Resolution,
    pub(crate) id: RequestId,
    /// What follows the route's prefix in the normalised path.
    pub(crate) rest: &'a [u8],
    /// Whether the normalised path ends in a slash.
    pub(crate) ends_in_slash: bool,
}

impl Handler {
    /// Whether paths on this route are secrets (a drop's id is the key to it) that do not belong in a log.
    pub(crate) fn paths_are_secret(&self) -> bool {
        matches!(self, Self::Service { .. })
    }
}

impl fmt::Display for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(files) => files.fmt(f),
            Self::Proxy(proxy) => proxy.fmt(f),
            Self::Reply(reply) => reply.fmt(f),
            Self::Service { name, .. } => f.write_str(name),
            Self::WhoAmI => f.write_str("whoami"),
        }
    }
}
