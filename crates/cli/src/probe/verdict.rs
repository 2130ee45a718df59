//! What an answer to a forgery says of a deployment.
//!
//! Invariant: a forgery is held only if the answer has the very address that honest requests are answered with, and
//! nothing else. What cannot be judged is never counted as held.

use std::net::IpAddr;

use serde::Serialize;
use truehop_forgeries::{Answer, Request};

use super::door::Reply;
use super::echo::{Echo, Told};

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
}

impl Kind {
    /// All of them, the good ones first.
    pub(super) const ALL: [Self; 5] = [
        Self::Held,
        Self::Refused,
        Self::Elsewhere,
        Self::Broke,
        Self::Fooled,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Elsewhere => "elsewhere",
            Self::Held => "held",
            Self::Broke => "broke",
            Self::Fooled => "fooled",
        }
    }
}

impl Verdict {
    fn new(kind: Kind, how: impl Into<String>) -> Self {
        Self {
            kind,
            how: how.into(),
        }
    }

    /// Judges the reply to `request` of somebody who is `client`.
    pub(super) fn of(reply: &Reply, request: &Request, client: IpAddr, echo: &Echo) -> Self {
        let answers = match reply {
            Reply::Answers(answers) => answers,
            Reply::Closed => return Self::new(Kind::Refused, "closed without an answer"),
            Reply::Silence => return Self::new(Kind::Broke, "no answer in time"),
            Reply::NoConnection(error) => return Self::new(Kind::Broke, format!("no connection: {error}")),
        };
        // A server that takes one request for two answers twice: whoever is fooled in either is fooled.
        let judged = answers.iter().map(|answer| judge(answer, request, client, echo));
        judged
            .max_by_key(|verdict| verdict.kind)
            .unwrap_or_else(|| Self::new(Kind::Refused, "begun, but not answered"))
    }
}

fn judge(answer: &Answer, request: &Request, client: IpAddr, echo: &Echo) -> Verdict {
    let status = answer.status.map_or_else(
        || "an answer that is no HTTP".to_owned(),
        |status| status.to_string(),
    );
    let is_good = matches!(answer.status, Some(200..=299));
    match (echo.read(&answer.body), answer.status) {
        // Also in an error: a page that names the client has believed somebody.
        (Told::Address(ip), _) if ip == client => Verdict::new(Kind::Held, ip.to_string()),
        (Told::Address(ip), _) => Verdict::new(Kind::Fooled, ip.to_string()),
        (Told::Text(text), _) if is_good => {
            Verdict::new(Kind::Fooled, format!("{}, which is no address", quoted(&text)))
        }
        (_, Some(101)) => Verdict::new(Kind::Elsewhere, "101, switched to another protocol"),
        // Not implemented, and a version that is not spoken: refusals by another number.
        (_, Some(400..=499 | 501 | 505)) => Verdict::new(Kind::Refused, status),
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

/// A claim of the request that stands in the answer.
fn repeated_claim(body: &[u8], request: &Request) -> Option<String> {
    let mut claims = request.claims().filter(|claim| claim.len() >= TELLING);
    let stands = |claim: &[u8]| body.windows(claim.len()).any(|part| part == claim);
    let claim = claims.find(|claim| stands(claim))?;
    Some(String::from_utf8_lossy(claim).into_owned())
}

/// In quotes, short, and without anything that a terminal obeys.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use std::io;

    use truehop_forgeries::{Cast, Place, forgeries};

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

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
        let verdict = Verdict::of(reply, &request("xff-script"), CLIENT, &Echo::default());
        (verdict.kind, verdict.how)
    }

    fn answers(answers: &[(u16, &str)]) -> Reply {
        Reply::Answers(
            answers
                .iter()
                .map(|(status, body)| Answer {
                    status: Some(*status).filter(|status| *status > 0),
                    body: body.as_bytes().to_vec(),
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
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(verdict(&Reply::NoConnection(error)).0, Kind::Broke);
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
