//! The address in an answer: the first line is where `--echo-json` looks for it, or nothing; the body follows.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/cli/src/probe/echo.rs"]
mod echo;

use echo::{Echo, Told};

fuzz_target!(|input: &[u8]| {
    let (path, body) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (&input[..0], input),
    };
    let named: Option<Echo> = std::str::from_utf8(path).ok().and_then(|path| path.parse().ok());
    match named.unwrap_or_default().read(body) {
        Told::Address(ip) => {
            assert_eq!(ip, ip.to_canonical());
            let plain = ip.to_string();
            assert_eq!(Echo::default().read(plain.as_bytes()), Told::Address(ip));
        }
        Told::Text(text) => assert!(text.parse::<std::net::IpAddr>().is_err()),
        Told::Nothing => {}
    }
    for at in Echo::elsewhere(body) {
        let echo: Echo = at.parse().expect("what is told can be said");
        let told = echo.read(body);
        assert!(matches!(told, Told::Address(_)), "{at}: {told:?}");
    }
});
