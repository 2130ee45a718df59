//! Deployments whose TLS is wrong, or that speak none.

use super::*;

#[test]
fn certificates_are_checked_unless_that_is_waived() {
    if missing(&["openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let certificate = Certificate::make(dir.path());
    let edge = Truehop::start(&format!(
        "listen = [{}]\n[[route]]\npath = \"/whoami\"\nto = \"whoami\"\n",
        certificate.listener()
    ));
    let url = format!("https://{}/whoami", edge.address());
    let refused = probed(&[&url]);
    assert_eq!(refused.status, Some(69), "{refused:#?}");
    assert!(refused.stderr.contains("--insecure"), "{refused:#?}");
    let key = certificate.key.to_str().unwrap();
    let no_certificate = probed(&[&url, "--ca", key]);
    assert_eq!(no_certificate.status, Some(74), "{no_certificate:#?}");

    let (status, report) = reported(&[&url, "--insecure"]);
    assert_eq!(
        (status, count(&report, "fooled")),
        (Some(0), 0),
        "{}",
        report["counts"]
    );
}

/// A certificate of no authority, which is its own: for `name`.
fn own(directory: &Path, name: &str, is_authority: bool) -> Certificate {
    let made = Certificate {
        cert: directory.join("own.pem"),
        key: directory.join("own.key"),
    };
    let ca = if is_authority { "TRUE" } else { "FALSE" };
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=own";
    let mut openssl = Command::new("openssl");
    openssl
        .args(words.split(' '))
        .args(["-addext", &format!("subjectAltName={name}")])
        .args(["-addext", &format!("basicConstraints=critical,CA:{ca}")])
        .arg("-keyout")
        .arg(&made.key)
        .arg("-out")
        .arg(&made.cert);
    let output = openssl.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    made
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_with_its_mend() {
    if missing(&["openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // The first has the name of the right one.
    let strangers = [
        own(dir.path(), "IP:127.0.0.1", false),
        Certificate::make(dir.path()),
    ];
    for (name, is_authority, knows_it, told, mend) in [
        ("IP:127.0.0.1", false, true, "", ""),
        (
            "IP:127.0.0.1",
            false,
            false,
            "that no authority which this system believes has signed",
            "--ca FILE",
        ),
        (
            "IP:127.0.0.1",
            true,
            true,
            "that is an authority's own, and not a server's",
            "CA:FALSE",
        ),
        (
            "DNS:edge.test,DNS:*.edge.test",
            false,
            true,
            "for edge.test or *.edge.test, and not for 127.0.0.1",
            "in the URL",
        ),
        (
            "email:me@edge.test",
            false,
            true,
            "without the name of a server, and so not for 127.0.0.1",
            "subjectAltName",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let certificate = own(dir.path(), name, is_authority);
        let edge = Truehop::start(&format!(
            "listen = [{}]\n[[route]]\npath = \"/whoami\"\nto = \"whoami\"\n",
            certificate.listener()
        ));
        let url = format!("https://{}/whoami", edge.address());
        let ca: &[&str] = &["--ca", certificate.cert.to_str().unwrap()];
        let exit = probed(&[&[&*url][..], if knows_it { ca } else { &[] }].concat());
        if told.is_empty() {
            assert_eq!(exit.status, Some(0), "{exit:#?}");
            for stranger in &strangers {
                let other = probed(&[&url, "--ca", stranger.cert.to_str().unwrap()]);
                assert!(
                    other.stderr.contains("that the authority of --ca has not signed"),
                    "{other:#?}"
                );
            }
            continue;
        }
        assert_eq!((exit.status, &*exit.stdout), (Some(69), ""), "{exit:#?}");
        let (error, help) = exit.stderr.split_once("\nhelp: ").unwrap();
        assert_eq!(
            error,
            format!("error: {} shows a certificate {told}", edge.address())
        );
        assert!(
            help.contains(mend) && help.contains("--insecure believes any"),
            "{help}"
        );
        assert_eq!(probed(&[&url, "--insecure"]).status, Some(0), "{told}");
    }
}

/// What says these bytes to whoever connects and has said something, and closes then.
fn saying(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1 << 16]);
            let _ = stream.write_all(bytes);
        }
    });
    address
}

#[test]
fn who_speaks_tls_where_none_is_or_none_where_it_is_is_told_so() {
    if missing(&["openssl"]) {
        return;
    }
    let plain = "the URL begins with http://";
    for (said, told) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "answers with what is no TLS",
        ),
        (b"", "closes the connection during TLS's handshake"),
        // A fatal alert: 40 is a failed handshake, 70 another version, 112 a name that is not known.
        (
            b"\x15\x03\x03\0\x02\x02\x28",
            "breaks TLS's handshake off: HandshakeFailure",
        ),
        (
            b"\x15\x03\x03\0\x02\x02\x46",
            "speaks no version of TLS that is spoken here",
        ),
        (b"\x15\x03\x03\0\x02\x02\x70", "does not know the name 127.0.0.1"),
        (
            b"\x15\x03\x03\0\x02\x02\x78",
            "speaks TLS, but no HTTP/1.1 over it",
        ),
    ] {
        let server = saying(said);
        let exit = probed(&[&format!("https://{server}/whoami")]);
        assert_eq!((exit.status, &*exit.stdout), (Some(69), ""), "{exit:#?}");
        let (error, help) = exit.stderr.split_once("\nhelp: ").unwrap();
        assert_eq!(error, format!("error: {server} {told}"));
        let is_perhaps_plain = !said.starts_with(b"\x15");
        assert_eq!(help.contains(plain), is_perhaps_plain, "{help}");
        assert!(!help.contains("--insecure"), "{help}");
    }
    // One that waits for more, as who waits for a whole head does.
    let (silent, _streams) = scripted(|_, _| None);
    let exit = probed(&[&format!("https://{silent}/whoami"), "--timeout", "1"]);
    assert!(
        exit.stderr.contains(" does not answer TLS's greeting within 1 s"),
        "{exit:#?}"
    );
    assert!(exit.stderr.contains(plain), "{exit:#?}");

    let dir = tempfile::tempdir().unwrap();
    let edge = Truehop::start(&format!(
        "listen = [{}]\n[[route]]\npath = \"/whoami\"\nto = \"whoami\"\n",
        Certificate::make(dir.path()).listener()
    ));
    for server in [
        edge.address(),
        saying(b""),
        saying(b"\x15\x03\x01\0\x02\x02\x0a"),
        saying(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 57\r\n\r\n<p>The plain HTTP request was sent to HTTPS port</p>....."),
        saying(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"),
    ] {
        let exit = probed(&[&url(server)]);
        assert_eq!((exit.status, &*exit.stdout), (Some(69), ""), "{exit:#?}");
        assert!(exit.stderr.contains("the URL begins with https://"), "{exit:#?}");
    }
    let exit = probed(&[&url(saying(
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    ))]);
    assert!(!exit.stderr.contains("https://"), "{exit:#?}");
}
