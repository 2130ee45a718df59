//! What couriers are told.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use http::{Request, Response};
use tokio::runtime;
use truehop_delivery::{Arrival, FileRegion, LAST_PIECE, Parcel, ParcelBody, Receipt, receipt};
use truehop_edge::{Body, TimeoutsConfig};

use crate::support::{Client, Gate, Site, WAYS, Way, bytes, file_of, response};

/// More than sockets hold.
const LARGE: u64 = 64 << 20;

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for the receipt of the next response.
fn arrival(receipts: &Receiver<Receipt>) -> Arrival {
    resolved(&mut receipts.recv_timeout(PATIENCE).unwrap())
}

fn resolved(receipt: &mut Receipt) -> Arrival {
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(receipt)
}

/// How much was acknowledged of a body that broke off, and how much had left.
#[track_caller]
fn broken_off(receipts: &Receiver<Receipt>, way: Way) -> (u64, u64) {
    match arrival(receipts) {
        Arrival::Part { acknowledged, left } if acknowledged <= left => (acknowledged, left),
        other => panic!("by {way:?}: {other:?}"),
    }
}

/// A service that wants to know what becomes of each response.
fn curious(
    parcel: impl Fn(&str) -> Parcel + Send + Sync + 'static,
) -> (
    impl Fn(&Request<Body>) -> Response<ParcelBody> + Send + Sync + 'static,
    Receiver<Receipt>,
) {
    let (send, receipts) = sync_channel(16);
    let answer = move |request: &Request<Body>| {
        let (courier, receipt) = receipt();
        send.send(receipt).unwrap();
        let mut response = response(parcel(request.uri().path()));
        response.extensions_mut().insert(courier);
        response
    };
    (answer, receipts)
}

/// A file that takes no place, and of whose last piece a gate knows.
fn sparse(len: u64, gate: &Arc<Gate>) -> Parcel {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len).unwrap();
    FileRegion::new(Arc::new(file), 0, len)
        .guarded_by(gate.clone())
        .into()
}

#[test]
fn what_was_read_whole_is_delivered_also_while_the_next_response_is_under_way() {
    let large = sparse(LARGE, &Gate::holding(0));
    let small = Parcel::from(FileRegion::new(file_of(&bytes(100_000)), 0, 100_000));
    let (answer, receipts) = curious(move |path| match path {
        "/large" => large.clone(),
        _ => small.clone(),
    });
    let site = Site::new(answer);
    for way in WAYS {
        let mut client = site.connect(way);
        client.ask("GET", "/small");
        client.ask("GET", "/large");
        assert_eq!(client.head(), 100_000);
        client.body(100_000);
        assert_eq!(client.head(), LARGE);
        // Of a Unix socket the kernel counts more than the bytes: only what is read behind them shows that they were.
        client.body(1 << 20);
        // By now more is on its way behind it than the client will ever read.
        assert_eq!(arrival(&receipts), Arrival::Whole, "by {way:?}");
        drop(client);
        let (acknowledged, _) = broken_off(&receipts, way);
        assert!(acknowledged < LARGE, "by {way:?}");
    }
}

/// It has what it wants, and answers whatever comes behind that, be it the connection's end, with a reset.
#[test]
fn a_client_that_goes_when_it_has_everything_has_it() {
    for len in [3_000, 300_000] {
        let content = Parcel::from(FileRegion::new(file_of(&bytes(len)), 0, len));
        let (answer, receipts) = curious(move |_| content.clone());
        let site = Site::new(answer);
        for way in WAYS {
            for lines in ["", "Connection: close\r\n"] {
                for _ in 0..10 {
                    let mut client = site.connect(way);
                    client.ask_with("GET", "/", lines);
                    client.head();
                    client.body(len);
                    drop(client);
                    assert_eq!(arrival(&receipts), Arrival::Whole, "{len} by {way:?} {lines}");
                }
            }
        }
    }
}

#[test]
fn a_client_that_breaks_off_has_what_it_read_and_no_more_than_was_sent() {
    for way in WAYS {
        for read in [0, 1, 5_000, 20_000, 100_000, 1_000_000, 10_000_000] {
            let gate = Gate::holding(0);
            let parcel = sparse(LARGE, &gate);
            let (answer, receipts) = curious(move |_| parcel.clone());
            let site = Site::new(answer);
            let mut client = site.connect(way);
            client.ask("GET", "/");
            client.head();
            client.body(read);
            client.acknowledge();
            drop(client);
            let (arrived, left) = broken_off(&receipts, way);
            assert!(left <= gate.sent(), "{read} by {way:?}: {left}");
            // What a Unix socket's reader has not read is lost with it, and the kernel counts in blocks of its own.
            let (least, most) = match way {
                Way::Unix => (read.saturating_sub(1 << 20), read),
                _ => (read, gate.sent()),
            };
            assert!(
                (least..=most).contains(&arrived),
                "{read} by {way:?}: {arrived}, and not {least} to {most}"
            );
        }
    }
}

#[test]
fn a_client_that_breaks_off_at_the_gate_has_all_that_is_before_it() {
    let len = 500_000 + LAST_PIECE;
    for way in WAYS {
        let gate = Gate::holding(LAST_PIECE);
        let parcel = sparse(len, &gate);
        let (answer, receipts) = curious(move |_| parcel.clone());
        let site = Site::new(answer);
        let mut client = site.connect(way);
        client.ask("GET", "/");
        client.head();
        client.body(500_000);
        gate.reached();
        client.acknowledge();
        drop(client);
        let (arrived, left) = broken_off(&receipts, way);
        assert_eq!(left, 500_000, "by {way:?}");
        match way {
            // When it was last asked, the reader had not taken everything.
            Way::Unix => assert!(arrived <= 500_000, "{arrived}"),
            _ => assert_eq!(arrived, 500_000, "by {way:?}"),
        }
    }
}

#[test]
fn when_a_guard_refuses_what_had_left_is_waited_for() {
    // As much as a socket holds whose client does not read.
    let len = 100_000 + LAST_PIECE;
    for way in WAYS {
        let gate = Gate::holding(LAST_PIECE);
        let parcel = sparse(len, &gate);
        let (answer, receipts) = curious(move |_| parcel.clone());
        let site = Site::new(answer);
        let mut client = site.connect(way);
        client.ask("GET", "/");
        gate.reached();
        gate.refuse();
        client.head();
        client.body(100_000);
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
        assert_eq!(broken_off(&receipts, way), (100_000, 100_000), "by {way:?}");
    }
}

#[test]
fn a_server_that_stops_says_what_had_arrived() {
    let timeouts = TimeoutsConfig {
        shutdown: Duration::ZERO,
        ..TimeoutsConfig::default()
    };
    let len = 500_000 + LAST_PIECE;
    for way in WAYS {
        let gate = Gate::holding(LAST_PIECE);
        let parcel = sparse(len, &gate);
        let (answer, receipts) = curious(move |_| parcel.clone());
        let site = Site::with(timeouts, answer);
        let mut client = site.connect(way);
        client.ask("GET", "/");
        client.head();
        client.body(500_000);
        gate.reached();
        client.acknowledge();
        site.stop();
        let (arrived, left) = broken_off(&receipts, way);
        assert_eq!(left, 500_000, "by {way:?}");
        match way {
            Way::Unix => assert!(arrived <= 500_000, "{arrived}"),
            _ => assert_eq!(arrived, 500_000, "by {way:?}"),
        }
    }
}

#[test]
fn a_client_that_takes_nothing_for_too_long_has_what_it_took() {
    let timeouts = TimeoutsConfig {
        write: Duration::from_millis(1),
        ..TimeoutsConfig::default()
    };
    for way in WAYS {
        let gate = Gate::holding(0);
        let parcel = sparse(LARGE, &gate);
        let (answer, receipts) = curious(move |_| parcel.clone());
        let site = Site::with(timeouts, answer);
        let mut client = site.connect(way);
        client.ask("GET", "/");
        let (arrived, left) = broken_off(&receipts, way);
        assert!(arrived < gate.sent(), "by {way:?}: {arrived}");
        reads_on(&mut client, arrived, left, way);
    }
}

/// The client reads all that still comes, in time or not.
#[track_caller]
fn reads_on(client: &mut Client, least: u64, most: u64, way: Way) {
    client.head();
    let mut body = Vec::new();
    // With TLS an end without a word is an error, too.
    let _ = client.read_to_end(&mut body);
    let read = body.len() as u64;
    assert!(
        (least..=most).contains(&read),
        "{read} by {way:?}, and not {least} to {most}"
    );
}

#[test]
fn what_is_recalled_breaks_off_at_once_and_does_not_arrive_later() {
    // More than a socket holds, so that it is being written; and less, so that the kernel's word is awaited.
    for len in [LARGE, 300_000] {
        for way in WAYS {
            let gate = Gate::holding(0);
            let parcel = sparse(len, &gate);
            let (answer, receipts) = curious(move |_| parcel.clone());
            let site = Site::new(answer);
            let mut client = site.connect(way);
            client.ask("GET", "/");
            let mut receipt = receipts.recv_timeout(PATIENCE).unwrap();
            // Something has left.
            client.await_more();
            receipt.recall();
            let Arrival::Part { acknowledged, left } = resolved(&mut receipt) else {
                panic!("{len} by {way:?}: whole, or nobody knows");
            };
            assert!(left < len || way == Way::Unix, "{left} of {len} by {way:?}");
            reads_on(&mut client, acknowledged, left, way);
        }
    }
}

#[test]
fn nothing_is_delivered_by_an_answer_to_head() {
    let (answer, receipts) = curious(|_| Parcel::from(FileRegion::new(file_of(b"abc"), 0, 3)));
    let site = Site::new(answer);
    let mut client = site.connect(Way::Tcp);
    client.ask("HEAD", "/");
    client.head();
    assert_eq!(arrival(&receipts), Arrival::Unknown);
}
