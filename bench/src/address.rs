//! `cargo xtask bench address`: what one answer costs, beside the crates that give one.
//!
//! 1. Every contender of a row is asked once. A wrong answer is shown as such and takes no part in the ratio; so is one
//!    that does less work than the row asks for.
//! 2. All contenders of a row take turns, in many short rounds; a figure is that of a quiet round. What disturbs the
//!    machine disturbs all of them.
//! 3. Instructions come from callgrind, as the difference of two counts of calls: a figure without the set-up, which
//!    does not know of time.
//!
//! `--count ROW CONTENDER CALLS` makes so many calls and nothing else, for callgrind.

#[path = "address/measure.rs"]
mod measure;
#[path = "address/rows.rs"]
mod rows;
#[path = "address/table.rs"]
mod table;
#[path = "address/they.rs"]
mod they;
#[path = "address/traps.rs"]
mod traps;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use truehop_bench::results;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["--count", row, contender, calls] => count(row, contender, calls),
        ["--out", file] => run(Some(file)),
        [] => run(None),
        _ => Err("address [--out FILE]".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn count(row: &str, contender: &str, calls: &str) -> Result<(), String> {
    let unknown = || format!("no {contender} in {row}");
    let row = rows::all()
        .into_iter()
        .find(|r| r.name == row)
        .ok_or_else(unknown)?;
    let mut contender = row
        .contenders
        .into_iter()
        .find(|c| c.name == contender)
        .ok_or_else(unknown)?;
    (contender.call)(calls.parse().map_err(|_| unknown())?);
    Ok(())
}

fn run(out: Option<&str>) -> Result<(), String> {
    let mut text = table::heading();
    let mut results = Vec::new();
    for row in rows::all() {
        eprintln!("{}", row.name);
        results.push(measure::row(row)?);
    }
    text.push_str(&table::costs(&results));
    text.push_str(&traps::table());
    print!("{text}");
    match out {
        Some(file) => results::write_section(Path::new(file), "address", &text),
        None => Ok(()),
    }
}
