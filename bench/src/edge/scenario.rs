//! What is measured: the table of scenarios.

use crate::clients::After;
use truehop_bench::message::{KIB, MIB};

/// One line of the results: what clients ask, of what, and what it may cost.
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    pub service: Service,
    pub connections: usize,
    pub after: After,
    /// The body of a request, in bytes.
    pub upload: u64,
    /// The body of an answer, in bytes; 0 is whatever the first answer has.
    pub download: u64,
    /// Whether each request is written to an access log.
    pub log: bool,
    /// At most so many times what the better peer needs.
    pub goal: Option<f64>,
}

/// Who answers in the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// The application server, over TCP or a Unix socket.
    Upstream {
        unix: bool,
    },
    Files,
    /// The file drop: its page, or a file in it.
    Drop {
        page: bool,
    },
}

/// One who is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Contender {
    Ours,
    Nginx,
    Haproxy,
}

impl Scenario {
    /// Who takes part: whoever has what the scenario needs.
    pub fn contenders(&self) -> &'static [Contender] {
        match self.service {
            Service::Upstream { .. } => &[Contender::Ours, Contender::Nginx, Contender::Haproxy],
            Service::Files | Service::Drop { .. } => &[Contender::Ours, Contender::Nginx],
        }
    }

    /// Whether it is about connections on which nothing happens.
    pub fn is_idle(&self) -> bool {
        self.after == After::Stay
    }

    /// The size of the body that counts when it is large: then bytes are counted instead of whole requests.
    pub fn bulk(&self) -> Option<u64> {
        Some(self.upload.max(self.download)).filter(|&size| size >= MIB)
    }

    /// What a contender is called here.
    pub fn label(&self, contender: Contender) -> &'static str {
        match (contender, self.service) {
            (Contender::Ours, Service::Drop { .. }) => "truehop, drop inside",
            (Contender::Nginx, Service::Drop { .. }) => "nginx + drop",
            (Contender::Ours, _) => "truehop",
            (Contender::Nginx, _) => "nginx",
            (Contender::Haproxy, _) => "haproxy",
        }
    }
}

/// Those that `names` select: by a whole name, or by what stands before its hyphen; all without names.
pub fn select(names: &[String]) -> Result<Vec<Scenario>, String> {
    let fits = |scenario: &Scenario, name: &str| {
        scenario.name == name || scenario.name.split('-').next() == Some(name)
    };
    let all = all();
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|s| fits(s, name))) {
        let known: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
        return Err(format!("no scenario {unknown}; there are {}", known.join(", ")));
    }
    let chosen = |scenario: &Scenario| names.is_empty() || names.iter().any(|name| fits(scenario, name));
    Ok(all.into_iter().filter(chosen).collect())
}

fn all() -> Vec<Scenario> {
    let small = |name, what, connections| Scenario {
        name,
        what,
        service: Service::Upstream { unix: false },
        connections,
        after: After::Again,
        upload: 0,
        download: 128,
        log: false,
        goal: Some(0.90),
    };
    let large = |name, what, upload, download| Scenario {
        upload,
        download,
        goal: Some(0.70),
        ..small(name, what, if upload.max(download) > MIB { 4 } else { 16 })
    };
    let file = |name, what, connections, download, goal| Scenario {
        service: Service::Files,
        download,
        goal: Some(goal),
        ..small(name, what, connections)
    };
    let drop = |name, what, connections, download| Scenario {
        service: Service::Drop { page: download == 0 },
        download,
        goal: Some(0.50),
        ..small(name, what, connections)
    };
    vec![
        small("small-16", "proxied GET, 128 bytes, 16 connections", 16),
        small("small-64", "the same, 64 connections", 64),
        small("small-512", "the same, 512 connections", 512),
        Scenario {
            log: true,
            ..small("small-log", "the same, 64 connections, with access log", 64)
        },
        Scenario {
            service: Service::Upstream { unix: true },
            ..small(
                "small-unix",
                "the same, 64 connections, upstream on a Unix socket",
                64,
            )
        },
        Scenario {
            after: After::Reopen,
            goal: None,
            ..small(
                "connect",
                "the same, 64 clients, a new connection each request",
                64,
            )
        },
        Scenario {
            upload: 16 * KIB,
            goal: None,
            ..small("post", "proxied POST of 16 KiB, 64 connections", 64)
        },
        large("response-1m", "proxied GET, 1 MiB, 16 connections", 0, MIB),
        large(
            "response-100m",
            "proxied GET, 100 MiB, 4 connections",
            0,
            100 * MIB,
        ),
        large("request-1m", "proxied POST of 1 MiB, 16 connections", MIB, 128),
        large(
            "request-100m",
            "proxied POST of 100 MiB, 4 connections",
            100 * MIB,
            128,
        ),
        file("static-1k", "file of 1 KiB, 64 connections", 64, KIB, 0.95),
        file("static-1m", "file of 1 MiB, 16 connections", 16, MIB, 1.05),
        file(
            "static-100m",
            "file of 100 MiB, 4 connections",
            4,
            100 * MIB,
            1.05,
        ),
        drop("drop-page", "the drop's page, 64 connections", 64, 0),
        drop(
            "drop-4k",
            "a file of 4 KiB from the drop, 64 connections",
            64,
            4 * KIB,
        ),
        drop(
            "drop-1m",
            "a file of 1 MiB from the drop, 16 connections",
            16,
            MIB,
        ),
        Scenario {
            after: After::Stay,
            goal: Some(1.0),
            ..small(
                "idle",
                "10,000 connections, each silent after one proxied GET",
                10_000,
            )
        },
    ]
}
