//! Who asks, and how it goes: the whole table. What a download comes to depends on nothing else.

use http::StatusCode;

use crate::support::*;

/// How somebody has a file of [`SIZE`] bytes.
#[derive(Clone, Copy, Debug)]
enum How {
    /// All of it, and all of it arrives.
    Whole,
    /// Two ranges that meet.
    Ranges,
    /// Two ranges with a byte between them.
    Gap,
    /// All of it, and so many bytes are acknowledged before it breaks off.
    Abort(u64),
    Head,
    NotModified,
    Unsatisfiable,
    Precondition,
    Prefetch,
    Bot,
    Page,
    Options,
}

const SIZE: u64 = 100;

#[derive(Clone, Copy, Debug)]
enum Who {
    Owner,
    Other,
    Unknown,
}

/// What is left of it: `delivered`, `held` (for who had it), or `untouched`.
fn outcome(who: Who, how: How) -> &'static str {
    match (who, how) {
        (Who::Owner, _) => "untouched",
        (_, How::Whole | How::Ranges) => "delivered",
        (_, How::Gap | How::Abort(_)) => "held",
        (
            _,
            How::Head
            | How::NotModified
            | How::Unsatisfiable
            | How::Precondition
            | How::Prefetch
            | How::Bot
            | How::Page
            | How::Options,
        ) => "untouched",
    }
}

async fn have(site: &Site, file: &Uploaded, who: Who, how: How) {
    let raw = format!("{}/raw", file.path);
    let tag = site.send(ask("HEAD", &raw).token(&file.token)).await;
    let tag = tag.header("etag").to_owned();
    let is = |ask: Ask| match who {
        Who::Owner => ask.from(STRANGER).token(&file.token),
        Who::Other => ask.from(AWAY),
        Who::Unknown => ask.resolved(stood_in_for()),
    };
    // Who has no address shows the collection.
    let mut shown: Option<String> = None;
    let mut part = async |range: &str, acknowledged: Option<u64>| {
        let mut asked = is(ask("GET", &raw));
        if !range.is_empty() {
            asked = asked.range(range);
        }
        if let Some(name) = &shown {
            asked = asked.collection(name);
        }
        let answer = site.send(asked).await;
        assert!(
            answer.status.is_success(),
            "{who:?} {how:?} {range}: {}",
            answer.status
        );
        shown = Some(answer.collection()).filter(|name| !name.is_empty());
        assert_eq!(shown.is_some(), !matches!(who, Who::Owner));
        assert_eq!(answer.courier.is_some(), shown.is_some());
        match (&answer.courier, acknowledged) {
            (Some(_), Some(count)) => answer.cut_short(count),
            (Some(_), None) => drop(answer.deliver().await),
            (None, _) => drop(answer),
        }
        site.until_under_way(0).await;
    };
    let (name, value, status) = match how {
        How::Whole => return part("", None).await,
        How::Abort(count) => return part("", Some(count)).await,
        How::Ranges => {
            part("0-49", None).await;
            return part("50-99", None).await;
        }
        How::Gap => {
            part("0-48", None).await;
            return part("50-99", None).await;
        }
        How::Head => ("x-nothing", "", StatusCode::OK),
        How::NotModified => ("if-none-match", tag.as_str(), StatusCode::NOT_MODIFIED),
        How::Unsatisfiable => ("range", "bytes=100-", StatusCode::RANGE_NOT_SATISFIABLE),
        How::Precondition => ("if-match", "\"other\"", StatusCode::PRECONDITION_FAILED),
        How::Prefetch => ("sec-purpose", "prefetch", StatusCode::OK),
        How::Bot => ("user-agent", "TelegramBot (like TwitterBot)", StatusCode::OK),
        How::Page => ("x-nothing", "", StatusCode::OK),
        How::Options => ("x-nothing", "", StatusCode::METHOD_NOT_ALLOWED),
    };
    let (method, path) = match how {
        How::Head => ("HEAD", raw.as_str()),
        How::Options => ("OPTIONS", raw.as_str()),
        How::Page => ("GET", file.path.as_str()),
        _ => ("GET", raw.as_str()),
    };
    let answer = site.send(is(ask(method, path)).header(name, value)).await;
    assert_eq!(answer.status, status, "{who:?} {how:?}");
    assert!(answer.courier.is_none());
    assert!(!answer.text().await.contains(&"x".repeat(SIZE as usize)));
}

#[tokio::test]
async fn what_a_download_comes_to() {
    let site = Site::new();
    let ways = [
        How::Whole,
        How::Ranges,
        How::Gap,
        How::Abort(0),
        How::Abort(SIZE / 2),
        How::Abort(SIZE - 1),
        How::Head,
        How::NotModified,
        How::Unsatisfiable,
        How::Precondition,
        How::Prefetch,
        How::Bot,
        How::Page,
        How::Options,
    ];
    let mut unknown = 0;
    for who in [Who::Owner, Who::Other, Who::Unknown] {
        for how in ways {
            let file = site.upload("a", &"x".repeat(SIZE as usize)).await;
            have(&site, &file, who, how).await;
            let mine = format!("drop_id = '{}'", &file.path[3..]);
            let row = match outcome(who, how) {
                "delivered" => "ending = 'delivered' AND attempts = 1",
                "held" => "state = 'collecting' AND last_piece = 0 AND attempts = 1",
                _ => "state = 'ready' AND attempts = 0 AND collection IS NULL",
            };
            assert_eq!(site.rows(&format!("{mine} AND {row}")), 1, "{who:?} {how:?}");
            let then = match outcome(who, how) {
                "delivered" => StatusCode::GONE,
                "held" => StatusCode::LOCKED,
                _ => StatusCode::OK,
            };
            let other = site
                .send(ask("HEAD", &format!("{}/raw", file.path)).from(STRANGER))
                .await;
            assert_eq!(other.status, then, "{who:?} {how:?}");
            let counted = matches!(who, Who::Unknown) && outcome(who, how) != "untouched";
            unknown += i64::from(counted);
            assert_eq!(
                site.rows(&format!("{mine} AND unknown = 1")),
                i64::from(counted),
                "{who:?} {how:?}"
            );
        }
    }
    assert_eq!(site.rows("unknown_why = 'missing-header'"), unknown);
    site.drop.sweep().await;
    assert_eq!(site.on_disk().len() as i64, site.rows("ending IS NULL"));
}
