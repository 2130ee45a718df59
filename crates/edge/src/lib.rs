//! The front server: listeners, routes, reverse proxy, static files, TLS.
//!
//! The way of a request, in one direction: `accept → PROXY preface → TLS → head parsed → client resolved (once) → route chosen →
//! handler → response written → delivery confirmed → one access-log line`. Each step is a module: [`server`], [`preface`],
//! [`tls`], [`wire`], [`front`], [`routes`], [`handler`] or [`forward`], [`access_log`].
//!
//! HTTP/1.1 is spoken here, with the codec of `truehop-http1`: one task for a connection, which drives the upstream's
//! socket too while it forwards. [`stream`] is a socket, [`upstream`] keeps those that may be used again.
//!
//! One thread per core, each with a current-thread runtime and its own sockets and pools; they share nothing on the
//! hot path but an immutable snapshot ([`edge::Shared`]).
//!
//! Invariant: the client's address is decided in one place, under one policy, before anything else looks at the
//! request; a request whose client is unknown is answered with 400 and reaches no handler.

#![forbid(unsafe_code)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the map above is for those who read the code"
)]

mod access_log;
mod admin;
mod body;
mod config;
mod edge;
mod forward;
mod front;
mod handler;
mod listen;
mod metrics;
mod outward;
mod page;
mod preface;
mod routes;
mod server;
mod stream;
mod target;
mod tls;
mod upstream;
mod wire;

pub use body::{Body, BoxError};
pub use config::{
    AdminConfig, BadConfig, EdgeConfig, Key, LimitsConfig, ListenAddress, ListenConfig, ReplyConfig,
    RouteConfig, TimeoutsConfig, TlsConfig,
};
pub use edge::{Edge, LivePolicy};
pub use handler::Service;
pub use listen::BindError;
pub use server::{Bound, Running};
