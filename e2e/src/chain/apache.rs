//! Apache httpd with mod_proxy.

use std::fmt::Write;
use std::path::Path;

use super::{Lane, Place, Preface, Words, peer, recipe, write};
use crate::internet::Machine;
use crate::process::Process;

const MODULES: [&str; 11] = [
    "mpm_event",
    "authz_core",
    "authz_host",
    "headers",
    "http2",
    "proxy",
    "proxy_http",
    "remoteip",
    "socache_shmcb",
    "ssl",
    "env",
];

/// From the documentation of mod_proxy: it adds to X-Forwarded-For by itself.
const DOCUMENTED: &str = "<VirtualHost *:80>\n    ProxyPreserveHost On\n    \
                          ProxyPass \"/\" \"http://127.0.0.1:8080/\"\n</VirtualHost>\n";

#[track_caller]
pub(super) fn start(machine: &Machine, place: &Place<'_>, dir: &Path) -> Vec<Process> {
    let httpd = peer("apache2");
    let modules = Path::new(httpd.get_program()).with_file_name("../lib/apache2/modules");
    let load = MODULES.map(|name| format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display()));
    let hosts: String = place.lanes.iter().map(|lane| host(place, lane)).collect();
    let config = format!(
        "ServerRoot {0}\nServerName chain.test\nDefaultRuntimeDir {0}\nPidFile {0}/pid\nErrorLog {0}/log\n\
         User www-data\nGroup www-data\n{1}{hosts}",
        dir.display(),
        load.concat()
    );
    let file = write(dir, "apache.conf", &config);
    vec![run(machine, &file)]
}

/// Runs it with this file. As one process, of which nothing stays behind.
#[track_caller]
fn run(machine: &Machine, file: &Path) -> Process {
    let mut httpd = peer("apache2");
    httpd.arg("-X").arg("-f").arg(file);
    Process::start("apache2", machine.command(&httpd))
}

fn host(place: &Place<'_>, lane: &Lane) -> String {
    let at = lane.listen;
    let mut own = format!("<VirtualHost {at}>");
    if lane.tls {
        let certificate = place.certificate;
        let _ = write!(
            own,
            "\n    Protocols h2 http/1.1\n    SSLEngine on\n    SSLCertificateFile {}\n    SSLCertificateKeyFile {}",
            certificate.cert.display(),
            certificate.key.display()
        );
    }
    let takes_preface = lane.preface == Preface::Received;
    if takes_preface && place.words == Words::Recipe {
        let addresses: Vec<_> = place.before.iter().map(|ip| format!("'{ip}'")).collect();
        let swaps = [
            ("<VirtualHost *:80>", own),
            ("'192.168.0.10'", addresses.join(", ")),
            ("192.168.0.42:8080", lane.to.to_string()),
        ];
        return format!("Listen {at}\n{}", recipe("apache-behind-proxy-protocol", &swaps));
    }
    if takes_preface {
        // It believes a PROXY header of anybody, so nobody else may come in at all.
        let peers = place
            .before
            .iter()
            .map(|ip| format!("%{{CONN_REMOTE_ADDR}} == '{ip}'"));
        let _ = write!(
            own,
            "\n    RemoteIPProxyProtocol On\n    <Location \"/\">\n        Require expr \"{}\"\n    </Location>",
            peers.collect::<Vec<_>>().join(" || ")
        );
    }
    let swaps = [
        ("<VirtualHost *:80>", own),
        ("127.0.0.1:8080", lane.to.to_string()),
    ];
    let host = match (place.words, place.is_first()) {
        (Words::Recipe, true) => recipe("apache", &swaps),
        // The recipe is for a first proxy: it removes what stands there.
        _ => swaps
            .iter()
            .fold(DOCUMENTED.to_owned(), |text, (from, to)| text.replace(from, to)),
    };
    format!("Listen {at}\n{host}")
}
