//! Serves the files of a directory.
//!
//! Invariants: nothing outside the directory can be opened, by any spelling or symbolic link, because the kernel
//! resolves the path beneath it (`openat2`, `RESOLVE_BENEATH`); names that start with a dot are not there unless the
//! route says so; only regular files have contents.

mod conditions;
mod shelf;

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED,
    LOCATION,
};
use http::{Response, StatusCode};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use truehop_delivery::{FileRegion, Range};
use truehop_http1::{Method, Request};

use self::conditions::{is_fresh, is_unwanted, range, wants_all};
pub(crate) use self::shelf::{Shelf, Small};
use super::Context;
use crate::body::Body;
use crate::config::{BadConfig, Key, RouteConfig};
use crate::page::{method_not_allowed, page};

#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    index: String,
    dot_files: bool,
}

impl Files {
    pub(crate) fn new(config: &RouteConfig, directory: &Path, at: &[Key]) -> Result<Self, BadConfig> {
        let bad = |problem: String| {
            BadConfig::new(
                at,
                problem,
                "write a directory that exists and that this user may read",
            )
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(directory, flags, Mode::empty()).map_err(|error| {
            bad(format!(
                "cannot open the directory {}: {error}",
                directory.display()
            ))
        })?;
        Ok(Self {
            directory: directory.into(),
            index: config.index.clone().unwrap_or_else(|| "index.html".into()),
            dot_files: config.dot_files.unwrap_or(false),
        })
    }

    /// The file that the request asks for, or a page that says why not.
    pub(crate) fn handle(&self, context: &Context<'_>) -> Served {
        let request = context.request;
        if !matches!(request.method(), Method::Get | Method::Head) {
            return Served::Answer(method_not_allowed("GET, HEAD", context.id));
        }
        Served::Answer(match self.find(context) {
            Ok(Found::Small(small)) if wants_all(request) => return Served::AtHand(small),
            Ok(found) => contents(request, found),
            Err(Missing::Slash) => {
                // Relative, so that it holds behind any proxy and prefix.
                let name = request.path().rsplit('/').next().unwrap_or_default();
                let query = request
                    .query()
                    .map(|query| format!("?{query}"))
                    .unwrap_or_default();
                let mut response = page(StatusCode::MOVED_PERMANENTLY, "This is a directory.", context.id);
                if let Ok(location) = HeaderValue::try_from(format!("./{name}/{query}")) {
                    response.headers_mut().insert(LOCATION, location);
                }
                response
            }
            Err(Missing::Nothing) => page(StatusCode::NOT_FOUND, "There is nothing here.", context.id),
            Err(Missing::Unable(error)) => {
                tracing::error!(id = %context.id, %error, "a file cannot be opened");
                page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "This server cannot read files right now.",
                    context.id,
                )
            }
            Err(Missing::Forbidden) => page(
                StatusCode::FORBIDDEN,
                "This server may not read that file.",
                context.id,
            ),
        })
    }

    fn find(&self, context: &Context<'_>) -> Result<Found, Missing> {
        let relative = context.rest.strip_prefix(b"/").unwrap_or(context.rest);
        if !self.dot_files
            && relative
                .split(|&b| b == b'/')
                .any(|segment| segment.starts_with(b"."))
        {
            return Err(Missing::Nothing);
        }
        let relative = Path::new(OsStr::from_bytes(if relative.is_empty() {
            b"."
        } else {
            relative
        }));
        let index;
        let name = match context.ends_in_slash {
            true => {
                index = relative.join(&self.index);
                &*index
            }
            false => relative,
        };
        let path = self.directory.join(name);
        let shelf = &context.worker.shelf;
        if let Some(small) = shelf.find(&path) {
            return Ok(Found::Small(small));
        }
        let (file, metadata) = self.open(name)?;
        if metadata.is_dir() {
            return Err(if context.ends_in_slash {
                Missing::Nothing
            } else {
                Missing::Slash
            });
        }
        if !metadata.is_file() {
            return Err(Missing::Nothing);
        }
        let about = About::new(name, &metadata);
        Ok(match shelf.put(path, &file, &metadata, &about) {
            Some(small) => Found::Small(small),
            None => Found::Large(file, about),
        })
    }

    fn open(&self, relative: &Path) -> rustix::io::Result<(File, Metadata)> {
        // By its path each time: a deployment may put another directory there.
        let root = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.directory, root, Mode::empty())?;
        // NONBLOCK: opening a named pipe must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = File::from(rustix::fs::openat2(
            &root,
            relative,
            flags,
            Mode::empty(),
            resolve,
        )?);
        let metadata = file
            .metadata()
            .map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
        Ok((file, metadata))
    }
}

impl From<Errno> for Missing {
    fn from(error: Errno) -> Self {
        match error {
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            // XDEV: beyond the directory.
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NAMETOOLONG | Errno::NXIO => {
                Self::Nothing
            }
            other => Self::Unable(other),
        }
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files {}", self.directory.display())
    }
}

/// What a request for a file comes to.
pub(crate) enum Served {
    Answer(Response<Body>),
    /// All of this file.
    AtHand(Rc<Small>),
}

/// A regular file that may be served.
enum Found {
    Small(Rc<Small>),
    Large(File, About),
}

/// Why a path has no contents.
enum Missing {
    /// It is a directory whose name was written without its slash.
    Slash,
    Nothing,
    Forbidden,
    /// The system could not: no descriptors, no memory, a failing disk.
    Unable(Errno),
}

fn contents(request: Request<'_>, found: Found) -> Response<Body> {
    let about = match &found {
        Found::Small(small) => &small.about,
        Found::Large(_, about) => about,
    };
    let len = about.len;
    let mut response = Response::new(Body::empty());
    response.headers_mut().reserve(8);
    let mut insert = |name: HeaderName, value: HeaderValue| {
        response.headers_mut().insert(name, value);
    };
    insert(ETAG, about.etag.clone());
    insert(LAST_MODIFIED, about.modified_text.clone());
    insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if is_unwanted(request, about.etag.as_bytes(), about.modified) {
        *response.status_mut() = StatusCode::PRECONDITION_FAILED;
        return response;
    }
    if is_fresh(request, about.etag.as_bytes(), about.modified) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    insert(CONTENT_TYPE, about.content_type.clone());
    insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    let (offset, part) = match range(request, about.etag.as_bytes(), len) {
        Range::Whole => (0, len),
        Range::Part { offset, len: part } => {
            let content_range = value(format!("bytes {offset}-{}/{len}", offset + part - 1));
            response.headers_mut().insert(CONTENT_RANGE, content_range);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (offset, part)
        }
        Range::Unsatisfiable => {
            let content_range = value(format!("bytes */{len}"));
            response.headers_mut().insert(CONTENT_RANGE, content_range);
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return response;
        }
    };
    if request.method() == Method::Head {
        response.headers_mut().insert(CONTENT_LENGTH, part.into());
        return response;
    }
    *response.body_mut() = match found {
        // What is small has a length that fits.
        Found::Small(small) => small
            .bytes
            .slice(offset as usize..(offset + part) as usize)
            .into(),
        Found::Large(file, _) => FileRegion::new(Arc::new(file), offset, part).into(),
    };
    response
}

/// A value that we have put together of digits and plain signs.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// What a response says about a file.
#[derive(Clone, Debug)]
struct About {
    len: u64,
    etag: HeaderValue,
    modified: SystemTime,
    modified_text: HeaderValue,
    content_type: HeaderValue,
}

impl About {
    fn new(name: &Path, metadata: &Metadata) -> Self {
        let len = metadata.len();
        // HTTP's dates end with the year 9999.
        let seconds = u64::try_from(metadata.mtime()).unwrap_or(0).min(LAST_SECOND);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Self {
            len,
            etag: value(format!(
                "\"{:x}.{:x}-{len:x}\"",
                metadata.mtime(),
                metadata.mtime_nsec()
            )),
            modified,
            modified_text: value(httpdate::fmt_http_date(modified)),
            content_type: value(content_type(name)),
        }
    }

    /// The head of an answer with all of the file, but for the lines that every answer has.
    fn head(&self) -> Vec<u8> {
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        for (name, value) in [
            ("etag", self.etag.as_bytes()),
            ("last-modified", self.modified_text.as_bytes()),
            ("accept-ranges", b"bytes"),
            ("content-type", self.content_type.as_bytes()),
            ("x-content-type-options", b"nosniff"),
            ("content-length", self.len.to_string().as_bytes()),
        ] {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head
    }
}

fn content_type(name: &Path) -> String {
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    match (kind.type_().as_str(), kind.subtype().as_str()) {
        ("text", _) | ("application", "javascript" | "json" | "xml") => format!("{kind}; charset=utf-8"),
        _ => kind.to_string(),
    }
}

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;
