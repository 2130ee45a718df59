//! Trusted networks from a file are read again when it changes, and a bad file never replaces a good one.

use std::fs;

use truehop_e2e::{Home, Host, Request, Truehop, eventually};

const PROXY: Host = Host::at(127, 0, 0, 10);
const OTHER: Host = Host::at(127, 0, 0, 20);

#[test]
fn a_file_of_proxies_is_followed_and_a_bad_one_is_not() {
    let home = Home::new();
    let file = home.config().with_file_name("proxies.txt");
    fs::write(&file, "127.0.0.10 # the first proxy\n").expect("a file");
    let edge = Truehop::start_in(
        home,
        "[client]\nfrom = \"x-forwarded-for\"\ntrusted = [\"file:proxies.txt\"]\n\
         [[route]]\npath = \"/\"\nto = \"whoami\"\n",
    );
    let believed = |proxy: Host| {
        let request = Request::new("GET", "/")
            .header("X-Forwarded-For", "203.0.113.95")
            .header("Accept", "application/json");
        proxy.send(edge.address(), &request).json()["client"] == "203.0.113.95"
    };
    assert!(believed(PROXY) && !believed(OTHER));

    fs::write(&file, "127.0.0.20\n").expect("a file");
    eventually("the other proxy to be believed", || believed(OTHER).then_some(()));
    assert!(!believed(PROXY));

    for (bad, why) in [
        ("127.0.0.10/33\n", "127.0.0.10/33"),
        ("0.0.0.0/0\n", "trusts every address"),
        ("", "holds no network"),
    ] {
        fs::write(&file, bad).expect("a file");
        edge.wait_for_diagnostic(why);
        assert!(believed(OTHER) && !believed(PROXY), "{bad:?}");
    }
    fs::remove_file(&file).expect("no file");
    edge.wait_for_diagnostic("No such file");
    assert!(believed(OTHER));

    fs::write(&file, "127.0.0.10\n").expect("a file");
    eventually("the first proxy to be believed again", || {
        believed(PROXY).then_some(())
    });
}
