//! Caddy.

use std::path::Path;

use super::{Lane, Place, Words, peer, recipe, write};
use crate::internet::Machine;
use crate::process::Process;

/// What keeps it from changing anything but its directory.
const GLOBAL: &str = "{\n\tadmin off\n\tauto_https off\n}\n\n";

#[track_caller]
pub(super) fn start(machine: &Machine, place: &Place<'_>, dir: &Path) -> Vec<Process> {
    let sites: String = place.lanes.iter().map(|lane| site(place, lane)).collect();
    let file = write(dir, "Caddyfile", &format!("{GLOBAL}{sites}"));
    let mut caddy = peer("caddy");
    caddy
        .env("HOME", dir)
        .env("XDG_DATA_HOME", dir)
        .env("XDG_CONFIG_HOME", dir);
    caddy
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(file);
    vec![Process::start("caddy", machine.command(&caddy))]
}

fn site(place: &Place<'_>, lane: &Lane) -> String {
    let scheme = if lane.tls { "https" } else { "http" };
    let mut site = format!(
        "{scheme}://:{} {{\n\tbind {}\n",
        lane.listen.port(),
        lane.listen.ip()
    );
    if lane.tls {
        let certificate = place.certificate;
        site += &format!(
            "\ttls {} {}\n",
            certificate.cert.display(),
            certificate.key.display()
        );
    }
    let to = lane.to.to_string();
    if place.words == Words::Recipe && place.is_first() {
        return recipe("caddy", &[(":80 {\n", site), ("127.0.0.1:8080", to)]);
    }
    let trusted: Vec<_> = place.before.iter().map(ToString::to_string).collect();
    // Without it, a proxy behind another one says that the other one is the client.
    let trusted = match place.is_first() {
        true => String::new(),
        false => format!(" {{\n\t\ttrusted_proxies {}\n\t}}", trusted.join(" ")),
    };
    format!("{site}\treverse_proxy {to}{trusted}\n}}\n\n")
}
