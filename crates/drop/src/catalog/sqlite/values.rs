//! How the drop's own types stand in columns.
//!
//! Invariant: a value that this program did not write (an unknown word, a digest of another length) is an error, never
//! read as something else.

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};

use crate::catalog::MOST_FILES;
use crate::clock::Timestamp;
use crate::config::OwnerRule;
use crate::coverage::Coverage;
use crate::id::{BlobId, DropId};
use crate::lifecycle::{Ending, Passages, State};
use crate::owner::AddressDigest;
use crate::secret::SecretHash;

/// A file's key in its table: a number, so that the way to it is short.
///
/// It is the first eleven characters of its drop's name (55 bits), and its number in the drop (7 bits). Drops whose names
/// begin with the same eleven have the same keys, and so no two files with one number: the upload of the second is refused,
/// once in 10^10 beside a million files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FileKey(i64);

const _: () = assert!(MOST_FILES < 1 << 7);

impl FileKey {
    /// Before those of all files.
    pub(super) const LEAST: Self = Self(i64::MIN);

    pub(super) fn of(id: &DropId, number: u32) -> Self {
        let Self(before) = Self::before(id);
        Self(before + i64::from(number))
    }

    /// Before those of a drop's files.
    pub(super) fn before(id: &DropId) -> Self {
        let characters = id.as_str().bytes().take(11);
        Self(characters.fold(0, |key, byte| (key << 5) | five_bits(byte)) << 7)
    }
}

/// In the order of the characters, so that keys have that of the names.
fn five_bits(character: u8) -> i64 {
    match character {
        b'a'..=b'z' => i64::from(character - b'a') + 6,
        _ => i64::from(character.wrapping_sub(b'2') & 7),
    }
}

impl ToSql for FileKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

/// Types that stand as text: how it is written, and how it is read.
macro_rules! text {
    ($($type:ty, $write:expr, $read:expr;)*) => {$(
        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok($write(self).into())
            }
        }

        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                $read(value.as_str()?).ok_or_else(|| foreign(stringify!($type)))
            }
        }
    )*};
}

text! {
    DropId, DropId::as_str, Self::parse;
    BlobId, BlobId::as_str, Self::parse;
    State, |state: &State| state.word(), Self::parse;
    Ending, |ending: &Ending| ending.word(), Self::parse;
    OwnerRule, |rule: &OwnerRule| rule.word(), Self::parse;
    Coverage, Coverage::text, Self::parse;
    Passages, Passages::text, Self::parse;
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

impl ToSql for SecretHash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for SecretHash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        FromSql::column_result(value).map(Self)
    }
}

impl ToSql for AddressDigest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.bytes().to_sql()
    }
}

impl FromSql for AddressDigest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        FromSql::column_result(value).map(Self::stored)
    }
}

fn foreign(what: &str) -> FromSqlError {
    FromSqlError::Other(format!("no {what} that this program has written").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_the_names() {
        let names = [
            "22222222222zzzzzzzzzzzzzzz",
            "22222222223aaaaaaaaaaaaaaa",
            "7zzzzzzzzzzzzzzzzzzzzzzzzz",
            "a2222222222222222222222222",
            "zzzzzzzzzzz222222222222222",
        ];
        let mut last = FileKey::LEAST;
        for name in names {
            let id = DropId::parse(name).unwrap();
            for key in [FileKey::before(&id), FileKey::of(&id, 1), FileKey::of(&id, 127)] {
                assert!(last.0 < key.0, "{name}");
                last = key;
            }
        }
        assert_eq!(last.0, (1 << 62) - 1);
    }
}
