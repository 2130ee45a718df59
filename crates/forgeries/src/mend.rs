//! What to write where forgeries are believed.
//!
//! Invariant: every family of the corpus has a mend, and there is none for a family that is not there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const FILE: &str = include_str!("../mends.json");

/// The mend of one family.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mend {
    /// What went wrong and what is to be done, in a few sentences.
    pub mend: String,
    /// How that is said to common servers. 192.168.0.10 stands for a proxy of one's own.
    pub lines: Vec<Line>,
}

/// A line of configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The server.
    #[serde(rename = "where")]
    pub server: String,
    /// What is to stand in its configuration, to be copied as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
    /// What there is to know about the line; or, without one, what else is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The mends by family.
///
/// # Errors
///
/// None with the file that this crate has; a test reads it.
pub fn mends() -> Result<BTreeMap<String, Mend>, serde_json::Error> {
    serde_json::from_str(FILE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::corpus::forgeries;

    #[test]
    fn every_family_has_a_mend_and_every_mend_a_family() {
        let mends = mends().unwrap();
        let families: BTreeSet<String> = forgeries()
            .unwrap()
            .into_iter()
            .map(|forgery| forgery.family)
            .collect();
        assert_eq!(mends.keys().cloned().collect::<BTreeSet<_>>(), families);
        for (family, mend) in &mends {
            assert!(mend.mend.ends_with('.'), "{family}");
            assert!(!mend.lines.is_empty(), "{family}");
            for line in &mend.lines {
                assert!(
                    line.write.is_some() || line.note.is_some(),
                    "{family}: {}",
                    line.server
                );
            }
        }
    }
}
