//! An axum application behind proxies: it answers with the resolution that truehop-tower made, as JSON.
//!
//! `axum-whoami LISTEN,... TRUSTED,...`: where it listens, and the proxies whose X-Forwarded-For it believes.

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::json;
use tokio::net::TcpListener;
use truehop_tower::truehop::{Policy, Resolution};
use truehop_tower::{Client, ClientLayer};

#[expect(clippy::print_stdout, reason = "who starts it waits for this line")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [listen, trusted] = args.as_slice() else {
        return Err("wanted: LISTEN,... TRUSTED,...".into());
    };
    let policy = Policy::x_forwarded_for().trusted(trusted.split(',')).build()?;
    let app = Router::new()
        .route("/whoami", get(whoami))
        .layer(Extension(Arc::new(policy.clone())))
        .layer(ClientLayer::new(policy));
    let mut servers = Vec::new();
    for address in listen.split(',') {
        let listener = TcpListener::bind(address).await?;
        let app = app.clone().into_make_service_with_connect_info::<SocketAddr>();
        servers.push(tokio::spawn(async { axum::serve(listener, app).await }));
    }
    println!("ready");
    for server in servers {
        server.await??;
    }
    Ok(())
}

async fn whoami(
    client: Client,
    Extension(resolution): Extension<Resolution>,
    Extension(policy): Extension<Arc<Policy>>,
    headers: HeaderMap,
) -> impl IntoResponse {
    let hops = policy.hops(&resolution, &headers);
    let hops: Vec<_> = hops.map(|hop| hop.map(|hop| hop.ip().to_string())).collect();
    let answer = json!({
        "client": client.ip().to_string(),
        "peer": resolution.peer().ip().map(|ip| ip.to_string()),
        "hops": hops,
    });
    ([(CONTENT_TYPE, "application/json")], answer.to_string())
}
