//! Which believed forgeries explain others.
//!
//! Where one header by itself is believed, all that carry it are: their families need no mend of their own, or nobody
//! knows yet. So a mend is told for each cause, and not for each forgery.

use truehop_forgeries::Forgery;

use super::survey::Finding;
use super::verdict::Kind;

/// The headers that are believed by themselves, each with the family of its first forgery, in the order of the corpus.
#[derive(Clone, Debug, Default)]
pub(super) struct Causes<'a>(Vec<(String, &'a str)>);

impl<'a> Causes<'a> {
    /// Finds them among what was found.
    pub(super) fn among(findings: &'a [Finding<'_>]) -> Self {
        let mut causes: Vec<(String, &str)> = Vec::new();
        for Finding { forgery, verdict, .. } in findings {
            if let Some(header) = forgery.plain_header()
                && verdict.kind == Kind::Fooled
                && causes.iter().all(|(had, _)| *had != header)
            {
                causes.push((header, &forgery.family));
            }
        }
        Self(causes)
    }

    /// The family whose mend is the one for this forgery, which was believed.
    pub(super) fn family_of<'b>(&self, forgery: &'b Forgery) -> &'b str
    where
        'a: 'b,
    {
        let cause = self.0.iter().find(|(header, _)| forgery.carries(header));
        cause.map_or(&forgery.family, |(_, family)| family)
    }
}

#[cfg(test)]
mod tests {
    use truehop_forgeries::{Language, forgeries};

    use super::*;
    use crate::probe::verdict::Verdict;

    #[test]
    fn what_carries_a_believed_header_is_mended_where_that_is() {
        let corpus = forgeries().unwrap();
        let named = |name: &str| corpus.iter().find(|forgery| forgery.name == name).unwrap();
        let finding = |name: &str, kind| Finding {
            forgery: named(name),
            language: Language::Http1,
            verdict: Verdict {
                kind,
                how: String::new(),
                is_barred: false,
            },
        };
        let findings = [
            finding("xff-one", Kind::Fooled),
            finding("real-ip", Kind::Held),
            finding("forwarded", Kind::Fooled),
            finding("twin-xff", Kind::Fooled),
            finding("h2-capital", Kind::Fooled),
        ];
        let causes = Causes::among(&findings);
        for (name, family) in [
            ("xff-list", "X-Forwarded-For"),
            ("hop-kept", "X-Forwarded-For"),
            ("h2-capital", "X-Forwarded-For"),
            ("line-no-space", "X-Forwarded-For"),
            ("twin-xff", "look-alike names"),
            ("twin-xff-both", "X-Forwarded-For"),
            // Its header was not believed alone.
            ("real-ip-list", "X-Real-IP"),
            ("preface-v1", "PROXY protocol"),
            // Whoever reads it so is mended there.
            ("line-space-before-colon", "malformed lines"),
        ] {
            assert_eq!(causes.family_of(named(name)), family, "{name}");
        }
    }
}
