//! SIGKILL at the worst moments: a crash loses no file that was promised and keeps none that was not.

use std::fs;

use truehop_e2e::{Host, Request, Truehop, eventually, files_in, rows_in};

const UPLOADER: Host = Host::at(127, 0, 0, 1);
const STRANGER: Host = Host::at(127, 0, 0, 2);

/// A lease that is over soon after the restart, so that the next recipient need not wait for long.
const CONFIG: &str = "[client]\nfrom = \"peer\"\n[drop]\nlease = \"2s\"\n";

/// More than sockets and pipes between client and disk can hold.
const SIZE: usize = 32 << 20;

#[test]
fn killed_during_an_upload_nothing_is_left() {
    let drop = Truehop::start(CONFIG);
    let mut upload = UPLOADER.connect(drop.address());
    upload.write(format!(
        "PUT /half.bin HTTP/1.1\r\nHost: drop.test\r\nContent-Length: {SIZE}\r\n\r\n"
    ));
    upload.write(vec![7; SIZE / 2]);
    let incoming = drop.data().join("incoming");
    let half = eventually("half of the upload to arrive", || {
        let name = files_in(&incoming).pop()?;
        (fs::metadata(incoming.join(&name)).ok()?.len() >= (SIZE / 4) as u64).then_some(name)
    });

    let home = drop.kill();
    assert_eq!(
        files_in(&home.data().join("incoming")),
        [half.as_str()],
        "else the test proves nothing"
    );
    let drop = Truehop::start_in(home, CONFIG);
    // The file was never promised: no name that it might have had leads to it.
    assert_eq!(
        UPLOADER.get(drop.address(), &format!("/d/{half}/raw")).status,
        404
    );
    let (exit, home) = drop.stop();
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    assert_eq!(files_in(&home.data().join("incoming")), [""; 0]);
    assert_eq!(files_in(&home.data().join("files")), [""; 0]);
    assert_eq!(rows_in(home.data()), 0);
}

#[test]
fn killed_after_the_promise_the_file_is_there() {
    let drop = Truehop::start(CONFIG);
    let link = upload(&drop, b"promised");
    let home = drop.kill();
    let drop = Truehop::start_in(home, CONFIG);
    let response = STRANGER.get(drop.address(), &format!("{link}/raw"));
    assert_eq!(
        (response.status, response.body.as_slice()),
        (200, &b"promised"[..]),
        "{response:?}"
    );
}

#[test]
fn killed_during_a_download_the_file_can_be_collected_again() {
    let content: Vec<u8> = (0..SIZE).map(|at| (at / 4096) as u8).collect();
    let drop = Truehop::start(CONFIG);
    let link = upload(&drop, &content);
    let mut download = STRANGER.connect(drop.address());
    download.write(format!("GET {link}/raw HTTP/1.1\r\nHost: drop.test\r\n\r\n"));
    let head = download.read_head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    download.read_exact(64 * 1024);

    let home = drop.kill();
    assert!(
        download.read_to_end().len() < SIZE - 64 * 1024,
        "it had everything: the test proves nothing"
    );
    assert_eq!(files_in(&home.data().join("files")).len(), 1);
    let drop = Truehop::start_in(home, CONFIG);
    // Another host, as the first might pass for one that resumes.
    let other = Host::at(127, 0, 0, 3);
    let response = eventually("the lease to end", || {
        let response = other.get(drop.address(), &format!("{link}/raw"));
        (response.status != 423).then_some(response)
    });
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.body == content, "other bytes than those uploaded");
    eventually("410 after the delivery", || {
        (UPLOADER.get(drop.address(), &format!("{link}/raw")).status == 410).then_some(())
    });
}

#[test]
fn killed_after_the_delivery_the_file_stays_gone() {
    let drop = Truehop::start(CONFIG);
    let link = upload(&drop, b"once");
    assert_eq!(STRANGER.get(drop.address(), &format!("{link}/raw")).status, 200);
    eventually("the delivery", || {
        (UPLOADER.get(drop.address(), &format!("{link}/raw")).status == 410).then_some(())
    });
    let home = drop.kill();
    let drop = Truehop::start_in(home, CONFIG);
    assert_eq!(STRANGER.get(drop.address(), &format!("{link}/raw")).status, 410);
    eventually("the bytes to be gone", || {
        files_in(&drop.data().join("files")).is_empty().then_some(())
    });
}

/// Uploads, and returns the path of the share link.
#[track_caller]
fn upload(drop: &Truehop, content: &[u8]) -> String {
    let response = UPLOADER.send(drop.address(), &Request::new("PUT", "/file.bin").body(content));
    assert_eq!(response.status, 201, "{response:?}");
    let link = response.text();
    let id = link.trim_end().rsplit('/').next().unwrap_or_default();
    format!("/d/{id}")
}
