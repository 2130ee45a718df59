//! What a request says about itself, apart from its body.
//!
//! Invariant: nothing here says who the client is; that was resolved before.

use std::time::Duration;

use axum::extract::Query;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::config::words;
use crate::file_drop::Limits;
use crate::id::DropId;
use crate::secret::Secret;

/// The owner's token, in requests and in the answer to an upload.
pub(super) const OWNER: HeaderName = HeaderName::from_static("truehop-owner");
/// How long the file waits (request), and until when (answer).
pub(super) const EXPIRES: HeaderName = HeaderName::from_static("truehop-expires");

/// By what the uploader wants to be known as the owner.
pub(super) const OWNER_RULE: HeaderName = HeaderName::from_static("truehop-owner-rule");
/// The collection that a request belongs to; in answers, the one that it began or joined.
pub(super) const COLLECTION: HeaderName = HeaderName::from_static("truehop-collection");

/// The name of the cookie that holds the owner's token; its path is the drop's.
pub(super) const OWNER_COOKIE: &str = "owner";
/// The same, of the collection's name.
pub(super) const COLLECTION_COOKIE: &str = "collection";

/// Substrings, in lower case, of the names of programs that fetch links to make previews or indexes of them.
///
/// None of them is part of the name that an ordinary browser inside such a program has.
const PREVIEWERS: [&str; 23] = [
    "applebot",
    "bingbot",
    "bitlybot",
    "bluesky cardyb",
    "discordbot",
    "embedly",
    "facebookexternalhit",
    "google-pagerenderer",
    "googlebot",
    "iframely",
    "linkedinbot",
    "mastodon/",
    "mattermost-bot",
    "pinterestbot",
    "redditbot",
    "skypeuripreview",
    "slack-imgproxy",
    "slackbot",
    "synapse (bot;",
    "telegrambot",
    "twitterbot",
    "whatsapp/",
    "yandexbot",
];

/// As what a page includes something, as browsers say it (`Sec-Fetch-Dest`).
const PARTS: [&str; 11] = [
    "audio", "embed", "font", "frame", "iframe", "image", "object", "script", "style", "track", "video",
];

/// In what form the answer is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wants {
    Page,
    Text,
}

/// Whose page makes the browser send a form, as the browser says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// Ours, or no page at all: a tool, or a person who typed the address. Also every request that sends no form.
    Ours,
    /// The browser keeps it to itself (`Origin: null`).
    Hidden,
    /// Another site's.
    Foreign,
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
    pub(super) origin: Origin,
    /// The collection that is shown: in the query, in the header, or by a cookie.
    pub(super) collection: Option<Secret>,
    /// Only the link says so, and that may be somebody else's who wants to know the collection's name beforehand.
    pub(super) is_linked: bool,
    pub(super) has_range: bool,
    tokens: Vec<String>,
}

/// The fields of a query that mean something here.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    expires: Option<String>,
    owner: Option<String>,
    collection: Option<String>,
}

impl Asked {
    fn of(uri: &Uri) -> Option<Self> {
        Query::try_from_uri(uri).ok().map(|Query(asked)| asked)
    }
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
            is_https: scheme == "https",
            // Whoever makes previews does not press buttons, nor does a page; but a browser may look ahead in any way.
            is_preview: looks_ahead(headers)
                || (!is_post && (makes_previews(headers) || is_for_a_page(headers))),
            origin: match is_post {
                true => origin(headers, &site),
                false => Origin::Ours,
            },
            site,
            is_linked: is_linked(uri, headers),
            collection: collection(uri, headers),
            has_range: headers.contains_key(header::RANGE),
            tokens: tokens(headers),
        }
    }

    /// The owner's tokens that were shown, from the header and the cookies.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str)
    }

    /// The link to share.
    pub(super) fn link(&self, id: &DropId) -> String {
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

fn looks_ahead(headers: &HeaderMap) -> bool {
    let ahead = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    ahead.into_iter().map(HeaderName::from_static).any(|name| {
        mentions(headers, &name, "prefetch")
            || mentions(headers, &name, "prerender")
            || mentions(headers, &name, "preview")
    })
}

fn makes_previews(headers: &HeaderMap) -> bool {
    headers
        .get(header::USER_AGENT)
        .map(|agent| String::from_utf8_lossy(agent.as_bytes()).to_ascii_lowercase())
        .is_some_and(|agent| PREVIEWERS.iter().any(|name| agent.contains(name)))
}

/// Whether a page wants it and not a person: as an image, in a frame, for a script of another site. What a person opens or
/// saves is a navigation, also when a browser goes on with it; a browser that fetches it by itself says that no site is
/// behind it.
fn is_for_a_page(headers: &HeaderMap) -> bool {
    let says = |name: &'static str| headers.get(name).map(HeaderValue::as_bytes);
    let is_part = says("sec-fetch-dest").is_some_and(|dest| PARTS.iter().any(|part| part.as_bytes() == dest));
    let is_ours = matches!(says("sec-fetch-site"), Some(b"same-origin" | b"none"));
    is_part || (says("sec-fetch-mode").is_some_and(|mode| mode != b"navigate") && !is_ours)
}

/// `Sec-Fetch-Site` when there is one; browsers send it where the connection can be trusted. Else `Origin`, which is
/// older.
fn origin(headers: &HeaderMap, site: &str) -> Origin {
    let is_ours = |ours| if ours { Origin::Ours } else { Origin::Foreign };
    if let Some(relation) = headers.get("sec-fetch-site") {
        return is_ours(relation == "same-origin" || relation == "none");
    }
    match headers.get(header::ORIGIN) {
        None => Origin::Ours,
        Some(origin) if origin == "null" => Origin::Hidden,
        Some(origin) => {
            let origin = origin.to_str().ok().and_then(place);
            is_ours(origin.is_some() && origin == place(site))
        }
    }
}

/// Scheme, host and port, the port also where it goes without saying.
fn place(site: &str) -> Option<(String, String, u16)> {
    let uri: Uri = site.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let usual = if scheme == "https" { 443 } else { 80 };
    let host = uri.host()?.to_ascii_lowercase();
    Some((scheme.to_owned(), host, uri.port_u16().unwrap_or(usual)))
}

fn tokens(headers: &HeaderMap) -> Vec<String> {
    shown(headers, &OWNER)
        .chain(cookies(headers, OWNER_COOKIE))
        .map(str::to_owned)
        .collect()
}

fn collection(uri: &Uri, headers: &HeaderMap) -> Option<Secret> {
    let asked = Asked::of(uri).unwrap_or_default();
    asked
        .collection
        .as_deref()
        .into_iter()
        .chain(shown(headers, &COLLECTION))
        .chain(cookies(headers, COLLECTION_COOKIE))
        .find_map(Secret::parse)
}

fn is_linked(uri: &Uri, headers: &HeaderMap) -> bool {
    let asked = Asked::of(uri).unwrap_or_default();
    let mut carried = shown(headers, &COLLECTION).chain(cookies(headers, COLLECTION_COOKIE));
    asked
        .collection
        .is_some_and(|linked| carried.all(|shown| shown != linked))
}

fn shown<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> + use<'h> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
}

fn cookies<'h>(headers: &'h HeaderMap, wanted: &'static str) -> impl Iterator<Item = &'h str> {
    shown(headers, &header::COOKIE)
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(name, value)| (name == wanted).then_some(value))
}

/// The name at the end of an upload's path, decoded.
pub(super) fn name_in(uri: &Uri) -> String {
    percent_decode_str(uri.path()).decode_utf8_lossy().into_owned()
}

/// How long a tool's upload shall wait: `Truehop-Expires`, or `?expires=`. `None` when it does not say.
pub(super) fn expires_of(
    uri: &Uri,
    headers: &HeaderMap,
    limits: &Limits,
) -> Result<Option<Duration>, String> {
    if let Some(value) = headers.get(EXPIRES) {
        return parse_expires(value.to_str().unwrap_or_default(), limits).map(Some);
    }
    let asked = Asked::of(uri).ok_or("The query cannot be read; write ?expires=1h.")?;
    asked.expires.map(|text| parse_expires(&text, limits)).transpose()
}

/// By what a tool wants to be known as the owner: `Truehop-Owner-Rule`, or `?owner=`.
pub(super) fn owner_rule_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    match headers.get(OWNER_RULE) {
        Some(value) => Some(value.to_str().unwrap_or_default().to_owned()),
        None => Asked::of(uri).and_then(|asked| asked.owner),
    }
}

/// Reads a duration that an uploader asks for. The error says what is allowed.
pub(super) fn parse_expires(text: &str, limits: &Limits) -> Result<Duration, String> {
    let longest = words(limits.max_expires);
    match humantime::parse_duration(text.trim()) {
        Ok(asked) if asked > limits.max_expires => Err(format!(
            "A file is kept for at most {longest} here; \"{}\" is longer.",
            excerpt(text)
        )),
        Ok(asked) if asked >= Duration::from_secs(1) => Ok(asked),
        _ => Err(format!(
            "\"{}\" is no time that a file can be kept for; write a number with a unit, such as 1h or 3d, at most {longest}.",
            excerpt(text)
        )),
    }
}

/// What somebody sent, short enough to be shown to them.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(method: Method, uri: &str, headers: &[(&'static str, &'static str)]) -> Asking {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        Asking::of(&method, &uri.parse().unwrap(), &map)
    }

    fn ask(uri: &str, headers: &[(&'static str, &'static str)]) -> Asking {
        asking(Method::GET, uri, headers)
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
            let is_name = header.0 == "user-agent";
            assert_eq!(
                asking(Method::POST, "/", &[header]).is_preview,
                !is_name,
                "{header:?}"
            );
        }
        for agent in [
            "curl/8.5.0",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36 Viber/22.9",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Mattermost/5.9.0 Chrome/126.0 Electron/31.2 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 [Pinterest/iOS]",
        ] {
            assert!(!ask("/", &[("user-agent", agent)]).is_preview, "{agent}");
        }
    }

    #[test]
    fn what_a_page_includes_nobody_has_asked_for() {
        let (site, mode, dest) = ("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest");
        for (headers, is_preview) in [
            (
                &[(site, "cross-site"), (mode, "navigate"), (dest, "document")][..],
                false,
            ),
            (
                &[(site, "cross-site"), (mode, "navigate"), (dest, "empty")],
                false,
            ),
            (&[(site, "same-origin"), (mode, "cors"), (dest, "empty")], false),
            (&[(site, "none"), (mode, "no-cors"), (dest, "empty")], false),
            (&[(site, "cross-site"), (mode, "no-cors"), (dest, "empty")], true),
            (&[(site, "same-site"), (mode, "cors"), (dest, "empty")], true),
            (&[(mode, "no-cors")], true),
            (
                &[(site, "cross-site"), (mode, "navigate"), (dest, "iframe")],
                true,
            ),
            (&[(site, "same-origin"), (mode, "no-cors"), (dest, "image")], true),
        ] {
            assert_eq!(ask("/", headers).is_preview, is_preview, "{headers:?}");
            assert!(!asking(Method::POST, "/", headers).is_preview, "{headers:?}");
        }
        for part in PARTS {
            assert!(ask("/", &[(dest, part)]).is_preview, "{part}");
        }
    }

    #[test]
    fn a_form_is_ours_when_the_browser_says_so_or_nobody_says_anything() {
        let site = "https://files.example.org/";
        let post = |headers: &[_]| asking(Method::POST, site, headers).origin;
        for (headers, origin) in [
            (&[][..], Origin::Ours),
            (&[("sec-fetch-site", "same-origin")], Origin::Ours),
            (&[("sec-fetch-site", "none")], Origin::Ours),
            (&[("sec-fetch-site", "same-site")], Origin::Foreign),
            (&[("sec-fetch-site", "cross-site")], Origin::Foreign),
            (&[("sec-fetch-site", "")], Origin::Foreign),
            // What knows more wins: a proxy that ends TLS changes what we take for our own scheme.
            (
                &[("sec-fetch-site", "same-origin"), ("origin", "http://other")],
                Origin::Ours,
            ),
            (&[("origin", "https://files.example.org")], Origin::Ours),
            (&[("origin", "https://FILES.example.org:443")], Origin::Ours),
            (&[("origin", "http://files.example.org")], Origin::Foreign),
            (&[("origin", "https://files.example.org:8443")], Origin::Foreign),
            (&[("origin", "https://example.org")], Origin::Foreign),
            (&[("origin", "files.example.org")], Origin::Foreign),
            (&[("origin", "")], Origin::Foreign),
            (&[("origin", "null")], Origin::Hidden),
        ] {
            assert_eq!(post(headers), origin, "{headers:?}");
        }
        let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://other")];
        assert_eq!(
            ask(site, &foreign).origin,
            Origin::Ours,
            "links from elsewhere are what links are for"
        );
        assert_eq!(
            asking(Method::POST, "/", &[("origin", "http://other")]).origin,
            Origin::Foreign
        );
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

    #[test]
    fn a_collection_is_shown_by_the_query_else_the_header_else_a_cookie() {
        let named = |letter: &str| format!("{}A", letter.repeat(21));
        let (query, header, cookie) = (named("a"), named("b"), named("c"));
        let uri = format!("/d/x/raw?collection={query}");
        let headers = |names: &[(HeaderName, String)]| -> HeaderMap {
            let of = |(name, value): &(HeaderName, String)| (name.clone(), value.parse().unwrap());
            names.iter().map(of).collect()
        };
        let both = headers(&[
            (COLLECTION, header.clone()),
            (
                header::COOKIE,
                format!("collection=nonsense; collection={cookie}"),
            ),
        ]);
        let only = headers(&[(
            header::COOKIE,
            format!("collection=nonsense; collection={cookie}"),
        )]);
        for (uri, headers, expected) in [
            (uri.as_str(), &both, Some(query)),
            ("/d/x/raw?collection=short", &both, Some(header)),
            ("/d/x/raw", &only, Some(cookie)),
            ("/d/x/raw", &headers(&[]), None),
        ] {
            let asking = Asking::of(&Method::GET, &uri.parse().unwrap(), headers);
            let shown = asking.collection.map(|secret| secret.as_str().to_owned());
            assert_eq!(shown, expected, "{uri}");
        }
    }
}
