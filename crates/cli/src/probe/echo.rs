//! The address in an answer.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde_json::Value;

/// The longest plain text that is taken for something said about a client.
const LONGEST: usize = 200;

/// Where an answer has the client's address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Echo {
    /// The names that lead to a member of the JSON; without any, the usual places.
    names: Option<Vec<String>>,
}

/// What an answer says about the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Told {
    /// It is this address, IPv4 where it was written as IPv6.
    Address(IpAddr),
    /// It is something that is no address.
    Text(String),
    /// It says nothing about a client.
    Nothing,
}

impl Echo {
    /// Reads the body of an answer.
    pub(super) fn read(&self, body: &[u8]) -> Told {
        match (&self.names, serde_json::from_slice::<Value>(body)) {
            (Some(names), Ok(value)) => told(member(&value, names)),
            (Some(_), Err(_)) => Told::Nothing,
            (None, Ok(Value::Object(members))) => told(members.get("client")),
            (None, Ok(value @ Value::String(_))) => told(Some(&value)),
            (None, _) => plain(body),
        }
    }

    /// Where else in the JSON of an answer there are addresses, as the option wants it.
    pub(super) fn elsewhere(body: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        if let Ok(value) = serde_json::from_slice(body) {
            search(&value, "", &mut found);
        }
        // Names that are empty cannot be said.
        found.retain(|at| at.parse::<Self>().is_ok());
        found
    }
}

/// A JSON pointer (RFC 6901), or names with dots between.
impl FromStr for Echo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let names: Vec<String> = match text.strip_prefix('/') {
            Some(pointer) => pointer
                .split('/')
                .map(|name| name.replace("~1", "/").replace("~0", "~"))
                .collect(),
            None => text.split('.').map(str::to_owned).collect(),
        };
        match names.iter().any(String::is_empty) {
            true => Err("a name is empty; write it as /request/ip or request.ip"),
            false => Ok(Self { names: Some(names) }),
        }
    }
}

fn member<'a>(value: &'a Value, names: &[String]) -> Option<&'a Value> {
    names.iter().try_fold(value, |value, name| match value {
        Value::Array(values) => values.get(name.parse::<usize>().ok()?),
        value => value.get(name),
    })
}

fn told(value: Option<&Value>) -> Told {
    match value {
        None | Some(Value::Null) => Told::Nothing,
        Some(Value::String(text)) => text_or_address(text),
        Some(value) => Told::Text(value.to_string()),
    }
}

fn plain(body: &[u8]) -> Told {
    match std::str::from_utf8(body).map(str::trim) {
        Ok(text) if !text.is_empty() && text.len() <= LONGEST && text.lines().count() == 1 => {
            text_or_address(text)
        }
        _ => Told::Nothing,
    }
}

fn text_or_address(text: &str) -> Told {
    address(text.trim()).map_or_else(|| Told::Text(text.to_owned()), Told::Address)
}

/// An address, perhaps with a port, which is another one on each connection and so says nothing.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let ip = bare
        .unwrap_or(text)
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    ip.ok().map(|ip| ip.to_canonical())
}

/// Depth is bounded by that of the JSON parser.
fn search(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if address(text).is_some() => found.push(at.to_owned()),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            search(value, &format!("{at}/{name}"), found);
        }),
        Value::Array(values) => values
            .iter()
            .enumerate()
            .for_each(|(index, value)| search(value, &format!("{at}/{index}"), found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Told {
        Told::Address(text.parse().unwrap())
    }

    fn text(text: &str) -> Told {
        Told::Text(text.to_owned())
    }

    #[test]
    fn the_usual_places_are_found_by_themselves() {
        let usual = |body: &str| Echo::default().read(body.as_bytes());
        assert_eq!(
            usual("{\"client\": \"203.0.113.9\", \"peer\": \"::1\"}"),
            ip("203.0.113.9")
        );
        assert_eq!(usual("203.0.113.9\n"), ip("203.0.113.9"));
        assert_eq!(usual("\"203.0.113.9\""), ip("203.0.113.9"));
        assert_eq!(usual("203.0.113.9:4711"), ip("203.0.113.9"));
        assert_eq!(usual("::ffff:203.0.113.9"), ip("203.0.113.9"));
        assert_eq!(usual("[2001:db8::1]"), ip("2001:db8::1"));
        assert_eq!(usual("[2001:db8::1]:80"), ip("2001:db8::1"));
        assert_eq!(usual("{\"client\": \"me\"}"), text("me"));
        assert_eq!(usual("{\"client\": [1]}"), text("[1]"));
        assert_eq!(usual("unknown"), text("unknown"));
        for nothing in [
            "",
            " \n",
            "{}",
            "{\"client\": null}",
            "{\"origin\": \"203.0.113.9\"}",
            "<html>\n203.0.113.9\n</html>",
            &"a".repeat(LONGEST + 1),
        ] {
            assert_eq!(usual(nothing), Told::Nothing, "{nothing}");
        }
        assert_eq!(Echo::default().read(b"\xff"), Told::Nothing);
    }

    #[test]
    fn a_path_leads_to_a_member_and_to_nothing_else() {
        let body = br#"{"origin": "203.0.113.9", "a": {"b/c": ["x", "::1"]}, "client": "192.0.2.1"}"#;
        let read = |path: &str| path.parse::<Echo>().unwrap().read(body);
        assert_eq!(read("/origin"), ip("203.0.113.9"));
        assert_eq!(read("origin"), ip("203.0.113.9"));
        assert_eq!(read("/a/b~1c/1"), ip("::1"));
        assert_eq!(read("a.b/c.0"), text("x"));
        assert_eq!(read("/elsewhere"), Told::Nothing);
        assert_eq!(
            "/origin".parse::<Echo>().unwrap().read(b"203.0.113.9"),
            Told::Nothing
        );
        assert_eq!(Echo::elsewhere(body), ["/a/b~1c/1", "/client", "/origin"]);
        assert!(Echo::elsewhere(b"203.0.113.9").is_empty());
        // The option has no way to say these.
        for unnamed in [
            "\"203.0.113.9\"",
            "{\"\": \"203.0.113.9\"}",
            "{\"a\": {\"\": [\"::1\"]}}",
        ] {
            assert!(Echo::elsewhere(unnamed.as_bytes()).is_empty(), "{unnamed}");
        }
        for unnamed in ["", "/", "client.", "a..b", "/a/"] {
            assert!(unnamed.parse::<Echo>().is_err(), "{unnamed}");
        }
    }
}
