//! The results as Markdown.

use std::fmt::Write;
use std::process::Command;
use std::thread;

use crate::measure::{Outcome, ROUNDS};

pub fn heading() -> String {
    let say = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        output.map_or_else(
            |_| "unknown".to_owned(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let valgrind = match say("valgrind", &["--version"]) {
        version if version == "unknown" => {
            "valgrind is not installed, so no instructions were counted".to_owned()
        }
        version => format!("instructions by callgrind ({version})"),
    };
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!(
        "## Addresses\n\n`cargo xtask bench address`, {date}; {os} on {arch}, {cores} cores of a shared virtual \
         machine, {rustc}; {valgrind}.\n\n\
         One call each, from an `http::HeaderMap` of nine fields (PROXY: from bytes), four trusted networks. ns: of \
         {ROUNDS} short rounds in which all contenders of a row take turns, the one than which a tenth were quicker, and in \
         brackets the median: others use the machine, and what they take from a round only adds to it. The ratio is of the \
         former, to us: 2.0 takes twice as long. Only those that give the right answer are compared; what a contender does not do of what we \
         do is said beside it, so its ratio flatters it.\n\n",
        date = say("date", &["-u", "+%Y-%m-%d"]),
        os = std::env::consts::OS,
        arch = std::env::consts::ARCH,
        rustc = say("rustc", &["--version"])
            .split(" (")
            .next()
            .unwrap_or_default(),
    )
}

pub fn costs(outcomes: &[Outcome]) -> String {
    let mut text =
        String::from("| what | who | ns | instructions | ratio | remarks |\n|---|---|--:|--:|--:|---|\n");
    for outcome in outcomes {
        let ours = outcome.lines[0].quiet;
        for (index, line) in outcome.lines.iter().enumerate() {
            let what = if index == 0 { outcome.row } else { "" };
            let ratio = match &line.wrong {
                None => format!("{:.2}", line.quiet / ours),
                Some(_) => "-".to_owned(),
            };
            let instructions = line.instructions.map_or("-".to_owned(), |n| format!("{n:.0}"));
            let remarks = match &line.wrong {
                Some(said) => format!("**wrong: {said}**; {}", line.lacks),
                None => line.lacks.to_owned(),
            };
            let (digits, quiet, median) = (usize::from(line.quiet < 100.0), line.quiet, line.median);
            let _ = writeln!(
                text,
                "| {what} | {} | {quiet:.digits$} ({median:.digits$}) | {instructions} | {ratio} | {remarks} |",
                line.name
            );
        }
    }
    text.push('\n');
    text
}
