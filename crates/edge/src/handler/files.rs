//! Serves the files of a directory.
//!
//! Invariants: nothing outside the directory can be opened, by any spelling or symbolic link, because the kernel
//! resolves the path beneath it (`openat2`, `RESOLVE_BENEATH`); names that start with a dot are not there unless the
//! route says so; only regular files have contents.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, LOCATION,
    RANGE,
};
use http::{Method, Request, Response, StatusCode};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use truehop_delivery::FileRegion;

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

    pub(super) fn handle(&self, request: Request<Body>, context: &Context<'_>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return method_not_allowed("GET, HEAD", context.id);
        }
        match self.find(context) {
            Ok(opened) => contents(&request, opened),
            Err(Missing::Slash) => {
                // Relative, so that it holds behind any proxy and prefix.
                let name = request.uri().path().rsplit('/').next().unwrap_or_default();
                let query = request
                    .uri()
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
        }
    }

    fn find(&self, context: &Context<'_>) -> Result<Opened, Missing> {
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
        let (file, metadata) = self.open(relative)?;
        match (metadata.is_dir(), context.ends_in_slash) {
            (true, false) => Err(Missing::Slash),
            (true, true) => {
                let name = relative.join(&self.index);
                match self.open(&name)? {
                    (file, metadata) if metadata.is_file() => Ok(Opened { name, file, metadata }),
                    _ => Err(Missing::Nothing),
                }
            }
            (false, false) if metadata.is_file() => Ok(Opened {
                name: relative.into(),
                file,
                metadata,
            }),
            (false, _) => Err(Missing::Nothing),
        }
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

/// A regular file that may be served, and its name beneath the directory.
struct Opened {
    name: PathBuf,
    file: File,
    metadata: Metadata,
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

fn contents(request: &Request<Body>, opened: Opened) -> Response<Body> {
    let Opened { name, file, metadata } = opened;
    let len = metadata.len();
    let etag = format!("\"{:x}.{:x}-{len:x}\"", metadata.mtime(), metadata.mtime_nsec());
    // HTTP's dates end with the year 9999.
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0).min(LAST_SECOND);
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);

    let mut response = Response::new(Body::empty());
    let mut insert = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    insert(ETAG, etag.clone());
    insert(LAST_MODIFIED, httpdate::fmt_http_date(modified));
    insert(ACCEPT_RANGES, "bytes".into());
    if is_unwanted(request.headers(), &etag, modified) {
        *response.status_mut() = StatusCode::PRECONDITION_FAILED;
        return response;
    }
    if is_fresh(request.headers(), &etag, modified) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    insert(CONTENT_TYPE, content_type(&name));
    let (offset, part) = match range(request, &etag, len) {
        Range::Whole => (0, len),
        Range::Part(offset, part) => {
            insert(
                CONTENT_RANGE,
                format!("bytes {offset}-{}/{len}", offset + part - 1),
            );
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (offset, part)
        }
        Range::Unsatisfiable => {
            insert(CONTENT_RANGE, format!("bytes */{len}"));
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return response;
        }
    };
    response
        .headers_mut()
        .insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if request.method() == Method::HEAD {
        response.headers_mut().insert(CONTENT_LENGTH, part.into());
    } else {
        *response.body_mut() = FileRegion::new(Arc::new(file), offset, part).into();
    }
    response
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

/// Whether the client wants another version than there is (RFC 9110 sections 13.1.1 and 13.1.4).
fn is_unwanted(headers: &HeaderMap, etag: &str, modified: SystemTime) -> bool {
    if headers.contains_key(IF_MATCH) {
        let lines = headers
            .get_all(IF_MATCH)
            .iter()
            .filter_map(|line| line.to_str().ok());
        return !lines
            .flat_map(|line| line.split(','))
            .any(|tag| matches!(tag.trim(), tag if tag == "*" || tag == etag));
    }
    date(headers, IF_UNMODIFIED_SINCE).is_some_and(|since| modified > since)
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// Whether the client's copy is still good (RFC 9110 section 13.2.2: `If-None-Match` goes before the date).
fn is_fresh(headers: &HeaderMap, etag: &str, modified: SystemTime) -> bool {
    if headers.contains_key(IF_NONE_MATCH) {
        let same = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
        let lines = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|line| line.to_str().ok());
        return lines.flat_map(|line| line.split(',')).any(|tag| same(tag.trim()));
    }
    date(headers, IF_MODIFIED_SINCE).is_some_and(|since| modified <= since)
}

#[derive(Debug, Eq, PartialEq)]
enum Range {
    Whole,
    /// Offset and length.
    Part(u64, u64),
    Unsatisfiable,
}

/// The one range that a GET asks for (RFC 9110 section 14.2); several ranges, or one that is malformed, mean the whole
/// file.
fn range(request: &Request<Body>, etag: &str, len: u64) -> Range {
    let headers = request.headers();
    let Some(text) = headers.get(RANGE).and_then(|range| range.to_str().ok()) else {
        return Range::Whole;
    };
    // Only a strong tag is compared: a date is too coarse to promise that the bytes are the same.
    let unchanged = headers
        .get(IF_RANGE)
        .is_none_or(|tag| tag.as_bytes() == etag.as_bytes());
    if request.method() != Method::GET || !unchanged {
        return Range::Whole;
    }
    parse_range(text, len).unwrap_or(Range::Whole)
}

fn parse_range(text: &str, len: u64) -> Option<Range> {
    let number = |digits: &str| -> Option<u64> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first, last) {
        ("", suffix) => match number(suffix)? {
            0 => return Some(Range::Unsatisfiable),
            suffix => (len.saturating_sub(suffix), u64::MAX),
        },
        (first, "") => (number(first)?, u64::MAX),
        (first, last) => (number(first)?, number(last)?),
    };
    if last < first {
        return None;
    }
    if first >= len {
        return Some(Range::Unsatisfiable);
    }
    Some(Range::Part(first, last.min(len - 1) - first + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (text, expected) in [
            ("bytes=0-0", Some(Range::Part(0, 1))),
            ("bytes=2-", Some(Range::Part(2, 8))),
            ("bytes=2-99", Some(Range::Part(2, 8))),
            ("bytes=-3", Some(Range::Part(7, 3))),
            ("bytes=-99", Some(Range::Part(0, 10))),
            ("bytes=10-", Some(Range::Unsatisfiable)),
            ("bytes=-0", Some(Range::Unsatisfiable)),
            ("bytes=99999999999999999999-", Some(Range::Unsatisfiable)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=+1-2", None),
            ("lines=1-2", None),
            ("bytes=", None),
        ] {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(Range::Unsatisfiable));
    }
}
