//! What a person should have written: serde's messages in the words of the file, and the nearest spelling.
//!
//! serde tells unknown words only as text, so the text is taken apart here. Invariant: a message that is not
//! recognised is passed on as it is, never dropped.

/// What is wrong, what to say under the words, and what to write instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hint {
    pub(crate) problem: String,
    pub(crate) label: String,
    pub(crate) help: String,
}

/// Methods that policies will have and do not have yet.
const LATER: [&str; 2] = ["forwarded", "proxy-protocol"];

/// Keys that stand above all tables. TOML has them belong to the table above them when they are written too late.
const ABOVE_TABLES: [&str; 4] = ["listen", "workers", "forwarded", "access_log"];

/// Rewords a message of serde or of the TOML parser.
pub(crate) fn reword(message: &str) -> Hint {
    if let Some((word, allowed)) = unknown(message, "unknown field `") {
        return unknown_key(word, &allowed);
    }
    if let Some((word, allowed)) = unknown(message, "unknown variant `") {
        let later = LATER.contains(&word) && allowed.contains(&"x-forwarded-for");
        return Hint {
            problem: match later {
                true => format!("this version does not support `{word}` yet"),
                false => format!("unknown value `{word}`"),
            },
            label: if later {
                "not yet"
            } else {
                "not a value of this key"
            }
            .to_owned(),
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

        let hint = reword("unknown variant `forwarded`, expected one of `peer`, `header`, `x-forwarded-for`");
        assert_eq!(hint.problem, "this version does not support `forwarded` yet");

        let hint = reword("\"30\" is no duration: write a number with a unit, such as \"30s\"");
        assert_eq!(hint.problem, "\"30\" is no duration");
        assert_eq!(hint.help, "write a number with a unit, such as \"30s\"");

        assert_eq!(reword("something new").problem, "something new");
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
