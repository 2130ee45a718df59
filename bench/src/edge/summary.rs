//! From turns to figures: medians with their least and most, and the ratio to the better peer.

use truehop_bench::spread::Spread;

use crate::scenario::{Contender, Scenario};
use crate::turn::Measured;

/// What one contender came to in all rounds.
pub struct Line {
    pub contender: Contender,
    pub turns: Vec<Measured>,
}

impl Line {
    pub fn spread(&self, value: impl Fn(&Measured) -> f64) -> Spread {
        Spread::of(self.turns.iter().map(value))
    }

    pub fn median(&self, value: impl Fn(&Measured) -> f64) -> f64 {
        self.spread(value).median
    }

    pub fn errors(&self) -> u64 {
        self.turns.iter().map(|turn| turn.errors).sum()
    }

    pub fn first_error(&self) -> Option<&str> {
        self.turns.iter().find_map(|turn| turn.first_error.as_deref())
    }

    /// Whether the load's core had no time left while the proxy's had.
    pub fn load_is_the_ceiling(&self) -> bool {
        self.median(|turn| turn.load_busy) > 0.95 && self.median(|turn| turn.proxy_busy) < 0.95
    }
}

/// What a scenario came to.
pub struct Outcome {
    pub scenario: Scenario,
    /// One for each contender, ours first; empty when it failed.
    pub lines: Vec<Line>,
    /// Why it could not be measured to the end.
    pub failed: Option<String>,
}

impl Outcome {
    /// What counts: microseconds of CPU for a request, or KiB for an idle connection.
    pub fn cost(&self, turn: &Measured) -> f64 {
        match self.scenario.is_idle() {
            true => turn.growth,
            false => turn.user + turn.system,
        }
    }

    /// The peer with the lower median.
    pub fn better_peer(&self) -> Option<&Line> {
        let cost = |line: &&Line| line.median(|turn| self.cost(turn));
        let peers = self.lines.iter().filter(|line| line.contender != Contender::Ours);
        peers.min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    /// Ours by the better peer's, round by round: what disturbed a round disturbed both.
    pub fn ratio(&self) -> Option<Spread> {
        let ours = self.lines.iter().find(|line| line.contender == Contender::Ours)?;
        let pairs = ours.turns.iter().zip(&self.better_peer()?.turns);
        Some(Spread::of(
            pairs.map(|(ours, peer)| self.cost(ours) / self.cost(peer)),
        ))
    }

    /// Whether the goal is met, if there is one.
    pub fn is_met(&self) -> Option<bool> {
        Some(self.ratio()?.median <= self.scenario.goal?)
    }

    pub fn has_errors(&self) -> bool {
        self.failed.is_some() || self.lines.iter().any(|line| line.errors() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_to_the_better_peer() {
        let line = |contender, users: [f64; 3]| Line {
            contender,
            turns: users
                .map(|user| Measured {
                    user,
                    ..Measured::default()
                })
                .into(),
        };
        let outcome = Outcome {
            scenario: crate::scenario::select(&["small-64".to_owned()])
                .unwrap()
                .remove(0),
            lines: vec![
                line(Contender::Ours, [9.0, 8.0, 16.0]),
                line(Contender::Nginx, [10.0, 10.0, 20.0]),
                line(Contender::Haproxy, [1.0, 30.0, 30.0]),
            ],
            failed: None,
        };
        let ratio = outcome.ratio().unwrap();
        assert_eq!((ratio.median, ratio.least, ratio.most), (0.8, 0.8, 0.9));
        assert_eq!(outcome.is_met(), Some(true));
    }
}
