//! A server whose trusted proxies stand in a file, one a line, and may change while it runs.
//!
//! Try it: `echo 127.0.0.1 > proxies.txt`, `cargo run --example follow`, then
//! `curl -H 'X-Forwarded-For: 203.0.113.95' http://127.0.0.1:3000/`, write another address into the file, and ask again.

use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use truehop_tower::truehop::{Peer, Policy, PolicyConfig, Resolution};
use truehop_tower::{ClientLayer, LivePolicy};

/// How soon a change is seen.
const EVERY: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (words, directory) = (words(), Path::new("."));
    let live = LivePolicy::new(read(&words, directory)?);
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    eprintln!("listening on {}, {}", listener.local_addr()?, live.current());
    let followed = live.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = reload(&words, directory, &followed) {
                eprintln!("the trusted proxies stay as they were: {error}");
            }
        }
    });
    serve(listener, ClientLayer::new(live)).await;
    Ok(())
}

pub(crate) fn words() -> PolicyConfig {
    Policy::x_forwarded_for().trusted(["file:proxies.txt"])
}

/// Whoever can write the file can forge every client's address.
pub(crate) fn read(words: &PolicyConfig, directory: &Path) -> Result<Policy, Box<dyn Error>> {
    let load = |name: &str| fs::read_to_string(directory.join(name)).map_err(|error| error.to_string());
    Ok(words.clone().build_with(&load)?)
}

/// Puts what the file says now in the place of the policy, if it says anything good.
pub(crate) fn reload(
    words: &PolicyConfig,
    directory: &Path,
    live: &LivePolicy,
) -> Result<(), Box<dyn Error>> {
    Ok(live.replace(read(words, directory)?)?)
}

pub(crate) async fn serve(listener: TcpListener, layer: ClientLayer) {
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            // Out of file descriptors, for example: others must be closed first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer::from(address));
                request
            })
            .layer(layer.clone())
            .service(service_fn(whoami));
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new());
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("connection of {address}: {error}");
            }
        });
    }
}

async fn whoami(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(Response::new(match request.extensions().get::<Resolution>() {
        Some(resolution) => format!("you are {}\n", resolution.client()),
        None => "nobody asked who you are\n".into(),
    }))
}
