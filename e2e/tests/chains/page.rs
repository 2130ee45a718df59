//! `docs/chains.md`: the page that tells what was measured.
//!
//! Invariant: what stands between the marks of a part comes from a run. The part `measured` must be what the present
//! run measured, or the test fails; versions and what depends on them or on time stand in the part `run`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use truehop_e2e::{Forgery, Joint, Pair, Proxy, Words, peer, version, workspace};

use crate::Report;
use crate::alone::Row;
use crate::drops::Drops;
use crate::forgeries::Forged;
use crate::matrix::Way;

/// Set, the page is written; else it is compared.
const WRITE: &str = "TRUEHOP_WRITE_CHAINS";

/// How a pair can be set up, in the order of the columns.
const SETUPS: [(Words, Joint); 5] = [
    (Words::Documentation, Joint::Header),
    (Words::Recipe, Joint::Header),
    (Words::Documentation, Joint::Preface),
    (Words::Recipe, Joint::Preface),
    (Words::Documentation, Joint::PrefaceBehind),
];

/// Writes the page, or tells how it differs from what was measured.
pub(crate) fn settle(
    reports: &[Report],
    rows: &[Row],
    forgeries: &[Forgery],
    all: &Forged,
    drops: &Drops,
) -> Option<String> {
    let file = workspace().join("docs/chains.md");
    let page = fs::read_to_string(&file).unwrap();
    let measured = measured(reports, rows, forgeries, all, drops);
    if env::var_os(WRITE).is_some() {
        let page = with_part(&page, "measured", &measured);
        fs::write(file, with_part(&page, "run", &run(all, drops))).unwrap();
        return None;
    }
    let told = part(&page, "measured").1;
    if told == measured {
        return None;
    }
    let differs = told
        .lines()
        .zip(measured.lines())
        .find(|(told, measured)| told != measured);
    let (told, now) = differs.unwrap_or(("", "another number of lines"));
    Some(format!(
        "docs/chains.md tells other than was measured; with {WRITE}=1 it is written anew\n told: {told}\n  now: {now}"
    ))
}

/// What stands before, in and after a part.
fn part<'a>(page: &'a str, name: &str) -> (&'a str, &'a str, &'a str) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let found = page
        .split_once(&begin)
        .and_then(|(before, rest)| rest.split_once(&end).map(|(inner, after)| (before, inner, after)));
    found.unwrap_or_else(|| panic!("docs/chains.md has no part {name}"))
}

fn with_part(page: &str, name: &str, text: &str) -> String {
    let (before, _, after) = part(page, name);
    format!("{before}<!-- {name} -->\n{text}<!-- /{name} -->\n{after}")
}

fn measured(reports: &[Report], rows: &[Row], forgeries: &[Forgery], all: &Forged, drops: &Drops) -> String {
    let parts = [
        chains(reports),
        collected(reports),
        tried(forgeries, all),
        alone(rows),
    ];
    format!(
        "**{} forged requests** (chain × forgery × attacker), **{} fooled**. At the drop behind the chains **{} forged \
         downloads**, **{} fooled**.\n\n{}",
        thousands(all.runs()),
        all.fooled.len(),
        thousands(drops.runs()),
        drops.fooled.len(),
        parts.join("\n")
    )
}

/// What was found out about the two, in the order of [`SETUPS`].
fn setups(reports: &[Report], first: Proxy, second: Proxy) -> [Option<&Report>; SETUPS.len()] {
    SETUPS.map(|(words, link)| {
        let pair = Pair {
            first,
            second,
            words,
            link,
        };
        reports.iter().find(|report| report.pair == Some(pair))
    })
}

/// Files through every pair: uploaded, collected, and not stolen.
fn collected(reports: &[Report]) -> String {
    let mut text = "### Files through every pair\n\n\
        | first proxy | second proxy | as documented | by recipe | PROXY between | PROXY between, by recipe \
        | PROXY behind | forged | fooled |\n\
        |---|---|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for first in Proxy::ALL {
        for second in Proxy::ALL {
            let setups = setups(reports, first, second);
            let _ = write!(text, "| {first} | {second} |");
            for setup in &setups {
                let _ = write!(text, " {} |", number(setup.map(|report| report.drops.right)));
            }
            let mut drops = Drops::default();
            setups
                .iter()
                .flatten()
                .for_each(|report| drops.add(&report.drops));
            let _ = writeln!(text, " {} | {} |", thousands(drops.runs()), drops.fooled.len());
        }
    }
    text
}

fn chains(reports: &[Report]) -> String {
    let mut text = "### Every pair\n\n\
        | first proxy | second proxy | plain | kept | IPv6 | TLS | HTTP/2 | by recipe | PROXY between \
        | PROXY between, by recipe | PROXY behind | forged | fooled |\n\
        |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for first in Proxy::ALL {
        for second in Proxy::ALL {
            let setups = setups(reports, first, second);
            let _ = write!(text, "| {first} | {second} |");
            for way in Way::ALL {
                let right = setups[0].and_then(|report| report.honest.right.get(&way));
                let _ = write!(text, " {} |", number(right.copied()));
            }
            for setup in &setups[1..] {
                let _ = write!(
                    text,
                    " {} |",
                    number(setup.map(|report| report.honest.right.values().sum()))
                );
            }
            let mut forged = Forged::default();
            setups
                .iter()
                .flatten()
                .for_each(|report| forged.add(&report.forged));
            let _ = writeln!(text, " {} | {} |", thousands(forged.runs()), forged.fooled.len());
        }
    }
    let straight = reports.iter().find(|report| report.pair.is_none());
    if let Some(Report { forged, .. }) = straight {
        let (runs, fooled) = (thousands(forged.runs()), forged.fooled.len());
        let _ = writeln!(
            text,
            "| – | – | – | – | – | – | – | – | – | – | – | {runs} | {fooled} |"
        );
    }
    text
}

fn tried(forgeries: &[Forgery], all: &Forged) -> String {
    let mut families: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
    for forgery in forgeries {
        let (count, seen) = families.entry(&forgery.family).or_default();
        *count += 1;
        seen.extend(forgery.seen.iter().map(String::as_str));
    }
    let mut text =
        "### Every forgery\n\n| kind | forgeries | requests | has worked at |\n|---|--:|--:|---|\n"
            .to_owned();
    for (family, (count, mut seen)) in families {
        seen.sort_unstable();
        seen.dedup();
        let sent = all.families.get(family).copied().unwrap_or_default();
        let _ = writeln!(
            text,
            "| {family} | {count} | {} | {} |",
            thousands(sent),
            seen.join(", ")
        );
    }
    text
}

fn alone(rows: &[Row]) -> String {
    let mut text = "### Others by themselves\n\n\
        | set-up | what is written | forged | another's address | no address | the proxy's address |\n\
        |---|---|--:|--:|--:|--:|\n"
        .to_owned();
    let sum = |by: &BTreeMap<String, Vec<String>>| by.values().map(Vec::len).sum::<usize>();
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {} | {} | {} |",
            row.name,
            row.words,
            row.sent,
            sum(&row.believed),
            sum(&row.text),
            sum(&row.proxy)
        );
    }
    // The proxy's address is what the honest get too, where proxies were miscounted.
    let taken =
        |row: &Row| [&row.believed, &row.text].map(|by| by.values().flatten().cloned().collect::<Vec<_>>());
    let taken: BTreeSet<String> = rows.iter().flat_map(taken).flatten().collect();
    let sent = rows.iter().map(|row| row.sent).max().unwrap_or_default();
    let _ = writeln!(
        text,
        "\n{} of the {sent} forgeries made at least one of them believe another's address, or what is none.",
        taken.len()
    );
    text += "\n<details><summary>By which forgeries</summary>\n";
    for row in rows {
        for (what, by) in [
            ("another's address", &row.believed),
            ("no address", &row.text),
            ("the proxy's address", &row.proxy),
        ] {
            let names: Vec<&str> = by.values().flatten().map(String::as_str).collect();
            if !names.is_empty() {
                let _ = writeln!(text, "\n**{}**, {what}: {}", row.name, names.join(", "));
            }
        }
    }
    text + "\n</details>\n"
}

/// What ProxyFix belongs to: "Flask 3.1.3", "Werkzeug 3.1.9", below a line about Python.
fn flask() -> Vec<String> {
    let beside = PathBuf::from(peer("gunicorn").get_program()).with_file_name("flask");
    let output = Command::new(beside).arg("--version").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    told.lines().skip(1).map(str::to_owned).collect()
}

/// What is true of this run only.
fn run(all: &Forged, drops: &Drops) -> String {
    let mut versions: Vec<String> = Proxy::ALL
        .iter()
        .map(|proxy| format!("{proxy} {}", proxy.version()))
        .collect();
    versions.extend(["gunicorn", "uvicorn", "node", "curl"].map(|name| format!("{name} {}", version(name))));
    versions.extend(flask());
    format!(
        "{}. Of the forged requests {} were answered with the sender's true address, and {} were refused by somebody \
         on the way. Of the forged downloads {} took the file away, as anybody's but the uploader's do; {} were refused and \
         changed nothing; and of {} the end is not known, because HAProxy reset a connection.\n",
        versions.join(", "),
        thousands(all.held),
        thousands(all.refused),
        thousands(drops.taken),
        thousands(drops.refused),
        thousands(drops.uncertain)
    )
}

fn number(count: Option<usize>) -> String {
    count.map_or_else(|| "–".to_owned(), |count| count.to_string())
}

fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
