//! One edge in front of one of each real server, shared by the tests of a file that run at the same time.
//!
//! Starting three servers for each test would take longer than all the tests. What each test sends carries a mark of
//! its own, so that it finds its own traces among those of the others.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::http::Host;
use crate::peers::missing;
use crate::recorder::{Kind, Recorder};
use crate::truehop::Truehop;

/// The edge with its upstreams: below `/gunicorn/`, `/node/` and `/nginx/` are the servers, and `/closed` is 403.
#[derive(Debug)]
pub struct Stage {
    edge: Truehop,
    upstreams: Vec<Recorder>,
}

/// Weak: the last test that uses it ends it, because nothing drops what is static.
static SHARED: Mutex<Weak<Stage>> = Mutex::new(Weak::new());

impl Stage {
    /// The host that clients of the stage are.
    pub const CLIENT: Host = Host::at(127, 0, 0, 2);

    /// The one that is up, or a new one. `None`, told as skipped, where a server is missing.
    #[track_caller]
    pub fn shared() -> Option<Arc<Self>> {
        if missing(&Kind::ALL.map(Kind::name)) {
            return None;
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = shared.upgrade().unwrap_or_else(|| {
            let stage = Arc::new(Self::start());
            *shared = Arc::downgrade(&stage);
            stage
        });
        Some(stage)
    }

    /// The edge.
    pub fn edge(&self) -> &Truehop {
        &self.edge
    }

    /// The servers behind it.
    pub fn upstreams(&self) -> &[Recorder] {
        &self.upstreams
    }

    #[track_caller]
    fn start() -> Self {
        let upstreams = Vec::from(Kind::ALL.map(Recorder::start));
        let routes: String = upstreams
            .iter()
            .map(|upstream| {
                format!(
                    "[[route]]\npath = \"/{}/\"\nproxy = [\"http://{}\"]\n",
                    upstream.kind().name(),
                    upstream.address()
                )
            })
            .collect();
        // One worker: all requests share one pool of connections, where one could spoil another's.
        let edge = Truehop::start(&format!(
            "workers = 1\n{routes}[[route]]\npath = \"/closed\"\nreply = {{ status = 403, body = \"closed\" }}\n"
        ));
        Self { edge, upstreams }
    }
}
