//! How the drop's own types stand in columns.
//!
//! Invariant: a value that this program did not write (an unknown word, a digest of another length) is an error, never
//! read as something else.

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};

use crate::clock::Timestamp;
use crate::config::OwnerRule;
use crate::coverage::Coverage;
use crate::id::{BlobId, DropId};
use crate::lifecycle::{Ending, Passages, State};
use crate::owner::AddressDigest;
use crate::secret::SecretHash;

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
