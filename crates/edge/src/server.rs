//! Workers: one thread, one runtime and one set of sockets for each core.
//!
//! Invariant: a worker that is told to stop takes no new connection, answers what is under way within the configured
//! time, and confirms its deliveries before it ends.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::Request;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use truehop::{Arrival, Peer};

use crate::access_log::{AccessLog, Queue, Writer};
use crate::admin::Admin;
use crate::body::Body;
use crate::edge::{LivePolicy, Shared};
use crate::front;
use crate::handler::Handler;
use crate::listen::{self, Listening};
use crate::page::RequestId;
use crate::preface;
use crate::upstream::Pool;
use crate::wire::{self, Prefixed, Socket};

/// A pause after an accept that failed for want of descriptors or memory: trying again at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long services may take to finish once no request is under way, and how often that is looked at.
const SETTLING: Duration = Duration::from_secs(5);
const SETTLING_LOOK: Duration = Duration::from_millis(2);

/// An edge whose addresses are bound. Clients can connect and wait; nobody answers yet.
pub struct Bound {
    pub(crate) listeners: Vec<Listening>,
    pub(crate) workers: usize,
    pub(crate) admin: Option<Listening>,
    pub(crate) shared: Arc<Shared>,
}

impl Bound {
    /// Where the edge listens: `http://127.0.0.1:8080`, `https://…`, `unix:/path`.
    pub fn listeners(&self) -> Vec<String> {
        self.listeners
            .iter()
            .map(|listener| listener.name.clone())
            .collect()
    }

    /// Where the operator's listener is.
    pub fn admin(&self) -> Option<SocketAddr> {
        match self.admin.as_ref()?.sockets.first()? {
            listen::Socket::Tcp(listener) => listener.local_addr().ok(),
            listen::Socket::Unix(_) => None,
        }
    }

    /// The policy, to be replaced while the edge runs.
    pub fn policy(&self) -> LivePolicy {
        self.shared.policy.clone()
    }

    /// Starts the workers and returns at once.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or runtime.
    pub fn start(self, registry: Registry) -> io::Result<Running> {
        let (stop, stopped) = watch::channel(false);
        let writer = self.shared.access_log.then(Writer::start).transpose()?;
        let mut shares: Vec<Vec<Accepting>> = (0..self.workers).map(|_| Vec::new()).collect();
        let mut kept = Vec::new();
        for mut listening in self.listeners {
            let sockets = std::mem::take(&mut listening.sockets);
            for (share, socket) in shares.iter_mut().zip(sockets) {
                share.push(Accepting {
                    socket,
                    tls: listening.tls.clone(),
                    admin: None,
                });
            }
            kept.push(listening);
        }
        if let (Some(mut admin), Some(share)) = (self.admin, shares.first_mut()) {
            let answers = Arc::new(Admin {
                shared: Arc::clone(&self.shared),
                registry: Arc::new(registry),
            });
            let sockets = std::mem::take(&mut admin.sockets).into_iter();
            share.extend(sockets.map(|socket| Accepting {
                socket,
                tls: None,
                admin: Some(Arc::clone(&answers)),
            }));
        }
        let mut threads = Vec::with_capacity(self.workers);
        for (index, share) in shares.into_iter().enumerate() {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (shared, stopped) = (Arc::clone(&self.shared), stopped.clone());
            let queue = writer.as_ref().map(Writer::queue);
            let thread = thread::Builder::new().name(format!("worker-{index}"));
            threads.push(thread.spawn(move || {
                let local = LocalSet::new();
                local.block_on(&runtime, work(shared, queue, share, stopped));
                runtime.block_on(settled());
            })?);
        }
        Ok(Running {
            stop,
            threads,
            listeners: kept,
            writer,
        })
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("listeners", &self.listeners())
            .finish_non_exhaustive()
    }
}

/// An edge that answers.
pub struct Running {
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    /// Holds the files of Unix sockets.
    listeners: Vec<Listening>,
    writer: Option<Writer>,
}

impl Running {
    /// Stops: no new connections, what is under way gets its time, deliveries are confirmed. Blocks until then.
    pub fn stop(self) {
        // Nobody listens any more when every worker has ended already.
        let _ = self.stop.send(true);
        // A successor may bind the same path from now on.
        drop(self.listeners);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
        if let Some(writer) = self.writer {
            writer.finish();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("workers", &self.threads.len())
            .finish_non_exhaustive()
    }
}

/// One thread's share of the edge.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: AccessLog,
    /// By the routes' places in the config file; only proxies have one.
    pools: Vec<Option<Pool>>,
    ids: Cell<u64>,
}

impl Worker {
    fn new(shared: Arc<Shared>, queue: Option<Queue>) -> Self {
        let head_limit = shared.limits.head_bytes();
        let mut pools: Vec<Option<Pool>> = Vec::new();
        for route in shared.routes.iter() {
            pools.resize_with(pools.len().max(route.index + 1), || None);
            if let Handler::Proxy(proxy) = &route.handler {
                pools[route.index] = Some(proxy.pool(shared.timeouts, head_limit));
            }
        }
        let mut seed = [0; 8];
        // Ids need to differ, not to be secret: without randomness they start at 0.
        let _ = getrandom::fill(&mut seed);
        let log = AccessLog::new(queue);
        Self {
            shared,
            log,
            pools,
            ids: Cell::new(u64::from_ne_bytes(seed)),
        }
    }

    pub(crate) fn pool(&self, route: usize) -> Option<&Pool> {
        self.pools.get(route)?.as_ref()
    }

    pub(crate) fn next_id(&self) -> RequestId {
        // An odd step visits every id before one comes again.
        let id = self.ids.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.ids.set(id);
        RequestId(id)
    }
}

/// A socket from which one worker takes connections.
struct Accepting {
    socket: listen::Socket,
    tls: Option<TlsAcceptor>,
    admin: Option<Arc<Admin>>,
}

async fn work(shared: Arc<Shared>, queue: Option<Queue>, share: Vec<Accepting>, stop: watch::Receiver<bool>) {
    let worker = Rc::new(Worker::new(shared, queue));
    let mut accepting = JoinSet::new();
    for accept in share {
        accepting.spawn_local(accept_loop(Rc::clone(&worker), accept, stop.clone()));
    }
    while accepting.join_next().await.is_some() {}
    worker.log.flush();
}

/// Waits for the tasks that services have spawned: what the last deliveries came to must still be written down.
async fn settled() {
    let metrics = runtime::Handle::current().metrics();
    let settled = async {
        while metrics.num_alive_tasks() > 0 {
            sleep(SETTLING_LOOK).await;
        }
    };
    if timeout(SETTLING, settled).await.is_err() {
        tracing::warn!("a service had not finished its work when the time to stop was over");
    }
}

async fn accept_loop(worker: Rc<Worker>, accept: Accepting, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let listener = match accept.socket {
        listen::Socket::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
        listen::Socket::Unix(listener) => UnixListener::from_std(listener).map(Listener::Unix),
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be used"),
    };
    let stopped = stop.clone();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.wait_for(|&stop| stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                let connection = Connection {
                    worker: Rc::clone(&worker),
                    peer,
                    tls: accept.tls.clone(),
                    admin: accept.admin.clone(),
                    stop: stopped.clone(),
                };
                connections.spawn_local(connection.serve(stream));
            }
            Err(error) => {
                // One line for each run of failures, however long it is.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(worker.shared.timeouts.shutdown, drained).await.is_err() {
        tracing::warn!("connections were still open when the time to stop was over");
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), address.into()))
            }
            Self::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), Peer::UNIX)),
        }
    }
}

/// A client's connection, counted for as long as it is open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.metrics.connections.inc();
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}

/// A connection that was accepted, with what it needs to be served.
struct Connection {
    worker: Rc<Worker>,
    peer: Peer,
    tls: Option<TlsAcceptor>,
    admin: Option<Arc<Admin>>,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, stream: Stream) {
        let _open = self
            .admin
            .is_none()
            .then(|| Open::new(Arc::clone(&self.worker.shared)));
        match stream {
            Stream::Tcp(stream) => self.preface(stream).await,
            Stream::Unix(stream) => self.preface(stream).await,
        }
    }

    async fn preface<S: Socket>(self, mut stream: S) {
        let shared = &self.worker.shared;
        // Operators are not proxied.
        let policy = Arc::clone(&shared.policy.load());
        if self.admin.is_some() || !policy.reads_proxy_protocol() {
            let arrival = self.peer.into();
            return self.handshake(stream, arrival).await;
        }
        match preface::read(&mut stream, &policy, self.peer, &shared.timeouts).await {
            Ok((arrival, read)) => self.handshake(Prefixed::new(read, stream), arrival).await,
            Err(error) => {
                shared.metrics.unresolved(error.reason());
                tracing::warn!(peer = %self.peer, error = error.reason().code(), "connection closed: {error}");
            }
        }
    }

    async fn handshake<S: Socket>(self, stream: S, arrival: Arrival) {
        let Some(acceptor) = &self.tls else {
            return self.speak(stream, arrival).await;
        };
        match timeout(self.worker.shared.timeouts.header, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream, arrival).await,
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "the TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer, "the TLS handshake took too long"),
        }
    }

    async fn speak<S: Socket>(self, stream: S, arrival: Arrival) {
        let Self {
            worker,
            peer,
            tls,
            admin,
            stop,
        } = self;
        let shared = Arc::clone(&worker.shared);
        let handler = |request: Request<Body>| {
            let (worker, admin, tls) = (Rc::clone(&worker), admin.clone(), tls.is_some());
            async move {
                match admin {
                    Some(admin) => admin.answer(&request),
                    None => front::answer(worker, arrival, tls, request).await,
                }
            }
        };
        let refused = wire::serve(stream, &shared.timeouts, &shared.limits, stop, handler).await;
        if let (Some(status), None) = (refused, &admin) {
            front::refused(Rc::clone(&worker), peer, status);
        }
    }
}
