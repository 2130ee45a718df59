//! An upload as `multipart/form-data`: files, and before, between or after them the fields `expires` and `owner`.
//!
//! Invariant: memory does not follow the client. The reader of forms takes all that its stream has ready and keeps it
//! until a field ends or its head is complete, so [`Breath`] gives it one piece at a time and ends a head that has no
//! end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http::header::{self, HeaderMap};
use multer::{Constraints, Field, Multipart, SizeLimit};
use truehop_tower::truehop::Resolution;

use crate::catalog::MOST_FILES;
use crate::file_drop::Shared;
use crate::intake::{Received, Upload, Wishes};
use crate::name;
use crate::secret::Secret;
use crate::web::answer::Refusal;
use crate::web::asking::parse_expires;
use crate::web::pace::{Paced, TooSlow};
use crate::web::upload::rule_of;

/// The reader of forms gets pieces of this size at most, however large those are that come.
const PIECE: usize = 64 * 1024;
/// What may come before a field's content begins; more than a piece, with what is before it.
const HEAD_LIMIT: u64 = 256 * 1024;
/// The longest content of a field that is no file.
const WORD_LIMIT: u64 = 64;

/// Receives the form's files as a drop. What the headers or the query say of it, a field may say otherwise.
pub(super) async fn receive(
    shared: &Arc<Shared>,
    client: &Resolution,
    headers: &HeaderMap,
    wishes: Wishes,
    body: Body,
) -> Result<(Received, Secret), Refusal> {
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
        rest: Bytes::new(),
        pause: false,
    };
    let sizes = SizeLimit::new()
        .for_field("expires", WORD_LIMIT)
        .for_field("owner", WORD_LIMIT);
    let reading = Reading {
        shared,
        client,
        allowance,
        form: Multipart::with_constraints(breath, boundary, Constraints::new().size_limit(sizes)),
        upload: None,
        files: 0,
        most_files: MOST_FILES,
        wishes,
    };
    reading.receive().await
}

struct Reading<'a> {
    shared: &'a Arc<Shared>,
    client: &'a Resolution,
    allowance: Arc<AtomicU64>,
    form: Multipart<'static>,
    /// From the first file on.
    upload: Option<Upload>,
    files: u32,
    most_files: u32,
    wishes: Wishes,
}

impl Reading<'_> {
    async fn receive(mut self) -> Result<(Received, Secret), Refusal> {
        let read = self.read().await;
        match (read, self.upload) {
            (Ok(()), Some(upload)) => {
                let finished = upload.finish(self.wishes).await;
                finished.map_err(|error| Refusal::of_intake(error, self.shared.limits.max_size))
            }
            (Ok(()), None) => Err(no_file()),
            (Err(refusal), upload) => {
                if let Some(upload) = upload {
                    upload.abandon().await;
                }
                Err(refusal)
            }
        }
    }

    async fn read(&mut self) -> Result<(), Refusal> {
        loop {
            self.allowance.store(HEAD_LIMIT, Ordering::Relaxed);
            let Some(field) = self.next_field().await? else {
                return Ok(());
            };
            match field.name() {
                Some("file") => self.file(field).await?,
                Some("expires") => {
                    let text = field.text().await.map_err(unreadable)?;
                    let wait = parse_expires(&text, &self.shared.limits).map_err(Refusal::bad_request)?;
                    self.wishes.wait = wait;
                }
                Some("owner") => {
                    let text = field.text().await.map_err(unreadable)?;
                    self.wishes.rule = rule_of(self.shared, Some(&text))?;
                }
                _ => {
                    return Err(Refusal::bad_request(
                        "The form has a field that is neither file nor expires nor owner.",
                    ));
                }
            }
        }
    }

    async fn next_field(&mut self) -> Result<Option<Field<'static>>, Refusal> {
        let next = self.form.next_field();
        let next = match &mut self.upload {
            None => next.await,
            Some(upload) => {
                let failed = |error| Refusal::of_intake(error, self.shared.limits.max_size);
                upload.unless_failed(next).await.map_err(failed)?
            }
        };
        next.map_err(unreadable)
    }

    async fn file(&mut self, mut field: Field<'static>) -> Result<(), Refusal> {
        let refused = |error| Refusal::of_intake(error, self.shared.limits.max_size);
        // A browser sends an empty name when nothing was chosen.
        let sent = field
            .file_name()
            .filter(|name| !name.is_empty())
            .ok_or_else(no_file)?;
        self.files += 1;
        if self.files > self.most_files {
            let most = self.most_files;
            let text = format!("One upload takes at most {most} files; send the others with another.");
            return Err(Refusal::bad_request(text));
        }
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(Upload::begin(self.shared, self.client).map_err(refused)?),
        };
        upload
            .file(name::clean(&name::of_form(sent)))
            .await
            .map_err(refused)?;
        self.allowance.store(u64::MAX, Ordering::Relaxed);
        loop {
            let chunk = upload.unless_failed(field.chunk()).await.map_err(refused)?;
            let Some(bytes) = chunk.map_err(unreadable)? else {
                return Ok(());
            };
            upload.write(bytes).await.map_err(refused)?;
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
        multer::Error::FieldSizeExceeded { .. } => {
            "A field is too long; expires is written 1h or 3d, owner is a word."
        }
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
    /// What is left of the piece that came last.
    rest: Bytes,
    pause: bool,
}

impl Stream for Breath {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(piece) => self.rest = piece?,
                None => return Poll::Ready(None),
            }
        }
        let size = self.rest.len().min(PIECE);
        let bytes = self.rest.split_to(size);
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

    use truehop_tower::truehop::{Peer, Policy};

    use super::*;
    use crate::{DropConfig, FileDrop};

    #[tokio::test]
    async fn a_form_has_only_so_many_files_and_one_more_leaves_none() {
        let data = tempfile::tempdir().unwrap();
        let drop = FileDrop::open(&DropConfig::default(), data.path()).unwrap();
        let shared = drop.shared();
        let headers: [(&str, &str); 0] = [];
        let peer: Peer = "203.0.113.1".parse().unwrap();
        let client = Policy::peer().resolve(peer, &headers[..]).unwrap();
        for (count, is_taken) in [(1, true), (2, true), (3, false)] {
            let file = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n";
            let body = file.repeat(count) + "--B--\r\n";
            let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(body))]);
            let reading = Reading {
                shared,
                client: &client,
                allowance: Arc::new(AtomicU64::new(HEAD_LIMIT)),
                form: Multipart::new(pieces, "B"),
                upload: None,
                files: 0,
                most_files: 2,
                wishes: Wishes {
                    wait: std::time::Duration::from_secs(60),
                    rule: shared.recognition.rule,
                },
            };
            let received = reading.receive().await;
            match is_taken {
                true => assert!(received.is_ok()),
                false => assert!(received.unwrap_err().text.contains("at most 2 files")),
            }
        }
        let census = shared.catalog.census().await.unwrap();
        assert_eq!(census.iter().map(|(_, files, _)| files).sum::<u64>(), 3);
    }

    #[test]
    fn the_reader_of_forms_cannot_take_more_than_a_piece_at_a_time() {
        let pieces = ["one", "two", "three"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let mut breath = Breath {
            body: Paced::new(Body::from_stream(futures_util::stream::iter(pieces))),
            allowance: Arc::new(AtomicU64::new(6)),
            rest: Bytes::new(),
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
