//! Who is really at the other end of a request?
//!
//! Behind a reverse proxy a service sees the proxy, not the person. The person's address stands in a header, and
//! anyone can write headers. This crate turns the two into one answer by a written [`Policy`]: one method, the
//! networks that are trusted, and what happens otherwise. Everything that the policy does not say fails closed.
//!
//! ```
//! use truehop::{Peer, Policy};
//!
//! // Our proxies live in 192.168.0.0/24 and append to X-Forwarded-For.
//! let policy = Policy::x_forwarded_for().trusted(["192.168.0.0/24"]).build()?;
//!
//! let peer: Peer = "192.168.0.20:51312".parse()?;
//! let headers = [("X-Forwarded-For", "6.6.6.6, 203.0.113.95, 192.168.0.10")];
//! let resolution = policy.resolve(peer, &headers[..])?;
//! assert_eq!(resolution.client().ip().to_string(), "203.0.113.95");
//!
//! // The same header from anybody else means nothing.
//! let stranger: Peer = "198.51.100.7:40000".parse()?;
//! assert_eq!(policy.resolve(stranger, &headers[..])?.client().ip().to_string(), "198.51.100.7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate is pure: no I/O, no async, no unsafe code, and [`Policy::resolve`] allocates nothing. [`Policy::explain`]
//! tells the same story hop by hop, for people. In tower, axum and tonic servers the crate `truehop-tower` puts the
//! answer beside each request.
//!
//! # Before it goes out
//!
//! [`Policy::lint`] says what a policy leaves open and how to mend it. The [manual](mod@manual) has
//! [what can go wrong](manual::threats), [the pair of settings for each proxy](manual::recipes), and
//! [the way from other libraries](manual::migrating).
//!
//! # Words
//!
//! The *peer* is the other end of the socket, as the kernel says. A *claim* is an address that a header asserts. A
//! *hop* is one address in the forwarding chain, nearest last. The *client* is what a policy resolved, and the only
//! address that decisions may use.
//!
//! # Features
//!
//! * `http`: [`Fields`] for `http::HeaderMap`.
//! * `serde`: [`PolicyConfig`] can be read from TOML and JSON, an [`Explanation`] written.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod arrival;
mod date;
mod explain;
mod fields;
mod forwarded;
pub mod manual;
mod network;
mod node;
mod notice;
mod origin;
mod peer;
mod policy;
pub mod proxy_protocol;
pub mod recipe;
mod resolve;

pub use arrival::Arrival;
pub use date::{Date, ParseDateError};
pub use explain::{Explanation, Rung, Verdict};
pub use fields::Fields;
pub use network::sets::NamedSet;
pub use network::{Network, ParseNetworkError};
pub use node::Hop;
pub use notice::{Detector, FORWARDING_HEADERS, Suspicion};
pub use origin::{Origin, Scheme};
pub use peer::{ParsePeerError, Peer};
pub use policy::lint::{Lint, LintContext};
pub use policy::{
    BadPolicy, CrossCheck, Format, Method, OnAllTrusted, OnDuplicate, OnUntrusted, OnZone, OriginPart,
    Otherwise, Policy, PolicyConfig, Trusted,
};
pub use resolve::{Client, Resolution, Unresolved};

/// The example of the README is run like those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
