//! The drop as its host sees it: open, serve, sweep, close.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;

use crate::blobs::Blobs;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::DropConfig;
use crate::lifecycle::Terms;
use crate::metrics::Metrics;
use crate::open::{self, OpenError, Opened};
use crate::owner::Recognition;
use crate::sweep::SweepError;
use crate::{sweep, web};

/// A data directory in use, and the service over it.
///
/// Dropping it closes it too.
#[derive(Debug)]
pub struct FileDrop {
    shared: Arc<Shared>,
}

impl FileDrop {
    /// Takes the directory `data` into use, creating it if it is missing, and puts right what a crash has left behind.
    ///
    /// Blocks, and may be called from inside a runtime all the same. `config.data` is not looked at: where the files are is the caller's choice.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then everything that this call created has been removed again, except the file `lock` in a
    /// directory that was there before: another process may be waiting at it.
    pub fn open(config: &DropConfig, data: &Path) -> Result<Self, OpenError> {
        Self::open_with_clock(config, data, Clock::system())
    }

    /// [`open`](Self::open) with another clock, for tests.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_with_clock(config: &DropConfig, data: &Path, clock: Clock) -> Result<Self, OpenError> {
        config.check()?;
        let terms = Terms::of(config);
        let Opened { catalog, blobs, .. } = open::open(data, terms, config.owner, &clock)?;
        Ok(Self::over(config, terms, Box::new(catalog), Arc::new(blobs)))
    }

    /// The drop over any catalog and any blob store, recovered.
    pub(crate) fn over(
        config: &DropConfig,
        terms: Terms,
        catalog: Box<dyn Catalog>,
        blobs: Arc<dyn Blobs>,
    ) -> Self {
        let shared = Arc::new(Shared {
            terms,
            limits: Limits {
                expires: config.expires(),
                max_expires: config.max_expires,
                max_size: config.max_size.as_u64(),
            },
            recognition: Recognition {
                rule: config.owner,
                ipv6_prefix: config.ipv6_prefix,
            },
            catalog,
            blobs,
            metrics: Metrics::default(),
            work: Notify::new(),
            is_stopping: AtomicBool::new(false),
        });
        Self { shared }
    }

    /// The service. Its requests must carry a [`Resolution`](truehop_tower::truehop::Resolution) in their extensions.
    ///
    /// It may be called on several runtimes at once; it spawns tasks on the one that it is called on.
    pub fn router(&self) -> Router {
        web::router(Arc::clone(&self.shared))
    }

    /// Adds the drop's metrics, named `truehop_drop_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.shared.metrics.register(registry);
    }

    /// Does what time and the outbox ask for, whenever it is due, until the drop is closed. What fails is logged and
    /// tried again.
    ///
    /// # Errors
    ///
    /// [`SweepError`]: the sweep has ended although nobody closed the drop. The host should stop and start again.
    pub fn sweep_forever(&self) -> impl Future<Output = Result<(), SweepError>> + Send + 'static + use<> {
        sweep::forever(Arc::clone(&self.shared))
    }

    /// Does once what [`sweep_forever`](Self::sweep_forever) does, and tells in how long there is more to do.
    pub async fn sweep(&self) -> Option<Duration> {
        sweep::once(&self.shared).await
    }

    /// The host is about to drain: from now on a collection that ends undelivered was ended by us, and its attempt is
    /// given back. Requests are answered as before.
    ///
    /// To be called before the first connection is cut; does not block.
    pub fn stopping(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
    }

    /// Finishes what the catalog was asked for, closes it and releases the directory. Later requests get 503.
    ///
    /// Blocks for as long as that takes, which is short. Collections that are under way have ended undelivered when the
    /// directory is opened again, and their attempts are given back.
    pub fn close(self) {
        // Dropping does it.
    }
}

#[cfg(test)]
impl FileDrop {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for FileDrop {
    fn drop(&mut self) {
        self.shared.catalog.close();
        self.shared.work.notify_waiters();
        self.shared.work.notify_one();
    }
}

/// What the requests, the sweeper and the tasks of one drop share. There is no clock among it: times come from the catalog.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) terms: Terms,
    pub(crate) limits: Limits,
    pub(crate) recognition: Recognition,
    pub(crate) catalog: Box<dyn Catalog>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) metrics: Metrics,
    /// Tells the sweeper that something may be due earlier than it thought.
    pub(crate) work: Notify,
    /// Whether collections end because the server does.
    pub(crate) is_stopping: AtomicBool,
}

/// What an uploader may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) expires: Duration,
    pub(crate) max_expires: Duration,
    pub(crate) max_size: u64,
}
