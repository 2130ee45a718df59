//! HAProxy.

use std::fs;
use std::path::Path;

use super::{Lane, Place, Preface, Words, peer, recipe, write};
use crate::internet::Machine;
use crate::process::Process;

#[track_caller]
pub(super) fn start(machine: &Machine, place: &Place<'_>, dir: &Path) -> Vec<Process> {
    // It wants the certificate and its key in one file.
    let certificate = place.certificate;
    let both = [&certificate.cert, &certificate.key].map(|part| fs::read_to_string(part).unwrap());
    let pem = write(dir, "both.pem", &both.concat());
    let lanes = place.lanes.iter().enumerate();
    let config = lanes
        .map(|(n, lane)| both_ends(place, lane, n, &pem))
        .collect::<String>();
    let file = write(
        dir,
        "haproxy.cfg",
        &format!(
            "global\n    nbthread 1\n\n\
             defaults\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n\n{config}"
        ),
    );
    let mut haproxy = peer("haproxy");
    haproxy.args(["-db", "-f"]).arg(file);
    vec![Process::start("haproxy", machine.command(&haproxy))]
}

fn both_ends(place: &Place<'_>, lane: &Lane, n: usize, pem: &Path) -> String {
    let (mut bind, to) = (format!("bind {}", lane.listen), lane.to.to_string());
    if lane.tls {
        bind += &format!(" ssl crt {} alpn h2,http/1.1", pem.display());
    }
    let backend = [
        ("default_backend app", format!("default_backend app-{n}")),
        ("backend app\n", format!("backend app-{n}\n")),
    ];
    if lane.preface == Preface::Received {
        let sources: Vec<_> = place.before.iter().map(ToString::to_string).collect();
        let sources = sources.join(" ");
        if place.words == Words::Recipe {
            let swaps = [
                ("frontend http\n", format!("frontend http-{n}\n")),
                ("bind :80", bind),
                ("src 192.168.0.10", format!("src {sources}")),
                ("192.168.0.42:8080", to),
            ];
            return recipe("haproxy-behind-proxy-protocol", &[&swaps[..], &backend].concat());
        }
        // As its documentation asks for where others can connect too: `accept-proxy` would believe everybody.
        bind += &format!("\n    tcp-request connection expect-proxy layer4 if {{ src {sources} }}");
    }
    if lane.preface == Preface::Sent {
        let swaps = [
            ("frontend tls", format!("frontend tls-{n}")),
            ("bind :443", bind),
            ("127.0.0.1:8443", to),
        ];
        return recipe("haproxy-proxy-protocol", &[&swaps[..], &backend].concat());
    }
    match (place.words, place.is_first()) {
        (Words::Recipe, true) => {
            let swaps = [
                ("frontend http\n", format!("frontend http-{n}\n")),
                ("bind :80", bind),
                ("127.0.0.1:8080", to),
            ];
            recipe("haproxy", &[&swaps[..], &backend].concat())
        }
        // The recipe is for a first proxy: it removes what stands there.
        _ => format!(
            "frontend http-{n}\n    mode http\n    {bind}\n    option forwardfor\n    default_backend app-{n}\n\n\
             backend app-{n}\n    mode http\n    server app {to}\n\n"
        ),
    }
}
