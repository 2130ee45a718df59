//! Deaths during a withdrawal.

use truehop_e2e::{Home, Outcome, Request, content, eventually};

use crate::{ANOTHER, LARGE, SMALL, STRANGER, UPLOADER, at, disk_holds, doomed, ends_soundly, resurrected};

#[test]
fn a_withdrawal_that_was_committed_stands() {
    for sizes in [&[SMALL][..], &[LARGE], &[SMALL, LARGE]] {
        let Some(drop) = doomed("ended", Home::new()) else {
            return;
        };
        let contents: Vec<Vec<u8>> = (0..)
            .zip(sizes)
            .map(|(seed, size)| content(seed, *size))
            .collect();
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let uploaded = at(UPLOADER, &drop).put_all(&contents);
        let outcome = at(UPLOADER, &drop).ask(&Request::new("DELETE", uploaded.link.page()));
        assert!(matches!(outcome, Outcome::Lost), "{outcome:?}");
        let drop = resurrected(drop);
        for host in [UPLOADER, STRANGER, ANOTHER] {
            for number in 1..=contents.len() {
                let status = at(host, &drop).status(&uploaded.link.bytes(number as u32));
                assert_eq!(status, 410, "file {number} of {sizes:?} for {host}");
            }
        }
        disk_holds(&drop, 0);
        ends_soundly(drop);
    }
}

#[test]
fn the_withdrawal_of_one_file_leaves_the_other() {
    let Some(drop) = doomed("ended", Home::new()) else {
        return;
    };
    let contents = [content(1, SMALL), content(2, LARGE)];
    let uploaded = at(UPLOADER, &drop).put_all(&contents.each_ref().map(Vec::as_slice));
    let outcome = at(UPLOADER, &drop).ask(&Request::new("DELETE", &uploaded.link.file(1)));
    assert!(matches!(outcome, Outcome::Lost), "{outcome:?}");
    let drop = resurrected(drop);
    assert_eq!(at(STRANGER, &drop).status(&uploaded.link.bytes(1)), 410);
    let got = at(STRANGER, &drop).get(&uploaded.link.bytes(2));
    assert_eq!(got.status, 200, "{got:?}");
    assert!(got.body == contents[1], "other bytes than those uploaded");
    eventually("410", || {
        (at(ANOTHER, &drop).status(&uploaded.link.bytes(2)) == 410).then_some(())
    });
    disk_holds(&drop, 0);
    ends_soundly(drop);
}

/// Somebody was collecting it, and must not get the rest from the next process.
#[test]
fn a_withdrawal_during_a_collection_stands_for_the_collector_too() {
    let Some(drop) = doomed("ended", Home::new()) else {
        return;
    };
    let content = content(1, LARGE);
    let uploaded = at(UPLOADER, &drop).put(&content);
    let mut download = STRANGER.connect_narrow(drop.address(), 4096);
    download.write(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", uploaded.link.raw()));
    let head = download.read_head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let outcome = at(UPLOADER, &drop).ask(&Request::new("DELETE", uploaded.link.page()));
    assert!(matches!(outcome, Outcome::Lost), "{outcome:?}");
    let drop = resurrected(drop);
    assert!(
        download.read_to_end().len() < LARGE,
        "the collector has everything"
    );
    for host in [STRANGER, ANOTHER, UPLOADER] {
        assert_eq!(at(host, &drop).status(&uploaded.link.raw()), 410, "{host}");
    }
    disk_holds(&drop, 0);
    ends_soundly(drop);
}
