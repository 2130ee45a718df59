//! The unguessable names of drops and blobs, and randomness in general.
//!
//! Invariant: a name is 26 characters of `a-z2-7`, so it is safe in a path, a URL and a header. A [`DropId`] is the key to
//! a drop: whoever knows one was told, and a log has its [`tag`](DropId::tag) only. A [`BlobId`] is a name on disk, opens
//! nothing, and tells nothing about the drop. Only a file of the version before drops has its bytes under its drop's name,
//! so a log has the tag of a blob, too.

use std::fmt;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

/// The name of a drop, in its link.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct DropId(String);

impl DropId {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(name()?))
    }

    /// Reads what [`random`](Self::random) may have made; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For logs, under the name `drop`: tells drops apart and opens none of them.
    pub(crate) fn tag(&self) -> String {
        tag(&self.0)
    }
}

impl fmt::Debug for DropId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DropId").field(&self.tag()).finish()
    }
}

impl fmt::Display for DropId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a file's bytes in the blob store.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct BlobId(String);

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlobId").field(&self.tag()).finish()
    }
}

impl BlobId {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(name()?))
    }

    /// Reads what [`random`](Self::random) may have made; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For logs, under the name `blob`.
    pub(crate) fn tag(&self) -> String {
        tag(&self.0)
    }
}

fn tag(name: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(name.as_bytes())[..4])
}

/// 128 random bits, spelled in lower-case base32 (RFC 4648 section 6).
fn name() -> Result<String, getrandom::Error> {
    Ok(BASE32_NOPAD.encode(&random::<16>()?).to_ascii_lowercase())
}

fn is_name(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_and_nothing_else() {
        let id = DropId::random().unwrap();
        assert_eq!(DropId::parse(id.as_str()), Some(id.clone()));
        assert_ne!(DropId::random().unwrap(), id);
        for text in [
            "",
            "..",
            "abcdefghijklmnopqrstuvwxy",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "../defghijklmnopqrstuvwxyz",
        ] {
            assert_eq!(DropId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_log_does_not_get_the_key() {
        let id = DropId::parse("abcdefghijklmnopqrstuvwxyz").unwrap();
        // printf abcdefghijklmnopqrstuvwxyz | sha256sum
        assert_eq!(id.tag(), "71c480df");
        assert_eq!(format!("{id:?}"), "DropId(\"71c480df\")");
        let blob = BlobId::parse("abcdefghijklmnopqrstuvwxyz").unwrap();
        assert_eq!(format!("{blob:?}"), "BlobId(\"71c480df\")");
    }
}
