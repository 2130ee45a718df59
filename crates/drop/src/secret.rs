//! Secrets that are handed out once, and what is kept of them.
//!
//! Invariant: only the hash is kept, and it is compared in constant time.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::id::random;

/// 128 random bits in base64url: an owner's token, or the name of a collection.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(BASE64URL_NOPAD.encode(&random::<16>()?)))
    }

    /// Reads what [`random`](Self::random) may have made; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_one = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .is_ok_and(|bits| bits.len() == 16);
        is_one.then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// SHA-256 of a [`Secret`].
#[derive(Clone, Copy)]
pub(crate) struct SecretHash(pub(crate) [u8; 32]);

impl SecretHash {
    /// Of whatever somebody shows.
    pub(crate) fn of(shown: &str) -> Self {
        Self(Sha256::digest(shown.as_bytes()).into())
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_and_nothing_else() {
        let secret = Secret::random().unwrap();
        assert_eq!(Secret::parse(secret.as_str()).unwrap().hash(), secret.hash());
        assert_ne!(Secret::random().unwrap().hash(), secret.hash());
        for text in [
            "",
            "abc",
            "AAAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAA/",
            "AAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(Secret::parse(text).is_none(), "{text}");
        }
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "Secret SecretHash");
    }
}
