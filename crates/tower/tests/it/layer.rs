//! The layer's options, and what it does to a request.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request, Response, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use truehop::{
    Arrival, Detector, FORWARDING_HEADERS, OriginPart, Otherwise, Peer, Policy, Resolution, Scheme,
    Unresolved,
};
use truehop_tower::{ClientLayer, ClientOrigin, LivePolicy, OtherStart, Refused};

const PROXY: &str = "10.0.0.1:40000";
const STRANGER: &str = "198.51.100.7:40000";

/// What the service behind the layer saw.
#[derive(Clone, Debug, Default)]
struct Seen {
    resolution: Option<Resolution>,
    origin: Option<ClientOrigin>,
    headers: HeaderMap,
}

type App = BoxCloneSyncService<Request<()>, Response<Seen>, Infallible>;

fn app(layer: ClientLayer) -> App {
    BoxCloneSyncService::new(layer.layer(service_fn(async |request: Request<()>| {
        Ok(Response::new(Seen {
            resolution: request.extensions().get().copied(),
            origin: request.extensions().get().cloned(),
            headers: request.headers().clone(),
        }))
    })))
}

async fn send(app: &App, request: Request<()>) -> Response<Seen> {
    app.clone().oneshot(request).await.unwrap()
}

fn from(peer: &str, headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().extension(peer.parse::<Peer>().unwrap());
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap()
}

fn walking() -> Policy {
    Policy::x_forwarded_for().trusted(["10.0.0.0/8"]).build().unwrap()
}

fn client(response: &Response<Seen>) -> String {
    assert_eq!(response.status(), StatusCode::OK);
    response.body().resolution.unwrap().client().ip().to_string()
}

fn refused(response: &Response<Seen>) -> Unresolved {
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    response.extensions().get::<Refused>().unwrap().0
}

#[tokio::test]
async fn a_request_without_a_peer_is_refused_under_every_policy() {
    let request = || {
        Request::builder()
            .header("X-Forwarded-For", "1.2.3.4")
            .body(())
            .unwrap()
    };
    let any = Policy::x_forwarded_for().trusted_any().hops(1).build().unwrap();
    for policy in [Policy::peer(), walking(), any] {
        let response = send(&app(ClientLayer::new(policy)), request()).await;
        assert_eq!(refused(&response), Unresolved::NoAddress);
    }
}

#[tokio::test]
async fn an_arrival_counts_before_a_peer() {
    let policy = Policy::proxy_protocol().trusted(["10.0.0.0/8"]).build().unwrap();
    let preface = policy.preface(PROXY.parse().unwrap()).unwrap().unwrap();
    let progress = preface
        .feed(b"PROXY TCP4 203.0.113.9 192.0.2.1 5 80\r\n")
        .unwrap();
    let truehop::proxy_protocol::Progress::Done { arrival, .. } = progress else {
        panic!("it is whole");
    };
    let app = app(ClientLayer::new(policy));
    let mut request = from(PROXY, &[]);
    assert_eq!(
        refused(&send(&app, request.clone()).await),
        Unresolved::BadProxyHeader
    );
    request.extensions_mut().insert::<Arrival>(arrival);
    assert_eq!(client(&send(&app, request).await), "203.0.113.9");
}

#[tokio::test]
async fn a_unix_socket_has_no_address_but_may_bring_claims() {
    let request = || from("unix", &[("X-Forwarded-For", "203.0.113.9")]);
    let response = send(&app(ClientLayer::new(Policy::peer())), request()).await;
    assert_eq!(refused(&response), Unresolved::NoAddress);
    let unix = Policy::x_forwarded_for().trusted(["unix"]).build().unwrap();
    assert_eq!(
        client(&send(&app(ClientLayer::new(unix)), request()).await),
        "203.0.113.9"
    );
}

#[tokio::test]
async fn a_policy_that_is_replaced_counts_from_the_next_request_on() {
    let live = LivePolicy::from(walking());
    let layer = ClientLayer::new(live.clone());
    let before = app(layer.clone());
    let request = || from(STRANGER, &[("X-Forwarded-For", "203.0.113.9")]);
    assert_eq!(client(&send(&before, request()).await), "198.51.100.7");

    let other = Policy::x_forwarded_for()
        .trusted(["198.51.100.7"])
        .build()
        .unwrap();
    live.replace(other).unwrap();
    // Services that were made before meet it too.
    for app in [&before, &app(layer.clone())] {
        assert_eq!(client(&send(app, request()).await), "203.0.113.9");
    }
    assert!(layer.policy().trusts(STRANGER.parse().unwrap()));
}

#[tokio::test]
async fn a_request_meets_one_policy_although_it_is_replaced_meanwhile() {
    let believing = |peer: &str| {
        let header = Policy::header("CF-Connecting-IP").trusted([peer]);
        header.build().unwrap()
    };
    let live = LivePolicy::from(believing("10.0.0.0/8"));
    let replaced = live.clone();
    // The hook is called between the decision and what follows from it.
    let layer = ClientLayer::new(live.clone())
        .remove_forwarding_headers(true)
        .on_decision(move |_| replaced.replace(Policy::peer()).unwrap());
    let response = send(&app(layer), from(PROXY, &[("CF-Connecting-IP", "203.0.113.9")])).await;
    assert_eq!(client(&response), "203.0.113.9");
    assert!(response.body().headers.is_empty());
    assert_eq!(live.current().reads(), None);
}

#[test]
fn a_running_policy_neither_begins_nor_ceases_to_read_proxy_headers() {
    let reading = || Policy::proxy_protocol().trusted(["10.0.0.0/8"]).build().unwrap();
    let live = LivePolicy::from(walking());
    assert_eq!(live.replace(reading()), Err(OtherStart));
    assert!(!live.current().reads_proxy_protocol());
    let live = LivePolicy::from(Arc::new(reading()));
    assert_eq!(live.replace(walking()), Err(OtherStart));
    assert_eq!(live.replace(reading()), Ok(()));
}

#[tokio::test]
async fn what_an_outer_layer_claimed_does_not_survive() {
    let forged = Policy::peer().resolve("6.6.6.6:1".parse::<Peer>().unwrap(), &HeaderMap::new());
    let mut request = from(STRANGER, &[]);
    request.extensions_mut().insert(forged.unwrap());
    request.extensions_mut().insert(ClientOrigin {
        host: Some("evil.example".into()),
        ..ClientOrigin::default()
    });
    let response = send(&app(ClientLayer::new(walking())), request).await;
    assert_eq!(client(&response), "198.51.100.7");
    assert_eq!(response.body().origin, None);
}

#[tokio::test]
async fn headers_stay_unless_they_are_to_be_removed() {
    let own = Policy::header("CF-Connecting-IP")
        .trusted(["10.0.0.0/8"])
        .build()
        .unwrap();
    let mut headers = vec![
        ("CF-Connecting-IP", "203.0.113.9"),
        ("cf_connecting_ip", "6.6.6.6"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-For", "6.6.6.7"),
        ("Accept", "*/*"),
    ];
    headers.extend(FORWARDING_HEADERS.map(|name| (name, "6.6.6.6")));
    let layer = ClientLayer::new(own);
    let kept = send(&app(layer.clone()), from(PROXY, &headers)).await;
    assert_eq!(kept.body().headers.len(), headers.len());
    let removed = send(&app(layer.remove_forwarding_headers(true)), from(PROXY, &headers)).await;
    assert_eq!(client(&removed), "203.0.113.9");
    let left: Vec<_> = removed.body().headers.keys().collect();
    assert_eq!(left, ["accept"]);
}

#[tokio::test]
async fn headers_of_a_stranger_are_removed_as_well() {
    let headers = [("X-Forwarded-For", "6.6.6.6"), ("X-Real-IP", "6.6.6.6")];
    let layer = ClientLayer::new(walking()).remove_forwarding_headers(true);
    let response = send(&app(layer), from(STRANGER, &headers)).await;
    assert_eq!(client(&response), "198.51.100.7");
    assert!(response.body().headers.is_empty());
}

#[tokio::test]
async fn the_origin_comes_from_the_same_hop_and_its_errors_refuse() {
    let policy = Policy::x_forwarded_for()
        .trusted(["10.0.0.0/8"])
        .origin([OriginPart::Proto, OriginPart::Host, OriginPart::Port])
        .build()
        .unwrap();
    let app = app(ClientLayer::new(policy).remove_forwarding_headers(true));
    let claims = |proto| {
        [
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Forwarded-Proto", proto),
            ("X-Forwarded-Host", "files.example.org"),
            ("X-Forwarded-Port", "8443"),
        ]
    };
    let believed = send(&app, from(PROXY, &claims("https"))).await;
    let expected = ClientOrigin {
        scheme: Some(Scheme::Https),
        host: Some("files.example.org".into()),
        port: Some(8443),
    };
    assert_eq!(believed.body().origin, Some(expected));
    let stranger = send(&app, from(STRANGER, &claims("https"))).await;
    assert_eq!(
        (client(&stranger).as_str(), &stranger.body().origin),
        ("198.51.100.7", &None)
    );
    let malformed = send(&app, from(PROXY, &claims("gopher"))).await;
    assert_eq!(refused(&malformed), Unresolved::Malformed);
}

#[tokio::test]
async fn an_origin_that_the_policy_does_not_name_is_not_believed() {
    let headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")];
    let response = send(&app(ClientLayer::new(walking())), from(PROXY, &headers)).await;
    assert_eq!(response.body().origin, None);
}

#[tokio::test]
async fn every_decision_is_told_once() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let policy = Policy::x_forwarded_for()
        .trusted(["10.0.0.0/8"])
        .on_missing(Otherwise::Peer)
        .origin([OriginPart::Proto])
        .build()
        .unwrap();
    let layer = ClientLayer::new(policy).on_decision({
        let told = Arc::clone(&told);
        move |decision| {
            told.lock().unwrap().push(match decision {
                Ok(resolution) => resolution.instead_of().map_or("resolved", Unresolved::code),
                Err(reason) => reason.code(),
            });
        }
    });
    let app = app(layer);
    for request in [
        from(PROXY, &[("X-Forwarded-For", "203.0.113.9")]),
        from(PROXY, &[("X-Forwarded-For", "no address")]),
        from(
            PROXY,
            &[
                ("X-Forwarded-For", "203.0.113.9"),
                ("X-Forwarded-Proto", "gopher"),
            ],
        ),
        from(PROXY, &[]),
        from(PROXY, &[("X-Forwarded-For", "10.0.0.2")]),
        Request::new(()),
    ] {
        send(&app, request).await;
    }
    let expected = [
        "resolved",
        "malformed",
        "malformed",
        "missing-header",
        "all-trusted",
        "no-address",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_suspicion_is_told_once_whichever_service_saw_it() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let detector = Arc::new(Detector::default());
    let layer = ClientLayer::new(Policy::peer())
        .remove_forwarding_headers(true)
        .on_suspicion({
            let told = Arc::clone(&told);
            move |suspicion| told.lock().unwrap().push(suspicion.to_string())
        })
        .detector(Arc::clone(&detector));
    let (one, other) = (app(layer.clone()), app(layer));
    for app in [&one, &other, &one] {
        let response = send(app, from(PROXY, &[("X-Forwarded-For", "203.0.113.9")])).await;
        assert_eq!(client(&response), "10.0.0.1");
    }
    assert_eq!(detector.headers_from_untrusted(), 3);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("trusted = [\"10.0.0.1\"]"), "{}", told[0]);
}

#[tokio::test]
async fn a_suspicion_is_told_without_a_detector_of_the_callers() {
    let told = Arc::new(Mutex::new(0));
    let layer = ClientLayer::new(Policy::peer()).on_suspicion({
        let told = Arc::clone(&told);
        move |_| *told.lock().unwrap() += 1
    });
    let app = app(layer);
    for _ in 0..2 {
        send(&app, from(PROXY, &[("Forwarded", "for=203.0.113.9")])).await;
    }
    assert_eq!(*told.lock().unwrap(), 1);
}

#[tokio::test]
async fn another_refusal_is_sent_and_still_says_why() {
    let layer = ClientLayer::new(walking()).refuse_with(|reason: Unresolved| {
        let mut response = Response::new(reason.code().to_owned());
        *response.status_mut() = StatusCode::FORBIDDEN;
        response
    });
    // A body without a default: only a refusal of the caller's can make one.
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new("in".to_owned()))
    }));
    let response = service.clone().oneshot(from(PROXY, &[])).await.unwrap();
    assert_eq!(
        (response.status(), response.body().as_str()),
        (StatusCode::FORBIDDEN, "missing-header")
    );
    assert_eq!(
        response.extensions().get(),
        Some(&Refused(Unresolved::MissingHeader))
    );
    let response = service.oneshot(from(STRANGER, &[])).await.unwrap();
    assert_eq!(response.body(), "in");
    assert_eq!(response.extensions().get::<Refused>(), None);
}

#[test]
fn options_of_a_clone_are_its_own() {
    let layer = ClientLayer::new(walking());
    let removing = layer.clone().remove_forwarding_headers(true);
    assert!(format!("{layer:?}").contains("remove_forwarding_headers: false"));
    assert!(format!("{removing:?}").contains("remove_forwarding_headers: true"));
    assert_eq!(layer.policy().reads(), Some("x-forwarded-for"));
}
