//! What a config means, in a few calm lines.
//!
//! Invariant: the words say who is believed, also when it is nobody.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::SystemTime;

use truehop::{Date, LintContext, Policy};
use truehop_edge::{ListenAddress, ListenConfig};

use crate::config::Checked;

/// One line, aligned with the others.
pub(crate) fn line(name: &str, value: impl Display) -> String {
    format!("{:9}{value}", format!("{name}:"))
}

/// Who is believed, and what is served where.
pub(crate) fn policy_and_routes(config: &Checked) -> impl Iterator<Item = String> {
    let clients = line("clients", trust(config.client()));
    let routes = config.routes().iter().map(|route| line("route", route));
    std::iter::once(clients).chain(routes)
}

/// The listener for operators.
pub(crate) fn admin(listen: SocketAddr) -> String {
    line("admin", format_args!("http://{listen}"))
}

/// A listener as the URL that reaches it.
pub(crate) fn listener(listen: &ListenConfig) -> String {
    let address = &listen.address;
    match (address, &listen.tls) {
        (ListenAddress::Tcp(_), None) => format!("http://{address}"),
        (ListenAddress::Tcp(_), Some(_)) => format!("https://{address}"),
        (ListenAddress::Unix(_), _) => address.to_string(),
    }
}

/// The snapshots that the policy trusts with their age, and what is risky about it.
pub(crate) fn notes(config: &Checked) -> impl Iterator<Item = String> {
    let policy = config.client();
    let today = Date::from(SystemTime::now());
    let sets = policy.named_sets().filter_map(move |set| {
        let (taken, age) = (set.taken()?, set.age_in_days(today)?);
        Some(line(
            "set",
            format_args!("{}, taken {taken}, {age} days ago", set.name()),
        ))
    });
    let public = config.listen().iter().any(|listen| match &listen.address {
        ListenAddress::Tcp(address) => !address.ip().is_loopback(),
        ListenAddress::Unix(_) => false,
    });
    let lints = policy.lint_in(&LintContext::new().public_listener(public).today(today));
    sets.chain(lints.into_iter().map(|lint| line("note", lint)))
}

fn trust(policy: &Policy) -> String {
    match policy.reads().is_some() || policy.reads_proxy_protocol() {
        false => "from the socket; no header is believed".to_owned(),
        true => policy.to_string(),
    }
}
