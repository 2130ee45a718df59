//! Inputs that were once answered wrongly, each with what is expected.

use truehop::{Peer, Policy, Unresolved};

/// A quoted pair is a tab, a blank, a visible or an obsolete byte (RFC 9110 section 5.6.4): a control byte does not
/// become data by a backslash before it, no more than without one.
#[test]
fn an_escape_does_not_make_data_of_a_control_byte() {
    let policy = Policy::forwarded().trusted(["10.0.0.0/8"]).build().unwrap();
    let peer: Peer = "10.0.0.1:4711".parse().unwrap();
    for value in [
        &b"for=203.0.113.95;x=\"\\\x01\""[..],
        b"for=203.0.113.95;x=\"\\\x7f\"",
        b"for=203.0.113.95;x=\"\x01\"",
    ] {
        let outcome = policy.resolve(peer, &[("Forwarded", value)][..]);
        assert_eq!(
            outcome.map(|told| told.client().ip()),
            Err(Unresolved::Malformed),
            "{}",
            value.escape_ascii()
        );
    }
}
