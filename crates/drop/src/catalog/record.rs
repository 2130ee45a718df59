//! One row of the catalog.
//!
//! Invariant: a row that this program did not write (an unknown word, a digest of another length) is an error, never
//! read as something else.

use rusqlite::Row;
use rusqlite::types::Type;

use crate::clock::Timestamp;
use crate::id::FileId;
use crate::lifecycle::{Ending, Life, State};
use crate::owner::{AddressDigest, Kept, Salt};

/// What is known about a file. Name, salt and address are erased with the bytes.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: FileId,
    pub(crate) life: Life,
    pub(crate) name: Option<String>,
    pub(crate) size: u64,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) token_hash: [u8; 32],
    pub(crate) salt: Option<Salt>,
    pub(crate) uploader: Option<AddressDigest>,
    pub(crate) recipient: Option<AddressDigest>,
    /// Recipients of whom nobody could say whether they were the owner, and why the last one.
    pub(crate) unknown: u32,
    pub(crate) unknown_why: Option<String>,
    /// Collections that ended because the server did; they count for nothing.
    pub(crate) interrupted: u32,
    /// Whether a collection is under way, also of a file that is over: it may yet turn out to have arrived.
    pub(crate) is_alive: bool,
    pub(crate) ending: Option<Ending>,
    pub(crate) ended_at: Option<Timestamp>,
}

impl Record {
    pub(super) const COLUMNS: &str = "id, state, name, size, sha256, token_hash, salt, uploader, recipient, expires_at, \
        lease_until, attempts, again_until, unknown, unknown_why, interrupted, ending, ended_at";

    /// Reads a row of [`COLUMNS`](Self::COLUMNS). Whether a collection is under way stands in no row.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let id: String = row.get("id")?;
        let state: String = row.get("state")?;
        let ending: Option<String> = row.get("ending")?;
        Ok(Self {
            id: FileId::parse(&id).ok_or_else(|| foreign("id"))?,
            life: Life {
                state: State::parse(&state).ok_or_else(|| foreign("state"))?,
                expires_at: Timestamp(row.get("expires_at")?),
                lease_until: Timestamp(row.get("lease_until")?),
                attempts: row.get("attempts")?,
                again_until: row.get::<_, Option<i64>>("again_until")?.map(Timestamp),
            },
            name: row.get("name")?,
            size: row
                .get::<_, Option<i64>>("size")?
                .map_or(Ok(0), u64::try_from)
                .map_err(|_| foreign("size"))?,
            sha256: row.get("sha256")?,
            token_hash: row.get("token_hash")?,
            salt: row.get("salt")?,
            uploader: row
                .get::<_, Option<[u8; 32]>>("uploader")?
                .map(AddressDigest::stored),
            recipient: row
                .get::<_, Option<[u8; 32]>>("recipient")?
                .map(AddressDigest::stored),
            unknown: row.get("unknown")?,
            unknown_why: row.get("unknown_why")?,
            interrupted: row.get("interrupted")?,
            is_alive: false,
            ending: match ending {
                Some(word) => Some(Ending::parse(&word).ok_or_else(|| foreign("ending"))?),
                None => None,
            },
            ended_at: row.get::<_, Option<i64>>("ended_at")?.map(Timestamp),
        })
    }

    /// What an owner is recognised by.
    pub(crate) fn kept(&self) -> Kept<'_> {
        Kept {
            token_hash: &self.token_hash,
            salt: self.salt.as_ref(),
            uploader: self.uploader.as_ref(),
        }
    }
}

fn foreign(column: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        0,
        Type::Text,
        format!("a foreign value in column {column}").into(),
    )
}
