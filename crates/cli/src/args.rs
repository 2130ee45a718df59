//! The command line.
//!
//! Invariant: arguments are parsed to the types that the commands work with; a command never sees an unchecked text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use truehop::Peer;
use truehop_edge::ListenConfig;

use crate::probe::{self, ProbeArgs};
use crate::status::Status;

const EXAMPLES: &str = "\
Examples:
  truehop                                      everything on http://127.0.0.1:8080
  truehop run --listen 0.0.0.0:80 --data /srv  the same for everybody, files under /srv
  truehop check --config truehop.toml          is the config right? starts nothing
  truehop explain --peer 127.0.0.1:4000 --header 'X-Real-IP: 203.0.113.9'
                                               who is the client of such a request, and why?
  truehop probe http://127.0.0.1:8080/whoami   is anybody believed there who claims to be somebody else?
  truehop drop verify                          does the disk hold what the catalog says?

Without --config, ./truehop.toml is read if it is there.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  truehop explain --peer 192.168.0.20:51312 \\
      --header 'X-Forwarded-For: 203.0.113.95, 192.168.0.10' \\
      --policy 'from = \"x-forwarded-for\", trusted = [\"192.168.0.0/24\"]'
  truehop explain --peer unix --header 'X-Real-IP: 203.0.113.9' --json \\
      --policy 'from = \"header\", header = \"X-Real-IP\", trusted = [\"unix\"]'
  truehop explain --batch < cases.jsonl

Without --policy the [client] table of the config file is used; without one the peer is the client.";

const DROP_EXAMPLES: &str = "\
Examples:
  truehop drop stat                            how many files there are, by state
  truehop drop verify --data /var/lib/truehop  does the disk hold what the catalog says?
  truehop drop backup /backup/truehop-monday   catalog and files, while the server runs
  truehop run --data /backup/truehop-monday    and back";

// One line a paragraph: how wide the terminal is, clap knows.
const RUN_NOTES: &str = "\
Standard output has the summary and a line for each request; standard error has what went wrong, and warnings of a \
proxy that the [client] table does not know. No environment variable changes what is logged.";

const CHECK_NOTES: &str = "\
It looks at the file and at what the file names: directories and certificates must be readable. It does not look \
whether the ports are free, whether the data directory can be made or written, or whether another truehop has locked \
it; `run` finds that out before it serves.";

/// Reverse proxy, static files and a file drop that know who their clients really are.
#[derive(Debug, Parser)]
#[command(
    name = "truehop",
    version,
    args_conflicts_with_subcommands = true,
    after_help = format!("{EXAMPLES}\n\n{}", Status::HELP),
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// `truehop` alone means `truehop run`.
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGTERM or SIGINT; the default.
    #[command(after_help = format!("{RUN_NOTES}\n\n{}", Status::HELP))]
    Run(RunArgs),
    /// Check the config file as `run` would; starts, binds and makes nothing.
    #[command(after_help = format!("{CHECK_NOTES}\n\n{}", Status::HELP))]
    Check(CheckArgs),
    /// Show who the client of a request is, hop by hop.
    #[command(after_help = format!("{EXPLAIN_EXAMPLES}\n\n{}", Status::HELP))]
    Explain(ExplainArgs),
    /// Try at a deployment whether anybody is believed who claims to be somebody else.
    ///
    /// Asks honestly whom the deployment takes us for, then sends some two hundred requests that claim otherwise, one
    /// connection each, and tells which were believed and what to write against it. Whoever is neither on this machine
    /// nor in a private network is probed only after a question.
    #[command(after_long_help = format!("{}\n\n{}", probe::HELP, Status::HELP))]
    Probe(ProbeArgs),
    /// Print what to write into a proxy's configuration, and the policy that fits it.
    Recipe(RecipeArgs),
    /// Look after the drop's data directory, whether a server runs on it or not.
    #[command(after_help = format!("{DROP_EXAMPLES}\n\n{}", Status::HELP))]
    Drop {
        #[command(subcommand)]
        command: DropCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DropCommand {
    /// Count the files by their state.
    Stat(DataArgs),
    /// End files whose time is up, delete what is over, and remove what belongs to no file.
    ///
    /// A server that runs does the first two by itself; then only the last is done.
    Sweep(DataArgs),
    /// Check every row against the disk, and every file against its SHA-256. Exit status 1 if anything differs.
    Verify(DataArgs),
    /// Copy catalog and files to a new directory, also while a server runs.
    ///
    /// A server that is started on the copy goes on from there: what was delivered since can be collected from it again.
    Backup(BackupArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DataArgs {
    /// The config file; ./truehop.toml if it is there, else built-in defaults.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the drop keeps its files, instead of what the config says.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// The directory to make; it must not be there, or be empty.
    #[arg(value_name = "TO")]
    pub(crate) to: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The config file; ./truehop.toml if it is there, else built-in defaults.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Listen here instead of where the config says: IP:PORT, [IPV6]:PORT or unix:/PATH. May be repeated.
    #[arg(long, value_name = "ADDR", value_parser = ListenConfig::parse)]
    pub(crate) listen: Vec<ListenConfig>,
    /// Where the drop keeps its files, instead of what the config says; needs a route to the drop.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Log Truehop's own steps, too, to standard error. Warnings and errors are always there.
    #[arg(long)]
    pub(crate) verbose: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// The config file; ./truehop.toml if it is there, else built-in defaults.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct RecipeArgs {
    /// The recipe's name; without it all names are listed.
    pub(crate) name: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// The other end of the socket: IP:PORT, [IPV6]:PORT or unix.
    #[arg(long, required_unless_present = "batch")]
    pub(crate) peer: Option<Peer>,
    /// A header of the request, in wire order; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// The PROXY header (version 1) in front of the connection, for a policy with the step proxy-protocol.
    #[arg(long, value_name = "LINE", value_parser = preface)]
    pub(crate) preface: Option<String>,
    /// The policy, in the words of the table [client].
    #[arg(long, value_name = "TOML", conflicts_with = "config")]
    pub(crate) policy: Option<String>,
    /// The config file whose [client] table is the policy.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write JSON instead of a ladder.
    #[arg(long)]
    pub(crate) json: bool,
    /// Read cases from standard input, one JSON object a line, and answer each with one line.
    #[arg(long, conflicts_with_all = ["peer", "headers", "preface", "policy", "config", "json"])]
    pub(crate) batch: bool,
}

/// A line without its end, which cannot be typed.
fn preface(line: &str) -> Result<String, String> {
    Ok(format!("{}\r\n", line.trim_end()))
}

/// Splits `Name: value`, with the blanks around the value cut off (RFC 9112 section 5).
fn header(line: &str) -> Result<(String, String), String> {
    // RFC 9110 section 5.6.2: a field name is a token.
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    match line.split_once(':') {
        Some((name, value)) if !name.is_empty() && name.bytes().all(token) => {
            Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
        }
        _ => Err("write it as 'Name: value', such as 'X-Real-IP: 203.0.113.9'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn refused(args: &[&str]) -> ErrorKind {
        Cli::try_parse_from(args).unwrap_err().kind()
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn truehop_alone_is_truehop_run_with_the_same_options() {
        let alone =
            Cli::try_parse_from(["truehop", "--listen", "127.0.0.1:0", "--listen", "unix:/run/a"]).unwrap();
        assert!(alone.command.is_none());
        assert_eq!(alone.run.listen.len(), 2);

        let run = Cli::try_parse_from(["truehop", "run", "--data", "/srv/drop"]).unwrap();
        let Some(Command::Run(args)) = run.command else {
            panic!("not run");
        };
        assert_eq!(args.data, Some(PathBuf::from("/srv/drop")));
    }

    #[test]
    fn headers_are_split_at_the_first_colon() {
        assert_eq!(header("X-Real-IP:\t::1 "), Ok(("X-Real-IP".into(), "::1".into())));
        assert_eq!(header("X-Real-IP:"), Ok(("X-Real-IP".into(), String::new())));
        for line in ["X-Real-IP", ": 1.2.3.4", "X Real IP: 1.2.3.4", ""] {
            assert!(header(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        assert_eq!(
            refused(&["truehop", "explain"]),
            ErrorKind::MissingRequiredArgument
        );
        for option in [
            &["--peer", "unix"][..],
            &["--header", "A: b"],
            &["--policy", ""],
            &["--json"],
        ] {
            let args = [&["truehop", "explain", "--batch"], option].concat();
            assert_eq!(refused(&args), ErrorKind::ArgumentConflict, "{args:?}");
        }
        assert_eq!(
            refused(&[
                "truehop", "explain", "--peer", "unix", "--policy", "", "--config", "a"
            ]),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(
            refused(&["truehop", "run", "--listen", "8080"]),
            ErrorKind::ValueValidation
        );
        assert_eq!(
            refused(&["truehop", "explain", "--peer", "localhost"]),
            ErrorKind::ValueValidation
        );
    }
}
