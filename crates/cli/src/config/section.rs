//! From a TOML value to a type of the config, with every fault on the way.
//!
//! serde stops at its first error. Here the entry at fault is taken out and the rest is tried again, so that one run
//! tells all. Invariant: a value is returned only when nothing was taken out.

use std::mem;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeValue, ValueDeserializer};
use truehop_edge::Key;

use super::fault::{Fault, SHOWN};
use super::hint::{Hint, Written, reword, reword_value};

/// Decodes `value`, which must be a table.
pub(crate) fn decode_table<T: DeserializeOwned>(
    name: &str,
    value: Spanned<DeValue<'_>>,
) -> Result<T, Vec<Fault>> {
    match value.get_ref() {
        DeValue::Table(_) => decode(name, value),
        // serde would take a list for the table's values in order, which nobody means.
        other => Err(vec![Fault {
            problem: format!("`{name}` is a table, not {}", kind(other)),
            label: "not a table".to_owned(),
            help: format!("write the line [{name}] and its keys below"),
            span: Some(value.span()),
        }]),
    }
}

/// Decodes `value`, which stands under the key `name`, or tells all that is wrong with it.
pub(crate) fn decode<T: DeserializeOwned>(
    name: &str,
    mut value: Spanned<DeValue<'_>>,
) -> Result<T, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut taken = Vec::new();
    loop {
        let error = match T::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(decoded) if faults.is_empty() => return Ok(decoded),
            Ok(_) => return Err(faults),
            Err(error) => error,
        };
        let span = error.span();
        let missing = error
            .message()
            .strip_prefix("missing field `")
            .map(|rest| rest.trim_end_matches('`'));
        // What was taken out is missing for no other reason.
        if !missing.is_some_and(|key| taken.iter().any(|taken| taken == key)) {
            let written = span.as_ref().and_then(|span| written(name, false, &value, span));
            let hint = match written {
                Some(written) => reword_value(error.message(), written),
                None => reword(error.message()),
            };
            faults.push(at(hint, span.clone()));
        }
        match span.and_then(|span| take_out(&mut value, &span)) {
            Some(key) if faults.len() < SHOWN => taken.push(key),
            _ => return Err(faults),
        }
    }
}

/// A fault with the words of a hint.
pub(crate) fn at(hint: Hint, span: Option<Range<usize>>) -> Fault {
    Fault {
        problem: hint.problem,
        label: hint.label,
        help: hint.help,
        span,
    }
}

/// The innermost value that stands at `span`, and the key that it stands under.
fn written<'a>(
    key: &'a str,
    is_entry: bool,
    value: &'a Spanned<DeValue<'_>>,
    span: &Range<usize>,
) -> Option<Written<'a>> {
    let inner = match value.get_ref() {
        DeValue::Table(table) => table
            .iter()
            .find_map(|(key, value)| written(key.get_ref(), false, value, span)),
        DeValue::Array(items) => items.iter().find_map(|item| written(key, true, item, span)),
        _ => None,
    };
    inner.or_else(|| {
        (value.span() == *span).then_some(Written {
            key,
            is_entry,
            value: value.get_ref(),
        })
    })
}

/// Removes the entry whose key or value stands at `span`, at any depth; tells its key (empty in a list).
fn take_out(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => {
            let key = table
                .iter()
                .find(|(key, value)| key.span() == *span || value.span() == *span)
                .map(|(key, _)| key.get_ref().clone().into_owned());
            if let Some(key) = key {
                table.remove(key.as_str());
                return Some(key);
            }
            table.iter_mut().find_map(|(_, value)| take_out(value, span))
        }
        DeValue::Array(items) => {
            if let Some(index) = items.iter().position(|item| item.span() == *span) {
                let all = mem::replace(items, DeArray::new()).into_iter().enumerate();
                *items = all.filter(|(n, _)| *n != index).map(|(_, item)| item).collect();
                return Some(String::new());
            }
            items.iter_mut().find_map(|item| take_out(item, span))
        }
        _ => None,
    }
}

/// Where the value at `path` stands; where a step is missing, the table or list that should hold it.
pub(crate) fn place(value: &Spanned<DeValue<'_>>, path: &[Key]) -> Range<usize> {
    let next = path
        .split_first()
        .and_then(|(key, rest)| match (key, value.get_ref()) {
            (Key::Name(name), DeValue::Table(table)) => table.get(*name).map(|value| (value, rest)),
            (Key::Index(index), DeValue::Array(items)) => items.get(*index).map(|value| (value, rest)),
            _ => None,
        });
    match next {
        Some((value, rest)) => place(value, rest),
        None => value.span(),
    }
}

/// A value's kind, for people.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        must: String,
        number: Option<u32>,
        list: Option<Vec<u32>>,
    }

    fn faults(text: &str) -> Vec<(String, String)> {
        let value = DeValue::parse(text).unwrap();
        decode_table::<Table>("table", value)
            .unwrap_err()
            .into_iter()
            .map(|fault| (fault.problem, text[fault.span.unwrap()].to_owned()))
            .collect()
    }

    fn told(problem: &str, words: &str) -> (String, String) {
        (problem.to_owned(), words.to_owned())
    }

    #[test]
    fn a_sound_table_is_decoded() {
        let value = DeValue::parse("{ must = 'a', list = [1], number = 3 }").unwrap();
        let table: Table = decode_table("table", value).unwrap();
        assert_eq!(
            (table.must.as_str(), table.number, table.list),
            ("a", Some(3), Some(vec![1]))
        );
    }

    #[test]
    fn all_faults_are_told_in_one_run() {
        assert_eq!(
            faults("{ must = 'a', numbr = 1, list = [1, 'b', 3, 'c'], other = 1 }"),
            [
                told("an entry of `list` is a whole number, not a string", "'b'"),
                told("an entry of `list` is a whole number, not a string", "'c'"),
                told("unknown key `numbr`", "numbr"),
                told("unknown key `other`", "other"),
            ]
        );
    }

    #[test]
    fn a_key_with_a_bad_value_is_not_told_again_as_missing() {
        assert_eq!(
            faults("{ must = 1 }"),
            [told("`must` is a string, not a number", "1")]
        );
        assert_eq!(faults("{ }"), [told("the key `must` is missing", "{ }")]);
    }

    #[test]
    fn a_list_is_no_table() {
        assert_eq!(faults("['a']"), [told("`table` is a table, not a list", "['a']")]);
    }

    #[test]
    fn a_path_leads_to_the_value_or_to_what_should_hold_it() {
        let text = "{ a = [1, { b = 2 }] }";
        let value = DeValue::parse(text).unwrap();
        let words = |path: &[Key]| &text[place(&value, path)];
        assert_eq!(words(&[Key::Name("a"), Key::Index(1), Key::Name("b")]), "2");
        assert_eq!(
            words(&[Key::Name("a"), Key::Index(1), Key::Name("c")]),
            "{ b = 2 }"
        );
        assert_eq!(words(&[Key::Name("a"), Key::Index(7)]), "[1, { b = 2 }]");
        assert_eq!(words(&[Key::Name("z"), Key::Index(7)]), text);
    }
}
