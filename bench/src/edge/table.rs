//! The results as Markdown.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use crate::message::MIB;
use crate::summary::{Line, Outcome, Spread};

/// What was run, and on what.
pub struct Heading {
    pub command: String,
    pub versions: String,
    pub rounds: usize,
    pub seconds: f64,
}

const METHOD: &str = "\
One worker each, alone on one core; the load and the upstream are one thread on the other. In each round every contender \
is started anew, tried with every byte compared, warmed up and measured, in an order that rotates. All keep connections \
to the upstream, write `X-Forwarded-For` and `X-Real-IP` (truehop its other fields, too), and write no access log unless \
said. Each has what was found to be its best configuration for the scenario: `bench/src/edge/config.rs`.

CPU is what all processes of a contender used, by the kernel's own count (`schedstat`), for each request that was \
answered: median (least..most) of the rounds. The load never sleeps, so that nobody pays for waking it. The ratio is ours \
to that of the better peer, in pairs within the rounds. Latencies are of a closed loop: who would have come while an \
answer was late is not counted (coordinated omission). RSS counts shared libraries, too; an idle connection's memory is \
the growth from none to all of them, so what nginx and HAProxy set aside at their start is not in it. A † marks a rate \
that the load's core set and not the proxy; the CPU for a request holds all the same.
";

pub fn table(heading: &Heading, outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "## The edge\n\n`{}`, {}; {}; {}; {} rounds of {} s.\n\n{METHOD}\n![CPU for each request](edge.svg)\n\n",
        heading.command,
        said("date", &["-u", "+%Y-%m-%d"]),
        machine(),
        heading.versions,
        heading.rounds,
        heading.seconds
    );
    text.push_str(
        "| scenario | who | requests/s | µs CPU a request | user + kernel | p50 / p99 ms | RSS MiB | ratio | goal |\n\
         |---|---|--:|--:|--:|--:|--:|--:|---|\n",
    );
    outcomes
        .iter()
        .filter(|outcome| !outcome.scenario.is_idle())
        .for_each(|outcome| {
            outcome.lines.iter().enumerate().for_each(|(index, line)| {
                let _ = writeln!(text, "{}", loaded(outcome, line, index == 0));
            });
        });
    let mut idle = outcomes
        .iter()
        .filter(|outcome| outcome.scenario.is_idle())
        .peekable();
    if idle.peek().is_some() {
        text.push_str(
            "\n| scenario | who | KiB a connection | RSS MiB with all of them | ratio | goal |\n|---|---|--:|--:|--:|---|\n",
        );
    }
    idle.for_each(|outcome| {
        outcome.lines.iter().enumerate().for_each(|(index, line)| {
            let (name, ratio, goal) = frame(outcome, index == 0);
            let each = spread(line.spread(|turn| turn.growth));
            let all = line.median(|turn| turn.resident) / 1024.0;
            let _ = writeln!(
                text,
                "| {name} | {} | {each} | {all:.1} | {ratio} | {goal} |",
                label(outcome, line)
            );
        });
    });
    let remarks: Vec<_> = outcomes.iter().flat_map(remarks).collect();
    if !remarks.is_empty() {
        let _ = write!(text, "\n{}\n", remarks.join("\n"));
    }
    text.push_str("\nThe scenarios:\n\n");
    for outcome in outcomes {
        let _ = writeln!(text, "* `{}`: {}", outcome.scenario.name, outcome.scenario.what);
    }
    text
}

fn loaded(outcome: &Outcome, line: &Line, is_first: bool) -> String {
    let (name, ratio, goal) = frame(outcome, is_first);
    let mark = if line.load_is_the_ceiling() { " †" } else { "" };
    let mut cost = spread(line.spread(|turn| outcome.cost(turn)));
    if let Some(size) = outcome.scenario.bulk().filter(|&size| size > MIB) {
        let each = line.median(|turn| outcome.cost(turn)) * MIB as f64 / size as f64;
        let _ = write!(cost, "; {} a MiB", figure(each));
    }
    format!(
        "| {name} | {} | {}{mark} | {cost} | {} + {} | {} / {} | {:.1} | {ratio} | {goal} |",
        label(outcome, line),
        figure(line.median(|turn| turn.rate)),
        figure(line.median(|turn| turn.user)),
        figure(line.median(|turn| turn.system)),
        figure(line.median(|turn| turn.p50)),
        figure(line.median(|turn| turn.p99)),
        line.median(|turn| turn.resident) / 1024.0,
    )
}

fn label(outcome: &Outcome, line: &Line) -> String {
    let label = outcome.scenario.label(line.contender);
    match line.errors() {
        0 => label.to_owned(),
        errors => format!("{label} (**{errors} errors**)"),
    }
}

/// The cells that only the first line of a scenario has: its name, the ratio, the goal.
fn frame(outcome: &Outcome, is_first: bool) -> (String, String, String) {
    if !is_first {
        return Default::default();
    }
    let ratio = outcome.ratio().map_or_else(String::new, |ratio| {
        format!("**{:.2}** ({:.2}..{:.2})", ratio.median, ratio.least, ratio.most)
    });
    let goal = match (outcome.scenario.goal, outcome.is_met()) {
        (Some(goal), Some(true)) => format!("≤ {goal:.2} met"),
        (Some(goal), Some(false)) => format!("≤ {goal:.2} **missed**"),
        (Some(goal), None) => format!("≤ {goal:.2}"),
        (None, _) => String::new(),
    };
    (format!("`{}`", outcome.scenario.name), ratio, goal)
}

/// What must be known beside the figures.
fn remarks(outcome: &Outcome) -> Vec<String> {
    let name = outcome.scenario.name;
    let mut remarks: Vec<_> = outcome
        .failed
        .iter()
        .map(|why| format!("* `{name}` **failed**: {}", one_line(why)))
        .collect();
    for line in &outcome.lines {
        let who = outcome.scenario.label(line.contender);
        if let Some(error) = line.first_error() {
            remarks.push(format!(
                "* `{name}`, {who}: the first error was: {}",
                one_line(error)
            ));
        }
        let opened = line.median(|turn| turn.opened);
        if opened > 0.01 {
            remarks.push(format!(
                "* `{name}`, {who}: {opened:.2} connections to the upstream were opened a request."
            ));
        }
        let closed: u64 = line.turns.iter().map(|turn| turn.closed).sum();
        if closed > 0 {
            remarks.push(format!(
                "* `{name}`, {who}: {closed} client connections were closed between requests."
            ));
        }
    }
    remarks
}

fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

fn spread(spread: Spread) -> String {
    format!(
        "{} ({}..{})",
        figure(spread.median),
        figure(spread.least),
        figure(spread.most)
    )
}

/// Three digits at least, and thousands apart.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut apart = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(3) && !apart.ends_with('-') {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

fn machine() -> String {
    let kernel = rustix::system::uname();
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!(
        "{} {}; {}, {} cores",
        kernel.sysname().to_string_lossy(),
        kernel.release().to_string_lossy(),
        model.map_or("unknown processor", |(_, model)| model),
        fs::read_dir("/sys/bus/cpu/devices").map_or(0, Iterator::count),
    )
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        for (value, shown) in [
            (0.0, "0.000"),
            (0.1234, "0.123"),
            (1.239, "1.24"),
            (19.06, "19.1"),
            (123.4, "123"),
            (51234.0, "51,234"),
            (-1234567.0, "-1,234,567"),
        ] {
            assert_eq!(figure(value), shown);
        }
    }
}
