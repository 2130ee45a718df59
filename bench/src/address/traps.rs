//! Requests on which readers part: what each crate says, so that the ratios can be judged.

use std::fmt::Write;

use truehop::{Peer, Policy};

use crate::rows::{TRUSTED, request};
use crate::they;

/// One request, and the answer that is right: an address, or any error.
struct Trap {
    why: &'static str,
    peer: &'static str,
    fields: Vec<(&'static str, String)>,
    right: Option<&'static str>,
}

fn traps() -> Vec<Trap> {
    let xff = |peer, lines: &[&str], right, why| Trap {
        why,
        peer,
        fields: lines
            .iter()
            .map(|line| ("x-forwarded-for", (*line).to_owned()))
            .collect(),
        right,
    };
    let ours = "10.0.0.1:4711";
    let with_forwarded = [("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "203.0.113.95")];
    vec![
        xff(
            ours,
            &["6.6.6.6", "203.0.113.95"],
            Some("203.0.113.95"),
            "the proxy writes its own line below a forged one",
        ),
        xff(
            ours,
            &["6.6.6.6, unknown"],
            None,
            "the nearest proxy hides the address; left of it stands a forged one",
        ),
        xff(
            ours,
            &["<script>, 203.0.113.95"],
            Some("203.0.113.95"),
            "the client wrote nonsense to the left",
        ),
        xff(
            ours,
            &["203.0.113.95:4711"],
            Some("203.0.113.95"),
            "the proxy tells the port",
        ),
        xff(
            "[::ffff:10.0.0.1]:4711",
            &["203.0.113.95"],
            Some("203.0.113.95"),
            "a dual-stack socket maps the peer's address",
        ),
        xff(ours, &[], None, "the trusted proxy sent no header"),
        xff(
            ours,
            &["10.0.0.3, 10.0.0.2"],
            None,
            "every entry is a proxy of ours",
        ),
        Trap {
            why: "the client forged the header that the proxy does not set",
            peer: ours,
            fields: with_forwarded
                .map(|(name, value)| (name, value.to_owned()))
                .to_vec(),
            right: Some("203.0.113.95"),
        },
    ]
}

pub fn table() -> String {
    let mut text = String::from(
        "### Where they part\n\nThe same crates on requests that proxies and attackers do send, with `x-forwarded-for` and the \
         same networks. **Bold** is wrong.\n\n\
         | request | right | truehop | parse-net | real-ip | tower-real-ip | client-ip |\n|---|---|---|---|---|---|---|\n",
    );
    for trap in traps() {
        let fields: Vec<_> = trap
            .fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let headers = request(&fields);
        let policy = Policy::x_forwarded_for().trusted(TRUSTED).build().unwrap();
        let resolution = policy.resolve(trap.peer.parse::<Peer>().unwrap(), &headers);
        let told = resolution.map_or_else(|why| format!("error: {}", why.code()), |r| r.client().to_string());
        // Our client shows its port; the others tell none.
        let told = told.strip_suffix(":4711").unwrap_or(&told).to_owned();
        let others = [
            they::parse_net(trap.peer, &headers, they::List::XForwardedFor),
            they::real_ip(trap.peer, &headers, ""),
            they::tower_real_ip(trap.peer, &headers, ""),
            they::client_ip(
                "rightmost_x_forwarded_for",
                &headers,
                client_ip::rightmost_x_forwarded_for,
                "",
            ),
        ];
        let said = [told]
            .into_iter()
            .chain(others.into_iter().map(|mut other| (other.answer)()));
        let cells = said.map(|said| {
            let short = if said.starts_with("error") {
                "error".to_owned()
            } else {
                said
            };
            match trap.right {
                Some(right) if short == right => short,
                None if short == "error" => short,
                _ => format!("**{short}**"),
            }
        });
        let cells: Vec<_> = cells.collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            trap.why,
            trap.right.unwrap_or("error"),
            cells.join(" | ")
        );
    }
    text
}
