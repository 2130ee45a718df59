//! What a reader makes of the bytes of a connection: this crate, and hyper.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use truehop_http1::{
    Chunked, Field, Limits, Method, RequestBody, RequestHead, ResponseBody, ResponseHead, Step,
    trailer_fields,
};

/// Everything that came on a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Story {
    pub(crate) messages: Vec<Message>,
    pub(crate) end: End,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    /// Method and target, or the status.
    pub(crate) start: String,
    /// In lower case, ordered by name.
    pub(crate) fields: Fields,
    /// With the trailers; nothing when it was not whole.
    pub(crate) body: Option<(Vec<u8>, Fields)>,
}

pub(crate) type Fields = Vec<(String, Vec<u8>)>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Between two messages, or after the last one that the connection was good for.
    Clean,
    /// In the middle of a message.
    Cut,
    /// The reader refuses to go on; our code, or nothing.
    Refused(&'static str),
}

/// A body that ended otherwise than it should.
fn ended(end: End) -> (Option<(Vec<u8>, Fields)>, End) {
    (None, end)
}

pub(crate) fn our_requests(wire: &[u8]) -> Story {
    let mut messages = Vec::new();
    let mut head = RequestHead::default();
    let mut rest = wire;
    let end = loop {
        head.clear();
        match head.parse(rest, &Limits::default()) {
            Err(fault) => break End::Refused(fault.code()),
            // Also behind the empty line that may stand before a request.
            Ok(false) if rest.is_empty() || rest == b"\r\n" => break End::Clean,
            Ok(false) => break End::Cut,
            Ok(true) => {}
        }
        let request = head.view(rest);
        let after = &rest[head.len()..];
        let ((body, end), consumed) = match request.body() {
            RequestBody::Empty => ((Some(Default::default()), End::Clean), 0),
            RequestBody::Length(length) => sized(after, length),
            RequestBody::Chunked => chunked(after),
        };
        messages.push(Message {
            start: format!("{} {}", request.method_text(), request.path_and_query()),
            fields: sorted(request.fields()),
            body,
        });
        rest = &after[consumed..];
        if end != End::Clean || !request.keep_alive() {
            break end;
        }
    };
    Story { messages, end }
}

/// The first final response, to a request with this method.
pub(crate) fn our_response(wire: &[u8], method: Method) -> Story {
    let mut head = ResponseHead::default();
    let mut rest = wire;
    loop {
        head.clear();
        let end = match head.parse(rest, &Limits::default()) {
            Err(fault) => End::Refused(fault.code()),
            Ok(false) => End::Cut,
            Ok(true) => End::Clean,
        };
        if end != End::Clean {
            return Story {
                messages: vec![],
                end,
            };
        }
        let response = head.view(rest);
        let after = &rest[head.len()..];
        if response.status() < 200 {
            rest = after;
            continue;
        }
        let ((body, end), _) = match response.body(method) {
            ResponseBody::Empty => ((Some(Default::default()), End::Clean), 0),
            ResponseBody::Length(length) => sized(after, length),
            ResponseBody::Chunked => chunked(after),
            ResponseBody::UntilClose => ((Some((after.to_vec(), vec![])), End::Clean), after.len()),
        };
        let message = Message {
            start: response.status().to_string(),
            fields: sorted(response.fields()),
            body,
        };
        return Story {
            messages: vec![message],
            end,
        };
    }
}

type Body = ((Option<(Vec<u8>, Fields)>, End), usize);

fn sized(bytes: &[u8], length: u64) -> Body {
    match usize::try_from(length)
        .ok()
        .and_then(|length| bytes.get(..length))
    {
        Some(body) => ((Some((body.to_vec(), vec![])), End::Clean), body.len()),
        None => (ended(End::Cut), bytes.len()),
    }
}

fn chunked(bytes: &[u8]) -> Body {
    let mut chunked = Chunked::default();
    let (mut data, mut consumed) = (Vec::new(), 0);
    loop {
        let rest = &bytes[consumed..];
        match chunked.decode(rest) {
            Err(fault) => return (ended(End::Refused(fault.code())), bytes.len()),
            Ok(Step::More { .. }) => return (ended(End::Cut), bytes.len()),
            Ok(Step::Data { skip, data: length }) => {
                data.extend_from_slice(&rest[skip..skip + length]);
                consumed += skip + length;
            }
            Ok(Step::End { skip, trailers }) => {
                let fields = sorted(trailer_fields(&rest[skip..skip + trailers]));
                return ((Some((data, fields)), End::Clean), consumed + skip + trailers + 2);
            }
        }
    }
}

fn sorted<'a>(fields: impl Iterator<Item = Field<'a>>) -> Fields {
    let mut fields: Fields = fields
        .map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()))
        .collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

fn sorted_map(map: &HeaderMap) -> Fields {
    let mut fields: Fields = map
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

async fn read(body: Incoming) -> Option<(Vec<u8>, Fields)> {
    let body = body.collect().await.ok()?;
    let trailers = body.trailers().map(sorted_map).unwrap_or_default();
    Some((body.to_bytes().to_vec(), trailers))
}

fn run<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(story))
}

/// More than any story writes, so that nobody waits for room.
const ROOM: usize = 1 << 14;

pub(crate) fn their_requests(wire: &[u8]) -> Story {
    let messages = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let messages = Rc::clone(&messages);
        async move {
            let (head, body) = request.into_parts();
            let target = head.uri.path_and_query().map_or("", |target| target.as_str());
            let message = Message {
                start: format!("{} {target}", head.method),
                fields: sorted_map(&head.headers),
                body: read(body).await,
            };
            messages.borrow_mut().push(message);
            let mut response = hyper::Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(response)
        }
    });
    let result = run(async {
        let (mut near, far) = tokio::io::duplex(ROOM);
        near.write_all(wire).await.unwrap();
        near.shutdown().await.unwrap();
        let server = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(far), service);
        server.await
    });
    let messages = messages.take();
    let whole = messages.iter().all(|message| message.body.is_some());
    let end = match result {
        Ok(()) if whole => End::Clean,
        Err(error) if error.is_incomplete_message() => End::Cut,
        _ => End::Refused(""),
    };
    Story { messages, end }
}

pub(crate) fn their_response(wire: &[u8], method: Method) -> Story {
    let method = if method == Method::Head {
        hyper::Method::HEAD
    } else {
        hyper::Method::GET
    };
    run(async {
        let (mut near, far) = tokio::io::duplex(ROOM);
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(far))
            .await
            .unwrap();
        let connection = tokio::task::spawn_local(connection);
        let request = hyper::Request::builder()
            .method(method)
            .uri("/")
            .header("host", "a");
        let response = client.send_request(request.body(Empty::<Bytes>::new()).unwrap());
        let upstream = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                near.read_buf(&mut request).await.unwrap();
            }
            near.write_all(wire).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let (response, ()) = tokio::join!(response, upstream);
        let story = match response {
            Err(error) if error.is_incomplete_message() => Story {
                messages: vec![],
                end: End::Cut,
            },
            Err(_) => Story {
                messages: vec![],
                end: End::Refused(""),
            },
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = read(body).await;
                let end = if body.is_some() {
                    End::Clean
                } else {
                    End::Refused("")
                };
                let message = Message {
                    start: head.status.as_u16().to_string(),
                    fields: sorted_map(&head.headers),
                    body,
                };
                Story {
                    messages: vec![message],
                    end,
                }
            }
        };
        drop((client, near));
        // Bytes behind the response are an error there, and not of this story.
        let _ = connection.await.unwrap();
        story
    })
}
