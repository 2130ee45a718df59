//! `truehop check`: is the config right?
//!
//! Invariant: the same path as `truehop run` up to opening and binding, so a file that passes here is refused there for
//! no fault of its own. What belongs to the machine and to the moment is not looked at: whether the ports are free,
//! whether the data directory can be used, and whether another instance holds its lock.

use crate::args::CheckArgs;
use crate::config::Config;
use crate::output::say;
use crate::status::{Failure, Status};
use crate::summary;

/// Checks the config file and shows what it says, and what is risky about it.
pub(crate) fn check(args: &CheckArgs) -> Result<Status, Failure> {
    let config = Config::read(args.config.as_deref())?.check()?;
    let listeners: Vec<String> = config.listen().iter().map(summary::listener).collect();
    let mut lines = vec![format!("{}: ok", config.name())];
    lines.extend(listeners.iter().map(|url| summary::line("listen", url)));
    lines.extend(summary::policy_and_routes(&config));
    lines.extend(config.admin().map(|admin| summary::admin(admin.listen)));
    lines.extend(summary::notes(&config));
    say(lines.join("\n"))?;
    Ok(Status::Done)
}
