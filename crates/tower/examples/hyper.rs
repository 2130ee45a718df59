//! A hyper server without tower: the policy is asked where the request arrives.
//!
//! Try it: `cargo run --example hyper`, then `curl -H 'X-Real-IP: 203.0.113.95' http://127.0.0.1:3000/`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use truehop_tower::truehop::{Client, Peer, Policy};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = Policy::header("X-Real-IP").trusted(["127.0.0.1"]).build()?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    eprintln!("listening on {}, {policy}", listener.local_addr()?);
    serve(listener, policy).await;
    Ok(())
}

pub(crate) async fn serve(listener: TcpListener, policy: Policy) {
    let policy = Arc::new(policy);
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            // Out of file descriptors, for example: others must be closed first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let policy = Arc::clone(&policy);
        tokio::spawn(async move {
            let peer = Peer::from(address);
            let service = service_fn(|request| answer(&policy, peer, request));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                eprintln!("connection of {address}: {error}");
            }
        });
    }
}

async fn answer(
    policy: &Policy,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<String>, Infallible> {
    Ok(match policy.resolve(peer, request.headers()) {
        Ok(resolution) => handle(resolution.client(), request),
        Err(reason) => {
            eprintln!("refused: {reason}");
            let mut response = Response::default();
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    })
}

/// Takes a [`Client`], not an address: only a resolution makes one, so nobody can pass a header's word.
fn handle(client: Client, _: Request<Incoming>) -> Response<String> {
    Response::new(format!("you are {}\n", client.ip()))
}
