//! The unguessable name of a file, and randomness in general.
//!
//! Invariant: a [`FileId`] is 26 characters of `a-z2-7`, so it is safe in a path, a URL and a header; whoever knows one
//! was told. It is the key to the file, so a log has its [`tag`](FileId::tag) only.

use std::fmt;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

/// 128 random bits, spelled in lower-case base32 (RFC 4648 section 6).
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct FileId(String);

impl FileId {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(BASE32_NOPAD.encode(&random::<16>()?).to_ascii_lowercase()))
    }

    /// Reads what [`random`](Self::random) may have made; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let shape = text.len() == 26 && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        shape.then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For logs, under the name `file`: tells files apart and opens none of them.
    pub(crate) fn tag(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.0.as_bytes())[..4])
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileId").field(&self.tag()).finish()
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
        let id = FileId::random().unwrap();
        assert_eq!(FileId::parse(id.as_str()), Some(id.clone()));
        assert_ne!(FileId::random().unwrap(), id);
        for text in [
            "",
            "..",
            "abcdefghijklmnopqrstuvwxy",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "../defghijklmnopqrstuvwxyz",
        ] {
            assert_eq!(FileId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_log_does_not_get_the_key() {
        let id = FileId::parse("abcdefghijklmnopqrstuvwxyz").unwrap();
        // printf abcdefghijklmnopqrstuvwxyz | sha256sum
        assert_eq!(id.tag(), "71c480df");
        assert_eq!(format!("{id:?}"), "FileId(\"71c480df\")");
    }
}
