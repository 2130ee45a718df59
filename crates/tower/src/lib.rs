//! The client's true address behind reverse proxies, for [tower], axum and tokio servers.
//!
//! [`truehop`] answers who is really at the other end of a request, by one written [`Policy`] that fails closed. This
//! crate puts the answer where handlers are: [`ClientLayer`] resolves each request once and inserts the
//! [`Resolution`]; a request without a client is refused and does not reach the service.
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use axum::{Router, routing::get};
//! use truehop_tower::truehop::Policy;
//! use truehop_tower::{Client, ClientLayer};
//!
//! async fn hello(client: Client) -> String {
//!     format!("hello {}", client.ip())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Our proxy is 192.168.0.20 and sets X-Real-IP.
//! let policy = Policy::header("X-Real-IP").trusted(["192.168.0.20"]).build()?;
//! let app: Router = Router::new().route("/", get(hello)).layer(ClientLayer::new(policy));
//!
//! // axum::serve(listener, app.into_make_service_with_connect_info::<std::net::SocketAddr>()).await?;
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! # Who tells the layer the peer?
//!
//! The *peer* is the other end of the socket, so only whoever accepts the connection knows it. It goes into the
//! extensions of each request; the layer takes the first of these that is there:
//!
//! | in the extensions | put there by | for |
//! |---|---|---|
//! | [`Arrival`] | your accept loop, from `read_preface` | listeners behind a proxy that speaks the PROXY protocol |
//! | [`Peer`] | your accept loop | TCP; [`Peer::UNIX`] for Unix sockets |
//! | `ConnectInfo<SocketAddr>` | `into_make_service_with_connect_info` of axum | `axum::serve` on TCP, with the feature `axum` |
//!
//! With none of them every request is refused as [`Unresolved::NoAddress`]. `axum::serve` on a Unix socket needs one
//! line more, outside the layer: `.layer(axum::Extension(Peer::UNIX))`.
//!
//! # When the proxies change
//!
//! A [`LivePolicy`] can be replaced while the server runs, as when a file of trusted networks was rewritten: requests to
//! come meet the new one, and a bad file never replaces a good one. The example `follow` does so.
//!
//! # What goes wrong otherwise
//!
//! * **A handler reads `X-Forwarded-For` itself.** Anyone can write it. [`remove_forwarding_headers`] takes it away
//!   once the decision has been made.
//! * **A middleware outside the layer asks for the client.** It finds no [`Resolution`]. Layers added later to an axum
//!   `Router` are further out: add `ClientLayer` last, or put both into one `ServiceBuilder` with it first.
//! * **The proxy is not in the policy.** Then every client looks like the proxy. [`on_suspicion`] tells you, with the
//!   lines to write.
//! * **A limit by client counts single IPv6 addresses.** One person has 2⁶⁴ of them. Count by /64, as the example
//!   `rate_limit` does.
//! * **The policy says `on_missing = "peer"`.** Then a request that lacks the header is the proxy's, and
//!   [`Resolution::instead_of`] says so. Identity must not rest on it.
//!
//! # Features
//!
//! None is on by default.
//!
//! * `axum`: the extractors `Client` and [`ClientOrigin`]; `ConnectInfo<SocketAddr>` as the peer.
//! * `tokio`: `read_preface`, which reads the PROXY header in front of a connection in bounded size and time.
//!
//! # Examples
//!
//! The directory `examples` has whole programs: `axum` (layer and extractors on an accept loop of its own), `hyper`
//! (a policy without tower), `proxy_protocol` (`read_preface` and hyper), `rate_limit` (a layer that counts by client),
//! `follow` (a policy that follows a file of trusted networks) and `tonic` (a gRPC server).
//!
//! actix-web has its own kind of middleware: there, call [`Policy::resolve`] as `hyper` does, with [`Fields`] for its
//! header map.
//!
//! [tower]: https://docs.rs/tower
//! [`remove_forwarding_headers`]: ClientLayer::remove_forwarding_headers
//! [`on_suspicion`]: ClientLayer::on_suspicion
//!
//! ---
//!
//! Invariant: behind the layer a request has exactly one resolution, made from the socket's peer and the policy. A
//! server that has resolved already (it inserted a [`Resolution`] itself) needs the extractors only.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(feature = "axum")]
mod extract;
mod layer;
mod live;
mod mock;
mod origin;
#[cfg(feature = "tokio")]
mod preface;
#[cfg(feature = "tokio")]
mod prefixed;
mod refusal;
mod removal;

#[cfg(feature = "axum")]
pub use extract::{Client, NoResolution};
pub use layer::{ClientLayer, ClientService, ResponseFuture};
pub use live::{LivePolicy, OtherStart};
pub use mock::{MockClient, MockClientService};
pub use origin::ClientOrigin;
#[cfg(feature = "tokio")]
pub use preface::{PrefaceError, read_preface};
#[cfg(feature = "tokio")]
pub use prefixed::Prefixed;
pub use refusal::{EmptyBadRequest, Refusal, Refused};
pub use truehop;

#[cfg(doc)]
use truehop::{Arrival, Fields, Peer, Policy, Resolution, Unresolved};
