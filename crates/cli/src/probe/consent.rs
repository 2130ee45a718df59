//! The question before somebody is probed who might mind.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::SocketAddr;

use super::ProbeArgs;
use super::target::is_near;
use crate::status::{Failure, Status};

/// Asks, unless all addresses are near or `--yes` was said. Without a terminal nobody can answer, and that is a no.
pub(super) fn ask(args: &ProbeArgs, addresses: &[SocketAddr], forgeries: usize) -> Result<(), Failure> {
    let Some(far) = addresses.iter().find(|address| !is_near(address.ip())) else {
        return Ok(());
    };
    if args.yes {
        return Ok(());
    }
    let (host, ip) = (&args.url.host, far.ip());
    let is_named = host.parse().is_ok_and(|named: std::net::IpAddr| named == ip);
    let whom = match is_named {
        true => host.clone(),
        false => format!("{host} ({ip})"),
    };
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        let mut stderr = io::stderr().lock();
        write!(
            stderr,
            "This sends {forgeries} forged requests or more to {whom}, {} a second.\n\
             Go on only if it is yours, or if who runs it has agreed.\nGo on? [y/N] ",
            args.rate
        )?;
        stderr.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        return Err(Failure::new(Status::Usage, "nothing was sent"));
    }
    Err(Failure::new(
        Status::Usage,
        format!(
            "error: {whom} is neither of this machine nor private, so somebody must agree first; nothing was sent\n\
             help: if it is yours, or if who runs it has agreed, say so with --yes"
        ),
    ))
}
