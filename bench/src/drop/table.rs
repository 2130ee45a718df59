//! The results as Markdown.

use std::fmt::Write;

use truehop_bench::message::MIB;
use truehop_bench::text::{figure, machine, one_line, said, spread};

use crate::contender::Contender;
use crate::summary::{Goal, Line, Measured, Outcome, Row};

/// What was run, and on what.
pub struct Heading {
    pub command: String,
    pub versions: String,
    pub rounds: usize,
    pub seconds: f64,
    /// Bytes of the large file.
    pub large: u64,
    /// Of what kind the file system is that everything was written to.
    pub disk: String,
    pub contenders: Vec<Contender>,
    /// Peers and rows that take no part, and why.
    pub absent: Vec<String>,
}

/// Goal of the peak memory, MiB.
const PEAK: f64 = 64.0;

const METHOD: &str = "\
Each contender has one core for itself (`workers = 1` where it has such a switch), the load is one thread on the other. In \
each round every contender is started anew with an empty directory, tried with every byte compared, and measured, in an \
order that rotates; what the one before left to be written is on the disk by then. CPU is what all threads and children of \
a contender used by the kernel's own count, until they had nothing left to do after the answer; what the kernel writes \
back by itself later is nobody's, so who calls fsync pays for what others leave undone. Before a large upload the page \
cache is filled and freed, so that nobody pays for memory that a virtual machine had given away. Figures are the median \
(least..most) of the rounds, ratios those of pairs within a round. RSS is the sum of the processes' peaks (VmHWM), shared \
libraries and Python included.
";

pub fn table(heading: &Heading, outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "## The drop\n\n`{}`, {}; {}; files on {}; {}; {} rounds, {} s each where requests are counted.\n\n{METHOD}",
        heading.command,
        said("date", &["-u", "+%Y-%m-%d"]),
        machine(),
        heading.disk,
        heading.versions,
        heading.rounds,
        heading.seconds
    );
    let of = |counted: bool| {
        outcomes
            .iter()
            .filter(move |outcome| outcome.row.is_counted() == counted)
    };
    if of(false).next().is_some() {
        text.push_str(
            "\n| what | who | s CPU | user + kernel | s until the answer | on the disk: s, s CPU | peak RSS MiB | ratio of CPU | goal |\n\
             |---|---|--:|--:|--:|--:|--:|--:|---|\n",
        );
        of(false).for_each(|outcome| lines(&mut text, outcome, timed));
    }
    if of(true).next().is_some() {
        text.push_str(
            "\n| what | who | requests/s | µs CPU a request | user + kernel | p50 / p99 ms | peak RSS MiB | ratio | goal |\n\
             |---|---|--:|--:|--:|--:|--:|--:|---|\n",
        );
        of(true).for_each(|outcome| lines(&mut text, outcome, counted));
    }
    if let Some(peak) = peak(outcomes) {
        let _ = write!(text, "\n{peak}\n");
    }
    let remarks: Vec<_> = outcomes.iter().flat_map(remarks).collect();
    if !remarks.is_empty() {
        let _ = write!(text, "\n{}\n", remarks.join("\n"));
    }
    text.push_str("\nWhat was done:\n\n");
    for outcome in outcomes {
        let _ = writeln!(
            text,
            "* `{}`: {}.",
            outcome.row.name(),
            what(outcome.row, heading)
        );
    }
    text.push_str("\nWho does what:\n\n");
    for contender in &heading.contenders {
        let _ = writeln!(text, "* {}: {}.", contender.name(), contender.remark());
    }
    for absent in &heading.absent {
        let _ = writeln!(text, "* not measured: {}.", one_line(absent));
    }
    text
}

fn lines(text: &mut String, outcome: &Outcome, cells: impl Fn(&Line) -> String) {
    for (index, line) in outcome.lines.iter().enumerate() {
        let name = match index {
            0 => format!("`{}`", outcome.row.name()),
            _ => String::new(),
        };
        let label = match line.errors() {
            0 => line.label(),
            errors => format!("{} (**{errors} errors**)", line.label()),
        };
        let cells = match line.turns.is_empty() {
            true => "failed | | | | ".to_owned(),
            false => cells(line),
        };
        let (ratio, goal) = judged(outcome, line);
        let _ = writeln!(text, "| {name} | {label} | {cells} | {ratio} | {goal} |");
    }
}

fn timed(line: &Line) -> String {
    let durable = match line.median(|turn| turn.durable) {
        0.0 => String::new(),
        durable => format!(
            "{}, {}",
            figure(durable),
            figure(line.median(|turn| turn.written))
        ),
    };
    format!(
        "{} | {} + {} | {} | {} | {:.1}",
        spread(line.spread(Measured::cpu)),
        figure(line.median(|turn| turn.user)),
        figure(line.median(|turn| turn.system)),
        figure(line.median(|turn| turn.wall)),
        durable,
        line.median(|turn| turn.peak) / 1024.0,
    )
}

fn counted(line: &Line) -> String {
    format!(
        "{} | {} | {} + {} | {} / {} | {:.1}",
        spread(line.spread(|turn| turn.rate)),
        figure(line.median(Measured::cpu) * 1e6),
        figure(line.median(|turn| turn.user) * 1e6),
        figure(line.median(|turn| turn.system) * 1e6),
        figure(line.median(|turn| turn.p50)),
        figure(line.median(|turn| turn.p99)),
        line.median(|turn| turn.peak) / 1024.0,
    )
}

fn judged(outcome: &Outcome, line: &Line) -> (String, String) {
    let Some(reference) = outcome.reference(line) else {
        return Default::default();
    };
    let ratio = outcome.ratio(line, reference);
    let to = match reference.is_ours() {
        true => reference.way.to_owned(),
        false => reference.label(),
    };
    let goal = outcome.goal(line).map_or_else(String::new, |goal| {
        let wanted = match goal {
            Goal::AtMost(most) => format!("≤ {most:.2}"),
            Goal::AtLeast(least) => format!("≥ {least:.2}"),
        };
        match goal.is_met(ratio.median) {
            true => format!("{wanted} met"),
            false => format!("{wanted} **missed**"),
        }
    });
    let mut shown = format!(
        "**{:.2}** ({:.2}..{:.2}) to {to}",
        ratio.median, ratio.least, ratio.most
    );
    if let Some(equal) = outcome.equal(line) {
        let ratio = outcome.ratio(line, equal);
        let _ = write!(shown, "; {:.2} to {}", ratio.median, equal.label());
    }
    (shown, goal)
}

/// The most memory that ours ever held.
fn peak(outcomes: &[Outcome]) -> Option<String> {
    let ours = outcomes
        .iter()
        .flat_map(|outcome| outcome.lines.iter().map(move |line| (outcome.row, line)));
    let ours = ours.filter(|(_, line)| line.is_ours() && !line.turns.is_empty());
    let peaks = ours.map(|(row, line)| (line.most(|turn| turn.peak) / 1024.0, row, line.way));
    let (most, row, way) = peaks.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let verdict = if most < PEAK { "met" } else { "**missed**" };
    let way = if way.is_empty() {
        String::new()
    } else {
        format!(", {way}")
    };
    Some(format!(
        "Peak RSS of truehop in all of this: **{most:.1} MiB** (`{}`{way}); goal < {PEAK} MiB {verdict}.",
        row.name()
    ))
}

/// What must be known beside the figures.
fn remarks(outcome: &Outcome) -> Vec<String> {
    let name = outcome.row.name();
    let failures = outcome.failures.iter();
    let mut remarks: Vec<_> = failures
        .map(|why| format!("* `{name}` **failed**: {}", one_line(why)))
        .collect();
    for line in &outcome.lines {
        let who = line.label();
        if let Some(error) = line.first_error() {
            remarks.push(format!(
                "* `{name}`, {who}: the first error was: {}",
                one_line(error)
            ));
        }
        let closed = line.median(|turn| turn.closed);
        if closed > 0.01 {
            remarks.push(format!(
                "* `{name}`, {who}: {closed:.2} connections were closed and opened again a request."
            ));
        }
        if line.median(|turn| turn.load_busy) > 0.95 {
            remarks.push(format!("* `{name}`, {who}: the load's core set the rate."));
        }
    }
    remarks
}

fn what(row: Row, heading: &Heading) -> String {
    let large = heading.large / MIB;
    match row {
        Row::Upload => format!(
            "{large} MiB by one client; the ratio is to the cheapest peer. *On the disk*: after the answer of one that \
             calls no fsync, we do, and count that. *nginx, then `sync` and `sha256sum`* is nginx with what it leaves out \
             of what truehop does: fsync and SHA-256, each once, by another process"
        ),
        Row::First => format!(
            "the same {large} MiB for the first time after the upload, to its owner. Whoever writes past the page cache \
             (`O_DIRECT`) reads from the disk here; the others have it in memory still"
        ),
        Row::Download => format!(
            "the same {large} MiB by one client, from the page cache; the ratio is to nginx. Truehop's recipient is \
             another address: its figures include lease, acknowledgement, receipt and deletion, and the next download \
             is 410. Deleting a file from the page cache costs the kernel a part of what sending it does, whoever asks: \
             *nginx, then `rm`* has what it costs to unlink nginx's file"
        ),
        Row::Small => "uploads of 4 KiB by 32 clients on kept connections, each under its own name, everybody as they \
                       are: only truehop's are on the disk when it answers. The ratio is of uploads a second, to the \
                       quickest peer"
            .to_owned(),
        Row::Durable => "the same with equal durability: peers on an ext4 in a file that is mounted `sync,dirsync`, \
                         where each write and each new name is on the disk before the call returns; truehop on such an \
                         ext4 mounted as usual, as it asks for that itself once per file, and beside it on the peers' \
                         mount. What this cannot give the peers is a program that asks once for a whole file, or for \
                         many"
            .to_owned(),
        Row::Boot => "from the start until it listens; all files wait, and each row is compared with the disk".to_owned(),
        Row::Lookup => "a file's page as text, of a random file, by 16 others than the owner. The ratio is the larger \
                        of those of CPU and median latency"
            .to_owned(),
        Row::Claim => "a file of 4 KiB taken by another than the owner, 16 at a time: lease, bytes, acknowledgement, \
                       receipt, deletion; 500 files, none twice. The ratio as before"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading() -> Heading {
        Heading {
            command: "cargo xtask bench drop".to_owned(),
            versions: "truehop 0.1.0, nginx 1.22.1".to_owned(),
            rounds: 2,
            seconds: 3.0,
            large: 1024 * MIB,
            disk: "ext4".to_owned(),
            contenders: vec![Contender::Ours, Contender::Nginx],
            absent: vec!["dufs: not installed".to_owned()],
        }
    }

    fn turns(user: f64, rate: f64) -> Vec<Measured> {
        let turn = Measured {
            user,
            rate,
            p50: 1.0,
            peak: 20.0 * 1024.0,
            ..Measured::default()
        };
        vec![turn.clone(), turn]
    }

    #[test]
    fn goals_are_judged_and_every_row_has_all_cells() {
        let mut upload = Outcome::new(Row::Upload);
        upload.line(Contender::Ours, "").turns = turns(1.2, 0.0);
        upload.line(Contender::Nginx, "").turns = turns(1.0, 0.0);
        let mut durable = Outcome::new(Row::Durable);
        durable.line(Contender::Ours, "").turns = turns(0.1, 200.0);
        durable.line(Contender::Nginx, "").turns = turns(0.1, 100.0);
        durable.line(Contender::Dufs, "");
        durable.failures.push("dufs: it ended: a | b".to_owned());
        let text = table(&heading(), &[upload, durable]);
        assert!(
            text.contains("**1.20** (1.20..1.20) to nginx | ≤ 1.10 **missed** |"),
            "{text}"
        );
        assert!(
            text.contains("**2.00** (2.00..2.00) to nginx | ≥ 1.00 met |"),
            "{text}"
        );
        assert!(
            text.contains("**20.0 MiB** (`small-durable`); goal < 64 MiB met."),
            "{text}"
        );
        assert!(
            text.contains("* `small-durable` **failed**: dufs: it ended: a \\| b"),
            "{text}"
        );
        assert!(text.contains("* not measured: dufs: not installed."), "{text}");
        for row in text.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(row.matches('|').count(), 10, "{row}");
        }
    }
}
