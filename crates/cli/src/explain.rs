//! `truehop explain`: who is the client of a request, and why?
//!
//! Invariant: the answer comes from the same policy that `run` would use; nothing is bound or opened.

mod batch;

use std::io;

use truehop::Peer;

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
    let explanation = policy.explain(peer, &args.headers[..]);
    match args.json {
        true => say(serde_json::to_string(&explanation).map_err(io::Error::from)?)?,
        false => say(&explanation)?,
    }
    Ok(match explanation.outcome() {
        Ok(_) => Status::Done,
        Err(_) => Status::Unresolved,
    })
}
