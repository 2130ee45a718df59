//! [`truehop`] as a [tower] layer and an axum extractor.
//!
//! [`ClientLayer`] resolves the client of each request once and puts the [`Resolution`] into the request's extensions;
//! a request without a client gets 400 and does not reach the service. With the feature `axum`, handlers take
//! [`Client`] as an argument.
//!
//! Invariant: behind the layer a request has exactly one resolution, made from the socket's peer and the policy. A
//! server that has resolved already (it inserted a [`Resolution`] itself) needs the extractor only.
//!
//! [tower]: https://docs.rs/tower

#![forbid(unsafe_code)]

#[cfg(feature = "axum")]
mod extract;
mod layer;

#[cfg(feature = "axum")]
pub use extract::{Client, NoResolution};
pub use layer::{ClientLayer, ClientService, Refused, ResponseFuture};
pub use truehop;

#[cfg(doc)]
use truehop::Resolution;
