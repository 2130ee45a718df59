//! Clients that a test made up.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use truehop::{Resolution, Scheme};
use truehop_tower::{ClientOrigin, MockClient};

#[tokio::test]
async fn a_mock_gives_a_client_that_connected_directly_and_what_it_asked_for() {
    let address: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let asked = ClientOrigin {
        scheme: Some(Scheme::Https),
        ..ClientOrigin::default()
    };
    let service =
        MockClient::new(address)
            .origin(asked.clone())
            .layer(service_fn(async |request: Request<()>| {
                let resolution = *request.extensions().get::<Resolution>().unwrap();
                let origin = request.extensions().get::<ClientOrigin>().cloned();
                Ok::<_, Infallible>(Response::new((resolution, origin)))
            }));
    // Headers of the request under test are of no account.
    let request = Request::builder()
        .header("X-Forwarded-For", "6.6.6.6")
        .body(())
        .unwrap();
    let (resolution, origin) = service.oneshot(request).await.unwrap().into_body();
    assert_eq!(resolution.client().ip(), IpAddr::V6(address));
    assert!(!resolution.is_claimed() && !resolution.peer_is_trusted());
    assert_eq!(origin, Some(asked));
}
