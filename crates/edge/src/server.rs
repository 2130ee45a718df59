//! Workers: one thread, one runtime and one set of sockets for each core.
//!
//! Invariant: a worker that is told to stop takes no new connection, answers what is under way within the configured
//! time, and confirms its deliveries before it ends.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use truehop::Peer;
use truehop_http1::Limits;

use crate::access_log::{AccessLog, Queue, Writer};
use crate::admin::Admin;
use crate::edge::{LivePolicy, Shared};
use crate::forward::Pipes;
use crate::handler::{Handler, Shelf};
use crate::listen::{self, Listening};
use crate::page::RequestId;
use crate::preface;
use crate::stream::{Plain, Prefixed};
use crate::upstream::Pool;
use crate::wire::{Buffers, Connection, Scratch};

/// A pause after an accept that failed for want of descriptors or memory: trying again at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The most field lines that a head may have.
const FIELDS: usize = 256;

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
                // With what was still open, so that services hear what became of it before they settle.
                drop(local);
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
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: AccessLog,
    pub(crate) head_limits: Limits,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) pipes: Pipes,
    pub(crate) shelf: Shelf,
    pub(crate) stop: Stop,
    /// Connections that keep their memory at hand for a moment.
    pub(crate) warm: Cell<usize>,
    /// By the routes' places in the config file; only proxies have one.
    pools: Vec<Option<Pool>>,
    #[expect(clippy::vec_box, reason = "they are large, and move for every request")]
    scratches: RefCell<Vec<Box<Scratch>>>,
    clock: RefCell<Date>,
    ids: Cell<u64>,
}

/// Free scratches that a worker keeps.
const SCRATCHES: usize = 128;

/// The time as HTTP writes it, made once a second.
#[derive(Debug, Default)]
struct Date {
    second: u64,
    text: Rc<str>,
}

/// A worker's word that it stops.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    told: Cell<bool>,
    waiting: Notify,
}

impl Stop {
    pub(crate) fn is_told(&self) -> bool {
        self.told.get()
    }

    /// Waits until it is told.
    pub(crate) async fn told(&self) {
        let mut waiting = pin!(self.waiting.notified());
        waiting.as_mut().enable();
        if !self.is_told() {
            waiting.await;
        }
    }

    fn tell(&self) {
        self.told.set(true);
        self.waiting.notify_waiters();
    }
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, queue: Option<Queue>) -> Self {
        let mut pools: Vec<Option<Pool>> = Vec::new();
        for route in shared.routes.iter() {
            pools.resize_with(pools.len().max(route.index + 1), || None);
            if let Handler::Proxy(proxy) = &route.handler {
                pools[route.index] = Some(proxy.pool(shared.timeouts));
            }
        }
        let mut seed = [0; 8];
        // Ids need to differ, not to be secret: without randomness they start at 0.
        let _ = getrandom::fill(&mut seed);
        let log = AccessLog::new(queue);
        let head_limits = Limits {
            head: shared.limits.head_bytes(),
            fields: FIELDS,
        };
        Self {
            shared,
            log,
            head_limits,
            buffers: Rc::default(),
            pipes: Pipes::default(),
            shelf: Shelf::default(),
            stop: Stop::default(),
            warm: Cell::default(),
            pools,
            scratches: RefCell::default(),
            clock: RefCell::default(),
            ids: Cell::new(u64::from_ne_bytes(seed)),
        }
    }

    /// Memory for heads.
    pub(crate) fn take_scratch(&self) -> Box<Scratch> {
        self.scratches.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn return_scratch(&self, scratch: Box<Scratch>) {
        let mut scratches = self.scratches.borrow_mut();
        if scratches.len() < SCRATCHES {
            scratches.push(scratch);
        }
    }

    /// The time, for the field `Date` (RFC 9110 section 6.6.1).
    pub(crate) fn date(&self) -> Rc<str> {
        let now = SystemTime::now();
        let second = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut date = self.clock.borrow_mut();
        if date.second != second || date.text.is_empty() {
            *date = Date {
                second,
                text: httpdate::fmt_http_date(now).into(),
            };
        }
        Rc::clone(&date.text)
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

async fn work(
    shared: Arc<Shared>,
    queue: Option<Queue>,
    share: Vec<Accepting>,
    mut stop: watch::Receiver<bool>,
) {
    let worker = Rc::new(Worker::new(shared, queue));
    let mut accepting = JoinSet::new();
    for accept in share {
        accepting.spawn_local(accept_loop(Rc::clone(&worker), accept));
    }
    let stopping = Rc::clone(&worker);
    accepting.spawn_local(async move {
        // Nobody is there any more who could say it: then it is meant, too.
        let _ = stop.wait_for(|&stop| stop).await;
        stopping.stop.tell();
    });
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

async fn accept_loop(worker: Rc<Worker>, accept: Accepting) {
    let mut connections = JoinSet::new();
    let listener = match accept.socket {
        listen::Socket::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
        listen::Socket::Unix(listener) => UnixListener::from_std(listener).map(Listener::Unix),
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be used"),
    };
    let mut stopped = pin!(worker.stop.told());
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stopped.as_mut() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                let arrived = Arrived {
                    worker: Rc::clone(&worker),
                    peer,
                    tls: accept.tls.clone(),
                    admin: accept.admin.clone(),
                };
                match arrived.is_plain() {
                    true => {
                        let mut connection = arrived.plain(stream);
                        connections.spawn_local(async move { connection.serve().await })
                    }
                    false => connections.spawn_local(arrived.begin_and_serve(stream)),
                };
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

impl Listener {
    async fn accept(&self) -> io::Result<(Plain, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Plain::Tcp(stream), address.into()))
            }
            Self::Unix(listener) => Ok((Plain::Unix(listener.accept().await?.0), Peer::UNIX)),
        }
    }
}

/// A client's connection, counted for as long as it is open.
#[derive(Debug)]
pub(crate) struct Open(Arc<Shared>);

impl Open {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.metrics.connections.inc();
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}

/// A connection that was accepted, with what it needs to be served.
struct Arrived {
    worker: Rc<Worker>,
    peer: Peer,
    tls: Option<TlsAcceptor>,
    admin: Option<Arc<Admin>>,
}

impl Arrived {
    /// Whether HTTP begins with the first byte.
    fn is_plain(&self) -> bool {
        // Operators are not proxied.
        let prefaced = self.admin.is_none() && self.worker.shared.policy.load().reads_proxy_protocol();
        self.tls.is_none() && !prefaced
    }

    fn plain(self, socket: Plain) -> Connection {
        Connection::new(self.worker, socket.into(), self.peer.into(), false, self.admin)
    }

    async fn begin_and_serve(self, socket: Plain) {
        let open = self.admin.is_none().then(|| Open::new(&self.worker.shared));
        // How a connection begins takes more memory than the rest of its life, so that is given back.
        let begun = Box::pin(self.begin(socket)).await;
        drop(open);
        if let Some(mut connection) = begun {
            connection.serve().await;
        }
    }

    /// Reads what comes before HTTP: a PROXY header, a TLS handshake.
    async fn begin(self, mut socket: Plain) -> Option<Connection> {
        let shared = &self.worker.shared;
        let policy = Arc::clone(&shared.policy.load());
        let (arrival, read) = match self.admin {
            Some(_) => (self.peer.into(), Bytes::new()),
            None => match preface::read(&mut socket, &policy, self.peer, &shared.timeouts).await {
                Ok(begun) => begun,
                Err(error) => {
                    shared.metrics.unresolved(error.reason());
                    tracing::warn!(peer = %self.peer, error = error.reason().code(), "connection closed: {error}");
                    return None;
                }
            },
        };
        let Some(acceptor) = &self.tls else {
            let connection = Connection::new(self.worker, socket.into(), arrival, false, self.admin);
            return Some(connection.has_read(&read));
        };
        match timeout(
            shared.timeouts.header,
            acceptor.accept(Prefixed::new(read, socket)),
        )
        .await
        {
            Ok(Ok(stream)) => Some(Connection::new(
                self.worker,
                stream.into(),
                arrival,
                true,
                self.admin,
            )),
            Ok(Err(error)) => {
                tracing::debug!(peer = %self.peer, %error, "the TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(peer = %self.peer, "the TLS handshake took too long");
                None
            }
        }
    }
}
