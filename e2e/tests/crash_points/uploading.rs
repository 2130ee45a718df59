//! Deaths during an upload.

use truehop_e2e::{Home, Outcome, Request, content, form_of, links_in, states_in};

use crate::{LARGE, SMALL, STRANGER, UPLOADER, at, disk_holds, doomed, ends_soundly, resurrected, told};

/// The points before the commit that makes an upload a promise.
const BEFORE: [&str; 5] = ["announced", "written", "synced", "renamed", "published"];

/// Uploads as `PUT` when there is one file, else as a form.
fn upload_of(contents: &[&[u8]]) -> Request {
    match contents {
        [one] => Request::new("PUT", "/file.bin").body(one),
        several => form_of(several),
    }
}

fn shapes() -> Vec<Vec<Vec<u8>>> {
    let file = |seed, length| content(seed, length);
    vec![
        vec![file(1, SMALL)],
        vec![file(2, LARGE)],
        vec![file(3, SMALL), file(4, SMALL)],
        vec![file(5, SMALL), file(6, LARGE)],
        vec![file(7, LARGE), file(8, SMALL)],
    ]
}

#[test]
fn nothing_is_left_of_an_upload_that_was_not_promised() {
    for contents in shapes() {
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        for point in BEFORE {
            for nth in 1..=contents.len() {
                println!("{point}:{nth} of {:?}", lengths(&contents));
                let Some(drop) = doomed(&format!("{point}:{nth}"), Home::new()) else {
                    return;
                };
                let outcome = at(UPLOADER, &drop).ask(&upload_of(&contents));
                assert!(matches!(outcome, Outcome::Lost), "{outcome:?}");
                let drop = resurrected(drop);
                disk_holds(&drop, 0);
                let home = ends_soundly(drop);
                assert_eq!(states_in(home.data()), [].into(), "rows are left");
            }
        }
    }
    told("of uploads");
}

/// The commit is there, and its answer is not: the uploader does not know the link, but whatever the catalog says must be
/// true.
#[test]
fn an_upload_that_was_committed_and_not_answered_is_there() {
    for contents in shapes() {
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        println!("{:?}", lengths(&contents));
        let Some(drop) = doomed("ready", Home::new()) else {
            return;
        };
        let outcome = at(UPLOADER, &drop).ask(&upload_of(&contents));
        assert!(matches!(outcome, Outcome::Lost), "{outcome:?}");
        let drop = resurrected(drop);
        disk_holds(&drop, contents.len());
        let home = ends_soundly(drop);
        let links = links_in(home.data());
        let [link] = links.as_slice() else {
            panic!("not one drop: {links:?}");
        };
        let drop = truehop_e2e::Truehop::start_in(home, crate::CONFIG);
        for (number, content) in (1..).zip(&contents) {
            let got = at(STRANGER, &drop).get(&link.bytes(number));
            assert_eq!(got.status, 200, "{got:?}");
            assert!(got.body == *content, "file {number} has other bytes");
        }
        disk_holds(&drop, 0);
        ends_soundly(drop);
    }
}

/// What was promised before is not touched by the death of another upload.
#[test]
fn what_was_promised_before_is_there() {
    for point in BEFORE.iter().chain(&["ready"]) {
        // The third time: each of the first two uploads comes by all points once.
        let Some(drop) = doomed(&format!("{point}:3"), Home::new()) else {
            return;
        };
        let (small, large) = (content(1, SMALL), content(2, LARGE));
        let promised = [&small, &large].map(|content| at(UPLOADER, &drop).put(content));
        let outcome = at(UPLOADER, &drop).ask(&upload_of(&[&content(3, LARGE)]));
        assert!(matches!(outcome, Outcome::Lost), "{outcome:?}");
        let drop = resurrected(drop);
        for (uploaded, content) in promised.iter().zip([&small, &large]) {
            for host in [UPLOADER, STRANGER] {
                let got = at(host, &drop).get(&uploaded.link.raw());
                assert_eq!(got.status, 200, "{point}: {got:?}");
                assert!(got.body == *content, "{point}: other bytes than those uploaded");
            }
        }
        disk_holds(&drop, usize::from(*point == "ready"));
        ends_soundly(drop);
    }
}

fn lengths(contents: &[&[u8]]) -> Vec<usize> {
    contents.iter().map(|content| content.len()).collect()
}
