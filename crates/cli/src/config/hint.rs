//! What a person should have written: serde's messages in the words of the file, and the nearest spelling.
//!
//! serde tells unknown words only as text, so the text is taken apart here. Invariant: a message that is not
//! recognised is passed on as it is, never dropped; one that is recognised loses the names of Rust's types.

use toml::de::DeValue;

use super::section::kind;

/// What is wrong, what to say under the words, and what to write instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hint {
    pub(crate) problem: String,
    pub(crate) label: String,
    pub(crate) help: String,
}

/// What the key `from` takes.
pub(super) const METHODS: &str =
    "\"peer\", \"header\", \"x-forwarded-for\", \"forwarded\" or \"proxy-protocol\"";

/// Keys that stand above all tables. TOML has them belong to the table above them when they are written too late.
const ABOVE_TABLES: [&str; 4] = ["listen", "workers", "forwarded", "access_log"];

/// What the keys with numbers take; serde knows the width of the number only.
const NUMBERS: [(&str, &str); 6] = [
    ("workers", "from 0, which means one per core, to 1024"),
    ("attempts", "from 1 on"),
    ("hops", "from 1 on"),
    ("max_hops", "from 1 on"),
    ("ipv6_prefix", "from 48 to 128"),
    ("status", "from 200 to 599"),
];

/// What the keys with words take, for those who write no word at all.
const WORDS: [(&str, &str); 7] = [
    ("from", METHODS),
    ("owner", "\"either\", \"token\" or \"address\""),
    ("on_missing", "\"reject\" or \"peer\""),
    ("on_malformed", "\"reject\" or \"peer\""),
    ("on_too_few", "\"reject\" or \"peer\""),
    ("on_all_trusted", "\"reject\", \"peer\" or \"leftmost\""),
    ("on_duplicate", "\"reject\" or \"last\""),
];

/// A value that serde did not like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    /// The key that it stands under.
    pub(crate) key: &'a str,
    /// Whether it is one of a list.
    pub(crate) is_entry: bool,
    pub(crate) value: &'a DeValue<'a>,
}

/// Rewords a message of serde about a value, or any other.
pub(crate) fn reword_value(message: &str, written: Written<'_>) -> Hint {
    let name = match written.is_entry {
        true => format!("an entry of `{}`", written.key),
        false => format!("`{}`", written.key),
    };
    let what = kind(written.value);
    let is_not = |wanted: &str, help: String| Hint {
        problem: format!("{name} is {wanted}, not {what}"),
        label: format!("not {wanted}"),
        help,
    };
    if let Some((_, expected)) = split(message, "invalid type: ") {
        return match expected {
            "a sequence" => is_not("a list", a_list(written)),
            "a string" | "path string" => is_not("a string", in_quotes(written.value)),
            "a boolean" => is_not("true or false", "write true or false, without quotes".to_owned()),
            "a map" => is_not("a table", format!("write {} = {{ ... }}", written.key)),
            "socket address" => is_not("an address with a port", SOCKET_ADDRESS.to_owned()),
            "IP address" => is_not("an IP address", IP_ADDRESS.to_owned()),
            _ if is_number(expected) => match what {
                "a number" => out_of_range(&name, written),
                _ => is_not("a whole number", a_number(written.key)),
            },
            _ if expected.starts_with("struct ") => {
                is_not("a table", format!("write {} = {{ ... }}", written.key))
            }
            // The types of the file say what they take.
            _ => Hint {
                problem: format!("{name} cannot be {what}"),
                label: "here".to_owned(),
                help: format!("write {expected}"),
            },
        };
    }
    if let Some((found, expected)) = split(message, "invalid value: ") {
        if is_number(expected) {
            return out_of_range(&name, written);
        }
        let found = found
            .split_once(' ')
            .map_or(found, |(_, value)| value)
            .replace('`', "");
        return Hint {
            problem: format!("{name} cannot be {found}"),
            label: "here".to_owned(),
            help: format!("write {expected}"),
        };
    }
    // What toml says where a word was meant.
    if message.starts_with("wanted ") {
        let words = WORDS.iter().find(|(key, _)| *key == written.key);
        return is_not(
            "one word in quotes",
            words.map_or_else(String::new, |(_, words)| format!("write {words}")),
        );
    }
    let no_address = |what: &str, help: &str| Hint {
        problem: match written.value.as_str() {
            Some(text) => format!("{text:?} is no {what}"),
            None => format!("{name} is no {what}"),
        },
        label: "here".to_owned(),
        help: help.to_owned(),
    };
    match message {
        "invalid socket address syntax" => no_address("address with a port", SOCKET_ADDRESS),
        "invalid IP address syntax" => no_address("IP address", IP_ADDRESS),
        _ => reword(message),
    }
}

const SOCKET_ADDRESS: &str =
    "write an IP address and a port in quotes, such as \"127.0.0.1:9180\" or \"[::1]:9180\"";
const IP_ADDRESS: &str = "write an IP address in quotes, such as \"127.0.0.1\"";

/// Splits ``invalid type: string "a", expected u32``.
fn split<'a>(message: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(start)?.rsplit_once(", expected ")
}

fn is_number(expected: &str) -> bool {
    let sizes = ["8", "16", "32", "64", "128", "size"];
    expected
        .strip_prefix(['u', 'i'])
        .is_some_and(|size| sizes.contains(&size))
}

fn a_number(key: &str) -> String {
    let range = NUMBERS.iter().find(|(of, _)| *of == key);
    let range = range.map_or_else(String::new, |(_, range)| format!(" {range}"));
    format!("write a whole number{range}")
}

/// The hint for a number that is too small or too large.
pub(crate) fn out_of_range(name: &str, written: Written<'_>) -> Hint {
    let number = match written.value {
        DeValue::Integer(number) => number.to_string(),
        _ => "that".to_owned(),
    };
    Hint {
        problem: format!("{name} cannot be {number}"),
        label: "out of range".to_owned(),
        help: a_number(written.key),
    }
}

/// What to write instead of a value that should have been a list with it.
fn a_list(written: Written<'_>) -> String {
    match written.value.as_str() {
        Some(text) => format!("write a list: {} = [{text:?}]", written.key),
        None => format!("write a list: {} = [ ... ]", written.key),
    }
}

fn in_quotes(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(_) | DeValue::Float(_) => {
            "write it in quotes, a duration or a size with its unit: \"30s\", \"64KiB\"".to_owned()
        }
        _ => "write it in quotes".to_owned(),
    }
}

/// Rewords a message of serde or of the TOML parser.
pub(crate) fn reword(message: &str) -> Hint {
    if let Some((word, allowed)) = unknown(message, "unknown field `") {
        return unknown_key(word, &allowed);
    }
    if let Some((word, allowed)) = unknown(message, "unknown variant `") {
        return Hint {
            problem: format!("unknown value `{word}`"),
            label: "not a value of this key".to_owned(),
            help: suggest(word, &allowed, |word| format!("\"{word}\"")),
        };
    }
    if let Some(key) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        return Hint {
            problem: format!("the key `{key}` is missing"),
            label: format!("needs `{key}`"),
            help: format!("add the key `{key}`"),
        };
    }
    if message == "duplicate key" {
        return Hint {
            problem: "this key stands here a second time".to_owned(),
            label: "written before".to_owned(),
            help: "keep one of them; a list of tables is written [[like this]]".to_owned(),
        };
    }
    // The types of the file say what is wrong and then what to write, in one sentence.
    let (problem, help) = match message.split_once(": write ") {
        Some((problem, rest)) => (problem, format!("write {rest}")),
        None => (message, String::new()),
    };
    Hint {
        problem: problem.to_owned(),
        label: "here".to_owned(),
        help,
    }
}

/// The hint for a key that its table does not have.
pub(crate) fn unknown_key(word: &str, allowed: &[&str]) -> Hint {
    let help = suggest(word, allowed, |word| format!("`{word}`"));
    Hint {
        problem: format!("unknown key `{word}`"),
        label: "not a key of this table".to_owned(),
        help: match ABOVE_TABLES.contains(&word) {
            true => format!("move `{word}` above the first [table] of the file; {help}"),
            false => help,
        },
    }
}

/// The help of a crate that lists words in quotes, with the one that is spelled most like `word`.
pub(crate) fn with_nearest(word: &str, help: String) -> String {
    let quoted: Vec<&str> = help.split('"').skip(1).step_by(2).collect();
    match nearest(word, &quoted) {
        Some(near) => format!("did you mean \"{near}\"? {help}"),
        None => help,
    }
}

fn suggest(word: &str, allowed: &[&str], quote: impl Fn(&str) -> String) -> String {
    let list: Vec<String> = allowed.iter().map(|word| quote(word)).collect();
    let list = list.join(", ");
    match nearest(word, allowed) {
        Some(near) => format!("did you mean {}? allowed here: {list}", quote(near)),
        None => format!("allowed here: {list}"),
    }
}

/// The allowed word that is spelled most alike, if any is alike at all.
fn nearest<'a>(word: &str, allowed: &[&'a str]) -> Option<&'a str> {
    // Nobody means a key by a thousand letters, and the distance is quadratic.
    if word.len() > 64 {
        return None;
    }
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let written = plain(word);
    let (distance, near) = allowed
        .iter()
        .map(|&candidate| {
            (
                strsim::damerau_levenshtein(&written, &plain(candidate)),
                candidate,
            )
        })
        .min_by_key(|&(distance, _)| distance)?;
    let prefix = written.len() >= 3 && plain(near).starts_with(&written);
    (distance <= 1.max(near.len() / 3) || prefix).then_some(near)
}

/// Splits ``unknown field `x`, expected one of `a`, `b` ``.
fn unknown<'a>(message: &'a str, start: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (word, expected) = message.strip_prefix(start)?.rsplit_once("`, expected ")?;
    Some((word, expected.split('`').skip(1).step_by(2).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_spelling_is_found_and_nothing_far_is_suggested() {
        let allowed = ["from", "header", "trusted", "max_hops", "on_missing"];
        for (word, near) in [
            ("truste", Some("trusted")),
            ("Trusted", Some("trusted")),
            ("max-hops", Some("max_hops")),
            ("form", Some("from")),
            ("trust", Some("trusted")),
            ("tru", None),
            ("upstream", None),
            ("", None),
        ] {
            // A short prefix of one word may be near another word's spelling; only long ones are meant.
            if word == "tru" {
                assert_ne!(nearest(word, &allowed), Some("header"));
                continue;
            }
            assert_eq!(nearest(word, &allowed), near, "{word}");
        }
        assert_eq!(nearest(&"t".repeat(100_000), &allowed), None);
    }

    #[test]
    fn messages_are_reworded() {
        let hint = reword("unknown field `truste`, expected one of `from`, `trusted`");
        assert_eq!(hint.problem, "unknown key `truste`");
        assert_eq!(
            hint.help,
            "did you mean `trusted`? allowed here: `from`, `trusted`"
        );

        let hint = reword("unknown variant `peers`, expected `reject` or `peer`");
        assert_eq!(hint.problem, "unknown value `peers`");
        assert_eq!(
            hint.help,
            "did you mean \"peer\"? allowed here: \"reject\", \"peer\""
        );

        let hint = reword("\"30\" is no duration: write a number with a unit, such as \"30s\"");
        assert_eq!(hint.problem, "\"30\" is no duration");
        assert_eq!(hint.help, "write a number with a unit, such as \"30s\"");

        assert_eq!(reword("something new").problem, "something new");
    }

    /// What is told of `text` under a key.
    fn told(key: &str, text: &str, message: &str) -> (String, String) {
        let value = DeValue::parse(text).unwrap().into_inner();
        let hint = reword_value(
            message,
            Written {
                key,
                is_entry: false,
                value: &value,
            },
        );
        assert!(!hint.label.is_empty());
        (hint.problem, hint.help)
    }

    #[test]
    fn every_kind_of_serdes_messages_is_told_in_words_for_people() {
        for (key, text, message, problem, help) in [
            (
                "listen",
                "'127.0.0.1:0'",
                "invalid type: string \"127.0.0.1:0\", expected a sequence",
                "`listen` is a list, not a string",
                "write a list: listen = [\"127.0.0.1:0\"]",
            ),
            (
                "workers",
                "-1",
                "invalid value: integer `-1`, expected usize",
                "`workers` cannot be -1",
                "write a whole number from 0, which means one per core, to 1024",
            ),
            (
                "workers",
                "99999999999999999999999",
                "invalid type: integer `99999999999999999999999` as i128, expected usize",
                "`workers` cannot be 99999999999999999999999",
                "write a whole number from 0, which means one per core, to 1024",
            ),
            (
                "attempts",
                "1.5",
                "invalid type: floating point `1.5`, expected u32",
                "`attempts` is a whole number, not a decimal number",
                "write a whole number from 1 on",
            ),
            (
                "data",
                "1",
                "invalid type: integer `1`, expected path string",
                "`data` is a string, not a number",
                "write it in quotes, a duration or a size with its unit: \"30s\", \"64KiB\"",
            ),
            (
                "access_log",
                "'yes'",
                "invalid type: string \"yes\", expected a boolean",
                "`access_log` is true or false, not a string",
                "write true or false, without quotes",
            ),
            (
                "tls",
                "true",
                "invalid type: boolean `true`, expected struct TlsConfig",
                "`tls` is a table, not true or false",
                "write tls = { ... }",
            ),
            (
                "owner",
                "1",
                "wanted string or table",
                "`owner` is one word in quotes, not a number",
                "write \"either\", \"token\" or \"address\"",
            ),
            (
                "listen",
                "'9180'",
                "invalid socket address syntax",
                "\"9180\" is no address with a port",
                SOCKET_ADDRESS,
            ),
            (
                "listen",
                "9180",
                "invalid type: integer `9180`, expected socket address",
                "`listen` is an address with a port, not a number",
                SOCKET_ADDRESS,
            ),
            (
                "bind",
                "'x'",
                "invalid IP address syntax",
                "\"x\" is no IP address",
                IP_ADDRESS,
            ),
            (
                "trusted",
                "'foo'",
                "invalid value: string \"foo\", expected a list of networks, or the word \"any\"",
                "`trusted` cannot be \"foo\"",
                "write a list of networks, or the word \"any\"",
            ),
            (
                "listen",
                "1",
                "invalid type: integer `1`, expected an address, or a table",
                "`listen` cannot be a number",
                "write an address, or a table",
            ),
            (
                "admin",
                "{}",
                "missing field `listen`",
                "the key `listen` is missing",
                "add the key `listen`",
            ),
            ("any", "1", "something new", "something new", ""),
        ] {
            assert_eq!(
                told(key, text, message),
                (problem.into(), help.into()),
                "{message}"
            );
        }
    }

    #[test]
    fn a_key_below_a_table_that_belongs_above_is_told_so() {
        let hint = unknown_key("workers", &["from", "header"]);
        assert!(
            hint.help.starts_with("move `workers` above the first [table]"),
            "{}",
            hint.help
        );
    }

    #[test]
    fn a_word_gets_the_nearest_of_those_that_the_help_lists() {
        let help = || "write \"drop\" or \"whoami\"".to_owned();
        assert_eq!(
            with_nearest("dorp", help()),
            "did you mean \"drop\"? write \"drop\" or \"whoami\""
        );
        assert_eq!(with_nearest("nowhere", help()), help());
    }

    #[test]
    fn a_key_with_the_message_inside_is_no_panic() {
        let hint = reword("unknown field `a`, expected `b`, expected `c`");
        assert_eq!(hint.problem, "unknown key `a`, expected `b`");
    }
}
