//! HTTP/1.1 between a client and the handlers: the only module that knows which engine reads and writes the wire.
//!
//! Below stands hyper. Above, a handler gets an `http::Request<Body>` and gives back an [`Outgoing`]; nothing of hyper
//! shows through.
//!
//! Invariants: every wait on a client has an end ([`Clocked`]); and a courier is told "delivered" only after the last
//! byte of its response left for the kernel *and* the kernel reported it acknowledged.

mod client;
mod clocked;
mod incoming;
mod prefixed;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;
use truehop_delivery::{Courier, acknowledged};

pub(crate) use self::client::{NoAnswer, UpstreamConnection};
use self::clocked::{Clocked, Phase};
pub(crate) use self::incoming::{BodyEnd, Ended, Incoming};
pub(crate) use self::prefixed::Prefixed;
use crate::body::{Body, BoxError};
use crate::config::{LimitsConfig, TimeoutsConfig};

/// How long the kernel may take to report a response acknowledged.
const ACKNOWLEDGEMENT_LIMIT: Duration = Duration::from_secs(30);

/// A response on its way out, with what must happen when it is through.
pub(crate) struct Outgoing {
    pub(crate) response: Response<Body>,
    /// Told when every byte was acknowledged by the peer.
    pub(crate) courier: Option<Courier>,
    /// Called once with the body bytes that were handed to the wire, and whether that was all of them.
    pub(crate) done: Done,
}

/// Serves one connection until it ends, or until `stop` turns true and the request under way is answered. Gives back
/// the status of a head that was refused without a handler.
pub(crate) async fn serve<S, H, F>(
    stream: S,
    timeouts: &TimeoutsConfig,
    limits: &LimitsConfig,
    mut stop: watch::Receiver<bool>,
    handler: H,
) -> Option<StatusCode>
where
    S: Socket,
    H: Fn(Request<Body>) -> F,
    F: Future<Output = Outgoing>,
{
    let connection = Rc::new(Connection::new(timeouts));
    let io = Clocked::new(stream, timeouts, Rc::clone(&connection));
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        connection.phase.answering();
        let request =
            request.map(|body| Body::new(Incoming::new(body, timeouts.body, connection.phase.reading())));
        let answer = handler(request);
        let connection = Rc::clone(&connection);
        async move { Ok::<_, Infallible>(track(answer.await, connection)) }
    });
    let serving = http1::Builder::new()
        .max_buf_size(limits.head_bytes())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service);
    let mut serving = std::pin::pin!(serving);
    let served = async {
        tokio::select! {
            result = serving.as_mut() => result,
            _ = stop.wait_for(|&stop| stop) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        }
    };
    let refused = tokio::select! {
        // The phase is what the engine has just made of it when the clock is looked at.
        biased;
        result = served => result.err().and_then(|error| {
            tracing::debug!(%error, "connection ended");
            refusal(&error)
        }),
        () = poll_fn(|cx| connection.phase.poll_late(cx)) => {
            tracing::debug!("the client sent no whole request in time");
            None
        }
    };
    connection.cut_short();
    let mut confirmations = connection.confirmations.take();
    while confirmations.join_next().await.is_some() {}
    refused
}

/// The status with which the engine itself has refused a head, before any handler saw it.
fn refusal(error: &hyper::Error) -> Option<StatusCode> {
    if error.is_parse_too_large() {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        error.is_parse().then_some(StatusCode::BAD_REQUEST)
    }
}

/// A byte stream over a socket of the kernel's, which can be asked for acknowledgements.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin {
    fn socket(&self) -> BorrowedFd<'_>;

    /// Whether the kernel takes bytes for read when their reader goes away without reading them.
    fn forgets_unread(&self) -> bool;
}

impl Socket for TcpStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn forgets_unread(&self) -> bool {
        false
    }
}

impl Socket for UnixStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn forgets_unread(&self) -> bool {
        true
    }
}

impl<S: Socket> Socket for TlsStream<S> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.get_ref().0.socket()
    }

    fn forgets_unread(&self) -> bool {
        self.get_ref().0.forgets_unread()
    }
}

/// What the parts of one connection share.
struct Connection {
    phase: Phase,
    /// Responses whose last byte went to the engine and has not left its buffer yet.
    leaving: RefCell<Vec<Leaving>>,
    /// Deliveries for which the kernel's word is awaited.
    confirmations: RefCell<JoinSet<()>>,
    /// Whether the socket has failed.
    broken: Cell<bool>,
}

/// A response on its last way.
struct Leaving {
    sent: u64,
    courier: Option<Courier>,
    done: Done,
}

type Done = Box<dyn FnOnce(u64, bool)>;

impl Connection {
    fn new(timeouts: &TimeoutsConfig) -> Self {
        Self {
            phase: Phase::new(timeouts),
            leaving: RefCell::default(),
            confirmations: RefCell::default(),
            broken: Cell::default(),
        }
    }

    /// All that was buffered has left for the kernel: responses are through, couriers wait for the kernel's word.
    fn flushed(self: &Rc<Self>, stream: &impl Socket) {
        if self.leaving.borrow().is_empty() {
            return;
        }
        for Leaving { sent, courier, done } in self.leaving.take() {
            self.phase.answered();
            done(sent, true);
            // The connection may end before the word comes. Without a descriptor to ask, silence means undelivered.
            if let (Some(courier), Ok(socket)) = (courier, stream.socket().try_clone_to_owned()) {
                self.confirm(courier, socket, stream.forgets_unread());
            }
        }
    }

    fn confirm(self: &Rc<Self>, courier: Courier, socket: OwnedFd, forgets_unread: bool) {
        let connection = Rc::clone(self);
        let mut confirmations = self.confirmations.borrow_mut();
        while confirmations.try_join_next().is_some() {}
        confirmations.spawn_local(async move {
            match acknowledged(&socket, ACKNOWLEDGEMENT_LIMIT).await {
                // The engine may have seen the error that tells a reader who went away from one who has read.
                Ok(()) if forgets_unread && connection.broken.get() => {
                    tracing::debug!("a response was not delivered: its reader went away");
                }
                Ok(()) => courier.delivered(),
                Err(error) => tracing::debug!(%error, "a response was not delivered"),
            }
        });
    }

    /// The connection is over: what has not left by now never will.
    fn cut_short(&self) {
        for Leaving { sent, done, .. } in self.leaving.take() {
            done(sent, false);
        }
    }
}

fn track(outgoing: Outgoing, connection: Rc<Connection>) -> Response<Tracked> {
    let Outgoing {
        response,
        courier,
        done,
    } = outgoing;
    response.map(|body| {
        let mut tracked = Tracked {
            body,
            sent: 0,
            courier,
            done: Some(done),
            connection,
        };
        // The engine does not poll a body that it knows to be empty.
        if http_body::Body::is_end_stream(&tracked.body) {
            tracked.ended();
        }
        tracked
    })
}

/// A response body that knows when its last byte was taken.
struct Tracked {
    body: Body,
    sent: u64,
    courier: Option<Courier>,
    done: Option<Done>,
    connection: Rc<Connection>,
}

impl Tracked {
    fn ended(&mut self) {
        if let Some(done) = self.done.take() {
            let leaving = Leaving {
                sent: self.sent,
                courier: self.courier.take(),
                done,
            };
            self.connection.leaving.borrow_mut().push(leaving);
        }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => this.sent += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(error)) => tracing::debug!(%error, "a response body ended early"),
            None => {}
        }
        if frame.is_none() || (matches!(frame, Some(Ok(_))) && http_body::Body::is_end_stream(&this.body)) {
            this.ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(self.sent, false);
            self.connection.phase.answered();
        }
    }
}
