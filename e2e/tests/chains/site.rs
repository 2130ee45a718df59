//! A picture with its applications, ready for one pair of proxies after the other.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use truehop_e2e::{App, Applications, Certificate, Chain, Family, Internet, Pair};

/// Where everything runs.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) net: Internet,
    certificate: Certificate,
    _apps: Applications,
    _dir: TempDir,
}

impl Site {
    /// Builds one. `None`, told as skipped, where that is impossible.
    pub(crate) fn build() -> Option<Self> {
        let net = Internet::build()?;
        let dir = tempfile::tempdir().unwrap();
        Some(Self {
            certificate: Certificate::make(dir.path()),
            _apps: Applications::start(&net, Path::new(env!("CARGO_BIN_EXE_axum-whoami"))),
            _dir: dir,
            net,
        })
    }

    /// Starts a pair of proxies.
    pub(crate) fn start(&self, pair: Pair) -> Chain {
        pair.start(&self.net, &self.certificate)
    }

    /// Where clients reach an application.
    pub(crate) fn front(&self, app: App, family: Family) -> SocketAddr {
        (self.net.first.address(family), app.ports().front).into()
    }

    /// Where clients reach applications over TLS.
    pub(crate) fn tls(&self, family: Family) -> SocketAddr {
        (self.net.first.address(family), 443).into()
    }

    /// Where the second proxy expects the first one.
    pub(crate) fn back(&self, app: App, family: Family) -> SocketAddr {
        (self.net.second.inner(family), app.ports().back).into()
    }

    /// Where the application itself listens.
    pub(crate) fn app(&self, app: App, family: Family) -> SocketAddr {
        (self.net.app.inner(family), app.ports().app).into()
    }
}
