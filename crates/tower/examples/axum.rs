//! An axum application that knows its clients, on an accept loop of its own.
//!
//! `axum::serve` would do as well. Here a client that opens a connection and sends no request is cut off after a while,
//! which `axum::serve` cannot do.
//!
//! Try it: `cargo run --example axum --features axum`, then
//! `curl -H 'X-Forwarded-For: 203.0.113.95' http://127.0.0.1:3000/`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer;
use truehop_tower::truehop::{OriginPart, Policy};
use truehop_tower::{Client, ClientLayer, ClientOrigin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A proxy on this machine; it also says by which scheme the client came.
    let policy = Policy::x_forwarded_for()
        .trusted(["127.0.0.1"])
        .origin([OriginPart::Proto])
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    eprintln!("listening on {}, {policy}", listener.local_addr()?);
    serve(listener, app(policy)).await;
    Ok(())
}

pub(crate) fn app(policy: Policy) -> Router {
    let layer = ClientLayer::new(policy)
        .remove_forwarding_headers(true)
        .on_decision(|decision| {
            if let Err(reason) = decision {
                eprintln!("refused: {}", reason.code());
            }
        })
        .on_suspicion(|suspicion| eprintln!("warning: {suspicion}"));
    Router::new()
        .route("/", get(whoami))
        // Last, and so outermost: all that was added before stands behind it.
        .layer(layer)
}

async fn whoami(client: Client, origin: ClientOrigin) -> String {
    let scheme = match origin.scheme {
        Some(scheme) => format!("{scheme:?}").to_lowercase(),
        None => "an unknown scheme".into(),
    };
    format!("you are {}, by {scheme}\n", client.ip())
}

pub(crate) async fn serve(listener: TcpListener, app: Router) {
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            // Out of file descriptors, for example: others must be closed first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        tokio::spawn(connection(stream, address, app.clone()));
    }
}

async fn connection(stream: TcpStream, address: SocketAddr, app: Router) {
    // Every request on this connection has this peer.
    let service = Extension(ConnectInfo(address)).layer(app);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await;
    if let Err(error) = served {
        eprintln!("connection of {address}: {error}");
    }
}
