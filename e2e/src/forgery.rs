//! What somebody sends who wants to pass for somebody else, read from a file of lines, and what it gets for an answer.
//!
//! The file says itself what its keys and words mean, in its first line. Here they become bytes.
//!
//! Invariant: a key or a word that nobody knows is a failure. A forgery that is sent other than it was meant proves
//! nothing.

mod http1;
mod http2;
mod visit;

use std::net::Ipv4Addr;

use serde_json::{Map, Value};

pub use visit::{Answer, Speaks, Visit};

/// One line of the file.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// By which it is known, in reports too.
    pub name: String,
    /// What kind of claim it is.
    pub family: String,
    /// Why it has worked somewhere.
    pub why: String,
    /// Where it did: CVE numbers, advisories, issues.
    pub seen: Vec<String>,
    over_http1: bool,
    over_http2: bool,
    preface: String,
    method: String,
    target: String,
    version: String,
    fields: Vec<(String, String)>,
    raw: String,
    trailers: Vec<(String, String)>,
}

/// Who plays whom: what the words of the file stand for.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Whom the attacker would like to be.
    pub forged: Ipv4Addr,
    /// A proxy that the application trusts.
    pub trusted: Ipv4Addr,
}

/// A request, with every word replaced.
#[derive(Clone, Debug)]
struct Sent {
    preface: Vec<u8>,
    method: String,
    target: String,
    version: String,
    fields: Vec<(String, String)>,
    raw: String,
    trailers: Vec<(String, String)>,
}

/// The version of the file's shape that is understood here.
const VERSION: u64 = 1;

impl Forgery {
    /// Reads the file's text.
    ///
    /// # Panics
    /// When a line is not as the first one says.
    #[track_caller]
    pub fn read(text: &str) -> Vec<Self> {
        let mut lines = text.lines().enumerate().map(|(n, line)| {
            let value: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}", n + 1));
            match value {
                Value::Object(object) => object,
                other => panic!("line {}: no object: {other}", n + 1),
            }
        });
        let head = lines.next().expect("the line that explains the others");
        assert_eq!(head["version"], VERSION, "the file's shape");
        let keys = head["keys"].as_object().expect("keys").clone();
        lines.map(|line| Self::from(line, &keys)).collect()
    }

    /// An honest request.
    pub fn none() -> Self {
        let line = serde_json::json!({"name": "none", "family": "none", "why": "", "seen": []});
        let Value::Object(line) = line else { unreachable!() };
        Self::from(line.clone(), &line)
    }

    #[track_caller]
    fn from(mut line: Map<String, Value>, keys: &Map<String, Value>) -> Self {
        let shown = Value::Object(line.clone()).to_string();
        assert!(
            line.keys().all(|key| keys.contains_key(key)),
            "a key that is not explained: {shown}"
        );
        let mut text = |key: &str, otherwise: Option<&str>| match line.remove(key) {
            Some(Value::String(text)) => text,
            None if otherwise.is_some() => otherwise.unwrap_or_default().to_owned(),
            other => panic!("{key}: {other:?} in {shown}"),
        };
        let (name, family, why) = (text("name", None), text("family", None), text("why", None));
        let over = text("over", Some("both"));
        assert!(["both", "h1", "h2"].contains(&over.as_str()), "over: {shown}");
        let (preface, raw) = (text("preface", Some("")), text("raw", Some("")));
        let (method, target) = (text("method", Some("GET")), text("target", Some("{path}")));
        let version = text("version", Some("1.1"));
        let mut pairs = |key: &str| match line.remove(key) {
            None => Vec::new(),
            Some(pairs) => {
                serde_json::from_value(pairs).unwrap_or_else(|error| panic!("{key}: {error}: {shown}"))
            }
        };
        let (fields, trailers) = (pairs("fields"), pairs("trailers"));
        let seen = line.remove("seen").unwrap_or_default();
        assert!(line.is_empty(), "{line:?} in {shown}");
        let only_http1 = !preface.is_empty() || !raw.is_empty() || version != "1.1";
        assert!(!only_http1 || over == "h1", "only HTTP/1 can say so: {shown}");
        Self {
            seen: serde_json::from_value(seen).unwrap_or_else(|error| panic!("seen: {error}: {shown}")),
            over_http1: over != "h2",
            over_http2: over != "h1",
            name,
            family,
            why,
            preface,
            method,
            target,
            version,
            fields,
            raw,
            trailers,
        }
    }

    /// Whether it can be said in this language.
    pub fn is_sayable(&self, speaks: Speaks) -> bool {
        match speaks {
            Speaks::Http1 | Speaks::Http1OverTls => self.over_http1,
            Speaks::Http2 => self.over_http2,
        }
    }

    fn cast(&self, cast: &Cast, path: &str) -> Sent {
        let say = |text: &String| replaced(text, cast, path);
        let both = |pairs: &[(String, String)]| {
            pairs
                .iter()
                .map(|(name, value)| (say(name), say(value)))
                .collect()
        };
        Sent {
            preface: latin1(&say(&self.preface)),
            method: say(&self.method),
            target: say(&self.target),
            version: say(&self.version),
            fields: both(&self.fields),
            raw: say(&self.raw),
            trailers: both(&self.trailers),
        }
    }
}

/// One byte for each character, as the file means it.
fn latin1(text: &str) -> Vec<u8> {
    let bytes = text.chars().map(|c| u8::try_from(c).expect("one byte each"));
    bytes.collect()
}

/// The text with everything between braces replaced.
#[track_caller]
fn replaced(text: &str, cast: &Cast, path: &str) -> String {
    let mut rest = text;
    let mut said = String::new();
    while let Some((before, from)) = rest.split_once('{') {
        let (word, after) = from
            .split_once('}')
            .unwrap_or_else(|| panic!("an open brace: {text}"));
        said += before;
        said += &meaning(word, cast, path);
        rest = after;
    }
    said + rest
}

#[track_caller]
fn meaning(word: &str, cast: &Cast, path: &str) -> String {
    if let Some((word, times)) = word.split_once('*') {
        let times = times
            .parse()
            .unwrap_or_else(|_| panic!("{word}*{times}: no number"));
        return vec![meaning(word, cast, path); times].join(", ");
    }
    let [a, b, c, d] = cast.forged.octets();
    match word {
        "forged" => cast.forged.to_string(),
        "forged.mapped" => format!("::ffff:{}", cast.forged),
        "forged.mapped-hex" => cast.forged.to_ipv6_mapped().segments()[6..]
            .iter()
            .fold("::ffff".to_owned(), |text, segment| format!("{text}:{segment:x}")),
        "forged.6to4" => format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
        "forged.nat64" => format!("64:ff9b::{}", cast.forged),
        "forged.octal" => format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        "forged.zeros" => format!("{a:03}.{b:03}.{c:03}.{d:03}"),
        "forged.hex" => format!("0x{:08x}", cast.forged.to_bits()),
        "forged.integer" => cast.forged.to_bits().to_string(),
        "forged.bytes" => [a, b, c, d].map(char::from).iter().collect(),
        "trusted" => cast.trusted.to_string(),
        "path" => path.to_owned(),
        "host" => visit::HOST.to_owned(),
        _ => panic!("nobody knows the word {{{word}}}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FILE: &str = truehop_forgeries::FILE;
    const CAST: Cast = Cast {
        forged: Ipv4Addr::new(203, 0, 113, 96),
        trusted: Ipv4Addr::new(192, 168, 0, 10),
    };

    #[test]
    fn every_line_of_the_file_can_be_sent_and_says_why_it_might_work() {
        let forgeries = Forgery::read(FILE);
        assert!(forgeries.len() >= 60, "{}", forgeries.len());
        let names: BTreeSet<&str> = forgeries.iter().map(|forgery| forgery.name.as_str()).collect();
        assert_eq!(names.len(), forgeries.len(), "a name is used twice");
        for forgery in &forgeries {
            let name = &forgery.name;
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{name}"
            );
            assert!(!forgery.why.is_empty() && !forgery.family.is_empty(), "{name}");
            assert!(forgery.over_http1 || forgery.over_http2, "{name}");
            // Panics at a word that nobody knows.
            let sent = forgery.cast(&CAST, "/whoami");
            for text in [&sent.target, &sent.raw]
                .into_iter()
                .chain(sent.fields.iter().map(|(_, value)| value))
            {
                assert!(text.chars().all(|c| u8::try_from(c).is_ok()), "{name}: {text}");
            }
        }
    }

    #[test]
    fn words_mean_the_same_address_in_many_spellings() {
        for (word, meaning) in [
            ("forged", "203.0.113.96"),
            ("forged.mapped", "::ffff:203.0.113.96"),
            ("forged.mapped-hex", "::ffff:cb00:7160"),
            ("forged.6to4", "2002:cb00:7160::1"),
            ("forged.nat64", "64:ff9b::203.0.113.96"),
            ("forged.octal", "0313.00.0161.0140"),
            ("forged.zeros", "203.000.113.096"),
            ("forged.hex", "0xcb007160"),
            ("forged.integer", "3405803872"),
            ("forged.bytes", "\u{cb}\u{0}\u{71}\u{60}"),
            ("trusted*2", "192.168.0.10, 192.168.0.10"),
        ] {
            assert_eq!(
                replaced(&format!("<{{{word}}}>"), &CAST, "/"),
                format!("<{meaning}>")
            );
        }
    }
}
