//! A hyper server behind a proxy that works below HTTP, such as HAProxy in TCP mode or a network load balancer, and
//! tells of its clients by the PROXY protocol.
//!
//! Try it: `cargo run --example proxy_protocol --features tokio`, then `curl --haproxy-protocol http://127.0.0.1:3000/`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::{ServiceBuilder, service_fn};
use truehop_tower::truehop::{Policy, Resolution};
use truehop_tower::{ClientLayer, PrefaceError, read_preface};

/// A proxy writes its header at once; whoever takes longer is none.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = Policy::proxy_protocol().trusted(["127.0.0.1"]).build()?;
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
        // The header is read in the connection's own task: a slow peer holds up nobody else.
        let policy = Arc::clone(&policy);
        tokio::spawn(async move {
            if let Err(error) = connection(stream, address, policy).await {
                eprintln!("connection of {address}: {error}");
            }
        });
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    policy: Arc<Policy>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (arrival, stream) = match read_preface(stream, &policy, address.into(), PATIENCE).await {
        Ok(read) => read,
        // The proxy looks whether we are there.
        Err(PrefaceError::Closed { received: 0 }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let service = ServiceBuilder::new()
        // Every request on this connection arrived this way.
        .map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(arrival);
            request
        })
        .layer(ClientLayer::new(policy))
        .service(service_fn(whoami));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await?;
    Ok(())
}

async fn whoami(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(Response::new(match request.extensions().get::<Resolution>() {
        Some(resolution) => format!("you are {}\n", resolution.client()),
        None => "nobody asked who you are\n".into(),
    }))
}
