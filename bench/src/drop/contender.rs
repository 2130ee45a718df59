//! Who is compared: how each is configured, how it takes a file, and what it does and does not do.
//!
//! Each has the configuration that was found cheapest for it among those that do the same work: no access log, one
//! worker where that can be said. What else was tried stands where it was left out.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use truehop_bench::message::Message;

use crate::answer::Answer;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Contender {
    Ours,
    Nginx,
    Dufs,
    Miniserve,
    Rustypaste,
    Copyparty,
}

pub const ALL: [Contender; 6] = [
    Contender::Ours,
    Contender::Nginx,
    Contender::Dufs,
    Contender::Miniserve,
    Contender::Rustypaste,
    Contender::Copyparty,
];

/// What goes around a file in a form.
const BOUNDARY: &str = "----truehop-bench-7d1f0c5a";

/// Where everything is during one turn.
pub struct Place<'a> {
    /// For configs, logs and the like.
    pub directory: &'a Path,
    /// For what is uploaded.
    pub data: &'a Path,
    /// Where the clients connect.
    pub front: SocketAddr,
}

/// How a program is started.
pub struct Start {
    pub arguments: Vec<OsString>,
    pub environment: Vec<(&'static str, PathBuf)>,
}

/// A file that was uploaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Where its bytes are.
    pub path: String,
    /// What makes its owner known, where there is such a thing.
    pub owner: Option<String>,
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "truehop",
            Self::Nginx => "nginx",
            Self::Dufs => "dufs",
            Self::Miniserve => "miniserve",
            Self::Rustypaste => "rustypaste",
            Self::Copyparty => "copyparty",
        }
    }

    /// The variable that names its program.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Ours => "TRUEHOP_BINARY",
            Self::Nginx => "TRUEHOP_NGINX",
            Self::Dufs => "TRUEHOP_DUFS",
            Self::Miniserve => "TRUEHOP_MINISERVE",
            Self::Rustypaste => "TRUEHOP_RUSTYPASTE",
            Self::Copyparty => "TRUEHOP_COPYPARTY",
        }
    }

    /// What must be known to read its figures.
    pub fn remark(self) -> &'static str {
        match self {
            Self::Ours => {
                "hashes every upload (SHA-256), writes its rows with `synchronous=FULL` (those of several at once in one \
                 transaction), and answers when file, name and row are on the disk (fsync); large uploads go past the \
                 page cache (`O_DIRECT`), so their bytes are on the disk when the client is done and not some time after; \
                 a recipient's download takes a lease, waits for the kernel's word that every byte was acknowledged, \
                 writes the receipt and unlinks the file. `workers = 1`, no access log"
            }
            Self::Nginx => {
                "`PUT` by its WebDAV module: the body goes to a temporary file, which is renamed; no hash, no fsync, no \
                 owner, nothing is ever deleted. Downloads by `sendfile`"
            }
            Self::Dufs => {
                "`PUT` straight to the final name: a broken upload is left there; no hash, no fsync"
            }
            Self::Miniserve => {
                "a form (multipart) to a temporary file in the same directory, which is renamed; no hash asked for, no \
                 fsync"
            }
            Self::Rustypaste => {
                "a form (multipart), held in memory as a whole and then written; no hash (`duplicate_files = true`), \
                 no fsync"
            }
            Self::Copyparty => {
                "`PUT`; hashes every upload (SHA-512, its default), no fsync; CPython. Its index of files is off, as \
                 by default"
            }
        }
    }

    /// Writes its config, if it has one.
    pub fn prepare(self, place: &Place) -> Result<Start, String> {
        let write = |name: &str, text: String| {
            let file = place.directory.join(name);
            fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok::<_, String>(file)
        };
        let word = |text: &str| OsString::from(text);
        let (ip, port) = (
            place.front.ip().to_string().into(),
            place.front.port().to_string().into(),
        );
        let data = place.data.as_os_str().to_owned();
        let mut environment = Vec::new();
        let arguments = match self {
            Self::Ours => vec![
                word("run"),
                word("--config"),
                write("truehop.toml", ours(place))?.into(),
            ],
            Self::Nginx => {
                let config = write("nginx.conf", nginx(place))?;
                vec![word("-p"), place.directory.into(), word("-c"), config.into()]
            }
            // An empty format is no access log.
            Self::Dufs => vec![
                word("--bind"),
                ip,
                word("--port"),
                port,
                word("--allow-upload"),
                word("--log-format"),
                word(""),
                data,
            ],
            Self::Miniserve => vec![
                word("--interfaces"),
                ip,
                word("--port"),
                port,
                word("--upload-files"),
                // Otherwise in /tmp, from where a rename may be a copy.
                word("--temp-directory"),
                data.clone(),
                word("--"),
                data,
            ],
            Self::Rustypaste => {
                environment.push(("CONFIG", write("rustypaste.toml", rustypaste(place))?));
                Vec::new()
            }
            Self::Copyparty => {
                // It keeps its own state there.
                environment.push(("HOME", place.directory.to_owned()));
                environment.push(("XDG_CONFIG_HOME", place.directory.to_owned()));
                let mut volume = data;
                volume.push("::rw");
                vec![
                    word("-q"),
                    word("-i"),
                    ip,
                    word("-p"),
                    port,
                    word("--http-only"),
                    word("-v"),
                    volume,
                ]
            }
        };
        Ok(Start {
            arguments,
            environment,
        })
    }

    /// The request that uploads a file of so many bytes.
    pub fn upload(self, front: SocketAddr, name: &str, length: u64) -> Message {
        let target = match self {
            Self::Ours | Self::Nginx | Self::Dufs | Self::Copyparty => {
                let head =
                    format!("PUT /{name} HTTP/1.1\r\nHost: {front}\r\nContent-Length: {length}\r\n\r\n");
                return Message::new(head, length);
            }
            Self::Miniserve => "/upload?path=/",
            Self::Rustypaste => "/",
        };
        let field = if self == Self::Miniserve { "path" } else { "file" };
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        let whole = length + (part.len() + tail.len()) as u64;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: {front}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n\
             Content-Length: {whole}\r\n\r\n{part}"
        );
        Message::framed(head, length, &tail)
    }

    /// Where the file is that was uploaded under this name.
    ///
    /// # Errors
    ///
    /// What else was answered.
    pub fn stored(self, name: &str, answer: &Answer) -> Result<Stored, String> {
        let as_named = || Some(format!("/{name}"));
        let (path, owner) = match (self, answer.status()) {
            (Self::Ours, 201) => {
                let link = answer.field("location").unwrap_or_default();
                let path = link.find("/d/").map(|at| format!("{}/raw", &link[at..]));
                (path, answer.field("truehop-owner").map(str::to_owned))
            }
            (Self::Nginx | Self::Dufs | Self::Copyparty, 201) | (Self::Miniserve, 303) => (as_named(), None),
            // The answer is the link, which may have another name.
            (Self::Rustypaste, 200) => (path_of(answer.text().trim()), None),
            _ => (None, None),
        };
        path.map(|path| Stored { path, owner })
            .ok_or_else(|| format!("an upload was answered: {}", answer.shown()))
    }
}

/// What follows the authority of a link.
fn path_of(link: &str) -> Option<String> {
    let rest = link.strip_prefix("http://")?;
    Some(rest[rest.find('/')?..].to_owned()).filter(|path| path.len() > 1)
}

fn ours(place: &Place) -> String {
    format!(
        "listen = [\"{}\"]\nworkers = 1\naccess_log = false\n[client]\nfrom = \"peer\"\n[drop]\ndata = {:?}\n",
        place.front, place.data
    )
}

fn nginx(place: &Place) -> String {
    let directory = place.directory.display();
    let mut text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {directory}/pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  default_type application/octet-stream;\n"
    );
    for name in ["proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(text, "  {name}_temp_path {directory}/{name};");
    }
    let _ = write!(
        text,
        "  server {{
    listen {} backlog=4096;
    root {};
    sendfile on;
    tcp_nopush off;
    client_max_body_size 0;
    client_body_buffer_size {BODY_BUFFER};
    client_body_temp_path {}/.incoming;
    location / {{ dav_methods PUT; dav_access user:rw; }}
  }}
}}
",
        place.front,
        place.data.display(),
        // On the same file system, so that a rename is one.
        place.data.display(),
    );
    text
}

/// What nginx reads before it writes. 64 KiB cost half as much again for a large file, 256 KiB a fifth more, and more than
/// 1 MiB nothing less.
const BODY_BUFFER: &str = "1m";

fn rustypaste(place: &Place) -> String {
    format!(
        "[config]\nrefresh_rate = \"1h\"\n[server]\naddress = \"{}\"\nmax_content_length = \"2GB\"\n\
         upload_path = {:?}\ntimeout = \"300s\"\n[paste]\ndefault_extension = \"bin\"\nduplicate_files = true\n",
        place.front, place.data
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Want;

    fn front() -> SocketAddr {
        ([127, 0, 0, 1], 8080).into()
    }

    #[test]
    fn a_form_is_as_long_as_it_says() {
        for length in [0, 4096, 3 << 20] {
            let message = Contender::Miniserve.upload(front(), "a-1", length);
            let (mut sent, mut bytes) = (0, Vec::new());
            while sent < message.length() {
                bytes.extend_from_slice(message.after(sent));
                sent = bytes.len() as u64;
            }
            let end = truehop_bench::message::head_length(&bytes).unwrap();
            let (head, form) = bytes.split_at(end);
            assert_eq!(
                truehop_bench::message::content_length(head),
                Some(form.len() as u64)
            );
            let form = String::from_utf8_lossy(form);
            assert!(form.starts_with(&format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"path\""
            )));
            assert!(form.ends_with(&format!("\r\n--{BOUNDARY}--\r\n")));
        }
    }

    #[test]
    fn the_link_is_found_in_every_answer() {
        let answer = |text: &str| {
            let mut answer = Answer::new(Want::Text);
            answer.take(text.as_bytes()).unwrap();
            answer
        };
        let stored = |path: &str, owner: Option<&str>| Stored {
            path: path.to_owned(),
            owner: owner.map(str::to_owned),
        };
        let created = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
        let link = "HTTP/1.1 201 Created\r\nLocation: http://127.0.0.1:8080/d/abc\r\nTruehop-Owner: t\r\n\
                    Content-Length: 3\r\n\r\nabc";
        let pasted = "HTTP/1.1 200 OK\r\ncontent-length: 28\r\n\r\nhttp://127.0.0.1:80/a-1.bin\n";
        let other = "HTTP/1.1 303 See Other\r\ncontent-length: 0\r\nlocation: /\r\n\r\n";
        for (contender, text, expected) in [
            (Contender::Ours, link, Some(stored("/d/abc/raw", Some("t")))),
            (Contender::Ours, created, None),
            (Contender::Nginx, created, Some(stored("/a-1", None))),
            (Contender::Copyparty, created, Some(stored("/a-1", None))),
            (Contender::Miniserve, other, Some(stored("/a-1", None))),
            (Contender::Miniserve, created, None),
            (Contender::Rustypaste, pasted, Some(stored("/a-1.bin", None))),
            (Contender::Dufs, other, None),
        ] {
            assert_eq!(
                contender.stored("a-1", &answer(text)).ok(),
                expected,
                "{contender:?}"
            );
        }
    }
}
