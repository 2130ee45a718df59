//! `truehop drop`: looking after a data directory, whether the server runs or not.
//!
//! Invariant: what is told of a file is its tag, never its link: whoever reads a terminal or a log must not be able to
//! collect.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use truehop_drop::DropConfig;
use truehop_drop::upkeep::{self, Progress, UpkeepError};

use crate::args::{BackupArgs, DataArgs, DropCommand};
use crate::config::{Config, data_directory};
use crate::output::say;
use crate::status::{Failure, Status};
use crate::summary;

/// Runs one of the commands.
pub(crate) fn drop(command: &DropCommand) -> Result<Status, Failure> {
    match command {
        DropCommand::Stat(args) => stat(&Place::of(args)?),
        DropCommand::Sweep(args) => sweep(&Place::of(args)?),
        DropCommand::Verify(args) => verify(&Place::of(args)?),
        DropCommand::Backup(args) => backup(&Place::of(&args.data)?, args),
    }
}

/// The directory, and the table `[drop]` by which its files live.
struct Place {
    directory: PathBuf,
    words: DropConfig,
}

impl Place {
    /// The directory that `truehop run` would take with the same arguments.
    fn of(args: &DataArgs) -> Result<Self, Failure> {
        let words = Config::read(args.config.as_deref())?.into_drop()?;
        match data_directory(args.data.clone(), &words) {
            Some(directory) => Ok(Self { directory, words }),
            None => Err(Failure::new(
                Status::DataDirectory,
                "error: this system names no directory for data\nhelp: say which one with --data DIR",
            )),
        }
    }

    fn line(&self, is_running: bool) -> String {
        let state = if is_running {
            "in use by a server that runs"
        } else {
            "no server runs"
        };
        summary::line("data", format_args!("{} ({state})", self.directory.display()))
    }
}

fn stat(place: &Place) -> Result<Status, Failure> {
    let census = upkeep::stat(&place.directory)?;
    let mut lines = vec![place.line(census.is_running)];
    lines.extend(census.states.iter().map(|(state, files, bytes)| {
        let unit = if *files == 1 { "file" } else { "files" };
        // Those of a deleted file are gone: its row only says how many there were.
        let bytes = match *state {
            "deleted" => String::new(),
            _ => format!("{:>12}", size(*bytes)),
        };
        format!("{state:11}{files:>9} {unit:5}{bytes}")
            .trim_end()
            .to_owned()
    }));
    say(lines.join("\n"))?;
    Ok(Status::Done)
}

fn sweep(place: &Place) -> Result<Status, Failure> {
    let swept = upkeep::sweep(&place.words, &place.directory)?;
    let mut lines = vec![place.line(swept.is_running)];
    if swept.is_running {
        lines.push(
            "the server ends and deletes files by itself; only what belongs to no file was looked for"
                .to_owned(),
        );
    } else {
        lines.push(summary::line(
            "ended",
            format_args!("{} files whose time was up", swept.ended),
        ));
        lines.push(summary::line(
            "deleted",
            format_args!("{} files that were over", swept.unlinked),
        ));
    }
    lines.push(summary::line("strays", format_args!("{} removed", swept.strays)));
    say(lines.join("\n"))?;
    Ok(Status::Done)
}

fn verify(place: &Place) -> Result<Status, Failure> {
    let bar = Bar::new("verifying");
    let verified = upkeep::verify(&place.directory, &mut |progress| bar.show(&progress));
    bar.wipe();
    let verified = verified?;
    for difference in &verified.differences {
        say(difference)?;
    }
    let count = verified.differences.len();
    let outcome = match count {
        0 => "ok".to_owned(),
        1 => "1 difference".to_owned(),
        _ => format!("{count} differences"),
    };
    say(format_args!(
        "{} files, {}: {outcome}",
        verified.files,
        size(verified.bytes)
    ))?;
    Ok(if count == 0 {
        Status::Done
    } else {
        Status::Negative
    })
}

fn backup(place: &Place, args: &BackupArgs) -> Result<Status, Failure> {
    let bar = Bar::new("copying");
    let copied = upkeep::backup(&place.directory, &args.to, &mut |progress| bar.show(&progress));
    bar.wipe();
    let copied = copied?;
    say(format_args!(
        "{} files, {}, in {}",
        copied.files,
        size(copied.bytes),
        args.to.display()
    ))?;
    if copied.missing > 0 {
        say(format_args!(
            "{} more were collected or ended while this ran; a server that is started there says that they are lost",
            copied.missing
        ))?;
    }
    Ok(Status::Done)
}

impl From<UpkeepError> for Failure {
    fn from(error: UpkeepError) -> Self {
        let help =
            "help: --data DIR, or data = \"DIR\" in the table [drop], says where the drop keeps its files";
        Self::new(Status::DataDirectory, format!("error: {error}\n{help}"))
    }
}

/// Tells on a terminal how far long work is; a file or a pipe gets nothing of it.
struct Bar(ProgressBar);

impl Bar {
    fn new(what: &'static str) -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target).with_message(what);
        let template = "{msg} {bar:30} {binary_bytes}/{binary_total_bytes}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn show(&self, progress: &Progress) {
        self.0.set_length(progress.total);
        self.0.set_position(progress.done);
    }

    /// Before anything else is said.
    fn wipe(&self) {
        self.0.finish_and_clear();
    }
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_directory_is_the_one_that_run_would_take() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("truehop.toml");
        std::fs::write(
            &config,
            "[drop]\ndata = \"/srv/drop\"\n[[route]]\npath = \"/\"\nto = \"drop\"\n",
        )
        .unwrap();
        let args = |data: Option<&Path>| DataArgs {
            config: Some(config.clone()),
            data: data.map(Path::to_owned),
        };
        assert_eq!(Place::of(&args(None)).unwrap().directory, Path::new("/srv/drop"));
        assert_eq!(
            Place::of(&args(Some(Path::new("/tmp/x")))).unwrap().directory,
            Path::new("/tmp/x")
        );
    }
}
