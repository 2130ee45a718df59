//! Steps: a named command, said before it runs, timed, and listed at the end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::workspace;

/// What was done so far, to be listed.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration, End)>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Well,
    Failed,
    /// Failed, and the others can do without it.
    Missed,
}

impl Steps {
    /// Runs one command with our output. Whether it went well.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> bool {
        self.step(name, command, End::Failed)
    }

    /// The same of something that the others can do without: a failure is shown and is none of the whole.
    pub(crate) fn attempt(&mut self, name: &str, command: &mut Command) -> bool {
        self.step(name, command, End::Missed)
    }

    fn step(&mut self, name: &str, command: &mut Command, failure: End) -> bool {
        let words: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        say(&format!(
            "\n== {name}: {} {}",
            command.get_program().to_string_lossy(),
            words.join(" ")
        ));
        let start = Instant::now();
        // Nothing asks questions: there may be nobody to answer.
        let status = command.current_dir(workspace()).stdin(Stdio::null()).status();
        let well = match &status {
            Ok(status) => status.success(),
            Err(error) => {
                say(&format!("{}: {error}", command.get_program().to_string_lossy()));
                false
            }
        };
        let end = if well { End::Well } else { failure };
        self.done.push((name.to_owned(), start.elapsed(), end));
        well
    }

    /// Lists all steps with their times; the error names those that failed.
    pub(crate) fn finish(self) -> Result<(), String> {
        say("");
        for (name, time, end) in &self.done {
            let end = match end {
                End::Well => "ok",
                End::Failed => "FAILED",
                End::Missed => "could not be done",
            };
            say(&format!("{:>6.1} s  {name}: {end}", time.as_secs_f64()));
        }
        let failed = self
            .done
            .iter()
            .filter(|(_, _, end)| *end == End::Failed)
            .map(|(name, ..)| name.as_str());
        let failed: Vec<&str> = failed.collect();
        if failed.is_empty() {
            Ok(())
        } else {
            Err(failed.join(", "))
        }
    }
}

/// Whether a command can be started and succeeds; what it says is nobody's business.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Tells the one who ran us.
#[expect(clippy::print_stdout, reason = "this is the output of a command")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
