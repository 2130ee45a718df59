//! Figures and facts as they stand in the results.

use std::fs;
use std::process::Command;

use crate::spread::Spread;

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

/// A median, and in brackets what it lies between.
pub fn spread(spread: Spread) -> String {
    format!(
        "{} ({}..{})",
        figure(spread.median),
        figure(spread.least),
        figure(spread.most)
    )
}

/// Fit for a line of Markdown, or a cell of a table.
pub fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// The system, the processor, and how many cores there are.
pub fn machine() -> String {
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

/// What a program writes to its standard output.
pub fn said(program: &str, arguments: &[&str]) -> String {
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
