//! The results as a picture: bars, by scenario, as long as the CPU for a request is beside the better peer's.

use std::fmt::Write;

use truehop_bench::text::figure;

use crate::scenario::Contender;
use crate::summary::Outcome;

const WIDTH: f64 = 880.0;
/// Where the bars begin.
const LEFT: f64 = 150.0;
/// As long as the better peer's bar is.
const ONE: f64 = 240.0;
/// Longer bars are cut.
const LONGEST: f64 = 2.4;
const BAR: f64 = 13.0;
const GAP: f64 = 14.0;
const TOP: f64 = 84.0;

const STYLE: &str = "\
.paper{fill:#ffffff}.ink{fill:#1f2328}.dim{fill:#57606a}.line{stroke:#57606a;stroke-dasharray:3 3}\
.truehop{fill:#0969da}.nginx{fill:#bf8700}.haproxy{fill:#8c959f}\
@media (prefers-color-scheme:dark){.paper{fill:#0d1117}.ink{fill:#e6edf3}.dim{fill:#9198a1}.line{stroke:#9198a1}\
.truehop{fill:#4493f8}.nginx{fill:#d29922}.haproxy{fill:#6e7681}}\
text{font:12px system-ui,sans-serif}.title{font-size:15px;font-weight:600}.name{font-weight:600}";

pub fn chart(outcomes: &[Outcome]) -> String {
    let mut bars = String::new();
    let mut y = TOP;
    for outcome in outcomes {
        let Some(one) = outcome
            .better_peer()
            .map(|peer| peer.median(|turn| outcome.cost(turn)))
        else {
            continue;
        };
        let height = BAR * outcome.lines.len() as f64;
        let (name_x, name_y) = (LEFT - 10.0, y + height / 2.0 + 4.0);
        let name = outcome.scenario.name;
        let _ = writeln!(
            bars,
            "<text class=\"ink name\" x=\"{name_x}\" y=\"{name_y}\" text-anchor=\"end\">{name}</text>"
        );
        for line in &outcome.lines {
            let cost = line.median(|turn| outcome.cost(turn));
            let share = (cost / one).clamp(0.0, LONGEST);
            let class = class(line.contender);
            let more = if cost / one > LONGEST { " →" } else { "" };
            let label = match outcome.scenario.is_idle() {
                true => format!("{} KiB{more}", figure(cost)),
                false if cost >= 10_000.0 => format!("{} ms{more}", figure(cost / 1000.0)),
                false => format!("{} µs{more}", figure(cost)),
            };
            let _ = writeln!(
                bars,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\"/>\
                 <text class=\"dim\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                share * ONE,
                BAR - 1.5,
                LEFT + share * ONE + 6.0,
                y + BAR - 3.0,
            );
            y += BAR;
        }
        y += GAP;
    }
    let mut legend = String::new();
    for (index, contender) in [Contender::Ours, Contender::Nginx, Contender::Haproxy]
        .into_iter()
        .enumerate()
    {
        let (x, class) = (LEFT + 90.0 * index as f64, class(contender));
        let _ = writeln!(
            legend,
            "<rect class=\"{class}\" x=\"{x}\" y=\"42\" width=\"12\" height=\"12\"/>\
             <text class=\"ink\" x=\"{}\" y=\"52\">{class}</text>",
            x + 18.0
        );
    }
    let one = LEFT + ONE;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
         role=\"img\" aria-labelledby=\"title\">\n<title id=\"title\">CPU for each request, beside the better of nginx \
         and HAProxy</title>\n<style>{STYLE}</style>\n<rect class=\"paper\" width=\"{WIDTH}\" height=\"{y}\" rx=\"6\"/>\n\
         <text class=\"ink title\" x=\"{LEFT}\" y=\"28\">CPU for each request (idle: memory), the better peer = 1; \
         shorter is better</text>\n{legend}\
         <line class=\"line\" x1=\"{one}\" y1=\"{}\" x2=\"{one}\" y2=\"{}\"/>\n\
         <text class=\"dim\" x=\"{one}\" y=\"{}\" text-anchor=\"middle\">1.0</text>\n{bars}</svg>\n",
        TOP - 8.0,
        y - GAP / 2.0,
        TOP - 12.0,
    )
}

fn class(contender: Contender) -> &'static str {
    match contender {
        Contender::Ours => "truehop",
        Contender::Nginx => "nginx",
        Contender::Haproxy => "haproxy",
    }
}
