//! Servers that ask to slow down: they are waited for, and asked once more.
//!
//! Invariant: the waits of a run are [`MOST`] or fewer, and take [`LONGEST`] or less together.

use std::cell::Cell;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::sleep;
use truehop_forgeries::Answer;

use super::connector::Reply;
use super::verdict::shown;

/// So often a server is waited for.
pub(super) const MOST: usize = 30;
/// So long a server is waited for, in all.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// So long where a date is said, or what cannot be read.
const USUAL: Duration = Duration::from_secs(5);

/// The waits of a run.
#[derive(Debug)]
pub(super) struct SlowDown {
    times: Cell<usize>,
    waited: Cell<Duration>,
    /// Where somebody sees that it is waited.
    bar: ProgressBar,
}

impl SlowDown {
    pub(super) fn new(bar: ProgressBar) -> Self {
        Self {
            times: Cell::new(0),
            waited: Cell::new(Duration::ZERO),
            bar,
        }
    }

    /// How often it was waited.
    pub(super) fn times(&self) -> usize {
        self.times.get()
    }

    /// How long it was waited.
    pub(super) fn waited(&self) -> Duration {
        self.waited.get()
    }

    /// Waits if the reply asks for that, and if there is time for it. Returns whether it was waited, and so whether to ask
    /// again.
    pub(super) async fn wait(&self, reply: &Reply) -> bool {
        let Reply::Answers(answers) = reply else {
            return false;
        };
        let Some(said) = answers.iter().find_map(asked) else {
            return false;
        };
        let pause = seconds(said).map_or(USUAL, Duration::from_secs);
        let in_all = self.waited.get().saturating_add(pause);
        if in_all > LONGEST || self.times.get() >= MOST {
            return false;
        }
        self.times.set(self.times.get() + 1);
        self.waited.set(in_all);
        let before = self.bar.message();
        self.bar
            .set_message(format!("asked to slow down: waiting {} s", pause.as_secs()));
        sleep(pause).await;
        self.bar.set_message(before);
        true
    }
}

/// When to come again, if this is an answer that asks to slow down.
pub(super) fn asked(answer: &Answer) -> Option<&str> {
    match answer.status {
        Some(429 | 503) => answer.retry_after.as_deref(),
        _ => None,
    }
}

/// The same in words, behind "to slow down".
pub(super) fn told(said: &str) -> String {
    match seconds(said) {
        Some(seconds) => format!("for {seconds} s"),
        None if said.is_empty() => "for a time".to_owned(),
        None => format!("until {}", shown(said)),
    }
}

/// RFC 9110, section 10.2.3: seconds, or else a date. More than there are is the most.
fn seconds(said: &str) -> Option<u64> {
    let is_number = !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| said.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn reply(status: u16, retry_after: Option<&str>) -> Reply {
        Reply::Answers(vec![Answer {
            status: Some(status),
            retry_after: retry_after.map(str::to_owned),
            body: Vec::new(),
        }])
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_waited_for_as_long_as_it_asks_and_half_a_minute_in_all() {
        let slow_down = SlowDown::new(ProgressBar::hidden());
        let begun = Instant::now();
        for (status, said, is_waited, in_all) in [
            (429, Some("7"), true, 7),
            (503, Some("0"), true, 7),
            (503, Some("Fri, 31 Dec 1999 23:59:59 GMT"), true, 12),
            (429, Some(""), true, 17),
            (429, Some("14"), false, 17),
            (429, Some("99999999999999999999999"), false, 17),
            (503, None, false, 17),
            (200, Some("1"), false, 17),
            (500, Some("1"), false, 17),
            (429, Some("13"), true, 30),
            (429, Some("1"), false, 30),
            (429, Some("0"), true, 30),
        ] {
            assert_eq!(
                slow_down.wait(&reply(status, said)).await,
                is_waited,
                "{status} {said:?}"
            );
            assert_eq!(begun.elapsed().as_secs(), in_all, "{status} {said:?}");
        }
        assert_eq!((slow_down.times(), slow_down.waited()), (6, LONGEST));
        assert!(!slow_down.wait(&Reply::Silence).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_not_waited_for_without_end() {
        let slow_down = SlowDown::new(ProgressBar::hidden());
        let mut times = 0;
        while slow_down.wait(&reply(503, Some("0"))).await {
            times += 1;
        }
        assert_eq!((times, slow_down.times()), (MOST, MOST));
    }

    #[test]
    fn the_time_that_is_asked_for_is_told() {
        for (said, words) in [
            ("7", "for 7 s"),
            ("", "for a time"),
            ("Fri,\u{1b}", "until Fri,\\u{1b}"),
        ] {
            assert_eq!(told(said), words);
        }
    }
}
