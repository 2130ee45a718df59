//! What couriers are told.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use http::{Request, Response};
use tokio::runtime;
use truehop_delivery::{Arrival, FileRegion, LAST_PIECE, Parcel, ParcelBody, Receipt, receipt};
use truehop_edge::{Body, TimeoutsConfig};

use crate::support::{Gate, Site, WAYS, Way, bytes, file_of, response};

/// More than sockets hold.
const LARGE: u64 = 64 << 20;

/// Waits for the receipt of the next response.
fn arrival(receipts: &Receiver<Receipt>) -> Arrival {
    let receipt = receipts.recv_timeout(Duration::from_secs(60)).unwrap();
    runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(receipt)
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
        assert!(
            matches!(arrival(&receipts), Arrival::Part(n) if n < LARGE),
            "by {way:?}"
        );
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
            let Arrival::Part(arrived) = arrival(&receipts) else {
                panic!("{read} by {way:?}: whole");
            };
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
        let arrived = arrival(&receipts);
        match way {
            // When it was last asked, the reader had not taken everything.
            Way::Unix => assert!(matches!(arrived, Arrival::Part(n) if n <= 500_000), "{arrived:?}"),
            _ => assert_eq!(arrived, Arrival::Part(500_000), "by {way:?}"),
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
        assert_eq!(arrival(&receipts), Arrival::Part(100_000), "by {way:?}");
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
        let arrived = arrival(&receipts);
        assert!(
            matches!(arrived, Arrival::Part(n) if n <= 500_000),
            "by {way:?}: {arrived:?}"
        );
        if matches!(way, Way::Tls12 | Way::Tls13 | Way::Tcp) {
            assert_eq!(arrived, Arrival::Part(500_000), "by {way:?}");
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
        let arrived = arrival(&receipts);
        assert!(
            matches!(arrived, Arrival::Part(n) if n < gate.sent()),
            "by {way:?}: {arrived:?}"
        );
    }
}

#[test]
fn nothing_is_delivered_by_an_answer_to_head() {
    let (answer, receipts) = curious(|_| Parcel::from(FileRegion::new(file_of(b"abc"), 0, 3)));
    let site = Site::new(answer);
    let mut client = site.connect(Way::Tcp);
    client.ask("HEAD", "/");
    client.head();
    assert_eq!(arrival(&receipts), Arrival::Part(0));
}
