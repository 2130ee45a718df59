//! Handlers of axum.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::body::{Body, to_bytes};
use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use tower::ServiceExt;
use truehop::{OriginPart, Peer, Policy, Scheme, Unresolved};
use truehop_tower::{Client, ClientLayer, ClientOrigin, MockClient, NoResolution};

fn routes() -> Router {
    Router::new()
        .route("/", get(async |client: Client| client.ip().to_string()))
        .route(
            "/perhaps",
            get(async |client: Option<Client>| client.map_or("nobody".into(), |c| c.ip().to_string())),
        )
        .route(
            "/origin",
            get(async |origin: ClientOrigin| format!("{:?}", origin.scheme)),
        )
}

fn policy() -> Policy {
    Policy::x_forwarded_for()
        .trusted(["10.0.0.0/8", "unix"])
        .origin([OriginPart::Proto])
        .build()
        .unwrap()
}

fn to(path: &str) -> Request<()> {
    Request::builder()
        .uri(path)
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Forwarded-Proto", "https")
        .body(())
        .unwrap()
}

async fn ask(app: Router, request: Request<()>) -> (StatusCode, String) {
    let response = app.oneshot(request.map(|()| Body::empty())).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, String::from_utf8(body.into()).unwrap())
}

fn ok(body: impl Into<String>) -> (StatusCode, String) {
    (StatusCode::OK, body.into())
}

#[tokio::test]
async fn the_peer_comes_from_connect_info() {
    let mut request = to("/");
    let address: SocketAddr = "10.0.0.1:40000".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    let app = routes().layer(ClientLayer::new(policy()));
    assert_eq!(ask(app, request).await, ok("203.0.113.9"));
}

#[tokio::test]
async fn a_peer_counts_before_connect_info_and_that_before_a_mock() {
    let app = || routes().layer(ClientLayer::new(Policy::peer()));
    let address = |last| SocketAddr::from(([192, 0, 2, last], 1));
    let mut request = to("/");
    request.extensions_mut().insert(MockConnectInfo(address(3)));
    assert_eq!(ask(app(), request.clone()).await, ok("192.0.2.3"));
    request.extensions_mut().insert(ConnectInfo(address(2)));
    assert_eq!(ask(app(), request.clone()).await, ok("192.0.2.2"));
    request.extensions_mut().insert(Peer::from(address(1)));
    assert_eq!(ask(app(), request).await, ok("192.0.2.1"));
}

#[tokio::test]
async fn a_unix_socket_is_an_extension() {
    let app = routes()
        .layer(ClientLayer::new(policy()))
        .layer(Extension(Peer::UNIX));
    assert_eq!(ask(app, to("/")).await, ok("203.0.113.9"));
}

#[tokio::test]
async fn handlers_get_the_origin_or_an_empty_one() {
    let app = || routes().layer(ClientLayer::new(policy()));
    let mut request = to("/origin");
    request.extensions_mut().insert(Peer::UNIX);
    assert_eq!(
        ask(app(), request.clone()).await,
        ok(format!("{:?}", Some(Scheme::Https)))
    );
    request
        .extensions_mut()
        .insert("198.51.100.7:1".parse::<Peer>().unwrap());
    assert_eq!(ask(app(), request).await, ok("None"));
}

#[tokio::test]
async fn without_the_layer_a_handler_is_not_called_unless_it_can_do_without() {
    for path in ["/", "/origin"] {
        let (status, body) = ask(routes(), to(path)).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body, NoResolution.to_string());
    }
    assert_eq!(ask(routes(), to("/perhaps")).await, ok("nobody"));
    let app = routes().layer(MockClient::new(Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!(ask(app, to("/perhaps")).await, ok("192.0.2.1"));
}

#[tokio::test]
async fn a_mock_needs_no_policy() {
    let ip: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(
        ask(routes().layer(MockClient::new(ip)), to("/")).await,
        ok("2001:db8::1")
    );
    assert_eq!(
        ask(routes().layer(MockClient::new(ip)), to("/origin")).await,
        ok("None")
    );
}

#[tokio::test]
async fn a_router_takes_a_refusal_of_axums_own_kind() {
    let layer = ClientLayer::new(policy())
        .refuse_with(|reason: Unresolved| (StatusCode::FORBIDDEN, reason.code()).into_response());
    let expected = (StatusCode::FORBIDDEN, "no-address".to_owned());
    assert_eq!(ask(routes().layer(layer), to("/")).await, expected);
}
