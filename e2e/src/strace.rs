//! What a process asked of its kernel, in order, as strace saw it.
//!
//! strace stops a thread before each call and after it, and tells of one stop at a time. So when it told of the end of one
//! call before the beginning of another, the one was over before the other began.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::peers::find;
use crate::truehop::binary;
use crate::{Home, Truehop, eventually};

/// The calls by which bytes and names come to a disk or to a client, and those by which requests come.
const CALLS: &str = "trace=openat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,write,writev,\
                     pwrite64,pwritev,ftruncate,recvfrom,recvmsg,read,readv,sendto,sendmsg,sendfile,splice";

/// A process under the eyes of strace.
#[derive(Debug)]
pub struct Traced {
    truehop: Truehop,
    file: PathBuf,
    _dir: TempDir,
}

/// What it did, in the order of the beginnings.
#[derive(Debug)]
pub struct Trace(Vec<Call>);

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments as strace writes them, file descriptors with what they are: `5</data/x>`,
    /// `7<TCP:[127.0.0.1:80->127.0.0.2:4000]>`.
    pub arguments: String,
    /// What it returned.
    pub result: i64,
    /// When it began, counted in lines.
    pub begun: usize,
    /// When it was over.
    pub ended: usize,
}

impl Traced {
    /// Starts the built binary under strace, in a new home.
    ///
    /// # Panics
    /// When strace is missing.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("trace");
        let mut command = Command::new(find("strace").expect("the test asked whether strace is missing"));
        // As a grandchild: the process is our child, and hears our signals.
        command
            .args(["-D", "-f", "-yy", "-s", "80", "-e", CALLS, "-o"])
            .arg(&file);
        command.arg(binary().get_program()).env("NO_COLOR", "1");
        Self {
            truehop: Truehop::start_by(command, Home::new(), config),
            file,
            _dir: dir,
        }
    }

    /// The process.
    pub fn truehop(&self) -> &Truehop {
        &self.truehop
    }

    /// Ends the process and tells what it did.
    #[track_caller]
    pub fn stop(self) -> Trace {
        let process = self.truehop.id();
        let (exit, _home) = self.truehop.stop();
        assert_eq!(exit.status, Some(0), "{exit:#?}");
        let process = process.to_string();
        // The number is padded to five places.
        let is_end = |line: &str| {
            line.strip_prefix(process.as_str())
                .is_some_and(|rest| rest.trim_start() == "+++ exited with 0 +++")
        };
        let text = eventually("the end of the trace", || {
            let text = fs::read(&self.file).unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().any(is_end).then_some(text)
        });
        Trace::read(&text)
    }
}

impl Trace {
    fn read(text: &str) -> Self {
        let mut calls: Vec<Call> = Vec::new();
        // Threads whose call has begun and is not over, with the place of that call.
        let mut open: Vec<(&str, usize)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let Some((thread, told)) = line.split_once(' ') else {
                continue;
            };
            let told = told.trim_start();
            if let Some(rest) = told.strip_prefix("<... ") {
                let Some(place) = open.iter().position(|(of, _)| *of == thread) else {
                    continue;
                };
                let call = &mut calls[open.swap_remove(place).1];
                let rest = rest.split_once(" resumed>").map_or(rest, |(_, rest)| rest);
                let (arguments, result) = ended(rest);
                call.arguments.push_str(arguments);
                (call.result, call.ended) = (result, at);
            } else if let Some((name, rest)) = told.split_once('(').filter(|(name, _)| is_name(name)) {
                let unfinished = rest.strip_suffix(" <unfinished ...>");
                let (arguments, result) = unfinished.map_or_else(|| ended(rest), |arguments| (arguments, 0));
                if unfinished.is_some() {
                    open.push((thread, calls.len()));
                }
                calls.push(Call {
                    name: name.to_owned(),
                    arguments: arguments.to_owned(),
                    result,
                    begun: at,
                    // One that never returned is over at no time.
                    ended: if unfinished.is_some() { usize::MAX } else { at },
                });
            }
        }
        Self(calls)
    }

    /// All calls that succeeded, in order.
    pub fn calls(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.0.iter().filter(|call| call.result >= 0)
    }

    /// The first call that succeeded of which this is true.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn first(&self, what: &str, is: impl Fn(&Call) -> bool) -> &Call {
        self.calls()
            .find(|call| is(call))
            .unwrap_or_else(|| panic!("no {what} in the trace"))
    }
}

impl Call {
    /// Whether it makes a file or a directory durable.
    pub fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync")
    }

    /// Whether it makes bytes of a file, or hands bytes to a socket.
    pub fn is_write(&self) -> bool {
        matches!(
            self.name.as_str(),
            "write" | "writev" | "pwrite64" | "pwritev" | "sendto" | "sendmsg" | "sendfile" | "splice"
        )
    }

    /// Whether it takes bytes.
    pub fn is_read(&self) -> bool {
        matches!(self.name.as_str(), "recvfrom" | "recvmsg" | "read" | "readv")
    }

    /// Whether its first file descriptor is this path.
    pub fn is_on(&self, path: &Path) -> bool {
        self.subject() == path.to_str()
    }

    /// What its first file descriptor is: a path, or a socket as `TCP:[...]`.
    pub fn subject(&self) -> Option<&str> {
        let (number, rest) = self.arguments.split_once('<')?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // A socket's words have an arrow in them.
        let end = if rest.starts_with("TCP:[") {
            rest.find("]>")? + 1
        } else {
            rest.find('>')?
        };
        Some(&rest[..end])
    }

    /// The paths that it names, whole.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut rest = self.arguments.as_str();
        while let Some((before, after)) = rest.split_once('"') {
            let Some((path, after)) = after.split_once('"') else {
                break;
            };
            let directory = before
                .rsplit_once('<')
                .and_then(|(_, directory)| directory.split('>').next());
            paths.push(Path::new(directory.unwrap_or_default()).join(path));
            rest = after;
        }
        paths
    }
}

/// The arguments and the result at the end of a call.
fn ended(rest: &str) -> (&str, i64) {
    let Some((arguments, result)) = rest.rsplit_once(" = ") else {
        return (rest, -1);
    };
    let result = result
        .split([' ', '<'])
        .next()
        .and_then(|result| result.parse().ok());
    (arguments.trim_end().trim_end_matches(')'), result.unwrap_or(-1))
}

fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_put_together() {
        let trace = Trace::read(
            "7 fsync(25</data/incoming/a>)     = 0\n\
             8 sendto(9<TCP:[127.0.0.1:80->127.0.0.2:90]>, \"HTTP/1.1 201 = x\", 25, 0 <unfinished ...>\n\
             7 renameat(5</data/incoming>, \"a\", 6</data/files>, \"b\") = 0\n\
             8 <... sendto resumed>, NULL, 0) = 25\n\
             8 unlink(\"/x\") = -1 ENOENT (No such file or directory)\n\
             8 +++ exited with 0 +++\n",
        );
        let calls: Vec<&Call> = trace.calls().collect();
        assert_eq!(calls.len(), 3);
        assert!(calls[0].is_sync() && calls[0].is_on(Path::new("/data/incoming/a")));
        assert_eq!((calls[1].result, calls[1].begun, calls[1].ended), (25, 1, 3));
        assert_eq!(calls[1].subject(), Some("TCP:[127.0.0.1:80->127.0.0.2:90]"));
        assert_eq!(
            calls[2].paths(),
            [Path::new("/data/incoming/a"), Path::new("/data/files/b")]
        );
    }
}
