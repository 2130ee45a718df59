//! The results as Markdown.

use std::fmt::Write;

use truehop_bench::message::MIB;
use truehop_bench::text::{figure, machine, one_line, said, spread};

use crate::summary::{Line, Outcome};

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
