//! The binary `truehop`: commands, config file, wiring.
//!
//! The edge and the drop do the work and never know each other; this crate reads the config file, mounts the one on
//! the other and tells people what happens.
//!
//! Invariant: whatever is wrong with the config file is told before a port is bound or a directory is made.

#![forbid(unsafe_code)]

mod args;
mod check;
mod config;
mod drop;
mod explain;
mod output;
mod probe;
mod recipe;
mod reload;
mod run;
mod status;
mod summary;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::status::Status;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap, too. A closed pipe leaves nobody to tell.
            let _ = error.print();
            return if error.use_stderr() {
                Status::Usage
            } else {
                Status::Done
            }
            .into();
        }
    };
    let outcome = match cli.command {
        None => run::run(cli.run),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Explain(args)) => explain::explain(args),
        Some(Command::Probe(args)) => probe::probe(&args),
        Some(Command::Recipe(args)) => recipe::recipe(&args),
        Some(Command::Drop { command }) => drop::drop(&command),
    };
    match outcome {
        Ok(status) => status.into(),
        Err(failure) => {
            output::complain(&failure.message);
            failure.status.into()
        }
    }
}
