//! What an answer to a forgery says of a deployment.
//!
//! Invariant: a forgery is held only if the answer has the very address that honest requests are answered with, and
//! nothing else. What cannot be judged is never counted as held.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;
use truehop_forgeries::{Answer, Request};

use super::connector::Reply;
use super::echo::{Echo, Told};
use super::slow_down;

/// The longest piece of an answer that is shown.
const SHOWN: usize = 60;
/// A claim shorter than this stands in many a page by chance.
const TELLING: usize = 4;

/// What became of a forgery.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Not answered, or with a refusal.
    Refused,
    /// Answered by something that says nothing about a client: a redirect, another page.
    Elsewhere,
    /// Answered with the true address.
    Held,
    /// Answered that there are too many requests just now, which says nothing of this one.
    Unjudged,
    /// An error of the server's own, or silence.
    Broke,
    /// Answered with another address, or with what is none.
    Fooled,
}

/// What became of a forgery, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Verdict {
    pub(super) kind: Kind,
    /// What was answered, in a few words; of the fooled, whom they take us for.
    pub(super) how: String,
    /// Whether the sender was turned away for who he seemed to be, or for how often he came, and not for what he said.
    pub(super) is_barred: bool,
}

/// Who asks, and for whom he would like to pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parties {
    /// Whom honest requests are taken for.
    pub(super) client: IpAddr,
    pub(super) forged: IpAddr,
}

impl Kind {
    /// All of them, the good ones first.
    pub(super) const ALL: [Self; 6] = [
        Self::Held,
        Self::Refused,
        Self::Elsewhere,
        Self::Unjudged,
        Self::Broke,
        Self::Fooled,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Elsewhere => "elsewhere",
            Self::Held => "held",
            Self::Unjudged => "unjudged",
            Self::Broke => "broke",
            Self::Fooled => "fooled",
        }
    }
}

impl Verdict {
    pub(super) fn new(kind: Kind, how: impl Into<String>) -> Self {
        Self {
            kind,
            how: how.into(),
            is_barred: false,
        }
    }

    /// Judges the reply to `request`.
    pub(super) fn of(reply: &Reply, request: &Request, parties: Parties, echo: &Echo) -> Self {
        let answers = match reply {
            Reply::Answers(answers) => answers,
            Reply::Closed => return Self::new(Kind::Refused, "closed without an answer"),
            Reply::Silence => return Self::new(Kind::Broke, "no answer in time"),
            Reply::NoConnection(failure) => return Self::new(Kind::Broke, format!("it {}", failure.what)),
        };
        // A server that takes one request for two answers twice: whoever is fooled in either is fooled.
        let judged = answers.iter().map(|answer| judge(answer, request, parties, echo));
        judged
            .max_by_key(|verdict| verdict.kind)
            .unwrap_or_else(|| Self::new(Kind::Refused, "begun, but not answered"))
    }
}

fn judge(answer: &Answer, request: &Request, parties: Parties, echo: &Echo) -> Verdict {
    let status = answer.status.map_or_else(
        || "an answer that is no HTTP".to_owned(),
        |status| status.to_string(),
    );
    let is_good = matches!(answer.status, Some(200..=299));
    match (echo.read(&answer.body), answer.status) {
        // Also in an error: a page that names the client has believed somebody.
        (Told::Address(ip), _) if ip == parties.client => Verdict::new(Kind::Held, ip.to_string()),
        (Told::Address(ip), _) => Verdict::new(Kind::Fooled, ip.to_string()),
        (Told::Text(text), _) if is_good => {
            Verdict::new(Kind::Fooled, format!("{}, which is no address", quoted(&text)))
        }
        (_, Some(101)) => Verdict::new(Kind::Elsewhere, "101, switched to another protocol"),
        _ if shows(answer, request, parties.forged) => {
            Verdict::new(Kind::Fooled, format!("{status} that shows {}", parties.forged))
        }
        (_, Some(code)) if let Some(said) = slow_down::asked(answer) => Verdict {
            is_barred: is_barred(code),
            ..Verdict::new(
                Kind::Unjudged,
                format!("{status}, asks to slow down {}", slow_down::told(said)),
            )
        },
        // Not implemented, and a version that is not spoken: refusals by another number.
        (_, Some(code @ (400..=499 | 501 | 505))) => Verdict {
            is_barred: is_barred(code),
            ..Verdict::new(Kind::Refused, status)
        },
        (_, Some(500..)) => Verdict::new(Kind::Broke, status),
        _ => match repeated_claim(&answer.body, request) {
            Some(claim) => Verdict::new(Kind::Fooled, format!("{status} that repeats {}", quoted(&claim))),
            None if answer.status.is_some() => {
                Verdict::new(Kind::Elsewhere, format!("{status} that names no client"))
            }
            None => Verdict::new(Kind::Refused, status),
        },
    }
}

/// Whether a refusal is of the sender, and not of what was sent.
fn is_barred(status: u16) -> bool {
    matches!(status, 401 | 403 | 429 | 451)
}

/// Whether the answer has the forged address. A refusal that quotes what it refuses believes nobody: there it must stand
/// apart from its header, and, where the sender was not barred, alone.
fn shows(answer: &Answer, request: &Request, forged: IpAddr) -> bool {
    let forged = forged.to_string();
    let is_refusal = matches!(answer.status, Some(400..));
    let is_barred = answer.status.is_some_and(is_barred);
    pieces(&answer.body).iter().any(|(name, text)| {
        let is_there = match is_refusal && !is_barred {
            true => text.trim() == forged,
            false => has_word(text, &forged),
        };
        let is_quote = is_refusal && (request.is_quoted_by(name) || request.is_quoted_by(text));
        is_there && !is_quote
    })
}

/// The strings of JSON, each with the name of its member; of other texts the lines, without a name.
fn pieces(body: &[u8]) -> Vec<(String, String)> {
    fn strings(value: &Value, of: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::String(text) => found.push((of.to_owned(), text.clone())),
            Value::Array(values) => values.iter().for_each(|value| strings(value, of, found)),
            Value::Object(members) => members
                .iter()
                .for_each(|(name, value)| strings(value, name, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    match serde_json::from_slice(body) {
        Ok(value) => strings(&value, "", &mut found),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            found.extend(text.lines().map(|line| (String::new(), line.to_owned())));
        }
    }
    found
}

/// Whether an address stands in a text, and not as a part of another.
fn has_word(text: &str, address: &str) -> bool {
    text.match_indices(address).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let behind = text
            .get(at + address.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '.') && !behind.is_some_and(char::is_alphanumeric)
    })
}

/// A claim of the request that stands in the answer.
fn repeated_claim(body: &[u8], request: &Request) -> Option<String> {
    let mut claims = request.claims().filter(|claim| claim.len() >= TELLING);
    let stands = |claim: &[u8]| body.windows(claim.len()).any(|part| part == claim);
    let claim = claims.find(|claim| stands(claim))?;
    Some(String::from_utf8_lossy(claim).into_owned())
}

/// Something that a server said, in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// Something that a server said, short, and without anything that a terminal obeys.
pub(super) fn shown(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("{}{more}", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use truehop_forgeries::{Cast, Place, forgeries};

    use super::*;
    use crate::probe::connector::Failure;

    const PARTIES: Parties = Parties {
        client: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
        forged: IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 96)),
    };

    fn request(name: &str) -> Request {
        let cast = Cast {
            forged: [203, 0, 113, 96].into(),
            trusted: [127, 0, 0, 1].into(),
        };
        let place = Place {
            host: "a",
            path: "/",
            beside: &[],
        };
        let forgeries = forgeries().unwrap();
        let forgery = forgeries.iter().find(|forgery| forgery.name == name).unwrap();
        forgery.request(&cast, &place)
    }

    fn verdict(reply: &Reply) -> (Kind, String) {
        let verdict = Verdict::of(reply, &request("xff-script"), PARTIES, &Echo::default());
        (verdict.kind, verdict.how)
    }

    fn answers(answers: &[(u16, &str)]) -> Reply {
        Reply::Answers(
            answers
                .iter()
                .map(|(status, body)| Answer {
                    status: Some(*status).filter(|status| *status > 0),
                    body: body.as_bytes().to_vec(),
                    ..Answer::default()
                })
                .collect(),
        )
    }

    fn one(status: u16, body: &str) -> (Kind, String) {
        verdict(&answers(&[(status, body)]))
    }

    #[test]
    fn only_the_true_address_is_held() {
        assert_eq!(one(200, "192.0.2.7\n"), (Kind::Held, "192.0.2.7".to_owned()));
        assert_eq!(one(200, "{\"client\": \"::ffff:192.0.2.7\"}").0, Kind::Held);
        assert_eq!(one(200, "192.0.2.8"), (Kind::Fooled, "192.0.2.8".to_owned()));
        // Also where it is told in an error.
        assert_eq!(one(403, "{\"client\": \"192.0.2.8\"}").0, Kind::Fooled);
        let text = one(200, "<script>alert(1)</script>");
        assert_eq!(text.0, Kind::Fooled);
        assert_eq!(text.1, "\"<script>alert(1)</script>\", which is no address");
        let page = format!("<html>\n<p><script>alert(1)</script>{}", "x".repeat(300));
        assert_eq!(
            one(200, &page).1,
            "200 that repeats \"<script>alert(1)</script>\""
        );
    }

    #[test]
    fn a_refusal_is_told_from_a_failure_and_from_another_page() {
        for (status, kind) in [
            (400, Kind::Refused),
            (421, Kind::Refused),
            (431, Kind::Refused),
            (501, Kind::Refused),
            (505, Kind::Refused),
            (500, Kind::Broke),
            (502, Kind::Broke),
            (504, Kind::Broke),
            (301, Kind::Elsewhere),
        ] {
            assert_eq!(one(status, "Bad Request"), {
                let how = match kind {
                    Kind::Elsewhere => format!("{status} that names no client"),
                    _ => status.to_string(),
                };
                (kind, how)
            });
        }
        assert_eq!(
            one(101, ""),
            (Kind::Elsewhere, "101, switched to another protocol".to_owned())
        );
        assert_eq!(one(200, "<html>\nwelcome\n</html>").0, Kind::Elsewhere);
        assert_eq!(one(0, "<html>\nno HTTP\n</html>").0, Kind::Refused);
        assert_eq!(verdict(&Reply::Closed).0, Kind::Refused);
        assert_eq!(verdict(&answers(&[])).0, Kind::Refused);
        assert_eq!(verdict(&Reply::Silence).0, Kind::Broke);
        let failure = Failure {
            what: "cannot be connected to".to_owned(),
            help: String::new(),
        };
        assert_eq!(
            verdict(&Reply::NoConnection(failure)),
            (Kind::Broke, "it cannot be connected to".to_owned())
        );
    }

    #[test]
    fn whoever_shows_the_forged_address_is_fooled_unless_he_quotes_what_he_refuses() {
        for (status, body, kind) in [
            (
                403,
                "{\"error\": \"denied\",\n\"ip\": \"203.0.113.96\"}",
                Kind::Fooled,
            ),
            (403, "{\"error\": \"203.0.113.96 is banned\"}", Kind::Fooled),
            (403, "<p>\nYour address 203.0.113.96.\n", Kind::Fooled),
            (429, "Slow down, 203.0.113.96!", Kind::Fooled),
            (404, "203.0.113.96", Kind::Fooled),
            (200, "<html>\n<b>welcome</b>\n203.0.113.96\n</html>", Kind::Fooled),
            (
                0,
                "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"client\":\"203.0.113.96\"}",
                Kind::Fooled,
            ),
            (403, "not your line\nX-Forwarded-For: 203.0.113.96", Kind::Refused),
            (
                403,
                "{\"headers\": {\"x-forwarded-for\": \"203.0.113.96\"}}",
                Kind::Refused,
            ),
            (403, "1203.0.113.96 and 203.0.113.961", Kind::Refused),
            (403, "9.203.0.113.96 is banned", Kind::Refused),
            (400, "bad line: 203.0.113.96:+80", Kind::Refused),
        ] {
            assert_eq!(one(status, body).0, kind, "{status} {body}");
        }
    }

    #[test]
    fn a_claim_that_stands_in_many_a_page_by_chance_is_not_repeated() {
        let page = answers(&[(200, "<html>\nstd::net ::1\n</html>")]);
        for name in ["xff-unspecified6", "xff-loopback6"] {
            let verdict = Verdict::of(&page, &request(name), PARTIES, &Echo::default());
            assert_eq!(verdict.kind, Kind::Elsewhere, "{name}");
        }
    }

    #[test]
    fn who_is_turned_away_for_who_he_is_is_told_from_who_is_for_what_he_said() {
        for (status, is_barred) in [
            (401, true),
            (403, true),
            (429, true),
            (451, true),
            (400, false),
            (404, false),
            (502, false),
        ] {
            let reply = answers(&[(status, "No")]);
            let verdict = Verdict::of(&reply, &request("xff-one"), PARTIES, &Echo::default());
            assert_eq!(verdict.is_barred, is_barred, "{status}");
        }
    }

    #[test]
    fn who_asks_to_slow_down_has_not_judged() {
        let slowed = |status: u16, body: &str| {
            let answer = Answer {
                status: Some(status),
                retry_after: Some("7".to_owned()),
                body: body.as_bytes().to_vec(),
            };
            Verdict::of(
                &Reply::Answers(vec![answer]),
                &request("xff-one"),
                PARTIES,
                &Echo::default(),
            )
        };
        for (status, is_barred) in [(429, true), (503, false)] {
            assert_eq!(
                slowed(status, "Busy"),
                Verdict {
                    kind: Kind::Unjudged,
                    how: format!("{status}, asks to slow down for 7 s"),
                    is_barred,
                }
            );
        }
        assert_eq!(slowed(500, "").kind, Kind::Broke);
        // Whom it believes is known all the same.
        assert_eq!(slowed(429, "Slow down, 203.0.113.96!").kind, Kind::Fooled);
        assert_eq!(slowed(503, "{\"client\": \"192.0.2.7\"}").kind, Kind::Held);
    }

    #[test]
    fn of_several_answers_the_worst_counts() {
        let (mine, other) = ((200, "192.0.2.7"), (200, "192.0.2.8"));
        assert_eq!(verdict(&answers(&[mine, (400, "")])).0, Kind::Held);
        assert_eq!(verdict(&answers(&[mine, other])).0, Kind::Fooled);
        assert_eq!(verdict(&answers(&[(400, ""), other])).0, Kind::Fooled);
        assert_eq!(verdict(&answers(&[mine, (502, "")])).0, Kind::Broke);
    }

    #[test]
    fn what_a_server_says_cannot_reach_the_terminal_as_it_is() {
        assert_eq!(quoted("a\u{1b}[2J\"\n"), "\"a\\u{1b}[2J\\\"\\n\"");
        assert_eq!(quoted(&"a".repeat(99)).len(), SHOWN + 5);
    }
}
