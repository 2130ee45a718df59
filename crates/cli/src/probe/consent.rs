//! The question before somebody is probed who might mind.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::SocketAddr;

use super::ProbeArgs;
use super::extent::Extent;
use super::target::is_near;
use crate::status::{Failure, Status};

/// Asks, unless all addresses are near or `--yes` was said. Without a terminal nobody can answer, and that is a no.
pub(super) fn ask(args: &ProbeArgs, addresses: &[SocketAddr], extent: Extent) -> Result<(), Failure> {
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
            "{}\nGo on only if it is yours, or if who runs it has agreed.\nGo on? [y/N] ",
            sent(extent, &whom, args)
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
             note: {}\nhelp: if it is yours, or if who runs it has agreed, say so with --yes",
            sent(extent, &whom, args)
        ),
    ))
}

/// What somebody agrees to.
fn sent(extent: Extent, whom: &str, args: &ProbeArgs) -> String {
    let Extent { forged, usual, most } = extent;
    let half = if args.url.is_tls {
        " (about half of that unless HTTP/2 is spoken there)"
    } else {
        ""
    };
    format!(
        "This sends {usual} requests to {whom}, {forged} of them forged, {} a second{half}; at most {most}, where they are \
         turned away, fail, or are to be sent more slowly.",
        args.rate
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        probe: ProbeArgs,
    }

    #[test]
    fn the_question_says_how_much_is_sent() {
        let extent = Extent {
            forged: 10,
            usual: 14,
            most: 99,
        };
        for (url, told) in [
            (
                "http://a.example/w",
                "This sends 14 requests to a, 10 of them forged, 5 a second; at most 99, where",
            ),
            (
                "https://a.example/w",
                "This sends 14 requests to a, 10 of them forged, 5 a second (about half of that unless HTTP/2 is spoken there); \
                 at most 99, where",
            ),
        ] {
            let args = Line::parse_from(["probe", url, "--rate", "5"]).probe;
            let sent = sent(extent, "a", &args);
            assert!(sent.starts_with(told), "{sent}");
        }
    }
}
