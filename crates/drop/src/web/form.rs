//! An upload as `multipart/form-data`: one file, before or after the field `expires`.
//!
//! Invariant: memory does not follow the client. The reader of forms takes all that its stream has ready and keeps it
//! until a field ends or its head is complete, so [`Breath`] gives it one piece at a time and ends a head that has no
//! end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http::header::{self, HeaderMap};
use multer::{Constraints, Field, Multipart, SizeLimit};
use truehop_tower::truehop::Resolution;

use crate::file_drop::Shared;
use crate::intake::{Intake, Stored};
use crate::name;
use crate::owner::Token;
use crate::web::answer::Refusal;
use crate::web::asking::parse_expires;
use crate::web::pace::{Paced, TooSlow};

/// What may come before a field's content begins.
const HEAD_LIMIT: u64 = 256 * 1024;
/// The longest content of the field `expires`.
const EXPIRES_LIMIT: u64 = 64;

pub(super) async fn receive(
    shared: &Arc<Shared>,
    client: &Resolution,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Stored, Token), Refusal> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let boundary = multer::parse_boundary(kind)
        .map_err(|_| Refusal::bad_request("Send the file as multipart/form-data, or with PUT."))?;
    let allowance = Arc::new(AtomicU64::new(HEAD_LIMIT));
    let breath = Breath {
        body: Paced::new(body),
        allowance: Arc::clone(&allowance),
        pause: false,
    };
    let sizes = SizeLimit::new().for_field("expires", EXPIRES_LIMIT);
    let mut reading = Reading {
        shared,
        client,
        allowance,
        form: Multipart::with_constraints(breath, boundary, Constraints::new().size_limit(sizes)),
        intake: None,
        expires: shared.limits.expires,
    };
    let read = reading.read().await;
    match (read, reading.intake) {
        (Ok(()), Some(intake)) => {
            let finished = intake.finish(reading.expires).await;
            finished.map_err(|error| Refusal::of_intake(error, shared.limits.max_size))
        }
        (Ok(()), None) => Err(no_file()),
        (Err(refusal), intake) => {
            if let Some(intake) = intake {
                intake.abandon().await;
            }
            Err(refusal)
        }
    }
}

struct Reading<'a> {
    shared: &'a Arc<Shared>,
    client: &'a Resolution,
    allowance: Arc<AtomicU64>,
    form: Multipart<'static>,
    intake: Option<Intake>,
    expires: Duration,
}

impl Reading<'_> {
    async fn read(&mut self) -> Result<(), Refusal> {
        loop {
            self.allowance.store(HEAD_LIMIT, Ordering::Relaxed);
            let Some(field) = self.form.next_field().await.map_err(unreadable)? else {
                return Ok(());
            };
            match field.name() {
                Some("file") if self.intake.is_some() => {
                    return Err(Refusal::bad_request("One file at a time, please."));
                }
                Some("file") => self.file(field).await?,
                Some("expires") => {
                    let text = field.text().await.map_err(unreadable)?;
                    self.expires = parse_expires(&text, &self.shared.limits).map_err(Refusal::bad_request)?;
                }
                _ => {
                    return Err(Refusal::bad_request(
                        "The form has a field that is neither file nor expires.",
                    ));
                }
            }
        }
    }

    async fn file(&mut self, mut field: Field<'static>) -> Result<(), Refusal> {
        let refused = |error| Refusal::of_intake(error, self.shared.limits.max_size);
        // A browser sends an empty name when nothing was chosen.
        let sent = field
            .file_name()
            .filter(|name| !name.is_empty())
            .ok_or_else(no_file)?;
        let intake = Intake::begin(self.shared, name::clean(sent), self.client).map_err(refused)?;
        let intake = self.intake.insert(intake);
        self.allowance.store(u64::MAX, Ordering::Relaxed);
        loop {
            let chunk = intake.unless_failed(field.chunk()).await.map_err(refused)?;
            let Some(bytes) = chunk.map_err(unreadable)? else {
                return Ok(());
            };
            intake.write(bytes).await.map_err(refused)?;
        }
    }
}

fn no_file() -> Refusal {
    Refusal::bad_request("Choose a file first.")
}

fn unreadable(error: multer::Error) -> Refusal {
    if TooSlow::is(&error) {
        return Refusal::too_slow();
    }
    Refusal::bad_request(match error {
        multer::Error::FieldSizeExceeded { .. } => "The field expires is too long; write 1h or 3d.",
        multer::Error::StreamReadFailed(_)
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream => "The upload stopped before its end; nothing was kept.",
        _ => "The form cannot be read.",
    })
}

/// A body that is pending after each piece, and fails when more comes than is allowed for now.
struct Breath {
    body: Paced,
    allowance: Arc<AtomicU64>,
    pause: bool,
}

impl Stream for Breath {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = std::task::ready!(Pin::new(&mut self.body).poll_next(cx));
        let Some(piece) = piece else {
            return Poll::Ready(None);
        };
        let bytes = piece?;
        self.pause = true;
        let allowed = self.allowance.load(Ordering::Relaxed);
        match allowed.checked_sub(bytes.len() as u64) {
            Some(rest) => {
                // The limit is for what comes without an end; a file has its own.
                if allowed != u64::MAX {
                    self.allowance.store(rest, Ordering::Relaxed);
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            None => Poll::Ready(Some(Err("the head of a field has no end".into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn the_reader_of_forms_cannot_take_more_than_a_piece_at_a_time() {
        let pieces = ["one", "two", "three"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let mut breath = Breath {
            body: Paced::new(Body::from_stream(futures_util::stream::iter(pieces))),
            allowance: Arc::new(AtomicU64::new(6)),
            pause: false,
        };
        let cx = &mut Context::from_waker(Waker::noop());
        let mut next = || Pin::new(&mut breath).poll_next(cx);
        for piece in ["one", "two"] {
            assert!(matches!(next(), Poll::Ready(Some(Ok(bytes))) if bytes == piece));
            assert!(next().is_pending());
        }
        assert!(matches!(next(), Poll::Ready(Some(Err(_)))));
    }
}
