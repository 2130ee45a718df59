//! The run: honest requests, and every forgery between them.
//!
//! Invariant: a verdict stands only when an honest request after it was answered as the first one was. A deployment that
//! has shut us out, or takes us for somebody else meanwhile, would make refusals and forgeries of what is neither.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::ProgressBar;
use tokio::time::{Interval, MissedTickBehavior, interval};
use truehop_forgeries::{Answer, Cast, Forgery, Language, Place, Request};

use super::AGENT;
use super::connector::{Connector, Reply};
use super::echo::{Echo, Told};
use super::slow_down::{self, SlowDown};
use super::verdict::{Kind, Parties, Verdict, quoted, shown};

/// After so many forgeries an honest request is sent.
pub(super) const HONEST_EVERY: usize = 25;
/// With so many honest requests it begins: one address for all of them.
pub(super) const HONEST_FIRST: usize = 3;

/// So many places of addresses in an answer are named at most.
const NAMED: usize = 5;

/// Whom forgeries claim to be: addresses for documentation (RFC 5737), which nobody has.
const FORGED: [Ipv4Addr; 3] = [
    Ipv4Addr::new(203, 0, 113, 96),
    Ipv4Addr::new(198, 51, 100, 96),
    Ipv4Addr::new(192, 0, 2, 96),
];

/// What is sent, where to, and how fast.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) connector: Connector,
    /// The host that is asked for, with its port unless it is the usual one.
    pub(super) host: &'a str,
    pub(super) pages: Pages<'a>,
    pub(super) echo: &'a Echo,
    pub(super) corpus: &'a [Forgery],
    pub(super) languages: Vec<Language>,
    /// A proxy that the deployment may trust.
    pub(super) trusted: Ipv4Addr,
    /// Requests a second.
    pub(super) rate: u32,
    pub(super) slow_down: SlowDown,
}

/// One page under many names: a cache that answers what it has would hide whom the deployment believes.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    path: &'a str,
    /// When the run began, in microseconds: no other run has the same names.
    begun: u128,
    asked: Cell<usize>,
}

impl<'a> Pages<'a> {
    /// Those at a path, which may have a query.
    pub(super) fn of(path: &'a str) -> Self {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            path,
            begun: begun.as_micros(),
            asked: Cell::new(0),
        }
    }

    /// The path with a parameter that it never had before.
    fn fresh(&self) -> String {
        let Self { path, begun, asked } = self;
        asked.set(asked.get() + 1);
        let mark = if path.contains('?') { '&' } else { '?' };
        format!("{path}{mark}truehop-probe={begun:x}-{:x}", asked.get())
    }
}

/// What has come out so far.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    /// Whom the deployment takes us for when we are honest.
    pub(super) client: IpAddr,
    pub(super) findings: Vec<Finding<'a>>,
    /// How many of the findings an honest request has confirmed.
    pub(super) confirmed: usize,
    /// Whose verdicts were given up, since no honest request came after them that was answered as the first.
    pub(super) doubtful: Vec<Finding<'a>>,
    /// What was left out, and why.
    pub(super) not_sent: Vec<(&'a Forgery, NotSent)>,
    /// How many honest requests were answered as the first.
    pub(super) honest: usize,
}

/// A forgery, and what became of it.
#[derive(Debug)]
pub(super) struct Finding<'a> {
    pub(super) forgery: &'a Forgery,
    pub(super) language: Language,
    pub(super) verdict: Verdict,
}

impl Finding<'_> {
    /// By which reports call it.
    pub(super) fn name(&self) -> String {
        let name = &self.forgery.name;
        match self.language {
            Language::Http1 => name.clone(),
            Language::Http2 => format!("{name}/h2"),
        }
    }
}

/// Why a forgery proves nothing here.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum NotSent {
    /// Only HTTP/2 can say it, and the server does not offer that.
    OnlyHttp2,
    /// It claims the address that we have.
    OurAddress,
}

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Everything was sent.
    Whole,
    /// Somebody asked for the end.
    Stopped,
    /// It took too long.
    Late,
    /// An honest request is not answered as the first was any more.
    Changed(String),
}

/// Why a deployment cannot be probed: what it says to an honest request, and the mend.
#[derive(Debug)]
pub(super) struct NoEcho {
    pub(super) what: String,
    pub(super) help: String,
}

impl NoEcho {
    /// The same, with what is likely where plain HTTP was spoken, and TLS is expected: whoever is greeted so answers in
    /// TLS, closes, or says in words what is wrong.
    fn unless_tls_is_spoken(self, reply: &Reply) -> Self {
        const TLS: &str = "if it speaks TLS there, the URL begins with https://";
        /// An alert, in any version of the record layer.
        const ALERT: [u8; 2] = [21, 3];
        let is_told = |body: &[u8]| {
            let body = String::from_utf8_lossy(body).to_ascii_lowercase();
            ["https", "ssl"].iter().any(|word| body.contains(word))
        };
        match reply {
            Reply::Answers(answers) => match answers.as_slice() {
                [
                    Answer {
                        status: None, body, ..
                    },
                ] if body.starts_with(&ALERT) => Self {
                    what: "answers plain HTTP in TLS".to_owned(),
                    help: "the URL begins with https:// there".to_owned(),
                },
                [
                    Answer {
                        status: Some(400),
                        body,
                        ..
                    },
                ] if is_told(body) => Self {
                    help: format!("{TLS}; if not, {}", self.help),
                    ..self
                },
                _ => self,
            },
            Reply::Closed => Self {
                help: format!("{TLS}; if not, {}", self.help),
                ..self
            },
            Reply::Silence | Reply::NoConnection(_) => self,
        }
    }
}

impl Plan<'_> {
    /// Asks honestly whom the deployment takes us for, in every language.
    pub(super) async fn introduce(&self) -> Result<IpAddr, NoEcho> {
        let mut pace = self.pace();
        let mut client = None;
        for language in &self.languages {
            for _ in 0..HONEST_FIRST {
                let ip = self.ask_honestly(*language, &mut pace).await?;
                let first = *client.get_or_insert(ip);
                if first != ip {
                    return Err(NoEcho {
                        what: format!("takes us for {first} and then for {ip}"),
                        help: "several addresses lead out from here, and so another one proves nothing; probe from \
                               where there is one, or with --from ADDRESS"
                            .to_owned(),
                    });
                }
            }
        }
        client.ok_or_else(|| NoEcho {
            what: "speaks no language that is known here".to_owned(),
            help: String::new(),
        })
    }

    /// How many forgeries would be sent.
    pub(super) fn len(&self) -> usize {
        let sayable = |language: &Language| {
            let sayable = |forgery: &&Forgery| forgery.is_sayable(*language);
            self.corpus.iter().filter(sayable).count()
        };
        self.languages.iter().map(sayable).sum()
    }

    /// A request for a page that nobody has asked for yet.
    fn request<R>(&self, made: impl FnOnce(&Place<'_>) -> R) -> R {
        made(&Place {
            host: self.host,
            path: &self.pages.fresh(),
            beside: &[("User-Agent", AGENT), ("Cache-Control", "no-store")],
        })
    }

    fn pace(&self) -> Interval {
        let mut pace = interval(Duration::from_secs(1) / self.rate.max(1));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    }

    async fn ask_honestly(&self, language: Language, pace: &mut Interval) -> Result<IpAddr, NoEcho> {
        // No word stands in it.
        let cast = Cast {
            forged: FORGED[0],
            trusted: self.trusted,
        };
        let honest = || self.request(|place| Forgery::honest().request(&cast, place));
        let mut reply = self.ask(&honest(), language, pace).await;
        if self.slow_down.wait(&reply).await {
            reply = self.ask(&honest(), language, pace).await;
        }
        address(&reply, self.echo, self.pages.path).map_err(|no_echo| match self.connector.tls {
            Some(_) => no_echo,
            None => no_echo.unless_tls_is_spoken(&reply),
        })
    }

    /// Tries a forgery, and once more if the server asks to slow down and says nothing else.
    async fn judge(
        &self,
        forgery: impl Fn(&Place<'_>) -> Request,
        parties: Parties,
        language: Language,
        pace: &mut Interval,
    ) -> Verdict {
        let mut has_waited = false;
        loop {
            let request = self.request(&forgery);
            let reply = self.ask(&request, language, pace).await;
            let mut verdict = Verdict::of(&reply, &request, parties, self.echo);
            if verdict.kind != Kind::Unjudged {
                return verdict;
            }
            if has_waited || !self.slow_down.wait(&reply).await {
                verdict.how += match has_waited {
                    true => ", and did so before, too",
                    false => ", which is not waited for",
                };
                return verdict;
            }
            has_waited = true;
        }
    }

    async fn ask(&self, request: &Request, language: Language, pace: &mut Interval) -> Reply {
        pace.tick().await;
        self.connector.ask(request, language).await
    }
}

impl<'a> Survey<'a> {
    pub(super) fn new(client: IpAddr) -> Self {
        Self {
            client,
            findings: Vec::new(),
            confirmed: 0,
            doubtful: Vec::new(),
            not_sent: Vec::new(),
            honest: 0,
        }
    }

    /// Sends everything. What is found stays when this is dropped.
    pub(super) async fn run(&mut self, plan: &Plan<'a>, bar: &ProgressBar) -> End {
        let not_ours = |ip: &Ipv4Addr| IpAddr::from(*ip) != self.client;
        let cast = Cast {
            forged: FORGED.into_iter().find(not_ours).unwrap_or(FORGED[0]),
            trusted: plan.trusted,
        };
        let parties = Parties {
            client: self.client,
            forged: cast.forged.into(),
        };
        let mut pace = plan.pace();
        for forgery in plan.corpus {
            if !plan
                .languages
                .iter()
                .any(|language| forgery.is_sayable(*language))
            {
                self.not_sent.push((forgery, NotSent::OnlyHttp2));
            }
        }
        for language in &plan.languages {
            for forgery in plan.corpus.iter().filter(|forgery| forgery.is_sayable(*language)) {
                bar.inc(1);
                let forged = |place: &Place<'_>| forgery.request(&cast, place);
                if claims_only(self.client, plan.request(forged).claims()) {
                    self.not_sent.push((forgery, NotSent::OurAddress));
                    continue;
                }
                let mut verdict = plan.judge(forged, parties, *language, &mut pace).await;
                if verdict.is_barred && forgery.plain_header().is_some() {
                    // Barred for the address that it claims, or for claiming at all? Our own tells.
                    let us = self.client;
                    let own = |place: &Place<'_>| {
                        let claim = forgery.claim_of(us, &cast, place);
                        claim.unwrap_or_else(|| forgery.request(&cast, place))
                    };
                    let honest = plan.judge(own, parties, *language, &mut pace).await;
                    if honest.kind == Kind::Held {
                        let how = format!("{}: {}, but let in as {us}", parties.forged, verdict.how);
                        verdict = Verdict::new(Kind::Fooled, how);
                    }
                }
                // Barred may mean that we are shut out, whatever we claim.
                let is_alarming = matches!(verdict.kind, Kind::Broke | Kind::Unjudged) || verdict.is_barred;
                self.findings.push(Finding {
                    forgery,
                    language: *language,
                    verdict,
                });
                bar.set_message(format!("{} fooled", self.count(Kind::Fooled)));
                if (is_alarming || self.findings.len() - self.confirmed >= HONEST_EVERY)
                    && let Some(changed) = self.confirm(plan, &mut pace, *language).await
                {
                    return changed;
                }
            }
            if let Some(changed) = self.confirm(plan, &mut pace, *language).await {
                return changed;
            }
        }
        End::Whole
    }

    /// How many findings are of this kind.
    pub(super) fn count(&self, kind: Kind) -> usize {
        let is = |finding: &&Finding<'_>| finding.verdict.kind == kind;
        self.findings.iter().filter(is).count()
    }

    /// How many plain claims were turned away, so that nobody knows whether they were believed.
    pub(super) fn barred(&self) -> usize {
        let is = |Finding { forgery, verdict, .. }: &&Finding<'_>| {
            verdict.kind == Kind::Refused && verdict.is_barred && forgery.plain_header().is_some()
        };
        self.findings.iter().filter(is).count()
    }

    /// Gives up what no honest request has confirmed. To be called when the run has ended, however it did.
    pub(super) fn give_up(&mut self) {
        self.doubtful = self.findings.split_off(self.confirmed);
    }

    async fn confirm(&mut self, plan: &Plan<'a>, pace: &mut Interval, language: Language) -> Option<End> {
        let what = match plan.ask_honestly(language, pace).await {
            Ok(ip) if ip == self.client => {
                self.honest += 1;
                self.confirmed = self.findings.len();
                return None;
            }
            Ok(ip) => format!("it takes us for {ip} now"),
            Err(NoEcho { what, .. }) => format!("it {what} now"),
        };
        Some(End::Changed(what))
    }
}

/// Whether all claims are this very address, so that being believed would be right.
fn claims_only<'b>(client: IpAddr, claims: impl Iterator<Item = &'b [u8]>) -> bool {
    let client = client.to_string();
    let mut claims = claims.peekable();
    claims.peek().is_some() && claims.all(|claim| claim == client.as_bytes())
}

/// The address in the answer to an honest request.
fn address(reply: &Reply, echo: &Echo, path: &str) -> Result<IpAddr, NoEcho> {
    let trouble = |what: String, help: &str| {
        Err(NoEcho {
            what,
            help: help.to_owned(),
        })
    };
    let look =
        "the server must take a connection for each request; --rate asks more slowly, --timeout waits longer";
    let (status, body, retry_after) = match reply {
        Reply::NoConnection(failure) => {
            return trouble(failure.what.clone(), &format!("{}; {look}", failure.help));
        }
        Reply::Silence => return trouble("does not answer an honest request in time".to_owned(), look),
        Reply::Closed => return trouble("closes the connection without an answer".to_owned(), look),
        Reply::Answers(answers) => match answers.as_slice() {
            [answer] => (answer.status, &answer.body, slow_down::asked(answer)),
            [] => {
                let what = "begins to answer an honest request, and then gives no answer".to_owned();
                return trouble(what, look);
            }
            _ => return trouble("answers an honest request more than once".to_owned(), look),
        },
    };
    match (status, echo.read(body)) {
        (Some(status), _) if let Some(said) = retry_after => trouble(
            format!(
                "answers an honest request with {status}, and asks to slow down {}",
                slow_down::told(said)
            ),
            &format!(
                "--rate asks more slowly; it is waited for {} s in all, and {} times",
                slow_down::LONGEST.as_secs(),
                slow_down::MOST
            ),
        ),
        (Some(200..=299), Told::Address(ip)) => Ok(ip),
        (Some(200..=299), Told::Text(text)) => trouble(
            format!("tells {}, which is no address", quoted(&text)),
            "the client's address is needed there, and nothing beside it",
        ),
        (Some(status @ 200..=299), Told::Nothing) => {
            let what = format!("answers an honest request with {status}, but tells no client's address");
            let help = match Echo::elsewhere(body).as_slice() {
                [] => format!(
                    "at {path} it must tell whom it takes for its client; truehop probe --help shows how"
                ),
                found => {
                    let named: Vec<String> = found.iter().take(NAMED).map(|at| shown(at)).collect();
                    let more = if found.len() > NAMED { " and elsewhere" } else { "" };
                    format!(
                        "there are addresses at {}{more}: say which with --echo-json",
                        named.join(" ")
                    )
                }
            };
            trouble(what, &help)
        }
        (status, _) => {
            let said = String::from_utf8_lossy(body);
            let said = said.lines().next().unwrap_or_default().trim();
            let said = match said.is_empty() || said.starts_with('<') {
                true => String::new(),
                false => format!(" ({})", quoted(said)),
            };
            let status = status.map_or_else(|| "what is no HTTP".to_owned(), |status| status.to_string());
            trouble(
                format!("answers an honest request with {status}{said}"),
                &format!(
                    "at {path} it must tell whom it takes for its client, with status 200; truehop probe --help \
                     shows how"
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_is_asked_for_twice() {
        let pages = Pages::of("/w");
        let (one, other) = (pages.fresh(), pages.fresh());
        assert!(
            one.starts_with("/w?truehop-probe=") && other.starts_with("/w?truehop-probe="),
            "{one}"
        );
        assert_ne!(one, other);
        let with_query = Pages::of("/w?a=b").fresh();
        assert!(with_query.starts_with("/w?a=b&truehop-probe="), "{with_query}");
    }

    #[test]
    fn what_claims_our_own_address_proves_nothing() {
        let mine = "127.0.0.1".parse().unwrap();
        let is = |claims: &[&str]| claims_only(mine, claims.iter().map(|claim| claim.as_bytes()));
        assert!(is(&["127.0.0.1"]));
        assert!(is(&["127.0.0.1", "127.0.0.1"]));
        assert!(!is(&["127.0.0.1", "203.0.113.96"]));
        assert!(!is(&["203.0.113.96, 127.0.0.1"]));
        assert!(!is(&[]));
    }

    #[test]
    fn what_is_no_echo_is_told_with_its_mend() {
        let told = |status: u16, body: &str| {
            let answer = Answer {
                status: Some(status),
                body: body.as_bytes().to_vec(),
                ..Answer::default()
            };
            address(&Reply::Answers(vec![answer]), &Echo::default(), "/w")
        };
        assert_eq!(
            told(200, "192.0.2.1").unwrap(),
            "192.0.2.1".parse::<IpAddr>().unwrap()
        );
        for (status, body, what, help) in [
            (404, "nothing here\n", "404 (\"nothing here\")", "--help"),
            (500, "<html>", "with 500", "--help"),
            (400, "192.0.2.1", "with 400 (\"192.0.2.1\")", "with status 200"),
            (
                200,
                "{\"origin\": \"192.0.2.1\"}",
                "no client's address",
                "/origin: say which with --echo-json",
            ),
            (
                200,
                "{\"\\u001b[2J\": \"192.0.2.1\"}",
                "no client's address",
                "/\\u{1b}[2J: say",
            ),
            (
                200,
                "{\"a\": [\"::1\", \"::1\", \"::1\", \"::1\", \"::1\", \"::1\"]}",
                "no client's address",
                "at /a/0 /a/1 /a/2 /a/3 /a/4 and elsewhere: say",
            ),
            (200, "<html>\n</html>", "no client's address", "at /w"),
            (
                200,
                "unknown",
                "\"unknown\", which is no address",
                "nothing beside it",
            ),
        ] {
            let no_echo = told(status, body).unwrap_err();
            assert!(no_echo.what.contains(what), "{no_echo:?}");
            assert!(no_echo.help.contains(help), "{no_echo:?}");
        }
        for reply in [Reply::Closed, Reply::Silence, Reply::Answers(vec![])] {
            let no_echo = address(&reply, &Echo::default(), "/w").unwrap_err();
            assert!(no_echo.help.contains("--rate") && !no_echo.what.contains("more than once"));
        }
    }
}
