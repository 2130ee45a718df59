//! TLS as openssl makes it: a certificate, and a client that stays when it has its answer.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Process;

/// A certificate for `edge.test` and its key.
#[derive(Debug)]
pub struct Certificate {
    /// In PEM.
    pub cert: PathBuf,
    /// In PEM.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one, into files of `directory`.
    #[track_caller]
    pub fn make(directory: &Path) -> Self {
        let made = Self {
            cert: directory.join("cert.pem"),
            key: directory.join("key.pem"),
        };
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=edge.test \
                     -addext subjectAltName=DNS:edge.test";
        let mut openssl = Command::new("openssl");
        openssl.args(words.split(' ').filter(|word| !word.is_empty()));
        let output = openssl
            .arg("-keyout")
            .arg(&made.key)
            .arg("-out")
            .arg(&made.cert)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        made
    }

    /// What the key `listen` is to say for a free port of `127.0.0.1`.
    pub fn listener(&self) -> String {
        self.listener_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// The same for this address.
    pub(crate) fn listener_at(&self, address: SocketAddr) -> String {
        format!(
            "{{ address = \"{address}\", tls = {{ cert = \"{}\", key = \"{}\" }} }}",
            self.cert.display(),
            self.key.display()
        )
    }

    /// A client that sends `request`, says every line that comes back, and stays until the server ends.
    #[track_caller]
    pub fn client(&self, server: SocketAddr, request: &str) -> Process {
        let file = self.cert.with_file_name("request");
        fs::write(&file, request).unwrap();
        let mut command = Command::new("sh");
        // What a process reads here is its standard input's end; the shell gives it the file, and its own place.
        command
            .args(["-c", "exec openssl s_client -quiet -connect \"$0\" < \"$1\""])
            .arg(server.to_string())
            .arg(file);
        Process::start("openssl", command)
    }
}
