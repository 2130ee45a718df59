//! What is wrong with the config file, shown with the place in it.
//!
//! Invariant: a fault says what is wrong, where (file, line, column, the words underlined) and what to write instead.
//! Nothing but plain ASCII frames without colours is written where no terminal reads it.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal};
use std::ops::Range;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use crate::status::{Failure, Status};

/// More faults than these would hide the first ones.
pub(crate) const SHOWN: usize = 20;

/// A snippet with longer lines is not shown: it would fill the screen, and miette cannot draw beyond 65535 columns.
const LONGEST_LINE: usize = 500;

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) problem: String,
    /// What is said under the underlined words; may be empty.
    pub(crate) label: String,
    /// What to write instead; may be empty.
    pub(crate) help: String,
    /// The bytes of the file that are meant; `None` when what is meant does not stand in the file.
    pub(crate) span: Option<Range<usize>>,
}

/// All that is wrong with one document.
#[derive(Debug)]
pub(crate) struct Faults {
    name: String,
    source: NamedSource<String>,
    faults: Vec<Fault>,
}

impl Faults {
    /// The faults of the document called `name`, in its order.
    pub(crate) fn new(name: &str, text: &str, mut faults: Vec<Fault>) -> Self {
        for span in faults.iter_mut().filter_map(|fault| fault.span.as_mut()) {
            // The first line of a long table or list is enough to find it.
            let line_end = text
                .get(span.start..)
                .and_then(|rest| rest.find('\n'))
                .map(|at| span.start + at);
            span.end = span.end.min(line_end.unwrap_or(span.end)).max(span.start);
        }
        faults.sort_by_key(|fault| fault.span.as_ref().map(|span| span.start));
        faults.dedup();
        Self {
            name: name.to_owned(),
            source: NamedSource::new(name, text.to_owned()),
            faults,
        }
    }

    /// All faults as text.
    fn render(&self, theme: GraphicalTheme, width: usize) -> String {
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_context_lines(1);
        let mut text = String::new();
        for fault in self.faults.iter().take(SHOWN) {
            // Writing to a string cannot fail; a source that miette cannot read costs the snippet only.
            let _ = handler.render_report(&mut text, &Shown { fault, faults: self });
            text.push('\n');
        }
        match self.faults.len() {
            1 => text.push_str(&format!("{}: 1 error", self.name)),
            n => text.push_str(&format!("{}: {n} errors", self.name)),
        }
        if let Some(hidden @ 1..) = self.faults.len().checked_sub(SHOWN) {
            text.push_str(&format!(", {hidden} of them not shown"));
        }
        text
    }
}

/// Plain, as a log shows it.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(GraphicalTheme::none(), 160))
    }
}

impl Error for Faults {}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        let message = if io::stderr().is_terminal() {
            // The convention of no-color.org; an empty value counts as not set.
            let theme = match std::env::var_os("NO_COLOR") {
                Some(value) if !value.is_empty() => GraphicalTheme::unicode_nocolor(),
                _ => GraphicalTheme::unicode(),
            };
            faults.render(theme, 100)
        } else {
            faults.to_string()
        };
        Self::new(Status::Config, message)
    }
}

/// One fault as miette wants it.
#[derive(Debug)]
struct Shown<'a> {
    fault: &'a Fault,
    faults: &'a Faults,
}

impl Shown<'_> {
    /// The bytes to underline, if the lines around them can be shown.
    fn snippet(&self) -> Option<Range<usize>> {
        let span = self.fault.span.clone()?;
        let (before, after) = self.faults.source.inner().split_at_checked(span.start)?;
        let above = before.rsplit('\n').take(2).map(str::len);
        let below = after.split('\n').take(2).map(str::len);
        (above.sum::<usize>() + below.sum::<usize>() <= LONGEST_LINE).then_some(span)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A snippet has the place above it.
        if self.snippet().is_none() {
            write!(f, "{}:", self.faults.name)?;
            let before = self
                .fault
                .span
                .clone()
                .and_then(|span| self.faults.source.inner().get(..span.start));
            if let Some(before) = before {
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                let line = 1 + before.matches('\n').count();
                write!(f, "{line}:{}:", before.len() - line_start + 1)?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.fault.problem)
    }
}

impl Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = &self.fault.help;
        (!help.is_empty()).then(|| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.snippet().map(|_| &self.faults.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = (!self.fault.label.is_empty()).then(|| self.fault.label.clone());
        let label = LabeledSpan::new_primary_with_span(label, self.snippet()?);
        Some(Box::new(std::iter::once(label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(span: Option<Range<usize>>) -> Fault {
        Fault {
            problem: "unknown key `b`".into(),
            label: "not known here".into(),
            help: "did you mean `a`?".into(),
            span,
        }
    }

    #[test]
    fn a_fault_shows_file_line_column_and_the_words() {
        let shown = Faults::new("t.toml", "a = 1\nb = 2\n", vec![fault(Some(6..7))]).to_string();
        for part in [
            "x unknown key `b`",
            "[t.toml:2:1]",
            "2 | b = 2",
            "| not known here",
            "help: did you mean `a`?",
            "t.toml: 1 error",
        ] {
            let plain = shown.replace("`-- ", "| ");
            assert!(plain.contains(part), "{part}:\n{shown}");
        }
        assert!(shown.is_ascii(), "{shown}");
    }

    #[test]
    fn without_a_place_the_file_is_named_and_many_faults_are_cut() {
        assert!(
            Faults::new("t.toml", "", vec![fault(None)])
                .to_string()
                .contains("t.toml: unknown key `b`")
        );
        let text = "b\n".repeat(30);
        let many = (0..30).map(|n| fault(Some(2 * n..2 * n + 1))).collect();
        let shown = Faults::new("t.toml", &text, many).to_string();
        assert!(
            shown.ends_with("t.toml: 30 errors, 10 of them not shown"),
            "{shown}"
        );
    }

    #[test]
    fn a_long_line_is_not_shown_and_its_place_is() {
        let text = format!("a = 1\nb = {}\n", "[".repeat(100_000));
        let shown = Faults::new("t.toml", &text, vec![fault(Some(80_000..80_001))]).to_string();
        assert!(shown.contains("x t.toml:2:79995: unknown key `b`"), "{shown}");
        assert!(shown.len() < 300);
    }

    #[test]
    fn only_the_first_line_of_what_is_meant_is_underlined() {
        let text = "a = [\n1,\n2,\n3,\n4]\n";
        let shown = Faults::new("t.toml", text, vec![fault(Some(4..19))]).to_string();
        assert!(shown.contains("1 | a = [") && !shown.contains("3,"), "{shown}");
    }

    #[test]
    fn a_span_outside_of_the_text_is_no_panic() {
        for span in [3..3, 9..12, 0..100] {
            let shown = Faults::new("t.toml", "a=1", vec![fault(Some(span))]).to_string();
            assert!(shown.contains("unknown key"), "{shown}");
        }
    }
}
