//! What answers a request once its client is known and its route chosen.
//!
//! Invariant: a handler gets the client as a typed value in [`Context`] and never reads a forwarding header.

mod files;
mod proxy;
mod reply;
mod service;
mod whoami;

use std::fmt;

use http::{Request, Response};
use truehop::{Arrival, Policy, Resolution};

pub(crate) use self::files::Files;
pub(crate) use self::proxy::Proxy;
pub(crate) use self::reply::Reply;
pub use self::service::Service;
use crate::body::Body;
use crate::outward::Origin;
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

/// What is known about a request beside its own head and body.
pub(crate) struct Context<'a> {
    pub(crate) worker: &'a Worker,
    /// The policy under which this request was resolved.
    pub(crate) policy: &'a Policy,
    pub(crate) arrival: Arrival,
    pub(crate) resolution: Resolution,
    pub(crate) origin: Origin,
    pub(crate) id: RequestId,
    /// The route's place in the worker's list of pools.
    pub(crate) route: usize,
    /// What follows the route's prefix in the normalised path.
    pub(crate) rest: &'a [u8],
    /// Whether the normalised path ends in a slash.
    pub(crate) ends_in_slash: bool,
}

impl Handler {
    pub(crate) async fn handle(&self, request: Request<Body>, context: &Context<'_>) -> Response<Body> {
        match self {
            Self::Files(files) => files.handle(request, context),
            Self::Proxy(proxy) => proxy.handle(request, context).await,
            Self::Reply(reply) => reply.handle(&request, context),
            Self::Service { service, .. } => service.handle(request, context).await,
            Self::WhoAmI => whoami::handle(&request, context),
        }
    }

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
