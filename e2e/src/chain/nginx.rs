//! nginx.

use std::path::Path;

use super::{Lane, Place, Preface, Words, peer, recipe, write};
use crate::internet::Machine;
use crate::process::Process;

/// From the documentation of ngx_http_proxy_module: what a proxy tells the next server.
const DOCUMENTED: &str = "
    proxy_set_header Host            $host;
    proxy_set_header X-Real-IP       $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
";

/// What passes connections on; Debian has it in a package of its own.
const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Whether it can pass connections on, by that file or by itself.
pub(super) fn has_stream() -> bool {
    let built = || peer("nginx").arg("-V").output().unwrap().stderr;
    Path::new(STREAM).exists() || String::from_utf8_lossy(&built()).contains("--with-stream ")
}

#[track_caller]
pub(super) fn start(machine: &Machine, place: &Place<'_>, dir: &Path) -> Vec<Process> {
    let of = |wanted: bool| {
        let lanes = place
            .lanes
            .iter()
            .filter(move |lane| (lane.preface == Preface::Sent) == wanted);
        lanes.map(|lane| server(place, lane)).collect::<String>()
    };
    let (http, stream) = (of(false), of(true));
    let stream = match stream.is_empty() {
        true => stream,
        false => format!("stream {{\n{stream}}}\n"),
    };
    let load = match stream.is_empty() {
        true => "",
        false if Path::new(STREAM).exists() => &format!("load_module {STREAM};\n"),
        false => "",
    };
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|part| format!("{part}_temp_path {}/{part};\n", dir.display()))
        .concat();
    // One process instead of master and workers: then there is exactly one to end.
    let config = format!(
        "{load}daemon off;\nmaster_process off;\nerror_log stderr warn;\npid {}/pid;\nevents {{}}\n\
         http {{\naccess_log off;\n{temp}{http}}}\n{stream}",
        dir.display()
    );
    let file = write(dir, "nginx.conf", &config);
    let mut nginx = peer("nginx");
    nginx.arg("-p").arg(dir).args(["-e", "stderr", "-c"]).arg(file);
    vec![Process::start("nginx", machine.command(&nginx))]
}

fn server(place: &Place<'_>, lane: &Lane) -> String {
    let (mut listen, to) = (lane.listen.to_string(), lane.to);
    if lane.preface == Preface::Sent {
        return format!(
            "server {{\n    listen {listen};\n    proxy_pass {to};\n    proxy_protocol on;\n}}\n"
        );
    }
    if lane.tls {
        let certificate = place.certificate;
        listen += &format!(
            " ssl http2;\n    ssl_certificate {};\n    ssl_certificate_key {}",
            certificate.cert.display(),
            certificate.key.display()
        );
    }
    let takes_preface = lane.preface == Preface::Received;
    let believed: Vec<_> = place
        .before
        .iter()
        .map(|ip| format!("set_real_ip_from {ip};"))
        .collect();
    if takes_preface && place.words == Words::Recipe {
        let swaps = [
            ("listen 80 ", format!("listen {listen} ")),
            ("set_real_ip_from 192.168.0.10;", believed.join(" ")),
            ("192.168.0.42:8080", to.to_string()),
        ];
        return recipe("nginx-behind-proxy-protocol", &swaps);
    }
    if takes_preface {
        listen += &format!(
            " proxy_protocol;\n    {}\n    real_ip_header proxy_protocol",
            believed.join("\n    ")
        );
    }
    let listen = ("listen 80;", format!("listen {listen};"));
    match (place.words, place.is_first()) {
        (Words::Documentation, _) => format!(
            "server {{\n    {}\n    location / {{\n    proxy_pass http://{to};{DOCUMENTED}    }}\n}}\n",
            listen.1
        ),
        (Words::Recipe, true) => recipe("nginx", &[listen, ("127.0.0.1:8080", to.to_string())]),
        (Words::Recipe, false) => recipe("nginx-chain", &[listen, ("192.168.0.20:8080", to.to_string())]),
    }
}
