//! The file of forgeries.
//!
//! Invariant: what is read can be sent. Every word is known, every character is a byte, and what only HTTP/1 can say is
//! said in HTTP/1.

use std::net::IpAddr;

use serde::Deserialize;
use thiserror::Error;

use crate::request::{Cast, Place, Request};
use crate::text::Text;

/// The forgeries, one a line; the first line explains the others.
const FILE: &str = include_str!("../forgeries.jsonl");

/// The version of the file's shape that is understood here.
const VERSION: u64 = 1;

/// One line of the file.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// By which it is known, in reports too: lower case, with hyphens.
    pub name: String,
    /// What kind of claim it is.
    pub family: String,
    /// Why it has worked somewhere.
    pub why: String,
    /// Where it did: CVE numbers, advisories, issues.
    pub seen: Vec<String>,
    over: Over,
    preface: Text,
    method: Text,
    target: Text,
    version: String,
    fields: Vec<(Text, Text)>,
    raw: Text,
    trailers: Vec<(Text, Text)>,
}

/// In what a request is said.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Language {
    /// HTTP/1.1, or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A line of the corpus that cannot be understood.
#[derive(Debug, Error)]
#[error("line {line} of the forgeries")]
pub struct BadLine {
    /// Which line, counted from one.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// No JSON, a key that nobody knows, or a text with a word that nobody knows.
    #[error(transparent)]
    Shape(#[from] serde_json::Error),
    /// The first line names another version of the file's shape, or there is none.
    #[error("the file does not say that it is of version {VERSION}")]
    Version,
    /// A preface, raw text or an older version where HTTP/2 may be spoken.
    #[error("only HTTP/1 can say so, and the key \"over\" is not h1")]
    OnlyHttp1,
}

/// All forgeries, in the file's order.
///
/// # Errors
///
/// None with the file that this crate has; a test reads it.
pub fn forgeries() -> Result<Vec<Forgery>, BadLine> {
    read(FILE)
}

/// The forgeries of a text of this shape, or the first line that is not as the text's first line says.
fn read(text: &str) -> Result<Vec<Forgery>, BadLine> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    match lines.next().map(|(_, line)| serde_json::from_str::<Head>(line)) {
        Some(Ok(head)) if head.version == VERSION => {}
        Some(Err(error)) => return Err(BadLine::at(1, error)),
        _ => return Err(BadLine::at(1, Fault::Version)),
    }
    lines
        .map(|(number, line)| {
            let line: Line = serde_json::from_str(line).map_err(|error| BadLine::at(number, error))?;
            Forgery::try_from(line).map_err(|fault| BadLine::at(number, fault))
        })
        .collect()
}

impl Forgery {
    /// An honest request.
    pub fn honest() -> Self {
        Self {
            name: "honest".to_owned(),
            family: "honest".to_owned(),
            why: String::new(),
            seen: Vec::new(),
            over: Over::Both,
            preface: Text::default(),
            method: get(),
            target: path(),
            version: usual_version(),
            fields: Vec::new(),
            raw: Text::default(),
            trailers: Vec::new(),
        }
    }

    /// Whether it can be said in this language.
    pub fn is_sayable(&self, language: Language) -> bool {
        match language {
            Language::Http1 => self.over != Over::Http2,
            Language::Http2 => self.over != Over::Http1,
        }
    }

    /// The header that it claims by, in lower case, if this is a claim as a proxy would write it, and the request as
    /// usual: believed, it is this header that is believed.
    pub fn plain_header(&self) -> Option<String> {
        let is_usual = self.preface.is_empty()
            && self.raw.is_empty()
            && self.trailers.is_empty()
            && self.target == path()
            && self.method == get()
            && self.version == usual_version();
        match self.fields.as_slice() {
            // Every request names a host, and claims nothing by it.
            [(name, value)] if is_usual && value.is_plain_claim() => name
                .token()
                .map(str::to_ascii_lowercase)
                .filter(|name| name != "host"),
            _ => None,
        }
    }

    /// The request with this claim of another address, of either family, if it has a [`plain_header`](Self::plain_header).
    pub fn claim_of(&self, ip: IpAddr, cast: &Cast, place: &Place<'_>) -> Option<Request> {
        let header = self.plain_header()?;
        let claim = self.fields.first()?.1.plain_claim_of(ip, &header)?;
        let mut request = self.request(cast, place);
        request.fields.first_mut()?.1 = claim.into_bytes();
        Some(request)
    }

    /// Whether this header, in lower case, is among what it says.
    pub fn carries(&self, header: &str) -> bool {
        let names = self.fields.iter().chain(&self.trailers).map(|(name, _)| name);
        names.into_iter().any(|name| name.header() == header) || self.raw.has_line_of(header)
    }

    /// The request, with every word replaced.
    pub fn request(&self, cast: &Cast, place: &Place<'_>) -> Request {
        let say = |text: &Text| text.say(cast, place);
        let both = |pairs: &[(Text, Text)]| {
            pairs
                .iter()
                .map(|(name, value)| (say(name), say(value)))
                .collect()
        };
        Request {
            host: place.host.as_bytes().to_vec(),
            beside: place
                .beside
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
            preface: say(&self.preface),
            method: say(&self.method),
            target: say(&self.target),
            version: self.version.clone().into_bytes(),
            fields: both(&self.fields),
            raw: say(&self.raw),
            trailers: both(&self.trailers),
        }
    }
}

impl BadLine {
    fn at(line: usize, fault: impl Into<Fault>) -> Self {
        Self {
            line,
            fault: fault.into(),
        }
    }
}

/// The line that explains the others; what it explains is for people.
#[derive(Deserialize)]
struct Head {
    version: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
enum Over {
    #[default]
    #[serde(rename = "both")]
    Both,
    #[serde(rename = "h1")]
    Http1,
    #[serde(rename = "h2")]
    Http2,
}

/// A line as it stands there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    family: String,
    why: String,
    seen: Vec<String>,
    #[serde(default)]
    over: Over,
    #[serde(default)]
    preface: Text,
    #[serde(default = "get")]
    method: Text,
    #[serde(default = "path")]
    target: Text,
    #[serde(default = "usual_version")]
    version: String,
    #[serde(default)]
    fields: Vec<(Text, Text)>,
    #[serde(default)]
    raw: Text,
    #[serde(default)]
    trailers: Vec<(Text, Text)>,
}

impl TryFrom<Line> for Forgery {
    type Error = Fault;

    fn try_from(line: Line) -> Result<Self, Fault> {
        let only_http1 = !line.preface.is_empty() || !line.raw.is_empty() || line.version != usual_version();
        if only_http1 && line.over != Over::Http1 {
            return Err(Fault::OnlyHttp1);
        }
        Ok(Self {
            name: line.name,
            family: line.family,
            why: line.why,
            seen: line.seen,
            over: line.over,
            preface: line.preface,
            method: line.method,
            target: line.target,
            version: line.version,
            fields: line.fields,
            raw: line.raw,
            trailers: line.trailers,
        })
    }
}

fn get() -> Text {
    Text::plain("GET")
}

fn path() -> Text {
    Text::path()
}

fn usual_version() -> String {
    "1.1".to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::error::Error;

    use super::*;

    const HEAD: &str = r#"{"version": 1}"#;

    fn refused(line: &str) -> String {
        let bad = read(&format!("{HEAD}\n{line}\n")).unwrap_err();
        assert_eq!(bad.line, 2);
        bad.source().unwrap().to_string()
    }

    #[test]
    fn every_line_of_the_file_is_read_and_says_why_it_might_work() {
        let forgeries = forgeries().unwrap();
        assert!(forgeries.len() >= 200, "{}", forgeries.len());
        let names: BTreeSet<&str> = forgeries.iter().map(|forgery| forgery.name.as_str()).collect();
        assert_eq!(names.len(), forgeries.len(), "a name is used twice");
        for Forgery {
            name, family, why, ..
        } in &forgeries
        {
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(is_name), "{name}");
            assert!(!why.is_empty() && !family.is_empty(), "{name}");
        }
    }

    #[test]
    fn every_key_that_is_explained_is_understood_and_the_other_way_round() {
        let head: serde_json::Value = serde_json::from_str(FILE.lines().next().unwrap()).unwrap();
        let explained: BTreeSet<&str> = head["keys"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        // The error of a key that nobody knows names all that are known.
        let told = refused(r#"{"nonsense": 1}"#);
        let known: BTreeSet<&str> = told.split('`').skip(3).step_by(2).collect();
        assert_eq!(explained, known, "{told}");
    }

    #[test]
    fn what_a_forgery_claims_by_is_known() {
        let forgeries = forgeries().unwrap();
        let named = |name: &str| forgeries.iter().find(|forgery| forgery.name == name).unwrap();
        let header = "x-forwarded-for";
        for (name, plain, carries) in [
            ("xff-one", Some(header), true),
            ("xff-port", Some(header), true),
            ("xff-port-sign", None, true),
            ("xff-list", None, true),
            ("xff-script", None, true),
            ("xff-lines", None, true),
            ("h2-capital", None, true),
            ("http10", None, true),
            ("absolute-target", None, true),
            ("hop-kept", None, true),
            ("line-no-space", None, true),
            ("line-bare-lf", None, true),
            // Whoever reads these as a claim is mended there, whatever else is believed.
            ("line-bare-cr", None, false),
            ("line-space-before-colon", None, false),
            ("line-folded-behind", None, false),
            ("h2-line-in-value", None, false),
            ("trailer-xff", None, true),
            ("real-ip", Some("x-real-ip"), false),
            ("forwarded", Some("forwarded"), false),
            ("forwarded-quoted", None, false),
            (
                "cloudfront-viewer-address",
                Some("cloudfront-viewer-address"),
                false,
            ),
            ("host-forged", None, false),
            ("query", None, false),
            ("preface-v1-v2", None, false),
        ] {
            let forgery = named(name);
            assert_eq!(forgery.plain_header().as_deref(), plain, "{name}");
            assert_eq!(forgery.carries(header), carries, "{name}");
        }
        // One name is not another for being in it.
        assert!(!named("line-no-space").carries("forwarded"));
    }

    #[test]
    fn a_plain_claim_is_made_of_any_address_as_proxies_write_it() {
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
        let named = |name: &str| forgeries.iter().find(|forgery| forgery.name == name).unwrap();
        for (name, ipv4, ipv6) in [
            ("xff-one", "192.0.2.7", "2001:db8::7"),
            ("xff-port", "192.0.2.7:4711", "[2001:db8::7]:4711"),
            ("forwarded", "for=192.0.2.7", "for=\"[2001:db8::7]\""),
            ("cloudfront-viewer-address", "192.0.2.7:4711", "2001:db8::7:4711"),
        ] {
            let forgery = named(name);
            for (ip, claim) in [("192.0.2.7", ipv4), ("2001:db8::7", ipv6)] {
                let request = forgery.claim_of(ip.parse().unwrap(), &cast, &place).unwrap();
                let claims: Vec<&[u8]> = request.claims().collect();
                assert_eq!(claims, [claim.as_bytes()], "{name}");
            }
        }
        // One that is plain says the same of the forged address as its line.
        for forgery in forgeries
            .iter()
            .filter(|forgery| forgery.plain_header().is_some())
        {
            let (line, made) = (
                forgery.request(&cast, &place),
                forgery.claim_of(cast.forged.into(), &cast, &place),
            );
            assert_eq!(
                made.unwrap().claims().collect::<Vec<_>>(),
                line.claims().collect::<Vec<_>>(),
                "{}",
                forgery.name
            );
        }
        assert!(
            named("xff-list")
                .claim_of(cast.forged.into(), &cast, &place)
                .is_none()
        );
    }

    #[test]
    fn a_line_that_would_be_sent_other_than_it_was_meant_is_refused() {
        let line = |rest: &str| format!(r#"{{"name": "a", "family": "b", "why": "c", "seen": [], {rest}}}"#);
        for (rest, told) in [
            (r#""field": []"#, "unknown field `field`"),
            (r#""target": "{elsewhere}""#, "nobody knows the word {elsewhere}"),
            (r#""target": "{path""#, "a brace stays open"),
            (
                r#""fields": [["A", "\u0100"]]"#,
                "no single byte is the character '\u{100}'",
            ),
            (r#""over": "h3""#, "unknown variant `h3`"),
            (r#""version": "1.0""#, "only HTTP/1 can say so"),
            (r#""raw": "A: b", "over": "h2""#, "only HTTP/1 can say so"),
        ] {
            let refused = refused(&line(rest));
            assert!(refused.contains(told), "{refused}");
        }
        assert!(refused("[]").contains("invalid"), "{}", refused("[]"));
        for text in ["", "{}", r#"{"version": 2}"#] {
            assert_eq!(read(text).unwrap_err().line, 1);
        }
    }
}
