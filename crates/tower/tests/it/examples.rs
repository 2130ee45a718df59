//! The examples do what they say, on real sockets.

#[cfg(feature = "axum")]
#[expect(dead_code, reason = "its main is for people")]
#[path = "../../examples/axum.rs"]
mod axum_example;
#[expect(dead_code, reason = "its main is for people")]
#[path = "../../examples/follow.rs"]
mod follow;
#[expect(dead_code, reason = "its main is for people")]
#[path = "../../examples/hyper.rs"]
mod hyper_example;
#[cfg(feature = "tokio")]
#[expect(dead_code, reason = "its main is for people")]
#[path = "../../examples/proxy_protocol.rs"]
mod proxy_protocol;
#[cfg(feature = "axum")]
#[expect(dead_code, reason = "its main is for people")]
#[path = "../../examples/rate_limit.rs"]
mod rate_limit;
#[expect(dead_code, reason = "its main is for people")]
#[path = "../../examples/tonic.rs"]
mod tonic_example;

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use truehop::Policy;

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Sends bytes, with the headers of a request behind them, and gives back the status code and the whole answer.
async fn ask(address: SocketAddr, before: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{before}GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (
        answer.split(' ').nth(1).map_or(0, |code| code.parse().unwrap()),
        answer,
    )
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum() {
    let (listener, address) = listen().await;
    let policy = Policy::x_forwarded_for()
        .trusted(["127.0.0.1"])
        .origin([truehop::OriginPart::Proto])
        .build()
        .unwrap();
    tokio::spawn(axum_example::serve(listener, axum_example::app(policy)));
    let headers = "X-Forwarded-For: 6.6.6.6, 203.0.113.95\r\nX-Forwarded-Proto: https\r\n";
    let (code, answer) = ask(address, "", headers).await;
    assert_eq!(code, 200);
    assert!(answer.ends_with("you are 203.0.113.95, by https\n"), "{answer}");
    assert_eq!(ask(address, "", "").await.0, 400);
}

#[tokio::test]
async fn follow() {
    use std::fs;
    use std::path::Path;
    use truehop_tower::{ClientLayer, LivePolicy};

    let directory = &Path::new(env!("CARGO_TARGET_TMPDIR")).join("follow");
    fs::create_dir_all(directory).unwrap();
    let write = |rules: &str| fs::write(directory.join("proxies.txt"), rules).unwrap();
    write("10.0.0.1\n");
    let words = follow::words();
    let live = LivePolicy::new(follow::read(&words, directory).unwrap());
    let (listener, address) = listen().await;
    tokio::spawn(follow::serve(listener, ClientLayer::new(live.clone())));
    let client = async || ask(address, "", "X-Forwarded-For: 203.0.113.95\r\n").await.1;
    assert!(client().await.ends_with("you are 127.0.0.1\n"));

    write("10.0.0.1\n127.0.0.1  # the new one\n");
    follow::reload(&words, directory, &live).unwrap();
    assert!(client().await.ends_with("you are 203.0.113.95\n"));

    write("10.0.0.1\n127.0.0.300\n");
    let error = follow::reload(&words, directory, &live).unwrap_err().to_string();
    assert!(error.starts_with("proxies.txt:2: "), "{error}");
    assert!(client().await.ends_with("you are 203.0.113.95\n"));
}

#[tokio::test]
async fn hyper() {
    let (listener, address) = listen().await;
    let policy = Policy::header("X-Real-IP")
        .trusted(["127.0.0.1"])
        .build()
        .unwrap();
    tokio::spawn(hyper_example::serve(listener, policy));
    let (code, answer) = ask(address, "", "X-Real-IP: 203.0.113.95\r\n").await;
    assert_eq!(code, 200);
    assert!(answer.ends_with("you are 203.0.113.95\n"), "{answer}");
    assert_eq!(ask(address, "", "").await.0, 400);
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn proxy_protocol() {
    let (listener, address) = listen().await;
    let policy = Policy::proxy_protocol().trusted(["127.0.0.1"]).build().unwrap();
    tokio::spawn(proxy_protocol::serve(listener, policy));
    let header = "PROXY TCP4 203.0.113.95 192.0.2.1 51312 443\r\n";
    let (code, answer) = ask(address, header, "X-Forwarded-For: 6.6.6.6\r\n").await;
    assert_eq!(code, 200);
    assert!(answer.ends_with("you are 203.0.113.95:51312\n"), "{answer}");
    // Without the header there is no HTTP either: the connection ends.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // Closed or reset, as the bytes that nobody read may have it.
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
}

#[cfg(feature = "axum")]
#[tokio::test(start_paused = true)]
async fn rate_limit() {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;
    use truehop::Peer;
    use truehop_tower::ClientLayer;

    let policy = Policy::x_forwarded_for().trusted(["10.0.0.1"]).build().unwrap();
    let limit = rate_limit::RateLimit::new(2, Duration::from_secs(60));
    let app = rate_limit::app(ClientLayer::new(policy), limit);
    let ask = async |client: &str| {
        let request = Request::builder()
            .extension("10.0.0.1:40000".parse::<Peer>().unwrap())
            .header("X-Forwarded-For", client)
            .body(Body::empty())
            .unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let wait = response.headers().get("retry-after").cloned();
        (
            response.status(),
            wait.map(|wait| wait.to_str().unwrap().to_owned()),
        )
    };
    let passes = (StatusCode::OK, None);
    let waits = |seconds: &str| (StatusCode::TOO_MANY_REQUESTS, Some(seconds.to_owned()));
    assert_eq!(ask("203.0.113.95").await, passes);
    // What the client writes in front does not make another client of it.
    assert_eq!(ask("6.6.6.6, 203.0.113.95").await, passes);
    assert_eq!(ask("7.7.7.7, 203.0.113.95").await, waits("60"));
    assert_eq!(ask("203.0.113.96").await, passes);
    // One /64 is one client; the next is another.
    assert_eq!(ask("2001:db8:0:1::1").await, passes);
    assert_eq!(ask("2001:db8:0:1:ffff::2").await, passes);
    assert_eq!(ask("2001:db8:0:1::3").await, waits("60"));
    assert_eq!(ask("2001:db8:0:2::3").await, passes);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(ask("203.0.113.95").await, passes);
}

#[tokio::test]
async fn tonic() {
    let (listener, address) = listen().await;
    let policy = Policy::x_forwarded_for().trusted(["127.0.0.1"]).build().unwrap();
    tokio::spawn(tonic_example::serve(listener, policy));
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |headers: &[(&str, &str)]| {
        let mut request = http::Request::post(format!("http://{address}/example.WhoAmI/Ask"))
            .header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        let response = response.await.unwrap();
        let told = |name| response.headers()[name].to_str().unwrap().to_owned();
        (told("grpc-status"), told("grpc-message"))
    };
    let said = |status: &str, message: &str| (status.to_owned(), message.to_owned());
    let headers = [("x-forwarded-for", "6.6.6.6, 203.0.113.95")];
    assert_eq!(ask(&headers).await, said("12", "but%20you%20are%20203.0.113.95"));
    assert_eq!(ask(&[]).await, said("3", "missing-header"));
}
