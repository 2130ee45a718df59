//! The configurations: equal features, and each contender at its best for the scenario.
//!
//! All have one worker, keep connections to the upstream, write both forwarding headers, and log only where the
//! scenario says so. What was tried and made a contender slower is said where it was left out. Nothing else was found to
//! matter: `proxy_buffering off` and `multi_accept` or `deferred` in nginx, `http-reuse safe`, `defer-accept` and
//! `tune.maxaccept` in HAProxy.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::scenario::{Contender, Scenario, Service};
use truehop_bench::message::{KIB, MIB};

/// How many connections a contender must be ready for, its own to the upstream among them.
const CONNECTIONS: u32 = 11_000;

/// Where everything is during one turn.
pub struct Place<'a> {
    /// A directory of this turn's own.
    pub directory: &'a Path,
    /// Where the clients connect.
    pub front: SocketAddr,
    /// The application server.
    pub upstream: SocketAddr,
    /// Its Unix socket.
    pub unix: &'a Path,
    /// The drop, when it is a process of its own.
    pub drop: SocketAddr,
    /// The static files.
    pub files: &'a Path,
}

/// The config of the program that the clients connect to.
pub fn front(contender: Contender, scenario: &Scenario, place: &Place) -> String {
    match contender {
        Contender::Ours => ours(scenario, place),
        Contender::Nginx => nginx(scenario, place),
        Contender::Haproxy => haproxy(scenario, place),
    }
}

/// The file in the turn's directory that holds the access log.
pub fn log(contender: Contender) -> &'static str {
    match contender {
        // Standard output.
        Contender::Ours | Contender::Haproxy => "front.out",
        Contender::Nginx => "access.log",
    }
}

fn ours(scenario: &Scenario, place: &Place) -> String {
    let target = match scenario.service {
        Service::Upstream { unix: false } => format!("proxy = [\"http://{}\"]", place.upstream),
        Service::Upstream { unix: true } => format!("proxy = [\"unix:{}\"]", place.unix.display()),
        Service::Files => format!("files = {:?}", place.files),
        Service::Drop { .. } => format!("to = \"drop\"\n[drop]\ndata = {:?}", place.directory.join("data")),
    };
    format!(
        "listen = [\"{}\"]\nworkers = 1\naccess_log = {}\n[client]\nfrom = \"peer\"\n[[route]]\npath = \"/\"\n{target}\n",
        place.front, scenario.log
    )
}

/// The config of the drop behind nginx.
pub fn drop_behind(place: &Place) -> String {
    format!(
        "listen = [\"{}\"]\nworkers = 1\naccess_log = false\n\
         [client]\nfrom = \"header\"\nheader = \"X-Real-IP\"\ntrusted = [\"127.0.0.1\"]\n\
         [[route]]\npath = \"/\"\nto = \"drop\"\n[drop]\ndata = {:?}\n",
        place.drop,
        place.directory.join("data")
    )
}

fn nginx(scenario: &Scenario, place: &Place) -> String {
    let directory = place.directory.display();
    let mut text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {directory}/pid;\nerror_log stderr warn;\n\
         events {{ worker_connections {CONNECTIONS}; }}\n\
         http {{\n  keepalive_requests 1000000000;\n  default_type application/octet-stream;\n"
    );
    for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(text, "  {name}_temp_path {directory}/{name};");
    }
    let _ = match scenario.log {
        false => writeln!(text, "  access_log off;"),
        true => writeln!(
            text,
            "  access_log {directory}/access.log combined buffer=64k flush=1s;"
        ),
    };
    let upstream = match scenario.service {
        Service::Upstream { unix: true } => format!("unix:{}", place.unix.display()),
        Service::Drop { .. } => place.drop.to_string(),
        Service::Upstream { unix: false } | Service::Files => place.upstream.to_string(),
    };
    let _ = writeln!(
        text,
        "  upstream app {{ server {upstream}; keepalive 1024; keepalive_requests 1000000000; }}\n  \
         server {{\n    listen {} backlog=4096;",
        place.front
    );
    text.push_str(&match scenario.service {
        Service::Files => nginx_files(scenario, place.files),
        Service::Upstream { .. } | Service::Drop { .. } => nginx_proxy(scenario),
    });
    text.push_str("  }\n}\n");
    text
}

fn nginx_files(scenario: &Scenario, files: &Path) -> String {
    // One write is cheaper than a write and a sendfile, by 30 % at 1 KiB; there is no difference at 1 MiB. Pieces of
    // 256 KiB are 15 % cheaper at 1 MiB and dearer at 100 MiB. With `tcp_nopush on` large files cost three times as much.
    let sending = match scenario.download {
        KIB => "sendfile off;",
        MIB => "sendfile on; sendfile_max_chunk 256k;",
        _ => "sendfile on;",
    };
    format!(
        "    root {};\n    {sending}\n    tcp_nopush off;\n    open_file_cache max=100;\n",
        files.display()
    )
}

fn nginx_proxy(scenario: &Scenario) -> String {
    let mut text = "    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Real-IP $remote_addr;
      client_max_body_size 0;\n"
        .to_owned();
    if scenario.bulk().is_some() {
        // 64 KiB cost half as much again; 1 MiB, or buffering with as much memory, nothing less.
        text.push_str(
            "      proxy_buffering off;
      proxy_buffer_size 256k;
      proxy_buffers 8 256k;
      proxy_request_buffering off;
      client_body_buffer_size 256k;\n",
        );
    } else if scenario.upload > 0 {
        // Otherwise the body goes through a file, and its second half waits for an acknowledgement.
        text.push_str("      client_body_buffer_size 64k;\n");
    }
    text.push_str("    }\n");
    text
}

fn haproxy(scenario: &Scenario, place: &Place) -> String {
    // Strict limits want two files for each of them, which no scenario needs.
    let mut text = format!("global\n  nbthread 1\n  no strict-limits\n  maxconn {CONNECTIONS}\n");
    if scenario.log {
        text.push_str("  log stdout format raw local0\n");
    }
    // Deciding by itself when to splice (`splice-auto`), and pipes of 64 KiB or 1 MiB, cost half as much again.
    if scenario.bulk().is_some() {
        text.push_str("  tune.pipesize 262144\n");
    } else if scenario.upload > 0 {
        // The whole request fits.
        text.push_str("  tune.bufsize 32768\n");
    }
    text.push_str(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  \
         http-reuse always\n",
    );
    if scenario.log {
        text.push_str("  log global\n  option httplog\n");
    }
    if scenario.bulk().is_some() {
        text.push_str("  option splice-request\n  option splice-response\n");
    }
    let upstream = match scenario.service {
        Service::Upstream { unix: true } => format!("unix@{}", place.unix.display()),
        _ => place.upstream.to_string(),
    };
    let _ = write!(
        text,
        "frontend front\n  bind {}\n  option forwardfor\n  http-request set-header X-Real-IP %[src]\n  \
         default_backend app\nbackend app\n  server app {upstream}\n",
        place.front
    );
    text
}
