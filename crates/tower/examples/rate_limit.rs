//! A middleware that limits requests by client, behind [`ClientLayer`].
//!
//! Two things make such a limit worth having: it counts by an address that the client cannot choose, and it counts
//! IPv6 by /64, because that is what one customer gets; by single addresses there is no limit at all.
//!
//! Try it: `cargo run --example rate_limit --features axum`, then `curl` it six times.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::Instant;
use truehop_tower::truehop::Policy;
use truehop_tower::{Client, ClientLayer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = Policy::x_forwarded_for().trusted(["127.0.0.1"]).build()?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let app = app(
        ClientLayer::new(policy),
        RateLimit::new(5, Duration::from_secs(60)),
    );
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<std::net::SocketAddr>(),
    )
    .await?;
    Ok(())
}

pub(crate) fn app(clients: ClientLayer, limit: RateLimit) -> Router {
    Router::new()
        .route("/", get(async || "hello\n"))
        .layer(from_fn_with_state(Arc::new(limit), limited))
        // Outside the limit, which needs its answer.
        .layer(clients)
}

/// Without a client there is nothing to count by, and letting the request pass would be no limit: the extractor
/// answers it.
async fn limited(
    State(limit): State<Arc<RateLimit>>,
    client: Client,
    request: Request,
    next: Next,
) -> Response {
    match limit.count(client.ip()) {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let seconds = wait.as_millis().div_ceil(1000).to_string();
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds)]).into_response()
        }
    }
}

/// So many requests by one client in a window of time; then 429 until the next window.
#[derive(Debug)]
pub(crate) struct RateLimit {
    requests: u32,
    window: Duration,
    counts: Mutex<Counts>,
}

/// The clients of the present window; forgotten with it, so that memory is bounded by one window's clients.
#[derive(Debug)]
struct Counts {
    since: Instant,
    of: HashMap<Household, u32>,
}

impl RateLimit {
    pub(crate) fn new(requests: u32, window: Duration) -> Self {
        let counts = Counts {
            since: Instant::now(),
            of: HashMap::new(),
        };
        Self {
            requests,
            window,
            counts: Mutex::new(counts),
        }
    }

    /// Counts a request of `client`.
    ///
    /// # Errors
    ///
    /// The time until the next window when it is one too many.
    fn count(&self, client: IpAddr) -> Result<(), Duration> {
        let now = Instant::now();
        // A panic elsewhere leaves counts that are still counts.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(counts.since) >= self.window {
            counts.since = now;
            counts.of.clear();
        }
        let left = self.window.saturating_sub(now.duration_since(counts.since));
        let count = counts.of.entry(Household::of(client)).or_default();
        if *count == self.requests {
            return Err(left);
        }
        *count += 1;
        Ok(())
    }
}

/// What is counted as one: an IPv4 address, or a /64 of IPv6.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Household(IpAddr);

impl Household {
    fn of(client: IpAddr) -> Self {
        Self(match client {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        })
    }
}
