//! Our edge.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::{Lane, Place, Preface, Words, recipe, write};
use crate::internet::Machine;
use crate::process::{Process, Stream};
use crate::truehop::binary;

#[track_caller]
pub(super) fn start(machine: &Machine, place: &Place<'_>, dir: &Path) -> Vec<Process> {
    // All listeners of an edge have the same routes: one edge for each place to go to.
    let mut targets: Vec<SocketAddr> = place.lanes.iter().map(|lane| lane.to).collect();
    targets.sort_unstable();
    targets.dedup();
    let edges = targets.iter().enumerate().map(|(n, to)| {
        let lanes: Vec<_> = place.lanes.iter().filter(|lane| lane.to == *to).collect();
        let file = write(dir, &format!("truehop-{n}.toml"), &config(place, &lanes, *to));
        run(machine, &file)
    });
    edges.collect()
}

/// Runs it with this file, until it is ready.
#[track_caller]
pub(super) fn run(machine: &Machine, file: &Path) -> Process {
    let mut truehop = binary();
    truehop.arg("run").arg("--config").arg(file);
    let process = Process::start("truehop", machine.command(&truehop));
    process.wait_for(Stream::Out, "the line `ready`", |line| line == "ready");
    process
}

fn config(place: &Place<'_>, lanes: &[&Lane], to: SocketAddr) -> String {
    let takes_preface = lanes.iter().any(|lane| lane.preface == Preface::Received);
    let listeners = lanes.iter().map(|lane| match lane.tls {
        true => place.certificate.listener_at(lane.listen),
        false => format!("\"{}\"", lane.listen),
    });
    let listeners = listeners.collect::<Vec<_>>().join(", ");
    let trusted: Vec<_> = place.before.iter().map(|ip| format!("\"{ip}\"")).collect();
    let trusted = trusted.join(", ");
    if takes_preface && place.words == Words::Recipe {
        let swaps = [
            ("\"0.0.0.0:80\"", listeners),
            ("\"192.168.0.10\"", trusted),
            ("192.168.0.42:8080", to.to_string()),
        ];
        let config = recipe("truehop-behind-proxy-protocol", &swaps);
        return format!("workers = 1\naccess_log = false\n{config}");
    }
    let mut config = format!("workers = 1\naccess_log = false\nlisten = [{listeners}]\n\n[client]\n");
    let _ = match (place.is_first(), takes_preface) {
        (true, _) => writeln!(config, "from = \"peer\""),
        (false, true) => writeln!(config, "from = \"proxy-protocol\"\ntrusted = [{trusted}]"),
        (false, false) => writeln!(config, "from = \"x-forwarded-for\"\ntrusted = [{trusted}]"),
    };
    let _ = write!(config, "\n[[route]]\npath = \"/\"\nproxy = [\"http://{to}\"]\n");
    config
}
