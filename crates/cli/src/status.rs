//! Exit statuses, after `sysexits.h`, and failures that lead to them.
//!
//! Invariant: a status has one meaning, the one that `truehop --help` prints.

use std::io;
use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Status {
    /// All went well.
    Done = 0,
    /// The answer is no: `explain` found no client, a batch held a line that is no case, `drop verify` found a
    /// difference, or `probe` a forgery that was believed or broke something, or everybody taken for a proxy.
    Negative = 1,
    /// The command line cannot be understood (`EX_USAGE`).
    Usage = 64,
    /// An address to listen on is taken, or a deployment cannot be probed (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// A part of the server that should never end did (`EX_SOFTWARE`).
    Software = 70,
    /// The operating system refused a thread or a signal handler (`EX_OSERR`).
    System = 71,
    /// The data directory cannot be used (`EX_CANTCREAT`).
    DataDirectory = 73,
    /// The input cannot be read or the output not be written (`EX_IOERR`).
    InputOutput = 74,
    /// The config file or a policy is wrong (`EX_CONFIG`).
    Config = 78,
    /// Stopped by SIGINT or SIGTERM before it was done, as shells tell it.
    Stopped = 130,
}

impl Status {
    /// The statuses as `--help` prints them.
    pub(crate) const HELP: &'static str = "\
Exit status:
    0  all went well
    1  explain found no client, or a line of --batch is no case; drop verify found a difference; probe
       found a forgery that was believed or broke something, or everybody taken for a proxy
   64  the command line cannot be understood, or asks for what the config does not have or nobody agreed to
   69  an address to listen on is taken or not ours; what is to be probed does not answer as it must
   70  a part of the server ended by itself; the log says more
   71  the operating system refused a thread or a signal handler
   73  the data directory cannot be used
   74  input cannot be read or output not be written
   78  the config file or the policy is wrong
  130  stopped by a second signal before requests were finished; of probe, by the first";
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why a command failed: what is said on standard error, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

/// Standard input or output failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(
            Status::InputOutput,
            format!("error: input or output failed: {error}"),
        )
    }
}
