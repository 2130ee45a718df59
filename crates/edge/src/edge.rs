//! From configuration to a server that can be bound.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tokio_rustls::TlsAcceptor;
use truehop::{Detector, Policy};

use crate::config::{
    AdminConfig, BadConfig, EdgeConfig, Key, LimitsConfig, ListenAddress, RouteConfig, TimeoutsConfig,
};
use crate::handler::{Files, Handler, Proxy, Reply, Service};
use crate::listen::{BindError, Listening};
use crate::metrics::Metrics;
use crate::routes::Routes;
use crate::server::Bound;
use crate::tls;

/// A checked configuration. Nothing is bound yet.
pub struct Edge {
    listen: Vec<(ListenAddress, Option<TlsAcceptor>)>,
    workers: usize,
    admin: Option<AdminConfig>,
    pub(crate) shared: Arc<Shared>,
}

/// The policy of a running edge, which can be replaced by another: for trusted networks that are read from files.
/// Requests that are under way keep the one that they began with.
#[derive(Clone, Debug)]
pub struct LivePolicy(Arc<ArcSwap<Policy>>);

impl LivePolicy {
    /// Replaces the policy. It must read PROXY headers if, and only if, the old one does: connections that are open
    /// have been looked at, or not.
    pub fn replace(&self, policy: Policy) {
        self.0.store(Arc::new(policy));
    }

    pub(crate) fn load(&self) -> impl Deref<Target = Arc<Policy>> {
        self.0.load()
    }
}

/// What all workers read and nobody changes, but for the policy.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) policy: LivePolicy,
    pub(crate) routes: Routes,
    pub(crate) timeouts: TimeoutsConfig,
    pub(crate) limits: LimitsConfig,
    pub(crate) forwarded: bool,
    pub(crate) access_log: bool,
    pub(crate) detector: Arc<Detector>,
    pub(crate) metrics: Metrics,
}

impl Edge {
    /// Checks a configuration, opening what it names: directories and certificates, but no socket.
    ///
    /// `services` are those that routes can name with the key `to`; `whoami` is built in.
    ///
    /// # Errors
    ///
    /// [`BadConfig`] names the first key that cannot work, and the mend.
    pub fn new(config: EdgeConfig, services: Vec<(&'static str, Service)>) -> Result<Self, BadConfig> {
        if config.listen.is_empty() {
            let help = "write listen = [\"127.0.0.1:8080\"]";
            return Err(BadConfig::new(
                &[Key::Name("listen")],
                "nothing to listen on",
                help,
            ));
        }
        let mut listen = Vec::with_capacity(config.listen.len());
        for (index, listener) in config.listen.into_iter().enumerate() {
            let at = [Key::Name("listen"), Key::Index(index)];
            let tls = listener
                .tls
                .as_ref()
                .map(|files| tls::acceptor(files, &at))
                .transpose()?;
            listen.push((listener.address, tls));
        }
        if config.limits.head < LimitsConfig::LEAST_HEAD {
            return Err(BadConfig::new(
                &[Key::Name("limits"), Key::Name("head")],
                format!("a head of {} is less than browsers send", config.limits.head),
                "write at least \"8KiB\"",
            ));
        }
        let routes = Routes::new(config.routes, |route, index| handler(route, index, &services))?;
        let workers = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let shared = Shared {
            policy: LivePolicy(Arc::new(ArcSwap::from_pointee(config.client))),
            routes,
            timeouts: config.timeouts,
            limits: config.limits,
            forwarded: config.forwarded,
            access_log: config.access_log,
            detector: Arc::default(),
            metrics: Metrics::new(),
        };
        Ok(Self {
            listen,
            workers,
            admin: config.admin,
            shared: Arc::new(shared),
        })
    }

    /// The table of routes, one line each, in the order in which they are tried.
    pub fn routes(&self) -> Vec<String> {
        self.shared.routes.iter().map(ToString::to_string).collect()
    }

    /// Adds the edge's metrics.
    pub fn register(&self, registry: &mut Registry) {
        self.shared
            .metrics
            .register(registry, Arc::clone(&self.shared.detector));
    }

    /// Binds every listener.
    ///
    /// # Errors
    ///
    /// [`BindError`] names the first address that cannot be listened on; none is kept then.
    pub fn bind(self) -> Result<Bound, BindError> {
        let mut listeners = Vec::with_capacity(self.listen.len());
        for (address, tls) in self.listen {
            listeners.push(Listening::bind(&address, tls, self.workers)?);
        }
        let admin = match self.admin {
            Some(admin) => Some(Listening::bind(&ListenAddress::Tcp(admin.listen), None, 1)?),
            None => None,
        };
        Ok(Bound {
            listeners,
            workers: self.workers,
            admin,
            shared: self.shared,
        })
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("workers", &self.workers)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

fn handler(
    config: &RouteConfig,
    index: usize,
    services: &[(&'static str, Service)],
) -> Result<Handler, BadConfig> {
    let route = [Key::Name("route"), Key::Index(index)];
    let at = |key| [Key::Name("route"), Key::Index(index), Key::Name(key)];
    let targets = [
        ("to", config.to.is_some()),
        ("files", config.files.is_some()),
        ("proxy", config.proxy.is_some()),
        ("reply", config.reply.is_some()),
    ];
    let mut written = targets.iter().filter(|(_, written)| *written);
    let all = "write one of to, files, proxy and reply";
    let target = match (written.next(), written.next()) {
        (Some((target, _)), None) => *target,
        (None, _) => return Err(BadConfig::new(&route, "this route leads nowhere", all)),
        (Some((first, _)), Some((second, _))) => {
            return Err(BadConfig::new(
                &at(second),
                format!("this route has both {first} and {second}"),
                all,
            ));
        }
    };
    for (key, written, owner) in [
        ("index", config.index.is_some(), "files"),
        ("dot_files", config.dot_files.is_some(), "files"),
        ("bind", config.bind.is_some(), "proxy"),
    ] {
        if written && owner != target {
            let help = format!("remove it: it belongs to {owner}");
            return Err(BadConfig::new(
                &at(key),
                format!("{key} has no meaning beside {target}"),
                help,
            ));
        }
    }
    match config {
        RouteConfig {
            files: Some(directory),
            ..
        } => Ok(Handler::Files(Files::new(config, directory, &at("files"))?)),
        RouteConfig {
            proxy: Some(upstreams),
            ..
        } => Ok(Handler::Proxy(Proxy::new(config, upstreams, &at("proxy"))?)),
        RouteConfig {
            reply: Some(reply), ..
        } => Ok(Handler::Reply(Reply::new(reply, &at("reply"))?)),
        RouteConfig { to, path, .. } => {
            let name = to.as_deref().unwrap_or_default();
            if name == "whoami" {
                return Ok(Handler::WhoAmI);
            }
            let known = services.iter().find(|(known, _)| *known == name);
            let Some((name, service)) = known else {
                let mut names: Vec<_> = services.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                names.push("\"whoami\"".into());
                let problem = format!("{name:?} is no service of this server");
                return Err(BadConfig::new(
                    &at("to"),
                    problem,
                    format!("write {}", names.join(" or ")),
                ));
            };
            // A service makes links to itself, and knows its own paths only from the root.
            if path.as_deref().is_some_and(|path| path != "/") {
                let help =
                    "write path = \"/\" and give the route a host of its own if other routes need the root";
                return Err(BadConfig::new(
                    &at("path"),
                    format!("{name} answers at the root only"),
                    help,
                ));
            }
            Ok(Handler::Service {
                name,
                service: service.clone(),
            })
        }
    }
}
