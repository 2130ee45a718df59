//! The report as a page for a terminal: a table, what was believed with its mend, notes, and one line that says it all.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Report;
use crate::probe::cause::Causes;
use crate::probe::survey::{End, Finding, NotSent};
use crate::probe::verdict::Kind;

/// How many forgeries of a family are shown, unless all are.
const SHOWN: usize = 4;
/// Where lines of running text end.
const WIDTH: usize = 100;

impl Report<'_> {
    /// The page. With `all`, every forgery has a line.
    pub(in crate::probe) fn text(&self, all: bool) -> String {
        let causes = Causes::among(&self.survey.findings);
        let is_cause = |finding: &&Finding<'_>| causes.family_of(finding.forgery) == finding.forgery.family;
        let (own, carried): (Vec<_>, Vec<_>) = self.of(Kind::Fooled).partition(is_cause);
        let mut page = self.head() + &self.table();
        for (family, findings) in by_family(&own) {
            page += &listed(Kind::Fooled, family, &findings, all);
            page += &self.mend(family);
        }
        if !carried.is_empty() {
            let families: BTreeSet<&str> = carried
                .iter()
                .map(|finding| causes.family_of(finding.forgery))
                .collect();
            let families = families.into_iter().collect::<Vec<_>>().join(" and ");
            let count = carried.len();
            let told = format!(
                "{count} of other kinds, which carry a header that is believed by itself. Mend {families}, as above, \
                 and probe again."
            );
            page += &format!("\n{}", wrapped("fooled too: ", &told));
        }
        for (family, findings) in by_family(&carried) {
            page += &match all {
                true => listed(Kind::Fooled, family, &findings, all),
                false => named(family, &findings),
            };
        }
        let rest = [
            Kind::Broke,
            Kind::Unjudged,
            Kind::Elsewhere,
            Kind::Refused,
            Kind::Held,
        ];
        for kind in rest.into_iter().take(if all { rest.len() } else { 2 }) {
            let findings: Vec<_> = self.of(kind).collect();
            for (family, findings) in by_family(&findings) {
                page += &listed(kind, family, &findings, all);
            }
        }
        for note in self.notes() {
            page += &format!("\n{}", wrapped("note: ", &note));
        }
        page + "\n" + &self.conclusion()
    }

    fn head(&self) -> String {
        let Self { url, to, survey, .. } = self;
        let agent = self.agent.split(' ').next().unwrap_or_default();
        format!(
            "probed     {url} at {to}\nas         {agent}\ntaken for  {} when honest\n\n",
            survey.client
        )
    }

    fn table(&self) -> String {
        let mut families: Vec<(&str, [usize; Kind::ALL.len()])> = Vec::new();
        for Finding { forgery, verdict, .. } in &self.survey.findings {
            let at = families
                .iter()
                .position(|(family, _)| *family == forgery.family)
                .unwrap_or(families.len());
            if at == families.len() {
                families.push((&forgery.family, Default::default()));
            }
            let counts = families.get_mut(at).into_iter().flat_map(|(_, counts)| counts);
            for (count, kind) in counts.zip(Kind::ALL) {
                *count += usize::from(kind == verdict.kind);
            }
        }
        let mut all = [0; Kind::ALL.len()];
        let mut table = format!("{:24}", "");
        for kind in Kind::ALL {
            let _ = write!(table, "{:>10}", kind.name());
        }
        table.push('\n');
        let mut row = |name: &str, counts: &[usize]| {
            let _ = write!(table, "{name:24}");
            for count in counts {
                match count {
                    0 => table += "         .",
                    count => {
                        let _ = write!(table, "{count:>10}");
                    }
                }
            }
            table.push('\n');
        };
        for (family, counts) in &families {
            row(family, counts);
            for (sum, count) in all.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        row("all", &all);
        let reasons = [
            (
                NotSent::OnlyHttp2,
                "that only HTTP/2 can say: the server does not offer it",
            ),
            (
                NotSent::OurAddress,
                "that claim the address which is ours: there is nothing to see",
            ),
        ];
        for (reason, why) in reasons {
            let is = |(_, had): &&(_, NotSent)| *had == reason;
            match self.survey.not_sent.iter().filter(is).count() {
                0 => {}
                count => {
                    let _ = writeln!(table, "not sent: {count} {why}");
                }
            }
        }
        table
    }

    /// What to write where a family was believed.
    fn mend(&self, family: &str) -> String {
        let Some(mend) = self.mends.get(family) else {
            return String::new();
        };
        let mut text = format!("\n{}", wrapped("  ", &mend.mend));
        let width = mend.lines.iter().map(|line| line.server.len()).max();
        for line in &mend.lines {
            let width = width.unwrap_or_default();
            let told = match (&line.write, &line.note) {
                (Some(write), Some(note)) => format!("{write}  ({note})"),
                (Some(text), None) | (None, Some(text)) => text.clone(),
                (None, None) => continue,
            };
            let _ = writeln!(text, "    {:width$}  {told}", line.server);
        }
        text
    }

    fn conclusion(&self) -> String {
        let survey = self.survey;
        let sent = survey.findings.len();
        let [held, refused, elsewhere, unjudged, broke, fooled] = Kind::ALL.map(|kind| survey.count(kind));
        let rest = [
            (held, "held"),
            (refused, "refused"),
            (elsewhere, "answered elsewhere"),
            (broke, "broke something"),
            (unjudged, "not judged"),
        ];
        let rest: Vec<String> = rest
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let result = match (fooled, sent) {
            (_, 0) => "nothing is known: no forgery was judged".to_owned(),
            (0, _) => {
                let barred = match survey.barred() {
                    0 => String::new(),
                    count => format!(", but {count} were turned away unread"),
                };
                format!("no forgery was believed, of {sent}: {}{barred}", rest.join(", "))
            }
            (_, _) => format!("{fooled} of {sent} forgeries were believed"),
        };
        let result = match self.is_blind {
            true => format!("everybody is taken for {}, a proxy: {result}", survey.client),
            false => result,
        };
        match self.end {
            End::Whole => result,
            _ => format!("{result}, and not all were tried"),
        }
    }
}

/// Those of each family, in the order of the corpus.
fn by_family<'a>(findings: &[&'a Finding<'a>]) -> Vec<(&'a str, Vec<&'a Finding<'a>>)> {
    let mut families: Vec<(&str, Vec<&Finding<'_>>)> = Vec::new();
    for finding in findings {
        let family = finding.forgery.family.as_str();
        match families.iter_mut().find(|(had, _)| *had == family) {
            Some((_, findings)) => findings.push(finding),
            None => families.push((family, vec![finding])),
        }
    }
    families
}

/// A family's forgeries with what was answered, and of those that were believed why they might have been.
fn listed(kind: Kind, family: &str, findings: &[&Finding<'_>], all: bool) -> String {
    let shown = if all { findings.len() } else { SHOWN };
    let mut text = format!("\n{}: {family} ({})\n", kind.name(), findings.len());
    let names = findings.iter().take(shown).map(|finding| finding.name().len());
    let width = names.max().unwrap_or_default();
    let taken = if kind == Kind::Fooled { "taken for " } else { "" };
    for finding in findings.iter().take(shown) {
        let how = &finding.verdict.how;
        let _ = writeln!(text, "  {:width$}  {taken}{how}", finding.name());
        if kind == Kind::Fooled {
            let seen = match finding.forgery.seen.as_slice() {
                [] => String::new(),
                seen => format!(" ({})", seen.join(", ")),
            };
            let begin = " ".repeat(width + 4);
            text += &wrapped(&begin, &format!("{}{seen}", finding.forgery.why));
        }
    }
    if let more @ 1.. = findings.len().saturating_sub(shown) {
        let _ = writeln!(text, "  and {more} more, which --all shows");
    }
    text
}

/// The names of a family's forgeries, and nothing else.
fn named(family: &str, findings: &[&Finding<'_>]) -> String {
    let names: Vec<String> = findings.iter().map(|finding| finding.name()).collect();
    wrapped(&format!("  {family}: "), &names.join(", "))
}

/// Running text, in lines that begin below each other.
fn wrapped(begin: &str, text: &str) -> String {
    let (mut lines, mut line) = (String::new(), begin.to_owned());
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(lines, "{line}");
            line = " ".repeat(begin.len());
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line += word;
        is_empty = false;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_text_is_cut_between_words() {
        let long = "word ".repeat(40);
        let text = wrapped("note: ", long.trim_end());
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.starts_with("note: word word") && text.lines().nth(1).unwrap().starts_with("      word")
        );
        assert_eq!(text.split_whitespace().count(), 41);
        // What cannot be cut is not.
        assert_eq!(wrapped("", &"a".repeat(200)), format!("{}\n", "a".repeat(200)));
    }
}
