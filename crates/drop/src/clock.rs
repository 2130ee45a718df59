//! The wall clock, behind a seam so that tests can move it.
//!
//! Invariant: every time that is stored or compared in this crate comes from one [`Clock`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the wall-clock time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// A clock that says what `now` says.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        let since = (self.0)().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// Milliseconds since 1970-01-01 UTC, never negative.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Timestamp(pub(crate) i64);

impl Timestamp {
    pub(crate) fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// How long it is from `now` until this time; zero when it has passed.
    pub(crate) fn after(self, now: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0))
    }

    pub(crate) fn system(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }

    /// For headers and people: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) fn http(self) -> String {
        // The formatter knows years up to 9999; a clock beyond that is broken.
        httpdate::fmt_http_date(
            self.system()
                .min(UNIX_EPOCH + Duration::from_secs(253_402_300_799)),
        )
    }

    /// For the attribute `datetime`: `1994-11-06T08:49:37Z`.
    pub(crate) fn rfc3339(self) -> String {
        let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        humantime::format_rfc3339_seconds(self.system().min(latest)).to_string()
    }
}
