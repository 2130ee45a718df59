//! What a request says about itself, apart from its body.
//!
//! Invariant: nothing here says who the client is; that was resolved before.

use std::time::Duration;

use axum::extract::Query;
use http::header::{self, HeaderMap, HeaderName};
use http::uri::Authority;
use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::config::words;
use crate::file_drop::Limits;
use crate::id::FileId;

/// The owner's token, in requests and in the answer to an upload.
pub(super) const OWNER: HeaderName = HeaderName::from_static("truehop-owner");
/// How long the file waits (request), and until when (answer).
pub(super) const EXPIRES: HeaderName = HeaderName::from_static("truehop-expires");

/// The name of the cookie that holds the owner's token; its path is the file's.
pub(super) const COOKIE: &str = "owner";

/// Substrings, in lower case, of the names of programs that fetch links to make previews or indexes of them.
const PREVIEWERS: [&str; 24] = [
    "applebot",
    "bingbot",
    "bitlybot",
    "bluesky",
    "discordbot",
    "embedly",
    "facebookexternalhit",
    "google-pagerenderer",
    "googlebot",
    "iframely",
    "linkedinbot",
    "mastodon",
    "mattermost",
    "pinterestbot",
    "redditbot",
    "skypeuripreview",
    "slack-imgproxy",
    "slackbot",
    "synapse",
    "telegrambot",
    "twitterbot",
    "viber",
    "whatsapp",
    "yandexbot",
];

/// In what form the answer is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wants {
    Page,
    Text,
}

/// What a request says about itself.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) wants: Wants,
    /// `https://files.example.org`, as the client wrote it; empty when it did not.
    pub(super) site: String,
    pub(super) is_https: bool,
    /// The browser or a program only looks ahead: nobody has asked for the bytes.
    pub(super) is_preview: bool,
    /// A page of another site makes the browser ask.
    pub(super) is_cross_site: bool,
    tokens: Vec<String>,
}

impl Asking {
    pub(super) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let scheme = uri.scheme_str().unwrap_or("http");
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok()?.parse().ok());
        let site = match uri.authority().cloned().or(host) {
            Some(authority) => format!("{scheme}://{}", without_user(&authority)),
            None => String::new(),
        };
        let is_post = *method == Method::POST;
        Self {
            wants: if mentions(headers, &header::ACCEPT, "text/html") {
                Wants::Page
            } else {
                Wants::Text
            },
            site,
            is_https: scheme == "https",
            is_preview: is_preview(headers),
            is_cross_site: is_post
                && mentions(headers, &HeaderName::from_static("sec-fetch-site"), "cross-site"),
            tokens: tokens(headers),
        }
    }

    /// The owner's tokens that were shown, from the header and the cookies.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str)
    }

    /// The link to share.
    pub(super) fn link(&self, id: &FileId) -> String {
        format!("{}/d/{id}", self.site)
    }
}

fn without_user(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

fn mentions(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains(word))
}

fn is_preview(headers: &HeaderMap) -> bool {
    let ahead = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    let looks_ahead = ahead.into_iter().map(HeaderName::from_static).any(|name| {
        mentions(headers, &name, "prefetch")
            || mentions(headers, &name, "prerender")
            || mentions(headers, &name, "preview")
    });
    looks_ahead
        || headers
            .get(header::USER_AGENT)
            .map(|agent| String::from_utf8_lossy(agent.as_bytes()).to_ascii_lowercase())
            .is_some_and(|agent| PREVIEWERS.iter().any(|name| agent.contains(name)))
}

fn tokens(headers: &HeaderMap) -> Vec<String> {
    let shown = headers
        .get_all(OWNER)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(name, value)| (name == COOKIE).then_some(value));
    shown.chain(cookies).map(str::to_owned).collect()
}

/// The name at the end of an upload's path, decoded.
pub(super) fn name_in(uri: &Uri) -> String {
    percent_decode_str(uri.path()).decode_utf8_lossy().into_owned()
}

/// How long a tool's upload shall wait: `Truehop-Expires`, or `?expires=`, or the default.
pub(super) fn expires_of(uri: &Uri, headers: &HeaderMap, limits: &Limits) -> Result<Duration, String> {
    if let Some(value) = headers.get(EXPIRES) {
        return parse_expires(value.to_str().unwrap_or_default(), limits);
    }
    #[derive(Deserialize)]
    struct Asked {
        expires: Option<String>,
    }
    match Query::<Asked>::try_from_uri(uri) {
        Ok(Query(Asked { expires: Some(text) })) => parse_expires(&text, limits),
        Ok(_) => Ok(limits.expires),
        Err(_) => Err("The query cannot be read; write ?expires=1h.".to_owned()),
    }
}

/// Reads a duration that an uploader asks for. The error says what is allowed.
pub(super) fn parse_expires(text: &str, limits: &Limits) -> Result<Duration, String> {
    let longest = words(limits.max_expires);
    match humantime::parse_duration(text.trim()) {
        Ok(asked) if asked > limits.max_expires => Err(format!(
            "A file is kept for at most {longest} here; \"{}\" is longer.",
            shown(text)
        )),
        Ok(asked) if asked >= Duration::from_secs(1) => Ok(asked),
        _ => Err(format!(
            "\"{}\" is no time that a file can be kept for; write a number with a unit, such as 1h or 3d, at most {longest}.",
            shown(text)
        )),
    }
}

/// What somebody sent, short enough to be shown to them.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(uri: &str, headers: &[(&'static str, &'static str)]) -> Asking {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        Asking::of(&Method::POST, &uri.parse().unwrap(), &map)
    }

    #[test]
    fn links_are_made_of_what_the_client_sees() {
        assert_eq!(
            ask("https://files.example.org/", &[("host", "other")]).site,
            "https://files.example.org"
        );
        assert_eq!(
            ask("http://user:secret@[2001:db8::1]:8080/", &[]).site,
            "http://[2001:db8::1]:8080"
        );
        assert_eq!(
            ask("/", &[("host", "files.example.org:81")]).site,
            "http://files.example.org:81"
        );
        assert_eq!(ask("/", &[]).site, "");
    }

    #[test]
    fn looking_ahead_is_not_asking() {
        for header in [
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "Prefetch"),
            ("x-moz", "PREFETCH"),
            (
                "user-agent",
                "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
            ),
            ("user-agent", "WhatsApp/2.23.20.0"),
            (
                "user-agent",
                "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            ),
        ] {
            assert!(ask("/", &[header]).is_preview, "{header:?}");
        }
        for agent in [
            "curl/8.5.0",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ] {
            assert!(!ask("/", &[("user-agent", agent)]).is_preview, "{agent}");
        }
    }

    #[test]
    fn tokens_are_found_in_the_header_and_in_every_cookie() {
        let asking = ask(
            "/",
            &[
                ("truehop-owner", "a"),
                ("cookie", "x=1; owner=b"),
                ("cookie", "owner=c;owners=d"),
            ],
        );
        assert_eq!(asking.tokens().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
