//! Turns, quiet rounds, and instructions.

use std::env;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::rows::Row;

/// How often each contender has its turn.
pub const ROUNDS: usize = 111;
/// How long a turn takes, about: shorter than the scheduler lets a busy process run, so that where others want the
/// machine too, most turns are not interrupted.
const TURN: f64 = 0.002;

/// What a row came to.
pub struct Outcome {
    pub row: &'static str,
    pub lines: Vec<Line>,
}

/// What one contender came to.
pub struct Line {
    pub name: &'static str,
    pub lacks: &'static str,
    /// What it said, when that is wrong.
    pub wrong: Option<String>,
    /// Nanoseconds a call in a quiet round: a tenth of all rounds were quicker.
    pub quiet: f64,
    /// And in the median round.
    pub median: f64,
    /// Instructions a call; `None` without valgrind.
    pub instructions: Option<f64>,
}

pub fn row(mut row: Row) -> Result<Outcome, String> {
    let wrong: Vec<_> = row
        .contenders
        .iter_mut()
        .map(|contender| Some((contender.answer)()).filter(|said| *said != row.expected))
        .collect();
    if let Some(said) = &wrong[0] {
        return Err(format!("{}: we say {said}", row.name));
    }
    let calls: Vec<u64> = row
        .contenders
        .iter_mut()
        .map(|contender| calibrate(&mut contender.call))
        .collect();
    let mut rounds = vec![Vec::new(); calls.len()];
    for _ in 0..ROUNDS {
        for ((contender, calls), times) in row.contenders.iter_mut().zip(&calls).zip(&mut rounds) {
            times.push(time(&mut contender.call, *calls));
        }
    }
    let lines = row.contenders.iter().zip(rounds).zip(wrong).zip(calls);
    let lines = lines.map(|(((contender, mut times), wrong), calls)| {
        times.sort_by(f64::total_cmp);
        Line {
            name: contender.name,
            lacks: contender.lacks,
            wrong,
            quiet: times[times.len() / 10],
            median: times[times.len() / 2],
            instructions: instructions(row.name, contender.name, calls.clamp(10, 1000)),
        }
    });
    Ok(Outcome {
        row: row.name,
        lines: lines.collect(),
    })
}

/// Nanoseconds a call.
fn time(call: &mut dyn FnMut(u64), calls: u64) -> f64 {
    let start = Instant::now();
    call(calls);
    start.elapsed().as_nanos() as f64 / calls as f64
}

/// How many calls fill a turn.
fn calibrate(call: &mut dyn FnMut(u64)) -> u64 {
    let mut calls = 1;
    loop {
        let one = time(call, calls);
        if one * calls as f64 > TURN * 1e9 / 4.0 {
            return ((TURN * 1e9 / one) as u64).max(1);
        }
        calls *= 2;
    }
}

fn instructions(row: &str, contender: &str, calls: u64) -> Option<f64> {
    let few = collected(row, contender, calls)?;
    let many = collected(row, contender, calls * 3)?;
    Some(many.saturating_sub(few) as f64 / (calls * 2) as f64)
}

/// All instructions of a process that makes so many calls.
fn collected(row: &str, contender: &str, calls: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().ok()?)
        .args(["--count", row, contender, &calls.to_string()])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("Collected"))?;
    line.split_whitespace().last()?.parse().ok()
}
