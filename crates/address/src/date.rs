//! Days of the calendar, for the age of lists that go stale.
//!
//! Invariant: a [`Date`] is a day that exists in the Gregorian calendar. No clock is read here: today is told by the
//! caller.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: i64 = 86_400;
/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// A day, such as `2026-06-07`, in UTC.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Date {
    /// Since 1970-01-01.
    days: i64,
}

impl Date {
    /// How many days `self` is after `earlier`; negative when it is before.
    pub fn days_since(self, earlier: Self) -> i64 {
        self.days - earlier.days
    }

    /// Year, month and day. Years begin in March in here, so that the leap day is a year's last.
    fn civil(self) -> (i64, i64, i64) {
        let days = self.days + EPOCH;
        let era = days.div_euclid(DAYS_PER_ERA);
        let day_of_era = days.rem_euclid(DAYS_PER_ERA);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        (era * 400 + year_of_era + i64::from(month <= 2), month, day)
    }

    fn from_civil(year: i64, month: i64, day: i64) -> Self {
        let year = year - i64::from(month <= 2);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self {
            days: year.div_euclid(400) * DAYS_PER_ERA + day_of_era - EPOCH,
        }
    }
}

/// The day on which `time` falls, in UTC.
impl From<SystemTime> for Date {
    fn from(time: SystemTime) -> Self {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
        };
        Self {
            days: seconds.div_euclid(SECONDS_PER_DAY),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Reads `YYYY-MM-DD`.
impl FromStr for Date {
    type Err = ParseDateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '-');
        let mut number = |digits: usize| {
            let part = parts
                .next()
                .filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()));
            part.and_then(|part| part.parse().ok()).ok_or(ParseDateError)
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        let date = Self::from_civil(year, month, day);
        // A day that does not exist, such as 02-30, is counted on into the next month.
        match date.civil() == (year, month, day) {
            true => Ok(date),
            false => Err(ParseDateError),
        }
    }
}

/// A text that is no day; see [`Date`]'s `FromStr`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseDateError;

impl fmt::Display for ParseDateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a day of the calendar: write YYYY-MM-DD")
    }
}

impl Error for ParseDateError {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        for (earlier, later, days) in [
            ("1970-01-01", "1970-01-02", 1),
            ("1999-12-31", "2000-03-01", 61),
            ("1900-02-28", "1900-03-01", 1),
            ("2024-02-28", "2024-03-01", 2),
            ("2000-01-01", "2400-01-01", DAYS_PER_ERA),
            ("2026-06-08", "2026-06-07", -1),
        ] {
            assert_eq!(date(later).days_since(date(earlier)), days, "{earlier} {later}");
        }
    }

    #[test]
    fn every_day_is_shown_as_it_is_read() {
        for days in (-800_000..800_000).step_by(37) {
            let day = Date { days };
            let (year, month, of_month) = day.civil();
            assert_eq!(Date::from_civil(year, month, of_month), day);
            if (0..=9999).contains(&year) {
                assert_eq!(date(&day.to_string()), day);
            }
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "2026",
            "2026-6-7",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "2026-01-00",
            "+026-01-01",
            "2026-01-01 ",
        ] {
            assert_eq!(text.parse::<Date>(), Err(ParseDateError), "{text}");
        }
    }

    #[test]
    fn a_clock_is_read_in_utc() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(Date::from(at(86_399)), date("1970-01-01"));
        assert_eq!(Date::from(at(1_780_790_400)), date("2026-06-07"));
        assert_eq!(
            Date::from(UNIX_EPOCH - Duration::from_secs(1)),
            date("1969-12-31")
        );
    }
}
