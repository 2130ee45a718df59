//! HAProxy in front of one upstream.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

use tempfile::TempDir;

use crate::eventually;
use crate::peers::{answers, find};
use crate::process::Process;

/// HAProxy, with its own defaults in everything that is not said here.
#[derive(Debug)]
pub struct Haproxy {
    _process: Process,
    address: SocketAddr,
    _dir: TempDir,
}

impl Haproxy {
    /// Starts one that passes everything on to `upstream`, says who the client is by `X-Real-IP`, and connects from `from`.
    ///
    /// # Panics
    /// When it does not come up.
    #[track_caller]
    pub fn start(upstream: SocketAddr, from: &str) -> Self {
        // As with nginx, a port is chosen for it, and somebody may be faster.
        for _ in 0..20 {
            if let Some(haproxy) = Self::try_start(upstream, from) {
                return haproxy;
            }
        }
        panic!("haproxy finds no free port");
    }

    fn try_start(upstream: SocketAddr, from: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let chosen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = chosen.local_addr().unwrap();
        drop(chosen);
        let sign = dir.path().file_name().unwrap().to_string_lossy().into_owned();
        let config = format!(
            "global\n    maxconn 1000\n\
             defaults\n    mode http\n    timeout connect 20s\n    timeout client 60s\n    timeout server 60s\n\
             frontend front\n    bind {address}\n\
             \x20   http-request return status 200 content-type text/plain string {sign} if {{ path /{sign} }}\n\
             \x20   http-request set-header X-Real-IP %[src]\n    default_backend back\n\
             backend back\n    server drop {upstream} source {from}\n"
        );
        let file = dir.path().join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(find("haproxy").expect("the test asked whether haproxy is missing"));
        command.arg("-db").arg("-f").arg(&file);
        let mut process = Process::start("haproxy", command);
        let is_up = eventually("haproxy to listen", || {
            if !process.is_running() {
                let told = process.wait().stderr;
                assert!(told.contains("Address already in use"), "haproxy ended: {told}");
                return Some(false);
            }
            answers(address, &sign).then_some(true)
        });
        is_up.then(|| Self {
            _process: process,
            address,
            _dir: dir,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
