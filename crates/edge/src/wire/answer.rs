//! The answers of the edge itself and of services, and what becomes of their connections.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use http::{Response, StatusCode};
use truehop_http1::{Method, Request, RequestBody, Version};

use super::pull::{self, Gone, Source};
use super::writer::{ResponseWriter, Sent, end_head};
use super::{BodyLeft, Buffer, Connection, Then, may_stay};
use crate::body::Body;
use crate::front::Record;
use crate::handler::{Service, Small};

impl Connection {
    /// Sends `response`, which nobody needs the request's body for.
    pub(super) async fn answer(
        &mut self,
        request: Request<'_>,
        left: &mut BodyLeft,
        response: Response<Body>,
        record: Option<Record<'_>>,
        text: &mut Vec<u8>,
    ) -> Then {
        discard(left, &mut self.input);
        let stays = left.is_over() && may_stay(&self.worker, request);
        self.respond(request, stays, left.is_over(), response, record, text)
            .await
    }

    /// Answers a request that could not be forwarded. How much of its body was read for nothing is not known any more,
    /// so one with a body is the last of its connection.
    pub(super) async fn give_up(
        &mut self,
        request: Request<'_>,
        response: Response<Body>,
        record: Record<'_>,
        text: &mut Vec<u8>,
    ) -> Then {
        let was_read = request.body() == RequestBody::Empty;
        let stays = was_read && may_stay(&self.worker, request);
        self.respond(request, stays, was_read, response, Some(record), text)
            .await
    }

    async fn respond(
        &mut self,
        request: Request<'_>,
        stays: bool,
        was_read: bool,
        response: Response<Body>,
        mut record: Option<Record<'_>>,
        text: &mut Vec<u8>,
    ) -> Then {
        let mut bytes = 0;
        if let Some(record) = &mut record {
            record.line.status = response.status().as_u16();
        }
        let writer = ResponseWriter {
            worker: &self.worker,
            stream: &self.stream,
            clock: &mut self.clock,
            method: request.method(),
            version: request.version(),
            stays,
            text,
            bytes: &mut bytes,
            gathered: None,
            delivery: None,
        };
        let sent = writer.send(response).await;
        if let Some(record) = record {
            record.end(bytes, sent.whole);
        }
        self.after(sent, was_read)
    }

    /// Sends a small file that is at hand, whole.
    pub(super) async fn hand_out(
        &mut self,
        request: Request<'_>,
        left: &mut BodyLeft,
        small: &Small,
        mut record: Record<'_>,
        text: &mut Vec<u8>,
    ) -> Then {
        discard(left, &mut self.input);
        let stays = left.is_over() && may_stay(&self.worker, request);
        record.line.status = StatusCode::OK.as_u16();
        text.clear();
        text.extend_from_slice(&small.head);
        end_head(text, &self.worker, request.version(), stays);
        let writer = ResponseWriter {
            worker: &self.worker,
            stream: &self.stream,
            clock: &mut self.clock,
            method: request.method(),
            version: request.version(),
            stays,
            text,
            bytes: &mut record.line.bytes,
            gathered: None,
            delivery: None,
        };
        let sent = writer.send_whole(&small.bytes).await;
        record.line.whole = sent.whole;
        self.after(sent, left.is_over())
    }

    /// Answers a head that could not be read.
    pub(super) async fn answer_refused(&mut self, response: Response<Body>, mut record: Record<'_>) {
        let writer = ResponseWriter {
            worker: &self.worker,
            stream: &self.stream,
            clock: &mut self.clock,
            method: Method::Other,
            version: Version::Http11,
            stays: false,
            text: &mut Vec::new(),
            bytes: &mut record.line.bytes,
            gathered: None,
            delivery: None,
        };
        record.line.whole = writer.send(response).await.whole;
    }

    /// Has a service answer, which reads the request's body as it likes.
    pub(super) async fn ask(
        &mut self,
        request: Request<'_>,
        mut left: BodyLeft,
        service: &Service,
        asked: http::Request<()>,
        mut record: Record<'_>,
        text: &mut Vec<u8>,
    ) -> Then {
        let worker = &*self.worker;
        let (stream, clock, line) = (&self.stream, &mut self.clock, &mut record.line);
        let (pulled, feed) = pull::pull(&left);
        let answering = Cell::new(false);
        let answered = {
            let source = Source {
                stream,
                input: &mut self.input,
                buffers: &worker.buffers,
                limit: worker.shared.timeouts.body,
                expects_continue: request.expects_continue(),
                answering: &answering,
            };
            let body = match left.is_over() {
                true => Body::empty(),
                false => Body::new(pulled),
            };
            let mut answer = pin!(async {
                let response = service.call(asked.map(|()| body)).await;
                answering.set(true);
                line.status = response.status().as_u16();
                let writer = ResponseWriter {
                    worker,
                    stream,
                    clock,
                    method: request.method(),
                    version: request.version(),
                    stays: feed.is_over() && may_stay(worker, request),
                    text,
                    bytes: &mut line.bytes,
                    gathered: None,
                    delivery: None,
                };
                writer.send(response).await
            });
            let mut feeding = pin!(feed.run(&mut left, source));
            poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(sent) => Poll::Ready(Ok(sent)),
                Poll::Pending => feeding.as_mut().poll(cx).map(Err),
            })
            .await
        };
        match answered {
            Ok(sent) => {
                record.line.whole = sent.whole;
                self.after(sent, left.is_over())
            }
            Err(Gone) => {
                tracing::debug!(id = %record.line.id, "the client went away before it was answered");
                Then::Close
            }
        }
    }

    fn after(&mut self, sent: Sent, was_read: bool) -> Then {
        if let Some(delivery) = sent.delivery {
            let limit = self.worker.shared.timeouts.write;
            self.confirmations
                .await_word(delivery, sent.whole, sent.bytes, limit, &self.stream);
        }
        if !sent.whole {
            return if sent.until_close {
                Then::Reset
            } else {
                Then::Close
            };
        }
        match (sent.stays, was_read) {
            (true, _) => Then::Next,
            (false, true) => Then::Close,
            (false, false) => Then::Linger,
        }
    }
}

/// Throws away what has come of a body that nobody wants.
fn discard(left: &mut BodyLeft, input: &mut Option<Buffer>) {
    let Some(buffer) = input else {
        return;
    };
    if left.is_over() {
        return;
    }
    if let Ok(content) = left.gather(buffer.filled_mut()) {
        buffer.consume(content.consumed);
    }
    if buffer.is_empty() {
        *input = None;
    }
}
