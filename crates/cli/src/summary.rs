//! What a config means, in a few calm lines.
//!
//! Invariant: the words say who is believed, also when it is nobody.

use std::fmt::Display;
use std::net::SocketAddr;

use truehop::Policy;
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

fn trust(policy: &Policy) -> String {
    match policy.reads() {
        None => "from the socket; no header is believed".to_owned(),
        Some(_) => policy.to_string(),
    }
}
