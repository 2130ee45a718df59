//! The policy, from the table `[client]` or from the command line.
//!
//! Invariant: whoever writes `client` must write `from`; nothing is guessed from the other keys.

use std::fs;

use toml::Spanned;
use toml::de::DeValue;
use truehop::{Policy, PolicyConfig};
use truehop_edge::Key;

use super::fault::{Fault, Faults};
use super::hint::METHODS;
use super::section::{decode_table, kind, place};
use super::{document, syntax_fault};

/// The policy of the value `client`: one table, or a list of steps.
///
/// Rules `file:NAME` are read by `load`.
pub(super) fn policy(
    value: Spanned<DeValue<'_>>,
    load: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Policy, Vec<Fault>> {
    let span = value.span();
    let steps = match value.get_ref() {
        DeValue::Array(steps) => steps.iter().cloned().collect(),
        DeValue::Table(_) => vec![value],
        other => {
            return Err(vec![Fault {
                problem: format!("`client` is a table, not {}", kind(other)),
                label: "not a table".to_owned(),
                help: format!("write the line [client] and below it from = {METHODS}"),
                span: Some(span),
            }]);
        }
    };
    let (mut faults, mut words) = (Vec::new(), Vec::new());
    for value in &steps {
        match decode(value.clone()) {
            Ok(step) => words.push(step),
            Err(more) => faults.extend(more),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    PolicyConfig::build_steps_with(words, load).map_err(|bad| {
        let mut path = vec![Key::Name(bad.key)];
        path.extend(bad.index.map(Key::Index));
        // Without a step at fault there was none at all.
        let at = bad
            .step
            .and_then(|step| steps.get(step))
            .map(|value| place(value, &path));
        vec![Fault {
            problem: bad.problem,
            label: "here".to_owned(),
            help: bad.help,
            span: at.or(Some(span)),
        }]
    })
}

fn decode(value: Spanned<DeValue<'_>>) -> Result<PolicyConfig, Vec<Fault>> {
    decode_table("client", value).map_err(|mut faults| {
        for fault in &mut faults {
            if fault.problem == "the key `from` is missing" {
                fault.help = format!("say how clients' addresses are learnt: from = {METHODS}");
            }
        }
        faults
    })
}

/// The policy of `--policy`: the lines of a `[client]` table, the same between commas, or a whole inline table.
pub(crate) fn inline_policy(text: &str) -> Result<Policy, Faults> {
    const NAME: &str = "--policy";
    let load = |name: &str| fs::read_to_string(name).map_err(|error| error.to_string());
    let told = |text: &str, faults| Faults::new(NAME, text, faults);

    let syntax = match document(text) {
        Ok(table) => {
            let value = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
            return policy(value, &load).map_err(|faults| told(text, faults));
        }
        Err(syntax) => syntax,
    };
    if text.trim_start().starts_with(['{', '[']) {
        return match DeValue::parse(text.trim()) {
            Ok(value) => policy(value, &load).map_err(|faults| told(text.trim(), faults)),
            Err(error) => Err(told(text.trim(), vec![syntax_fault(&error)])),
        };
    }
    let braced = format!("{{ {text} }}");
    match DeValue::parse(&braced) {
        Ok(value) => policy(value, &load).map_err(|faults| told(&braced, faults)),
        // Commas tell that an inline table was meant; but a list has commas, too.
        Err(_) => Err(told(text, syntax)),
    }
}
