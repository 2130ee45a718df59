//! The rounds: who has a turn when, and what is said meanwhile.
//!
//! Invariant: in each round everybody has one turn at each thing, and the order of a round is that of the one before,
//! moved on by one. Whose turn breaks off takes no further part in that thing; the others go on.

use std::sync::atomic::Ordering;

use truehop_bench::text::figure;

use crate::bulk::{self, Figure};
use crate::contender::Contender;
use crate::crowd::Crowd;
use crate::disk::{Durability, Image};
use crate::load;
use crate::stage::Bench;
use crate::summary::{Line, Measured, ON_PEERS_MOUNT, Outcome, Row};

/// What can be asked for by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Group {
    Bulk,
    Small,
    Durable,
    Rows,
}

/// Bytes of the file systems in files.
const IMAGE: u64 = 1 << 30;

/// Files in the catalog that a larger one is compared with.
const FEW: usize = 1_000;

impl Group {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "bulk" => Some(Self::Bulk),
            "small" => Some(Self::Small),
            "durable" => Some(Self::Durable),
            "rows" => Some(Self::Rows),
            _ => None,
        }
    }
}

/// Uploads and downloads of one large file.
pub fn bulk(bench: &Bench, rounds: usize, size: u64) -> Result<Vec<Outcome>, String> {
    let contenders: Vec<_> = everybody(bench).collect();
    let rows = [Row::Upload, Row::First, Row::Download];
    play(bench, rounds, &rows, &contenders, |contender, _| {
        bulk::turn(bench, contender, size)
    })
}

/// Many small uploads, everybody as they are.
pub fn small(bench: &Bench, rounds: usize) -> Result<Outcome, String> {
    let contenders: Vec<_> = everybody(bench).collect();
    let turn = |contender, way| {
        let measured = load::uploads(bench, contender, bench.directory)?;
        Ok(vec![(Row::Small, way, measured)])
    };
    one(play(bench, rounds, &[Row::Small], &contenders, turn))
}

/// The same with equal durability.
pub fn durable(bench: &Bench, rounds: usize) -> Result<Outcome, String> {
    let usual = Image::mount(bench.directory, "usual", IMAGE, Durability::Asked)?;
    let sync = Image::mount(bench.directory, "sync", IMAGE, Durability::Always)?;
    let mut contenders: Vec<_> = everybody(bench).collect();
    contenders.insert(1, (Contender::Ours, ON_PEERS_MOUNT));
    let turn = |contender, way| {
        let parent = match (contender, way) {
            (Contender::Ours, "") => usual.path(),
            _ => sync.path(),
        };
        let measured = load::uploads(bench, contender, parent)?;
        Ok(vec![(Row::Durable, way, measured)])
    };
    one(play(bench, rounds, &[Row::Durable], &contenders, turn))
}

/// Few and many files that wait.
pub fn rows(bench: &Bench, rounds: usize, many: usize) -> Result<Vec<Outcome>, String> {
    let ways = [FEW, many].map(|count| {
        let way: &'static str = format!("{} rows", grouped(count)).leak();
        (Contender::Ours, way)
    });
    eprintln!("\na catalog of {} files is made", grouped(many));
    let mut large = Crowd::gather(bench, many, ways[1].1)?;
    eprintln!("  it took {:.1} s", large.took);
    let rows = [Row::Boot, Row::Lookup, Row::Claim];
    let outcomes = play(bench, rounds, &rows, &ways, |_, way| match way == ways[0].1 {
        true => {
            let mut small = Crowd::gather(bench, FEW, way)?;
            let figures = small.turn(bench);
            small.disperse().and(figures)
        }
        false => large.turn(bench),
    });
    large.disperse().and(outcomes)
}

fn everybody(bench: &Bench) -> impl Iterator<Item = (Contender, &'static str)> {
    bench
        .programs
        .contenders()
        .into_iter()
        .map(|contender| (contender, ""))
}

fn one(outcomes: Result<Vec<Outcome>, String>) -> Result<Outcome, String> {
    outcomes?.pop().ok_or_else(|| "nothing was measured".to_owned())
}

/// Lets all have their turns. The outcomes are those of `rows`, in that order.
fn play(
    bench: &Bench,
    rounds: usize,
    rows: &[Row],
    contenders: &[(Contender, &'static str)],
    mut turn: impl FnMut(Contender, &'static str) -> Result<Vec<Figure>, String>,
) -> Result<Vec<Outcome>, String> {
    let names: Vec<_> = rows.iter().map(|row| row.name()).collect();
    eprintln!("\n{}", names.join(", "));
    let mut outcomes: Vec<_> = rows.iter().map(|&row| Outcome::new(row)).collect();
    let mut out = vec![false; contenders.len()];
    for round in 0..rounds {
        for place in 0..contenders.len() {
            let index = (round + place) % contenders.len();
            let (contender, way) = contenders[index];
            if out[index] {
                continue;
            }
            let figures = turn(contender, way);
            if bench.interrupted.load(Ordering::Relaxed) {
                return Err("interrupted; nothing was written".to_owned());
            }
            match figures {
                Ok(figures) => {
                    for (row, way, measured) in figures {
                        let label = Line::new(contender, way).label();
                        eprintln!(
                            "  {}/{rounds}  {label:<36} {}",
                            round + 1,
                            progress(row, &measured)
                        );
                        let outcome = outcomes.iter_mut().find(|outcome| outcome.row == row);
                        if let Some(outcome) = outcome {
                            outcome.line(contender, way).turns.push(measured);
                        }
                    }
                }
                Err(why) => {
                    let label = Line::new(contender, way).label();
                    eprintln!("  {}/{rounds}  {label:<36} FAILED: {why}", round + 1);
                    out[index] = true;
                    outcomes[0].failures.push(format!("{label}: {why}"));
                }
            }
        }
    }
    for outcome in &mut outcomes {
        in_order(outcome);
    }
    Ok(outcomes)
}

/// Ours first, the others as they are listed; the first turn may have been somebody else's.
fn in_order(outcome: &mut Outcome) {
    let place = |contender| crate::contender::ALL.iter().position(|&known| known == contender);
    outcome.lines.sort_by_key(|line| place(line.contender));
}

fn progress(row: Row, turn: &Measured) -> String {
    let errors = match &turn.first_error {
        Some(error) => format!("  {} ERRORS: {error}", turn.errors),
        None => String::new(),
    };
    let peak = turn.peak / 1024.0;
    let name = row.name();
    match row.is_counted() {
        true => format!(
            "{name:<14} {:>9}/s  {:>7} µs CPU ({} user)  p50 {} p99 {} ms  {peak:.1} MiB  load {:.0} %{errors}",
            figure(turn.rate),
            figure(turn.cpu() * 1e6),
            figure(turn.user * 1e6),
            figure(turn.p50),
            figure(turn.p99),
            turn.load_busy * 100.0,
        ),
        false => format!(
            "{name:<14} {:>6} s CPU ({} user)  {} s, on disk {} s, {} s CPU  {peak:.1} MiB{errors}",
            figure(turn.cpu()),
            figure(turn.user),
            figure(turn.wall),
            figure(turn.durable),
            figure(turn.written),
        ),
    }
}

/// A whole number, thousands apart.
fn grouped(number: usize) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1_000), number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_020_003, "1,020,003")] {
            assert_eq!(grouped(number), shown);
        }
    }

    #[test]
    fn ours_stands_first_and_its_ways_stay_in_order() {
        let mut outcome = Outcome::new(Row::Download);
        for (contender, way) in [
            (Contender::Dufs, ""),
            (Contender::Ours, "to its owner"),
            (Contender::Ours, "to a recipient"),
            (Contender::Nginx, ""),
        ] {
            outcome.line(contender, way);
        }
        in_order(&mut outcome);
        let labels: Vec<_> = outcome.lines.iter().map(|line| line.label()).collect();
        assert_eq!(
            labels,
            [
                "truehop, to its owner",
                "truehop, to a recipient",
                "nginx",
                "dufs"
            ]
        );
    }
}
