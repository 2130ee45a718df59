//! What came out, for people and for programs.
//!
//! Invariant: nothing is left out of the counts. What was not sent, and what was given up, is told with its reason.

mod page;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};
use truehop_forgeries::{Language, Mend};

use super::cause::Causes;
use super::slow_down::SlowDown;
use super::survey::{End, Finding, NotSent, Survey};
use super::target::is_near;
use super::verdict::Kind;

/// Everything that a report is made of.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) url: String,
    pub(super) agent: &'static str,
    /// The one address that was probed.
    pub(super) to: SocketAddr,
    /// This end of the connections.
    pub(super) from: IpAddr,
    /// Whether somebody chose it.
    pub(super) is_from_chosen: bool,
    /// Whether everybody is taken for the deployment's own proxy.
    pub(super) is_blind: bool,
    pub(super) survey: &'a Survey<'a>,
    pub(super) slow_down: &'a SlowDown,
    pub(super) end: &'a End,
    pub(super) mends: BTreeMap<String, Mend>,
}

impl Report<'_> {
    /// One object, for programs.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let survey = self.survey;
        let causes = Causes::among(&survey.findings);
        let counts: BTreeMap<&str, usize> = Kind::ALL
            .iter()
            .map(|kind| (kind.name(), survey.count(*kind)))
            .chain([
                ("not_sent", survey.not_sent.len()),
                ("doubtful", survey.doubtful.len()),
            ])
            .collect();
        let forgeries: Vec<Value> = survey
            .findings
            .iter()
            .map(|Finding { forgery, language, verdict }| {
                let mend = (verdict.kind == Kind::Fooled).then(|| causes.family_of(forgery));
                json!({
                    "name": forgery.name, "family": forgery.family, "over": over(*language),
                    "verdict": verdict.kind, "answer": verdict.how, "why": forgery.why, "seen": forgery.seen,
                    "mend": mend,
                })
            })
            .collect();
        let not_sent: Vec<Value> = survey
            .not_sent
            .iter()
            .map(|(forgery, reason)| json!({"name": forgery.name, "family": forgery.family, "reason": reason.code()}))
            .collect();
        let doubtful: Vec<Value> = survey
            .doubtful
            .iter()
            .map(
                |Finding {
                     forgery, language, ..
                 }| json!({"name": forgery.name, "over": over(*language)}),
            )
            .collect();
        let is_cause = |family: &String| {
            let mut fooled = self.of(Kind::Fooled);
            fooled.any(|finding| causes.family_of(finding.forgery) == family)
        };
        let mends: BTreeMap<&String, &Mend> =
            self.mends.iter().filter(|(family, _)| is_cause(family)).collect();
        let ended = match self.end {
            End::Whole => "whole",
            End::Stopped => "stopped",
            End::Late => "late",
            End::Changed(_) => "changed",
        };
        serde_json::to_string_pretty(&json!({
            "url": self.url, "to": self.to, "from": self.from, "agent": self.agent, "client": survey.client, "is_blind": self.is_blind,
            "ended": ended, "honest": survey.honest, "counts": counts, "forgeries": forgeries, "not_sent": not_sent, "doubtful": doubtful,
            "mends": mends, "notes": self.notes(),
        }))
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Finding<'_>> {
        let is = move |finding: &&Finding<'_>| finding.verdict.kind == kind;
        self.survey.findings.iter().filter(is)
    }

    fn notes(&self) -> Vec<String> {
        let Self { survey, from, .. } = self;
        let client = survey.client;
        let mut notes = Vec::new();
        if self.is_blind {
            notes.push(format!(
                "{client} is not our address ({from} is) and nobody's out there: it is that of a proxy on the \
                 deployment's own machine, whose claim about us is not read. So everybody is taken for {client}, \
                 and forgeries prove nothing. truehop recipe shows what each side must say"
            ));
        } else if client == *from && client.is_loopback() && !self.is_from_chosen {
            notes.push(format!(
                "behind a proxy on this machine that is not heard, everybody would look like {client}, too; {} tells",
                match client.is_ipv4() {
                    true => "--from 127.0.0.2",
                    false => "another machine",
                }
            ));
        } else if client != *from {
            let mut note =
                format!("the deployment takes us for {client}; this end of the connection is {from}. ");
            note += match is_near(client) && !is_near(self.to.ip()) {
                true => {
                    "That is a private address, likely of its own proxy, whose claim about us it does not read: then \
                     all its clients look alike. truehop recipe shows what each side must say"
                }
                false => {
                    "Behind NAT that is right; if it is an address of a proxy of the deployment, all its clients look \
                     alike. --expect IP makes sure"
                }
            };
            notes.push(note);
        }
        if survey.count(Kind::Fooled) > 0 {
            notes.push(
                "192.168.0.10 stands for your proxy; truehop recipe has whole configurations".to_owned(),
            );
        }
        if survey.count(Kind::Fooled) > 0 && is_near(client) {
            notes.push(format!(
                "if the deployment trusts {client} as a proxy, it did as it was told. Probe from an address that it \
                 does not trust: with --from IP, or from another machine"
            ));
        }
        if let count @ 1.. = survey.barred() {
            notes.push(format!(
                "{count} plain claims were turned away (401, 403, 429 or 451), and whether they were believed nobody \
                 knows. Let everybody in at this path, at any pace, and probe again"
            ));
        }
        if self.slow_down.times() > 0 || survey.count(Kind::Unjudged) > 0 {
            let mut note = format!(
                "the server asked to slow down (429 or 503 with Retry-After), and was waited for (times: {}, seconds \
                 in all: {}). A lower --rate may need no waits",
                self.slow_down.times(),
                self.slow_down.waited().as_secs()
            );
            if let count @ 1.. = survey.count(Kind::Unjudged) {
                note += &format!(
                    ". Not judged: {count}, since it asked so once more, or for longer than it is waited for"
                );
            }
            notes.push(note);
        }
        if survey.count(Kind::Broke) > 0 {
            notes.push(
                "an error of the server's own is no refusal: somebody can make it happen. Look into its log"
                    .to_owned(),
            );
        }
        match self.end {
            End::Whole => {}
            End::Stopped => notes.push("stopped before the end; what is above is what was known by then".to_owned()),
            End::Late => notes.push(
                "it took 15 minutes, and was ended. Likely the server neither says where an answer ends nor closes, so \
                 that each was waited for; a lower --timeout, or a higher --rate, takes less"
                    .to_owned(),
            ),
            End::Changed(what) => notes.push(format!(
                "ended early: when asked honestly once more, {what}. Perhaps it has shut us out, or several addresses \
                 lead out from here; a lower --rate may help. Or a forgery brought it down"
            )),
        }
        if let (Some(first), Some(last)) = (survey.doubtful.first(), survey.doubtful.last()) {
            notes.push(format!(
                "{} verdicts are not counted, since nothing honest was answered after them: from {} to {}, the last \
                 that was sent",
                survey.doubtful.len(),
                first.name(),
                last.name()
            ));
        }
        notes
    }
}

impl NotSent {
    fn code(self) -> &'static str {
        match self {
            Self::OnlyHttp2 => "only-http2",
            Self::OurAddress => "our-address",
        }
    }
}

fn over(language: Language) -> &'static str {
    match language {
        Language::Http1 => "h1",
        Language::Http2 => "h2",
    }
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressBar;

    use super::*;

    #[test]
    fn an_address_that_is_not_ours_is_told_as_what_it_likely_is() {
        let (out, private) = ("198.51.100.7", "10.0.0.1");
        let (far, near) = ("203.0.113.9:80", "192.168.0.10:80");
        for (client, to, told) in [
            (private, far, "likely of its own proxy"),
            (private, near, "Behind NAT that is right"),
            (out, far, "Behind NAT that is right"),
            (out, near, "Behind NAT that is right"),
        ] {
            let report = Report {
                url: String::new(),
                agent: "",
                to: to.parse().unwrap(),
                from: [192, 0, 2, 7].into(),
                is_from_chosen: false,
                is_blind: false,
                survey: &Survey::new(client.parse().unwrap()),
                slow_down: &SlowDown::new(ProgressBar::hidden()),
                end: &End::Whole,
                mends: BTreeMap::new(),
            };
            let [note] = report.notes().try_into().unwrap();
            assert!(note.contains(told), "{client} at {to}: {note}");
        }
    }
}
