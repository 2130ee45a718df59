//! SIGKILL, SIGTERM and a full disk at the worst moments: no file that was promised is lost, none that was not is kept,
//! and what one recipient has no other gets.

use std::fs;
use std::time::{Duration, Instant};

use truehop_e2e::{
    Connection, Home, Host, Request, Tmpfs, Truehop, Visitor, blobs_in, eventually, incoming_in,
    leftovers_in, rows_in,
};

const UPLOADER: Host = Host::at(127, 0, 0, 1);
const STRANGER: Host = Host::at(127, 0, 0, 2);
const ANOTHER: Host = Host::at(127, 0, 0, 3);

/// A lease that is over soon after the restart, so that the next recipient need not wait for long.
const CONFIG: &str = "[client]\nfrom = \"peer\"\n[drop]\nlease = \"2s\"\n";
/// The same, told for tests that count on it: so many collections may fail.
const DEFAULT_ATTEMPTS: usize = 5;

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
    let half = eventually("half of the upload to arrive", || {
        let name = incoming_in(drop.data()).pop()?;
        (fs::metadata(drop.data().join("incoming").join(&name)).ok()?.len() >= (SIZE / 4) as u64)
            .then_some(name)
    });

    let home = drop.kill();
    assert_eq!(
        incoming_in(home.data()),
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
    assert_eq!(incoming_in(home.data()), [""; 0]);
    assert_eq!(blobs_in(home.data()), [""; 0]);
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
    let content = pattern(SIZE);
    let drop = Truehop::start(CONFIG);
    let link = upload(&drop, &content);
    let (drop, _) = killed_during_a_download(drop, &link);
    let response = collected_after_the_lease(&drop, &link);
    assert!(response == content, "other bytes than those uploaded");
    eventually("410 after the delivery", || {
        (UPLOADER.get(drop.address(), &raw(&link)).status == 410).then_some(())
    });
}

/// The bytes of before the crash count, although nobody had settled them.
#[test]
fn who_resumes_after_a_crash_and_has_everything_is_the_only_one() {
    let content = pattern(SIZE);
    let drop = Truehop::start(CONFIG);
    let link = upload(&drop, &content);
    let mut download = download(&drop, &link, STRANGER);
    let mut has = download.read_exact(SIZE / 2);
    let home = drop.kill();
    has.extend(download.read_to_end());
    assert!(has.len() < SIZE, "it had everything: the test proves nothing");
    let drop = Truehop::start_in(home, CONFIG);
    let rest = Request::new("GET", &raw(&link)).header("Range", &format!("bytes={}-", has.len()));
    let rest = STRANGER.send(drop.address(), &rest);
    assert_eq!(rest.status, 206, "{rest:?}");
    has.extend(&rest.body);
    assert!(has == content, "other bytes than those uploaded");
    nobody_gets(&drop, &link, ANOTHER);
}

/// As before, but twice, and in pieces: what is known of each crash adds up.
#[test]
fn who_resumes_over_two_crashes_is_the_only_one() {
    let content = pattern(SIZE);
    let mut drop = Truehop::start(CONFIG);
    let link = upload(&drop, &content);
    let mut has = Vec::new();
    for end in [SIZE / 3, SIZE / 3 * 2] {
        let mut download = STRANGER.connect_narrow(drop.address(), 16 << 10);
        let request = Request::new("GET", &raw(&link)).header("Host", "drop.test");
        download.write(
            request
                .header("Range", &format!("bytes={}-", has.len()))
                .to_string(),
        );
        let head = download.read_head();
        assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
        has.extend(download.read_exact(end - has.len()));
        let home = drop.kill();
        has.extend(download.read_to_end());
        drop = Truehop::start_in(home, CONFIG);
    }
    let rest = Request::new("GET", &raw(&link)).header("Range", &format!("bytes={}-", has.len()));
    let rest = STRANGER.send(drop.address(), &rest);
    assert_eq!(rest.status, 206, "{rest:?}");
    has.extend(&rest.body);
    assert!(has == content, "other bytes than those uploaded");
    nobody_gets(&drop, &link, ANOTHER);
}

#[test]
fn a_crash_costs_no_attempt() {
    let content = pattern(SIZE);
    let mut drop = Truehop::start(CONFIG);
    let link = upload(&drop, &content);
    for _ in 0..DEFAULT_ATTEMPTS {
        (drop, _) = killed_during_a_download(drop, &link);
    }
    let response = collected_after_the_lease(&drop, &link);
    assert!(response == content, "other bytes than those uploaded");
}

#[test]
fn killed_right_after_the_last_byte_nobody_else_gets_the_file() {
    // Each round may meet another moment between the last byte and the commit.
    for round in 0..12 {
        let content = pattern(if round % 2 == 0 { 100 } else { 1 << 20 });
        let drop = Truehop::start(CONFIG);
        let link = upload(&drop, &content);
        let mut download = download(&drop, &link, STRANGER);
        assert!(download.read_exact(content.len()) == content);
        let drop = Truehop::start_in(drop.kill(), CONFIG);
        // It is known, or known to be uncertain: then nobody but the one who may have it gets it.
        let response = ANOTHER.get(drop.address(), &raw(&link));
        assert!(
            matches!(response.status, 410 | 423),
            "a second recipient: {response:?}"
        );
        let response = STRANGER.get(drop.address(), &raw(&link));
        match response.status {
            410 => {}
            200 => assert!(response.body == content, "not whole: {response:?}"),
            _ => panic!("neither gone nor whole: {response:?}"),
        }
        eventually("410 for everybody", || {
            let all = [UPLOADER, STRANGER, ANOTHER].map(|host| host.get(drop.address(), &raw(&link)).status);
            (all == [410; 3]).then_some(())
        });
        eventually("the bytes to be gone", || {
            leftovers_in(drop.data()).is_empty().then_some(())
        });
    }
}

#[test]
fn killed_right_after_the_410_the_file_stays_gone() {
    for _ in 0..5 {
        let drop = Truehop::start(CONFIG);
        let link = upload(&drop, b"once");
        let mut asking = UPLOADER.connect(drop.address());
        let again = Request::new("GET", &raw(&link)).header("Host", "drop.test");
        assert_eq!(STRANGER.get(drop.address(), &raw(&link)).status, 200);
        // Without a pause, so that what follows comes as early as it can.
        let end = Instant::now() + truehop_e2e::DEADLINE;
        while asking.exchange(&again).status != 410 {
            assert!(Instant::now() < end, "no 410");
        }
        let drop = Truehop::start_in(drop.kill(), CONFIG);
        for host in [UPLOADER, STRANGER, ANOTHER] {
            assert_eq!(host.get(drop.address(), &raw(&link)).status, 410, "{host}");
        }
        eventually("the bytes to be gone", || {
            leftovers_in(drop.data()).is_empty().then_some(())
        });
    }
}

#[test]
fn stopped_during_a_delivery_it_is_finished_and_stays_delivered() {
    let content = pattern(SIZE);
    let drop = Truehop::start(CONFIG);
    let link = upload(&drop, &content);
    let mut download = download(&drop, &link, STRANGER);
    let begun = download.read_exact(64 * 1024);
    drop.terminate();
    drop.wait_for_stopping();
    let rest = download.read_exact(SIZE - begun.len());
    assert!(
        [begun, rest].concat() == content,
        "other bytes than those uploaded"
    );
    let (exit, home) = drop.wait();
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    let drop = Truehop::start_in(home, CONFIG);
    for host in [ANOTHER, STRANGER, UPLOADER] {
        assert_eq!(host.get(drop.address(), &raw(&link)).status, 410, "{host}");
    }
    eventually("the bytes to be gone", || {
        leftovers_in(drop.data()).is_empty().then_some(())
    });
}

#[test]
fn a_stop_that_cuts_a_download_costs_no_attempt() {
    let impatient = format!("{CONFIG}[timeouts]\nshutdown = \"1s\"\n");
    let content = pattern(SIZE);
    let mut drop = Truehop::start(&impatient);
    let link = upload(&drop, &content);
    for _ in 0..DEFAULT_ATTEMPTS {
        let mut download = download(&drop, &link, STRANGER);
        download.read_exact(64 * 1024);
        // It is not read on, so that only the end of the server's patience ends it.
        let (exit, home) = drop.stop();
        assert_eq!(exit.status, Some(0), "{exit:#?}");
        drop = Truehop::start_in(home, &impatient);
    }
    let response = collected_after_the_lease(&drop, &link);
    assert!(response == content, "other bytes than those uploaded");
}

#[test]
fn a_disk_that_is_full_between_two_recipients_gives_the_file_to_one_of_them_only() {
    let Some(disk) = Tmpfs::mount("64m") else { return };
    let content = pattern(SIZE);
    let drop = Truehop::start_in(Home::with_data(&disk.path().join("data")), CONFIG);
    let link = upload(&drop, &content);
    let mut first = download(&drop, &link, STRANGER);
    let begun = first.read_exact(64 * 1024);
    // Now that the lease is taken, nothing can be written down any more but what the drop has kept room for.
    let filler = disk.fill();
    let rest = first.read_exact(SIZE - begun.len());
    assert!(
        [begun, rest].concat() == content,
        "other bytes than those uploaded"
    );

    let ask = || {
        let response = ANOTHER.get(drop.address(), &raw(&link));
        assert_ne!(response.status, 200, "two recipients have the whole file");
        response.status
    };
    // Past the lease (2 s), which nobody can prolong now.
    let past_the_lease = Instant::now() + Duration::from_secs(4);
    let mut seen = Vec::new();
    eventually("the lease to end", || {
        seen.push(ask());
        (Instant::now() > past_the_lease).then_some(())
    });
    fs::remove_file(filler).unwrap();
    eventually("410 once there is room", || {
        seen.push(ask());
        (seen.last() == Some(&410)).then_some(())
    });
    eventually("the bytes to be gone", || {
        leftovers_in(drop.data()).is_empty().then_some(())
    });
}

/// Past the lease (2 s) too.
#[track_caller]
fn nobody_gets(drop: &Truehop, link: &str, host: Host) {
    let past_the_lease = Instant::now() + Duration::from_secs(4);
    eventually("the lease to end", || {
        let response = Visitor::new(host, drop.address()).get(&raw(link));
        assert!(
            matches!(response.status, 410 | 423),
            "a second recipient: {response:?}"
        );
        (response.status == 410 || Instant::now() > past_the_lease).then_some(())
    });
}

/// Begins a download by [`STRANGER`], kills the server in the midst of it, and starts another one.
#[track_caller]
fn killed_during_a_download(drop: Truehop, link: &str) -> (Truehop, Connection) {
    let begun = eventually("the lease to end", || {
        let mut connection = STRANGER.connect(drop.address());
        connection.write(get(link));
        let head = connection.read_head();
        match head.starts_with("HTTP/1.1 423 ") {
            true => None,
            false => Some((head, connection)),
        }
    });
    let (head, mut connection) = begun;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    connection.read_exact(64 * 1024);
    let busy = ANOTHER.get(drop.address(), &raw(link));
    assert_eq!(busy.status, 423, "{busy:?}");
    assert!(busy.header("Retry-After").is_some(), "{busy:?}");
    let home = drop.kill();
    assert!(
        connection.read_to_end().len() < SIZE - 64 * 1024,
        "it had everything: the test proves nothing"
    );
    assert_eq!(blobs_in(home.data()).len(), 1);
    (Truehop::start_in(home, CONFIG), connection)
}

/// What another host gets, as the first might pass for one that resumes.
#[track_caller]
fn collected_after_the_lease(drop: &Truehop, link: &str) -> Vec<u8> {
    let response = eventually("the lease to end", || {
        let response = ANOTHER.get(drop.address(), &raw(link));
        (response.status != 423).then_some(response)
    });
    assert_eq!(response.status, 200, "{response:?}");
    response.body
}

/// Begins a download and reads its head.
#[track_caller]
fn download(drop: &Truehop, link: &str, host: Host) -> Connection {
    let mut connection = host.connect(drop.address());
    connection.write(get(link));
    let head = connection.read_head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    connection
}

fn get(link: &str) -> String {
    format!("GET {} HTTP/1.1\r\nHost: drop.test\r\n\r\n", raw(link))
}

fn raw(link: &str) -> String {
    format!("{link}/raw")
}

/// Bytes in which a piece that is missing or doubled is seen.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 4096 + at) as u8).collect()
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
