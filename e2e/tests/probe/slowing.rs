//! Deployments that ask to slow down, or count.

use super::*;

#[test]
fn who_is_slowed_down_is_asked_honestly_at_once() {
    // The third forgery comes too often, and so does whatever follows.
    let (server, _silences) = scripted(|_, before| match before {
        ..5 => ok("127.0.0.1"),
        _ => Some("HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n".to_owned()),
    });
    let (status, report) = reported(&[&url(server)]);
    assert_eq!(
        (status, count(&report, "refused")),
        (Some(69), 0),
        "{}",
        report["counts"]
    );
    assert_eq!(count(&report, "doubtful"), 3, "{}", report["counts"]);
}

fn busy(status: u16, retry_after: &str) -> Option<String> {
    Some(format!(
        "HTTP/1.1 {status} Busy\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n"
    ))
}

#[test]
fn who_asks_to_slow_down_is_asked_again() {
    // The first answer, which is to an honest request, and every twentieth.
    let (server, _silences) = scripted(|_, before| match before % 20 {
        0 => busy(if before % 40 == 0 { 503 } else { 429 }, "0"),
        _ => ok("127.0.0.1"),
    });
    let exit = probed(&[&url(server)]);
    assert_eq!(exit.status, Some(0), "{exit:#?}");
    assert!(exit.stdout.contains("asked to slow down "), "{exit:#?}");
    assert!(!exit.stdout.contains("turned away"), "{exit:#?}");
    let last = exit.stdout.lines().last().unwrap();
    assert!(last.ends_with(" held"), "{last}");
}

#[test]
fn who_asks_to_slow_down_for_good_is_not_judged() {
    let (server, _silences) = scripted(|request, _| match request.contains("X-Real-IP") {
        true => busy(503, "3600"),
        false => ok("127.0.0.1"),
    });
    let (status, report) = reported(&[&url(server)]);
    assert_eq!(
        (status, &report["ended"]),
        (Some(69), &"whole".into()),
        "{report:#}"
    );
    assert_eq!(verdict(&report, "real-ip"), "unjudged");
    assert_eq!(count(&report, "broke"), 0);
    let exit = probed(&[&url(server), "--all"]);
    assert!(
        exit.stdout
            .contains("503, asks to slow down for 3600 s, which is not waited for"),
        "{exit:#?}"
    );
    let last = exit.stdout.lines().last().unwrap();
    assert!(last.ends_with(" not judged"), "{last}");

    // Each is asked twice, where there is time for it.
    let (asked, requests) = sync_channel(1 << 12);
    let (server, _silences) = scripted(move |request, _| match request.contains("\r\nX-Real-IP: ") {
        true => {
            asked.send(()).unwrap();
            busy(503, "0")
        }
        false => ok("127.0.0.1"),
    });
    let (_, report) = reported(&[&url(server)]);
    let unjudged = usize::try_from(count(&report, "unjudged")).unwrap();
    assert!((1..=30).contains(&unjudged), "{}", report["counts"]);
    assert_eq!(requests.try_iter().count(), 2 * unjudged);

    // Who never says anything else is none to be probed.
    let (server, _silences) = scripted(|_, _| busy(429, "0"));
    let exit = probed(&[&url(server)]);
    assert_eq!(exit.status, Some(69), "{exit:#?}");
    assert!(
        exit.stderr
            .contains("answers an honest request with 429, and asks to slow down for 0 s"),
        "{exit:#?}"
    );
}

#[test]
fn who_counts_a_claim_against_its_address_believes_it() {
    let (server, _silences) =
        scripted(
            |request, _| match request.contains("\r\nX-Real-IP: 203.0.113.96\r\n") {
                true => busy(429, "3600"),
                false => ok("127.0.0.1"),
            },
        );
    let (status, report) = reported(&[&url(server)]);
    assert_eq!(status, Some(1), "{report:#}");
    assert_eq!(verdict(&report, "real-ip"), "fooled");
    assert!(
        report.to_string().contains("but let in as 127.0.0.1"),
        "{report:#}"
    );
}
