//! `truehop explain`: who is the client of a request, and why?
//!
//! Invariant: the answer comes from the same policy that `run` would use; nothing is bound or opened.

mod batch;

use std::io;

use truehop::proxy_protocol::{Progress, RefusedPreface};
use truehop::{Arrival, Peer, Policy, Unresolved};

use crate::args::ExplainArgs;
use crate::config::{Config, inline_policy};
use crate::output::{quiet_when_closed, say};
use crate::status::{Failure, Status};

/// Explains one request, or a batch of cases.
pub(crate) fn explain(args: ExplainArgs) -> Result<Status, Failure> {
    if args.batch {
        let mut status = Status::Done;
        quiet_when_closed(
            batch::answer_all(io::stdin().lock(), io::stdout().lock()).map(|outcome| status = outcome),
        )?;
        return Ok(status);
    }
    let policy = match &args.policy {
        Some(text) => inline_policy(text)?,
        None => Config::read(args.config.as_deref())?.policy()?,
    };
    // clap asks for --peer unless --batch is there; without a socket there is no address.
    let peer = args.peer.unwrap_or(Peer::UNIX);
    let arrival = match arrive(
        &policy,
        peer,
        args.preface.as_deref().unwrap_or_default().as_bytes(),
    ) {
        Ok(arrival) => arrival,
        Err(reason) => {
            let text = format!("error: {}: {reason}", reason.code());
            let help = "help: --preface 'PROXY TCP4 203.0.113.9 192.0.2.1 50000 443' gives the PROXY header";
            return Err(Failure::new(Status::Negative, format!("{text}\n{help}")));
        }
    };
    let explanation = policy.explain(arrival, &args.headers[..]);
    match args.json {
        true => say(serde_json::to_string(&explanation).map_err(io::Error::from)?)?,
        false => say(&explanation)?,
    }
    Ok(match explanation.outcome() {
        Ok(_) => Status::Done,
        Err(_) => Status::Negative,
    })
}

/// Reads the start of a connection as the edge does; the end of `wire` is the end of the connection.
fn arrive(policy: &Policy, peer: Peer, wire: &[u8]) -> Result<Arrival, Unresolved> {
    let Some(preface) = policy.preface(peer).map_err(RefusedPreface::reason)? else {
        return Ok(peer.into());
    };
    // A peer that must speak plainly begins with its request, which is not part of what is asked here.
    let wire = if wire.is_empty() && !preface.is_required() {
        b"GET "
    } else {
        wire
    };
    match preface.feed(wire).map_err(RefusedPreface::reason)? {
        Progress::Done { arrival, .. } => Ok(arrival),
        Progress::NeedMore(_) => Err(Unresolved::BadProxyHeader),
    }
}
