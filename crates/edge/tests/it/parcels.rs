//! Bodies of memory and files, by every way.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use truehop_delivery::{FileRegion, LAST_PIECE, Parcel, Part};

use crate::support::{Client, Gate, Site, WAYS, Way, bytes, file_of, response};

/// Memory, a large region, a small one, memory again, and what is between them; with all its bytes.
fn parcel() -> (Parcel, Vec<u8>) {
    let content = bytes(1_000_000);
    let file = file_of(&content);
    let region = |offset, len| Part::from(FileRegion::new(Arc::clone(&file), offset, len));
    let large = bytes(70_000);
    let parts = vec![
        Bytes::from_static(b"first").into(),
        region(3, 700_001),
        Bytes::from_static(b"between").into(),
        region(700_004, 9_999),
        region(17, 0),
        Bytes::from(large.clone()).into(),
        region(1, 1),
        region(999_990, 10),
        Bytes::from(bytes(4096)).into(),
    ];
    let whole = [
        b"first",
        &content[3..][..700_001],
        b"between",
        &content[700_004..][..9_999],
        &large,
        &content[1..2],
        &content[999_990..],
        &bytes(4096),
    ]
    .concat();
    (Parcel::new(parts), whole)
}

fn expect(client: &mut Client, expected: &[u8], what: &str) {
    assert_eq!(client.head(), expected.len() as u64, "{what}");
    let body = client.body(expected.len() as u64);
    // Not `assert_eq`: a million bytes are no message.
    assert!(body == expected, "{what}");
}

#[test]
fn a_parcel_arrives_byte_for_byte_by_every_way() {
    let (parcel, whole) = parcel();
    let site = Site::new(move |request| {
        let (offset, len) = request.uri().path()[1..].split_once('-').unwrap();
        let slice = parcel
            .clone()
            .slice(offset.parse().unwrap(), len.parse().unwrap());
        response(slice)
    });
    for way in WAYS {
        let mut client = site.connect(way);
        for (offset, len) in [
            (0, whole.len()),
            (1, 700_005),
            (700_000, 20_000),
            (2, 3),
            (9, 0),
            (whole.len() - 4100, 4100),
        ] {
            let path = format!("/{offset}-{len}");
            client.ask("GET", &path);
            expect(
                &mut client,
                &whole[offset..][..len],
                &format!("{path} by {way:?}"),
            );
            client.ask("HEAD", &path);
            assert_eq!(client.head(), len as u64, "HEAD {path} by {way:?}");
        }
    }
}

#[test]
fn many_small_files_arrive_in_their_order() {
    let content = bytes(200_000);
    let file = file_of(&content);
    let regions = |step: u64| {
        let file = Arc::clone(&file);
        (0..200_000 / step).flat_map(move |n| {
            let region = FileRegion::new(Arc::clone(&file), n * step, step);
            [Part::from(Bytes::from_static(b"#")), region.into()]
        })
    };
    let site = Site::new({
        let parcels = [100, 5_000, 20_000].map(|step| Parcel::new(regions(step)));
        move |request| response(parcels[request.uri().path()[1..].parse::<usize>().unwrap()].clone())
    });
    for way in WAYS {
        let mut client = site.connect(way);
        for (n, step) in [100, 5_000, 20_000].into_iter().enumerate() {
            let expected: Vec<u8> = content
                .chunks(step)
                .flat_map(|chunk| [b"#", chunk].concat())
                .collect();
            client.ask("GET", &format!("/{n}"));
            expect(&mut client, &expected, &format!("{step} by {way:?}"));
        }
    }
}

#[test]
fn a_guard_holds_back_the_last_piece_and_the_client_has_all_before_it() {
    let content = bytes(300_000);
    let file = file_of(&content);
    for way in WAYS {
        for len in [300_000, LAST_PIECE + 1, LAST_PIECE, 10_000, 1] {
            let gate = Gate::holding(LAST_PIECE);
            let guarded = FileRegion::new(Arc::clone(&file), 0, len).guarded_by(gate.clone());
            let parts = [
                Bytes::from_static(b"before").into(),
                guarded.into(),
                Bytes::from_static(b"behind").into(),
            ];
            let parcel = Parcel::new(parts);
            let site = Site::new(move |_| response(parcel.clone()));
            let mut client = site.connect(way);
            client.ask("GET", "/");
            assert_eq!(client.head(), len + 12);
            let first = len.saturating_sub(LAST_PIECE);
            assert!(client.body(6 + first) == [b"before", &content[..first as usize]].concat());
            assert_eq!(gate.reached(), len.min(LAST_PIECE));
            assert_eq!(gate.sent(), first);
            assert!(client.has_nothing(), "{len} by {way:?}");
            gate.release();
            let last = &content[first as usize..len as usize];
            assert!(client.body(len - first + 6) == [last, b"behind"].concat());
            assert_eq!(gate.sent(), len);
            // The connection goes on.
            client.ask("HEAD", "/");
            client.head();
        }
    }
}

#[test]
fn a_guard_that_refuses_breaks_the_connection() {
    for way in WAYS {
        let gate = Gate::holding(LAST_PIECE);
        let guarded = FileRegion::new(file_of(&bytes(100_000)), 0, 100_000).guarded_by(gate.clone());
        let parcel = Parcel::from(guarded);
        let site = Site::new(move |_| response(parcel.clone()));
        let mut client = site.connect(way);
        client.ask("GET", "/");
        assert_eq!(client.head(), 100_000);
        client.body(100_000 - LAST_PIECE);
        gate.reached();
        gate.refuse();
        let mut rest = Vec::new();
        // An end or an error: either is one.
        let _ = client.read_to_end(&mut rest);
        assert_eq!(rest, b"", "by {way:?}");
    }
}

/// It is that of the answer with the bytes (RFC 9110 section 8.6), which an empty body says nothing of.
#[test]
fn not_modified_has_the_length_that_the_service_knows_or_none() {
    let site = Site::new(|request| {
        let mut response = response(Parcel::new([]));
        *response.status_mut() = http::StatusCode::NOT_MODIFIED;
        let length = request.uri().path()[1..].parse().unwrap();
        response.headers_mut().insert("content-length", length);
        response
    });
    let mut client = site.connect(Way::Tcp);
    for (length, told) in [("0", false), ("7", true), ("0", false)] {
        client.ask("GET", &format!("/{length}"));
        let head = client.head_text();
        assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{head}");
        let line = format!("\r\ncontent-length: {length}\r\n");
        assert_eq!(head.contains(&line), told, "{head}");
    }
}
