//! A gRPC server with tonic.
//!
//! tonic's server takes tower layers as they are. It tells the peer in an extension of its own, which one layer more
//! turns into ours; and a gRPC client wants its refusal as a status.
//!
//! Try it: `cargo run --example tonic`, and ask `127.0.0.1:3000` with any gRPC client for `/example.WhoAmI/Ask`.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tower::Service;
use tower::util::MapRequestLayer;
use truehop_tower::ClientLayer;
use truehop_tower::truehop::{Peer, Policy, Resolution, Unresolved};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = Policy::x_forwarded_for().trusted(["127.0.0.1"]).build()?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    eprintln!("listening on {}, {policy}", listener.local_addr()?);
    Ok(serve(listener, policy).await?)
}

pub(crate) async fn serve(listener: TcpListener, policy: Policy) -> Result<(), tonic::transport::Error> {
    let refuse = |reason: Unresolved| Status::invalid_argument(reason.code()).into_http::<Body>();
    Server::builder()
        // The first is the outermost.
        .layer(MapRequestLayer::new(tell_the_peer))
        .layer(ClientLayer::new(policy).refuse_with(refuse))
        .add_service(WhoAmI)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
}

fn tell_the_peer(mut request: Request<Body>) -> Request<Body> {
    let connected = request.extensions().get::<TcpConnectInfo>();
    if let Some(address) = connected.and_then(|connected| connected.remote_addr) {
        request.extensions_mut().insert(Peer::from(address));
    }
    request
}

/// Stands for a service that was generated. Its methods find the same in the extensions of their `tonic::Request`.
#[derive(Clone)]
struct WhoAmI;

impl NamedService for WhoAmI {
    const NAME: &'static str = "example.WhoAmI";
}

impl Service<Request<Body>> for WhoAmI {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let status = match request.extensions().get::<Resolution>() {
            Some(resolution) => Status::unimplemented(format!("but you are {}", resolution.client())),
            None => Status::internal("nobody asked who you are"),
        };
        ready(Ok(status.into_http()))
    }
}
