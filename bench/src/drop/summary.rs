//! From turns to figures: what is compared with what, and whether a goal is met.

use truehop_bench::spread::Spread;

use crate::contender::Contender;

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Row {
    Upload,
    First,
    Download,
    Small,
    Durable,
    Boot,
    Lookup,
    Claim,
}

/// Ways: to whom ours sends and where it writes, and with nginx, what it takes besides to come to the same end.
pub const TO_OWNER: &str = "to its owner";
pub const TO_RECIPIENT: &str = "to a recipient";
pub const THEN_HASH: &str = "then `sync` and `sha256sum`";
pub const ON_PEERS_MOUNT: &str = "on the peers' mount";
pub const THEN_RM: &str = "then `rm`";

/// What one turn came to.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Seconds of CPU for one transfer, upload or request.
    pub user: f64,
    pub system: f64,
    /// Seconds until the answer to one transfer.
    pub wall: f64,
    /// Seconds until an upload is on the disk, whoever sees to that.
    pub durable: f64,
    /// Seconds of CPU until then.
    pub written: f64,
    /// Requests a second.
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// KiB at most.
    pub peak: f64,
    /// Share of the time that the load's core was busy.
    pub load_busy: f64,
    /// Connections that were closed between two requests, for each request.
    pub closed: f64,
    pub errors: u64,
    pub first_error: Option<String>,
}

impl Measured {
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// What one contender came to in all rounds.
pub struct Line {
    pub contender: Contender,
    /// Which of its ways, when there are several.
    pub way: &'static str,
    pub turns: Vec<Measured>,
}

impl Line {
    pub fn new(contender: Contender, way: &'static str) -> Self {
        Self {
            contender,
            way,
            turns: Vec::new(),
        }
    }

    pub fn is_ours(&self) -> bool {
        self.contender == Contender::Ours
    }

    pub fn label(&self) -> String {
        match self.way {
            "" => self.contender.name().to_owned(),
            way => format!("{}, {way}", self.contender.name()),
        }
    }

    pub fn spread(&self, value: impl Fn(&Measured) -> f64) -> Spread {
        Spread::of(self.turns.iter().map(value))
    }

    pub fn median(&self, value: impl Fn(&Measured) -> f64) -> f64 {
        self.spread(value).median
    }

    pub fn most(&self, value: impl Fn(&Measured) -> f64) -> f64 {
        self.spread(value).most
    }

    pub fn errors(&self) -> u64 {
        self.turns.iter().map(|turn| turn.errors).sum()
    }

    pub fn first_error(&self) -> Option<&str> {
        self.turns.iter().find_map(|turn| turn.first_error.as_deref())
    }
}

/// What a row came to.
pub struct Outcome {
    pub row: Row,
    pub lines: Vec<Line>,
    /// Whose turn broke off, and why.
    pub failures: Vec<String>,
}

/// What a ratio is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

impl Row {
    pub fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::First => "first-download",
            Self::Download => "download",
            Self::Small => "small",
            Self::Durable => "small-durable",
            Self::Boot => "boot",
            Self::Lookup => "lookup",
            Self::Claim => "claim",
        }
    }

    fn goal(self) -> Option<Goal> {
        match self {
            Self::Upload => Some(Goal::AtMost(1.1)),
            Self::Download => Some(Goal::AtMost(1.05)),
            Self::Durable => Some(Goal::AtLeast(1.0)),
            // A thousand times the rows, and not a quarter more.
            Self::Lookup | Self::Claim => Some(Goal::AtMost(1.25)),
            Self::First | Self::Small | Self::Boot => None,
        }
    }

    /// Whether many requests were counted, and not one transfer timed.
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Small | Self::Durable | Self::Lookup | Self::Claim)
    }

    /// Ours by another, both of the same round: what disturbed it disturbed both.
    fn by(self, ours: &Measured, other: &Measured) -> f64 {
        match self {
            Self::Upload | Self::First | Self::Download | Self::Boot => ours.cpu() / other.cpu(),
            Self::Small | Self::Durable => ours.rate / other.rate,
            Self::Lookup | Self::Claim => (ours.cpu() / other.cpu()).max(ours.p50 / other.p50),
        }
    }
}

impl Outcome {
    pub fn new(row: Row) -> Self {
        Self {
            row,
            lines: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// The line of a contender's way, which is begun when it is not there.
    pub fn line(&mut self, contender: Contender, way: &'static str) -> &mut Line {
        let known = self
            .lines
            .iter()
            .position(|line| (line.contender, line.way) == (contender, way));
        let at = known.unwrap_or_else(|| {
            self.lines.push(Line::new(contender, way));
            self.lines.len() - 1
        });
        &mut self.lines[at]
    }

    /// What this line is compared with.
    pub fn reference(&self, line: &Line) -> Option<&Line> {
        if !line.is_ours() || line.turns.is_empty() {
            return None;
        }
        let as_they_are = |line: &&Line| !line.is_ours() && line.way.is_empty() && !line.turns.is_empty();
        let peers = || self.lines.iter().filter(as_they_are);
        match self.row {
            Row::Upload => peers().min_by(|a, b| median_cpu(a).total_cmp(&median_cpu(b))),
            Row::First | Row::Download => peers().find(|line| line.contender == Contender::Nginx),
            Row::Small | Row::Durable => {
                let rate = |line: &&Line| line.median(|turn| turn.rate);
                peers().max_by(|a, b| rate(a).total_cmp(&rate(b)))
            }
            Row::Boot => None,
            Row::Lookup | Row::Claim => self.lines.first().filter(|first| !std::ptr::eq(*first, line)),
        }
    }

    /// Who does the same work to the same end, where what it is compared with does less.
    pub fn equal(&self, line: &Line) -> Option<&Line> {
        let mut others = self.lines.iter();
        match (self.row, line.way) {
            (Row::Download, TO_RECIPIENT) => {
                others.find(|other| other.way == THEN_RM && !other.turns.is_empty())
            }
            _ => None,
        }
    }

    /// What a line's ratio is to be.
    pub fn goal(&self, line: &Line) -> Option<Goal> {
        // Beside the others' for comparison: who asks once per file need not wait for every write.
        self.row.goal().filter(|_| line.way != ON_PEERS_MOUNT)
    }

    /// Ours to another, in pairs within the rounds.
    pub fn ratio(&self, line: &Line, to: &Line) -> Spread {
        let pairs = line.turns.iter().zip(&to.turns);
        Spread::of(pairs.map(|(ours, other)| self.row.by(ours, other)))
    }

    pub fn has_errors(&self) -> bool {
        !self.failures.is_empty() || self.lines.iter().any(|line| line.errors() > 0)
    }
}

fn median_cpu(line: &Line) -> f64 {
    line.median(Measured::cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(row: Row, lines: &[(Contender, &'static str, [f64; 3])]) -> Outcome {
        let mut outcome = Outcome::new(row);
        for (contender, way, values) in lines {
            outcome.line(*contender, way).turns = values
                .map(|value| Measured {
                    user: value,
                    rate: value,
                    p50: 2.0,
                    ..Measured::default()
                })
                .into();
        }
        outcome
    }

    /// The ratio of a line to what it is compared with.
    fn ratio(outcome: &Outcome, at: usize) -> Option<Spread> {
        let line = &outcome.lines[at];
        Some(outcome.ratio(line, outcome.reference(line)?))
    }

    #[test]
    fn an_upload_is_compared_with_the_cheapest_peer() {
        let outcome = outcome(
            Row::Upload,
            &[
                (Contender::Ours, "", [1.1, 2.2, 1.2]),
                (Contender::Nginx, "", [1.0, 2.0, 1.0]),
                (Contender::Dufs, "", [0.1, 9.0, 9.0]),
            ],
        );
        let of_ours = ratio(&outcome, 0).unwrap();
        assert_eq!((of_ours.median, of_ours.least, of_ours.most), (1.1, 1.1, 1.2));
        assert!(ratio(&outcome, 1).is_none());
    }

    #[test]
    fn both_downloads_are_compared_with_nginx_and_rates_with_the_quickest() {
        let download = outcome(
            Row::Download,
            &[
                (Contender::Ours, TO_OWNER, [1.0; 3]),
                (Contender::Ours, TO_RECIPIENT, [3.0; 3]),
                (Contender::Dufs, "", [0.5; 3]),
                (Contender::Nginx, THEN_RM, [4.0; 3]),
                (Contender::Nginx, "", [2.0; 3]),
            ],
        );
        assert_eq!(ratio(&download, 0).unwrap().median, 0.5);
        assert_eq!(ratio(&download, 1).unwrap().median, 1.5);
        let (owner, recipient) = (&download.lines[0], &download.lines[1]);
        let equal = download.equal(recipient).unwrap();
        assert_eq!(download.ratio(recipient, equal).median, 0.75);
        assert!(download.equal(owner).is_none());

        let durable = outcome(
            Row::Durable,
            &[
                (Contender::Ours, "", [30.0; 3]),
                (Contender::Dufs, "", [10.0; 3]),
                (Contender::Nginx, "", [20.0; 3]),
            ],
        );
        assert_eq!(ratio(&durable, 0).unwrap().median, 1.5);
    }

    #[test]
    fn many_rows_are_compared_with_few() {
        let mut lookup = outcome(
            Row::Lookup,
            &[
                (Contender::Ours, "1,000 rows", [1.0; 3]),
                (Contender::Ours, "1,000,000 rows", [1.2; 3]),
            ],
        );
        assert_eq!(ratio(&lookup, 1).unwrap().median, 1.2);
        assert!(ratio(&lookup, 0).is_none());
        // The worse of CPU and latency counts.
        lookup.lines[1].turns.iter_mut().for_each(|turn| turn.p50 = 3.0);
        assert_eq!(ratio(&lookup, 1).unwrap().median, 1.5);
    }

    #[test]
    fn goals() {
        assert!(Goal::AtMost(1.1).is_met(1.1) && !Goal::AtMost(1.1).is_met(1.11));
        assert!(Goal::AtLeast(1.0).is_met(2.0) && !Goal::AtLeast(1.0).is_met(0.9));
    }
}
