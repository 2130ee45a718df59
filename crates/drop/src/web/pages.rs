//! The pages' contents. Their words are in `templates/`.
//!
//! Invariant: what came from a client is text here; the templates escape it.

use std::time::Duration;

use askama::Template;

use crate::clock::Timestamp;
use crate::config::words;
use crate::file_drop::Limits;

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
}

/// How long a file may wait.
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
    pub(super) name: &'a str,
    pub(super) size: String,
    pub(super) expires: Moment,
    pub(super) attempts_left: u32,
    pub(super) busy: bool,
    pub(super) path: String,
}

/// What the owner sees.
#[derive(Template)]
#[template(path = "owner.html")]
pub(super) struct ForOwner<'a> {
    pub(super) headline: &'static str,
    pub(super) state: String,
    /// When the state began, said after it.
    pub(super) since: Option<Moment>,
    /// `None` once the file is gone.
    pub(super) live: Option<Live<'a>>,
}

/// What the owner sees of a file that is still there.
pub(super) struct Live<'a> {
    pub(super) link: String,
    pub(super) path: String,
    pub(super) name: &'a str,
    pub(super) size: String,
    pub(super) expires: Moment,
    /// Why we think that this is the owner.
    pub(super) recognised: &'static str,
    pub(super) warning: Option<String>,
}

/// One paragraph.
#[derive(Template)]
#[template(path = "notice.html")]
pub(super) struct Notice<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a str,
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
