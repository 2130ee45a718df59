//! The drop's pages in a real browser.

use truehop_e2e::{Browser, Host, Request, Truehop, missing};

const UPLOADER: Host = Host::at(127, 0, 0, 3);

/// What Chromium logs when a page wants what its policy forbids.
const VIOLATION: &str = "Content Security Policy";

#[test]
fn the_upload_page_renders_without_violating_its_policy() {
    if missing(&["chromium"]) {
        return;
    }
    let drop = Truehop::start("");
    let url = format!("http://{}/", drop.address());
    let page = Browser::new().open(&url);
    for part in ["<form", "type=\"file\"", "name=\"expires\"", "<button"] {
        assert!(page.dom.contains(part), "no {part} in {}", page.dom);
    }
    assert!(!page.console.contains(VIOLATION), "{}", page.console);
}

#[test]
fn the_file_page_renders_and_delivers_nothing() {
    if missing(&["chromium"]) {
        return;
    }
    let drop = Truehop::start("");
    // The browser is at 127.0.0.1. It must be a recipient, as an owner's downloads delete nothing anyway.
    let response = UPLOADER.put(drop.address(), "/letter.txt", b"for your eyes only\n");
    let link = response.text().trim_end().to_owned();
    let page = Browser::new().open(&link);
    for part in ["letter.txt", "It can be downloaded once"] {
        assert!(page.dom.contains(part), "no {part} in {}", page.dom);
    }
    assert!(!page.console.contains(VIOLATION), "{}", page.console);

    let path = link.strip_prefix(&format!("http://{}", drop.address())).unwrap();
    let raw = Host::at(127, 0, 0, 2).send(drop.address(), &Request::new("GET", &format!("{path}/raw")));
    assert_eq!(raw.status, 200, "looking at the page is no collection: {raw:?}");
}

#[test]
fn the_upload_page_paints_on_narrow_and_wide_screens() {
    if missing(&["chromium"]) {
        return;
    }
    let drop = Truehop::start("");
    let url = format!("http://{}/", drop.address());
    for width in [360, 1280] {
        let png = Browser::new().screenshot(&url, width);
        assert!(png.starts_with(b"\x89PNG"));
        // A page without styles and text compresses to almost nothing.
        assert!(
            png.len() > 5_000,
            "{} bytes at {width} pixels: a blank page",
            png.len()
        );
    }
}

#[test]
fn the_browser_tells_of_violations() {
    if missing(&["chromium"]) {
        return;
    }
    let page = Browser::new().open(
        "data:text/html,<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\"><img src=x:y>\
         <script>1</script>",
    );
    assert!(
        page.console.contains(VIOLATION),
        "else the tests above prove nothing: {}",
        page.console
    );
}
