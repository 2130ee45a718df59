//! The pages' contents. Their words are in `templates/` and [`words`](crate::web::words).
//!
//! Invariant: what came from a client is text here; the templates escape it.

use std::time::Duration;

use askama::Template;

use crate::clock::Timestamp;
use crate::config::words;
use crate::file_drop::Limits;
use crate::web::words::Course;

/// The form.
#[derive(Template)]
#[template(path = "upload.html")]
pub(super) struct Upload<'a> {
    pub(super) error: Option<&'a str>,
    pub(super) max_size: String,
    pub(super) choices: Vec<Choice>,
    pub(super) site: &'a str,
    /// Whether the uploader gets a secret that makes them the owner.
    pub(super) uses_token: bool,
    /// Whether the uploader may say that only the secret counts.
    pub(super) may_narrow: bool,
    /// Whether only the uploader's address counts.
    pub(super) is_by_address: bool,
}

/// How long a drop may wait.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) words: String,
    pub(super) is_default: bool,
}

impl Choice {
    /// The usual times that the operator allows, and the default.
    pub(super) fn all(limits: &Limits) -> Vec<Self> {
        let hour = Duration::from_secs(3600);
        let mut times = vec![hour, 24 * hour, 72 * hour, 168 * hour, limits.expires];
        times.retain(|time| *time <= limits.max_expires);
        times.sort();
        times.dedup();
        let choice = |time| Self {
            value: humantime::format_duration(time).to_string(),
            words: words(time),
            is_default: time == limits.expires,
        };
        times.into_iter().map(choice).collect()
    }
}

/// What a recipient sees.
#[derive(Template)]
#[template(path = "recipient.html")]
pub(super) struct ForRecipient<'a> {
    pub(super) files: Vec<Waiting<'a>>,
    /// Of those that can be had.
    pub(super) size: String,
    pub(super) expires: Option<Moment>,
    /// Of the file that has the fewest.
    pub(super) attempts_left: u32,
    /// How many can be had now.
    pub(super) open: usize,
    pub(super) path: String,
}

/// A file that a recipient sees.
pub(super) struct Waiting<'a> {
    pub(super) number: u32,
    /// Erased with the bytes.
    pub(super) name: Option<&'a str>,
    pub(super) size: String,
    /// `None` when there is nothing to be said but that it is there.
    pub(super) note: Option<String>,
    pub(super) is_open: bool,
}

/// What the owner sees.
#[derive(Template)]
#[template(path = "owner.html")]
pub(super) struct ForOwner<'a> {
    pub(super) headline: String,
    pub(super) files: Vec<Owned<'a>>,
    pub(super) path: String,
    /// `None` once all of it is gone.
    pub(super) live: Option<Live>,
    pub(super) warning: Option<String>,
    /// Whether looking again may show more.
    pub(super) is_moving: bool,
}

/// A file that its owner sees.
pub(super) struct Owned<'a> {
    pub(super) number: u32,
    /// Erased with the bytes.
    pub(super) name: Option<&'a str>,
    pub(super) size: String,
    pub(super) course: Course,
}

/// What the owner sees of a drop that is still there.
pub(super) struct Live {
    pub(super) link: String,
    pub(super) expires: Moment,
    pub(super) choices: Vec<Choice>,
    /// Why we think that this is the owner.
    pub(super) recognised: &'static str,
    /// How many of its files are still there.
    pub(super) count: usize,
}

/// One paragraph.
#[derive(Template)]
#[template(path = "notice.html")]
pub(super) struct Notice<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a str,
    /// The page to look at again.
    pub(super) again: Option<&'a str>,
}

/// A time, for machines and for people.
pub(super) struct Moment {
    pub(super) datetime: String,
    pub(super) words: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self {
            datetime: at.rfc3339(),
            words: at.http(),
        }
    }
}
