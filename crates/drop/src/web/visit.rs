//! A request about a drop: which drop, what is known of it, and who asks.
//!
//! Invariant: a handler that has a [`Visit`] has a drop that is complete and not forgotten, a verdict on who asks, and
//! what it needs to know them from other recipients; all of it from one look at the catalog.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use truehop_tower::Client;
use truehop_tower::truehop::Resolution;

use crate::catalog::{DropRecord, FileRecord, Which};
use crate::file_drop::Shared;
use crate::id::DropId;
use crate::lifecycle::{Asker, Phase, Refused, State};
use crate::owner::{Mark, Unknown, Verdict};
use crate::secret::{Secret, SecretHash};
use crate::web::answer::Refusal;
use crate::web::asking::Asking;

pub(super) struct Visit {
    pub(super) shared: Arc<Shared>,
    pub(super) asking: Asking,
    pub(super) record: DropRecord,
    /// The file in the path, which there is; or all of the drop.
    pub(super) which: Which,
    pub(super) verdict: Verdict,
    /// The name of the collection that begins if one does.
    fresh: Secret,
    client: Resolution,
    /// How a recipient is known, as of the last look.
    asker: Asker,
}

impl FromRequestParts<Arc<Shared>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        let client = Client::from_request_parts(parts, shared).await;
        let Client(client) = client.map_err(IntoResponse::into_response)?;
        let asking = Asking::of(&parts.method, &parts.uri, &parts.headers);
        let wants = asking.wants;
        let path = RawPathParams::from_request_parts(parts, shared).await;
        let path = path.map_err(IntoResponse::into_response)?;
        Self::of(shared, asking, client, &path)
            .await
            .map_err(|refusal| refusal.answer(wants))
    }
}

impl Visit {
    async fn of(
        shared: &Arc<Shared>,
        mut asking: Asking,
        client: Resolution,
        path: &RawPathParams,
    ) -> Result<Self, Refusal> {
        let part = |name| {
            path.iter()
                .find_map(|(key, value)| (key == name).then_some(value))
        };
        let id = part("id")
            .and_then(DropId::parse)
            .ok_or_else(Refusal::not_found)?;
        let record = find(shared, &id).await?;
        let which = match part("number") {
            None => Which::All,
            Some(text) => {
                let number = number(text).filter(|&number| record.file(number).is_some());
                Which::One(number.ok_or_else(Refusal::not_found)?)
            }
        };
        let fresh = Secret::random().map_err(Refusal::of_random)?;
        // A link names a collection that there is; it does not begin one under a name that its writer knows.
        let is_known = |name: SecretHash| {
            let mut holds = record.files.iter().filter_map(|file| file.life.hold.as_ref());
            holds.any(|hold| hold.collection == name)
        };
        if asking.is_linked && !asking.collection.as_ref().map(Secret::hash).is_some_and(is_known) {
            asking.collection = None;
        }
        Ok(Self {
            asker: asker(shared, &asking, &fresh, &record, &client),
            verdict: shared.recognition.judge(record.kept(), asking.tokens(), &client),
            shared: Arc::clone(shared),
            asking,
            record,
            which,
            fresh,
            client,
        })
    }

    /// Looks again, after something has changed.
    pub(super) async fn refresh(&mut self) -> Result<(), Refusal> {
        self.record = find(&self.shared, &self.record.id).await?;
        self.asker = asker(
            &self.shared,
            &self.asking,
            &self.fresh,
            &self.record,
            &self.client,
        );
        Ok(())
    }

    pub(super) fn owner(&self) -> Option<Mark> {
        match self.verdict {
            Verdict::Owner(mark) => Some(mark),
            Verdict::Other | Verdict::Unknown(_) => None,
        }
    }

    /// Why nobody can say whether this is the owner.
    pub(super) fn unknown(&self) -> Option<Unknown> {
        match self.verdict {
            Verdict::Unknown(reason) => Some(reason),
            Verdict::Owner(_) | Verdict::Other => None,
        }
    }

    /// How a recipient is known.
    pub(super) fn asker(&self) -> Asker {
        self.asker
    }

    /// The collection that a recipient shows, or that begins with them.
    pub(super) fn collection(&self) -> &Secret {
        self.asking.collection.as_ref().unwrap_or(&self.fresh)
    }

    /// The name of a collection, if it is one that this recipient knows or may be told.
    pub(super) fn name_of(&self, collection: SecretHash) -> Option<&Secret> {
        Some(self.collection()).filter(|secret| secret.hash() == collection)
    }

    /// The files that are asked for, in any state.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileRecord> {
        self.record.files.iter().filter(|file| match self.which {
            Which::All => true,
            Which::One(number) => file.number == number,
        })
    }

    /// Whether the drop was uploaded with a single file, as far as that is not forgotten.
    pub(super) fn is_single(&self) -> bool {
        matches!(self.record.files.as_slice(), [only] if only.number == 1)
    }

    pub(super) fn phase(&self, file: &FileRecord) -> Phase {
        file.life
            .phase(&self.shared.terms, self.record.now, file.is_alive)
    }

    /// Whether this recipient would get so many bytes of the file. The catalog decides again, by itself, before bytes
    /// are handed out.
    pub(super) fn would_get(&self, file: &FileRecord, bytes: u64) -> Result<(), Refused> {
        self.would_get_as(&self.asker, file, bytes)
    }

    /// The same, of one who shows something else.
    pub(super) fn would_get_as(&self, asker: &Asker, file: &FileRecord, bytes: u64) -> Result<(), Refused> {
        let admitted = file.life.admitted(
            &self.shared.terms,
            self.record.now,
            file.is_alive,
            asker,
            &(0..bytes),
        );
        admitted.map(drop)
    }

    /// Whether this recipient's collection holds the file.
    pub(super) fn holds(&self, file: &FileRecord) -> bool {
        let asker = Asker {
            has_range: true,
            ..self.asker()
        };
        let hold = file.life.hold.as_ref();
        hold.is_some_and(|hold| hold.belongs(&asker, file.is_alive, &(0..0)))
    }

    /// The path of the drop's page.
    pub(super) fn path(&self) -> String {
        format!("/d/{}", self.record.id)
    }
}

/// Written as we write it: one file has one address.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn asker(
    shared: &Shared,
    asking: &Asking,
    fresh: &Secret,
    record: &DropRecord,
    client: &Resolution,
) -> Asker {
    let salt = record.salt.as_ref();
    Asker {
        shown: asking.collection.as_ref().map(Secret::hash),
        fresh: fresh.hash(),
        address: salt.and_then(|salt| shared.recognition.digest(salt, client)),
        behind_proxy: client.peer_is_trusted() && client.depth() > 0,
        has_range: asking.has_range,
        request: 0,
    }
}

async fn find(shared: &Shared, id: &DropId) -> Result<DropRecord, Refusal> {
    let mut record = shared.catalog.find(id).await?.ok_or_else(Refusal::not_found)?;
    // Whether or not anybody has swept since.
    let now = record.now;
    record.files.retain(|file| {
        let ended_at = file.life.ended_at;
        ended_at.is_none_or(|at| now < at.plus(shared.terms.receipts))
    });
    let is_complete = |file: &FileRecord| file.life.state != State::Receiving;
    match record.files.iter().all(is_complete) && !record.files.is_empty() {
        true => Ok(record),
        false => Err(Refusal::not_found()),
    }
}
