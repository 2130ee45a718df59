//! The PROXY header from real and from unkind streams. Time is paused: it passes when everybody waits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::{Instant, sleep};
use truehop::proxy_protocol::{BadHeader, MAX_V2, RefusedPreface};
use truehop::{OnUntrusted, Peer, Policy, Unresolved};
use truehop_tower::{PrefaceError, Prefixed, read_preface};

const LIMIT: Duration = Duration::from_secs(3);
const HEADER: &[u8] = b"PROXY TCP4 203.0.113.95 192.0.2.1 51312 443\r\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn policy() -> Policy {
    Policy::proxy_protocol()
        .trusted(["10.0.0.0/8"])
        .on_untrusted(OnUntrusted::Plain)
        .build()
        .unwrap()
}

fn proxy() -> Peer {
    "10.0.0.1:40000".parse().unwrap()
}

fn stranger() -> Peer {
    "198.51.100.7:40000".parse().unwrap()
}

/// A header of version 2 from 203.0.113.95:51312, with so many bytes of padding.
fn version_2(padding: usize) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    let rest = 12 + if padding > 0 { 3 + padding } else { 0 };
    header.extend(u16::try_from(rest).unwrap().to_be_bytes());
    header.extend([203, 0, 113, 95, 192, 0, 2, 1, 0xc8, 0x70, 1, 0xbb]);
    if padding > 0 {
        header.push(4);
        header.extend(u16::try_from(padding).unwrap().to_be_bytes());
        header.resize(header.len() + padding, 0);
    }
    header
}

/// Writes `bytes` in pieces of `step`, with a pause after each, and keeps the connection open until the other end goes.
fn write_slowly(mut stream: DuplexStream, bytes: Vec<u8>, step: usize, pause: Duration) {
    tokio::spawn(async move {
        for piece in bytes.chunks(step) {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            sleep(pause).await;
        }
        let _ = stream.read(&mut [0]).await;
    });
}

async fn rest(mut stream: impl AsyncRead + Unpin, length: usize) -> Vec<u8> {
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await.unwrap();
    rest
}

#[tokio::test(start_paused = true)]
async fn what_follows_the_header_is_replayed_however_it_is_cut() {
    for header in [
        HEADER.to_vec(),
        version_2(0),
        version_2(600),
        version_2(MAX_V2 - 31),
    ] {
        assert!(header.len() <= MAX_V2);
        let bytes = [&header, REQUEST].concat();
        for step in [1, 2, 7, header.len(), header.len() + 1, bytes.len()] {
            let (ours, theirs) = duplex(64 * 1024);
            write_slowly(theirs, bytes.clone(), step, Duration::ZERO);
            let (arrival, stream) = read_preface(ours, &policy(), proxy(), LIMIT).await.unwrap();
            assert_eq!(arrival.claim().unwrap().to_string(), "203.0.113.95:51312");
            assert_eq!(arrival.peer(), proxy());
            assert_eq!(rest(stream, REQUEST.len()).await, REQUEST);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_without_the_step_reads_nothing() {
    let policy = Policy::x_forwarded_for().trusted(["10.0.0.0/8"]).build().unwrap();
    let (arrival, stream) = read_preface(NeverRead, &policy, proxy(), LIMIT).await.unwrap();
    assert_eq!((arrival.peer(), arrival.claim()), (proxy(), None));
    assert!(stream.into_parts().1.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_refused_is_not_read() {
    let policy = Policy::proxy_protocol().trusted(["10.0.0.0/8"]).build().unwrap();
    let error = read_preface(NeverRead, &policy, stranger(), LIMIT)
        .await
        .unwrap_err();
    assert!(
        matches!(error, PrefaceError::Refused(RefusedPreface::UntrustedPeer)),
        "{error:?}"
    );
    assert_eq!(error.reason(), Some(Unresolved::UntrustedPeer));
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_plain_peer_is_not_waited_for_longer_than_needed() {
    // One byte of "GET" tells that it is no header; two of "PO".
    for start in [&b"G"[..], b"PO"] {
        let (ours, mut theirs) = duplex(64);
        theirs.write_all(start).await.unwrap();
        let began = Instant::now();
        let (arrival, stream) = read_preface(ours, &policy(), stranger(), LIMIT).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(arrival.claim(), None);
        assert_eq!(rest(stream, start.len()).await, start);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_peer_may_not_send_a_header() {
    let error = read_preface(HEADER, &policy(), stranger(), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Some(Unresolved::UntrustedPeer));
}

#[tokio::test(start_paused = true)]
async fn half_a_header_and_then_nothing_is_given_up_in_time() {
    for header in [HEADER.to_vec(), version_2(0)] {
        for length in [0, 1, header.len() / 2, header.len() - 1] {
            let (ours, theirs) = duplex(64);
            write_slowly(theirs, header[..length].to_vec(), 64, Duration::ZERO);
            let began = Instant::now();
            let error = read_preface(ours, &policy(), proxy(), LIMIT).await.unwrap_err();
            assert!(
                matches!(error, PrefaceError::TimedOut { received } if received == length),
                "{error:?}"
            );
            assert_eq!(began.elapsed(), LIMIT);
            assert_eq!(error.reason(), Some(Unresolved::BadProxyHeader));
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_cannot_prolong_the_time_by_sending_slowly() {
    let (ours, theirs) = duplex(64);
    write_slowly(theirs, HEADER.to_vec(), 1, Duration::from_secs(1));
    let began = Instant::now();
    let error = read_preface(ours, &policy(), proxy(), Duration::from_millis(2500))
        .await
        .unwrap_err();
    assert!(
        matches!(error, PrefaceError::TimedOut { received: 3 }),
        "{error:?}"
    );
    assert_eq!(began.elapsed(), Duration::from_millis(2500));
}

#[tokio::test(start_paused = true)]
async fn a_slow_header_within_the_time_is_read() {
    let (ours, theirs) = duplex(64);
    write_slowly(theirs, [HEADER, REQUEST].concat(), 1, Duration::from_millis(10));
    let (arrival, stream) = read_preface(ours, &policy(), proxy(), LIMIT).await.unwrap();
    assert!(arrival.claim().is_some());
    assert_eq!(rest(stream, REQUEST.len()).await, REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_early_says_how_far_it_came() {
    for (start, kind) in [(&b""[..], "check"), (&HEADER[..9], "cut")] {
        let error = read_preface(start, &policy(), proxy(), LIMIT).await.unwrap_err();
        assert!(
            matches!(error, PrefaceError::Closed { received } if received == start.len()),
            "{kind}: {error:?}"
        );
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_too_long_is_refused_before_it_is_held() {
    // Version 2 announces its length: 16 bytes tell. Version 1 has no line end within 107.
    let announced = version_2(MAX_V2);
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 100_000]].concat();
    for (bytes, why) in [(announced, BadHeader::Length), (endless, BadHeader::LineEnd)] {
        let mut stream = Counting {
            bytes: &bytes,
            read: 0,
        };
        let error = read_preface(&mut stream, &policy(), proxy(), LIMIT)
            .await
            .unwrap_err();
        assert!(
            matches!(error, PrefaceError::Refused(RefusedPreface::Bad(bad)) if bad == why),
            "{error:?}"
        );
        assert!(stream.read <= 512, "{}", stream.read);
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_says_so() {
    let error = read_preface(Broken, &policy(), proxy(), LIMIT).await.unwrap_err();
    assert_eq!(error.reason(), None);
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_prefixed_stream_reads_its_bytes_first_and_writes_through() {
    let (ours, mut theirs) = duplex(64);
    theirs.write_all(b"cd").await.unwrap();
    let mut stream = Prefixed::new(ours, b"ab".to_vec());
    let mut one = [0];
    stream.read_exact(&mut one).await.unwrap();
    assert_eq!(&one, b"a");
    stream.write_all(b"reply").await.unwrap();
    assert_eq!(rest(&mut theirs, 5).await, b"reply");
    let (inner, left) = stream.into_parts();
    assert_eq!(left, b"b");
    let stream = Prefixed::new(inner, left);
    assert_eq!(rest(stream, 3).await, b"bcd");
}

struct NeverRead;

impl AsyncRead for NeverRead {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        panic!("it was read");
    }
}

impl std::fmt::Debug for NeverRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NeverRead")
    }
}

#[derive(Debug)]
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

/// Gives as much as it is asked for, and counts.
#[derive(Debug)]
struct Counting<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl AsyncRead for Counting<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let now = self.bytes.len().min(buf.remaining());
        let (first, rest) = self.bytes.split_at(now);
        buf.put_slice(first);
        self.bytes = rest;
        self.read += now;
        Poll::Ready(Ok(()))
    }
}
