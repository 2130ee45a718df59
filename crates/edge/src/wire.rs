//! HTTP/1.1 with a client: one task for a connection, which reads requests, has them answered, and writes the answers.
//!
//! 1. Wait for the first byte. Nothing is held meanwhile but the socket and a timer.
//! 2. Read a head ([`truehop_http1`]); one that is not HTTP is refused with its status, and nothing behind it is read.
//! 3. [`front`] decides who answers: the edge itself, a service, or an upstream ([`forward`](crate::forward)).
//! 4. The answer goes out ([`answer`], [`writer`]); what the client still sends of a body that nobody wants is
//!    [drained](linger).
//!
//! Invariants: every wait has an end ([`Clock`], or the word of a [guard](truehop_delivery::Guard)); answers leave in the
//! order of the requests; what follows a request whose body was not read to its end is never taken for another request;
//! and a courier is told "delivered" only after the last byte of its response left for the kernel *and* the kernel
//! reported it acknowledged, and otherwise of no more than the part that was.

mod answer;
mod body;
mod buffer;
mod clock;
mod confirm;
mod linger;
mod pull;
mod write;
mod writer;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use truehop::Arrival;
use truehop_http1::{BadRequest, Request, RequestHead, Rewrite, Version};

pub(crate) use self::body::{BodyLeft, Content};
pub(crate) use self::buffer::{Buffer, Buffers};
use self::clock::far;
pub(crate) use self::clock::{Clock, Late};
use self::confirm::Confirmations;
pub(crate) use self::pull::watch;
pub(crate) use self::write::{Unwritten, while_taken, write_all};
use crate::admin::Admin;
use crate::forward::{self, Forwarded};
use crate::front::{self, Decision, Record};
use crate::server::{Open, Worker};
use crate::stream::Stream;

/// How long a connection keeps its memory at hand for the next request, and how many of a worker may.
const SOON: Duration = Duration::from_secs(1);
/// Whoever is there has acknowledged by then: the longest that a kernel waits with that, to do it together with something
/// else (Linux: 200 ms; RFC 9293 section 3.8.6.3: less than 500 ms).
const ACKNOWLEDGED: Duration = Duration::from_millis(500);
const SEATS: usize = 512;

/// One of the connections that keep their memory at hand.
struct Seat<'a>(&'a Cell<usize>);

impl<'a> Seat<'a> {
    fn take(taken: &'a Cell<usize>) -> Option<Self> {
        (taken.get() < SEATS).then(|| {
            taken.set(taken.get() + 1);
            Self(taken)
        })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A connection to a client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) stream: Stream,
    pub(crate) arrival: Arrival,
    /// Whether the client speaks TLS with us.
    pub(crate) tls: bool,
    /// Who answers on the operator's listener.
    pub(crate) admin: Option<Arc<Admin>>,
    clock: Clock,
    /// What was read and belongs to nothing yet.
    input: Option<Buffer>,
    confirmations: Confirmations,
    _open: Option<Open>,
}

/// Memory for heads, used for one request after another and kept by no connection that waits.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    request: RequestHead,
    /// The request's head as it goes to an upstream.
    outward: Rewrite,
    response: forward::Scratch,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    /// The next request may come.
    Next,
    /// It ends; the client may still be sending, and gets the time to read its answer.
    Linger,
    /// It ends.
    Close,
    /// It ends with a reset: the client must not take for whole what it got.
    Reset,
}

impl Connection {
    pub(crate) fn new(
        worker: Rc<Worker>,
        stream: Stream,
        arrival: Arrival,
        tls: bool,
        admin: Option<Arc<Admin>>,
    ) -> Self {
        let open = admin.is_none().then(|| Open::new(&worker.shared));
        Self {
            worker,
            stream,
            arrival,
            tls,
            admin,
            clock: Clock::default(),
            input: None,
            confirmations: Confirmations::default(),
            _open: open,
        }
    }

    /// Begins with bytes that have been read already.
    pub(crate) fn has_read(mut self, bytes: &[u8]) -> Self {
        if !bytes.is_empty() {
            let mut input = self.worker.buffers.take();
            input.append(bytes);
            self.input = Some(input);
        }
        self
    }

    /// Serves the connection until it ends, or until the worker stops and the request under way is answered.
    pub(crate) async fn serve(&mut self) {
        let worker = Rc::clone(&self.worker);
        let idle = worker.shared.timeouts.idle;
        let mut stopped = pin!(worker.stop.told());
        while self.begins(idle, stopped.as_mut()).await {
            // Apart, so that a connection that waits long does not hold the memory of one that works.
            match Box::pin(self.requests(stopped.as_mut())).await {
                Then::Next => {}
                Then::Linger => {
                    self.confirm_soon().await;
                    Box::pin(linger::linger(&self.stream)).await;
                    break;
                }
                Then::Close => break,
                Then::Reset => {
                    self.stream.reset_when_dropped();
                    return;
                }
            }
        }
        self.confirm_soon().await;
        // TLS has an end of its own; and with deliveries to confirm, the client is told before they are waited for.
        if !self.stream.is_plain() || !self.confirmations.is_empty() {
            let _ = self.clock.limit(linger::TIME, self.stream.shutdown()).await;
        }
        self.confirmations.all().await;
    }

    /// Gives the client the time to acknowledge what was delivered, before it sees the connection's end: if it has all it
    /// wants, it may answer that with a reset, which overtakes its acknowledgements.
    async fn confirm_soon(&mut self) {
        if !self.confirmations.is_empty() {
            let _ = self.clock.limit(ACKNOWLEDGED, self.confirmations.all()).await;
        }
    }

    /// Waits for the next request: whether it begins within `limit`, before the worker stops.
    async fn begins(&mut self, limit: Duration, mut stopped: Pin<&mut impl Future<Output = ()>>) -> bool {
        self.input.take_if(|input| input.is_empty());
        if self.input.is_some() || self.worker.stop.is_told() {
            return self.input.is_some();
        }
        let (mut byte, mut deadline) = ([0], None);
        // By hand and not of futures in futures: this is all that a connection holds that waits.
        poll_fn(|cx| {
            if let Poll::Ready(begun) = self.poll_begun(cx, &mut byte) {
                return Poll::Ready(begun);
            }
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(false);
            }
            let deadline = *deadline.get_or_insert_with(|| far(Instant::now(), limit));
            self.clock.poll_until(cx, deadline).map(|()| false)
        })
        .await
    }

    /// Whether bytes have come; false when the client has ended.
    fn poll_begun(&mut self, cx: &mut Context<'_>, byte: &mut [u8; 1]) -> Poll<bool> {
        if self.stream.is_plain() {
            return self.stream.poll_readable(cx).map(|ready| ready.is_ok());
        }
        // With TLS there is no knowing without reading; one byte needs no buffer.
        self.stream.poll_read(cx, byte).map(|read| {
            let begun = matches!(read, Ok(1));
            if begun {
                let mut buffer = self.worker.buffers.take();
                buffer.append(byte);
                self.input = Some(buffer);
            }
            begun
        })
    }

    /// Waits a moment for the next request with all memory at hand, as some connections of a worker may.
    async fn begins_soon(&mut self, stopped: Pin<&mut impl Future<Output = ()>>) -> bool {
        let worker = Rc::clone(&self.worker);
        match Seat::take(&worker.warm) {
            Some(_seat) => self.begins(SOON, stopped).await,
            None => self.input.as_ref().is_some_and(|input| !input.is_empty()),
        }
    }

    /// Answers requests for as long as they come one soon behind the other.
    async fn requests(&mut self, mut stopped: Pin<&mut impl Future<Output = ()>>) -> Then {
        let worker = Rc::clone(&self.worker);
        let mut scratch = worker.take_scratch();
        let then = loop {
            let buffer = match self.head(&mut scratch.request).await {
                Ok(buffer) => buffer,
                Err(NoHead::Ended) => break Then::Close,
                Err(NoHead::Bad(bad)) => break self.refuse(bad).await,
            };
            match self.request(buffer, &mut scratch).await {
                // What it has sent behind its last request must not cost it the answer.
                Then::Close if self.input.is_some() || self.stream.has_news() => break Then::Linger,
                Then::Next if self.begins_soon(stopped.as_mut()).await => {}
                then => break then,
            }
        };
        worker.return_scratch(scratch);
        then
    }

    /// Reads the next head. Its buffer holds nothing else; what came behind it becomes the input.
    async fn head(&mut self, head: &mut RequestHead) -> Result<Buffer, NoHead> {
        let worker = &self.worker;
        let limits = worker.head_limits;
        let mut buffer = self.input.take().unwrap_or_else(|| worker.buffers.take());
        let mut deadline = None;
        head.clear();
        loop {
            if !buffer.is_empty() && head.parse(buffer.filled(), &limits).map_err(NoHead::Bad)? {
                self.input = buffer.split_off(head.len());
                return Ok(buffer);
            }
            if buffer.space().is_empty() {
                // A byte more than is allowed, so that a head that is too long is seen to be.
                buffer.grow(limits.head.saturating_add(1));
            }
            // The first bytes are there already; the clock runs for the rest.
            let read = self.stream.read(buffer.space());
            let read = match deadline {
                None => {
                    let mut read = pin!(read);
                    let at_once = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
                    match at_once {
                        Poll::Ready(read) => read,
                        Poll::Pending => {
                            let end = *deadline.insert(far(Instant::now(), worker.shared.timeouts.header));
                            self.clock.until(end, read).await.map_err(|Late| NoHead::Ended)?
                        }
                    }
                }
                Some(end) => self.clock.until(end, read).await.map_err(|Late| NoHead::Ended)?,
            };
            match read {
                Ok(0) | Err(_) => return Err(NoHead::Ended),
                Ok(n) => buffer.filled_by(n),
            }
        }
    }

    /// Answers one request, whose head stands in `buffer`.
    async fn request(&mut self, buffer: Buffer, scratch: &mut Scratch) -> Then {
        let worker = Rc::clone(&self.worker);
        let Scratch {
            request: head,
            outward,
            response,
        } = scratch;
        let request = head.view(buffer.filled());
        let mut left = BodyLeft::of_request(request.body());
        if let Some(admin) = self.admin.clone() {
            let page = admin.answer(request.path());
            return self
                .answer(request, &mut left, page, None, &mut response.text)
                .await;
        }
        let mut record = Record::new(&worker, self.arrival.peer(), request.method_text());
        let decision = front::decide(
            &worker,
            self.arrival,
            self.tls,
            request,
            outward,
            &mut record.line,
        );
        match decision {
            Decision::Answer(page) => {
                self.answer(request, &mut left, page, Some(record), &mut response.text)
                    .await
            }
            Decision::HandOut(small) => {
                self.hand_out(request, &mut left, &small, record, &mut response.text)
                    .await
            }
            Decision::Ask(service, asked) => {
                self.ask(request, left, service, asked, record, &mut response.text)
                    .await
            }
            Decision::Forward(pool) => {
                let job = forward::Job {
                    worker: &worker,
                    stream: &self.stream,
                    request,
                    head: buffer.filled(),
                    outward,
                    pool,
                };
                let forwarded = job
                    .run(left, &mut self.input, &mut self.clock, response, &mut record.line)
                    .await;
                match forwarded {
                    Forwarded::Answered(then) => then,
                    Forwarded::Failed(page) => self.give_up(request, page, record, &mut response.text).await,
                    Forwarded::Switched(tunnel) => {
                        // A tunnel may last for hours; the head is done with.
                        drop(buffer);
                        let input = self.input.take();
                        let carried = tunnel.carry(&self.stream, input, &worker, &mut self.clock).await;
                        record.end(carried, true);
                        Then::Close
                    }
                }
            }
        }
    }

    /// Answers a head that is not one, and takes nothing more from the client.
    async fn refuse(&mut self, bad: BadRequest) -> Then {
        let worker = Rc::clone(&self.worker);
        let status = StatusCode::from_u16(bad.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let mut record = Record::new(&worker, self.arrival.peer(), "");
        record.line.status = status.as_u16();
        tracing::debug!(id = %record.line.id, peer = %self.arrival.peer(), error = bad.code(), "no request: {bad}");
        let page = crate::page::page(
            status,
            "This is not a request that this server understands.",
            record.line.id,
        );
        self.answer_refused(page, record).await;
        Then::Linger
    }
}

/// Why there is no next request.
enum NoHead {
    /// The client has ended, or did not send a whole head in time.
    Ended,
    Bad(BadRequest),
}

/// Whether the client may send another request on this connection when this one is answered.
pub(crate) fn may_stay(worker: &Worker, request: Request<'_>) -> bool {
    request.keep_alive() && !worker.stop.is_told()
}

/// What `Connection` has to say, if anything: persistence goes without saying in HTTP/1.1, its end in HTTP/1.0.
pub(crate) fn connection_option(version: Version, stays: bool) -> Option<&'static str> {
    match (version, stays) {
        (Version::Http11, true) | (Version::Http10, false) => None,
        (Version::Http11, false) => Some("close"),
        (Version::Http10, true) => Some("keep-alive"),
    }
}
