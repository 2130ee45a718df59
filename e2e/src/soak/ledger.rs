//! What was sent, what was answered, and what was logged, until the three agree.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The books of a soak. Entries go when all that is to be known of them is known and agrees.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    next: u64,
    open: HashMap<u64, Entry>,
    totals: Totals,
    /// Lines by class of their status.
    lines: [u64; 5],
    /// Lines that the edge says it lost.
    lost: u64,
    failures: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    client: IpAddr,
    method: &'static str,
    end: Option<End>,
    line: Option<Line>,
}

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// It got a whole answer with this status and so many bytes of body.
    Answered(u16, u64),
    /// It went away, or was cut off as it had asked for: what the log says of it depends on the moment.
    Aborted,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Line {
    status: u16,
    bytes: u64,
    whole: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    sent: u64,
    answered: u64,
    aborted: u64,
}

/// More are not worth reading.
const MOST_FAILURES: usize = 20;

impl Ledger {
    /// A number for a request that is sent now.
    pub(super) fn send(&self, client: IpAddr, method: &'static str) -> u64 {
        let mut books = self.books();
        books.next += 1;
        books.totals.sent += 1;
        let (number, entry) = (
            books.next,
            Entry {
                client,
                method,
                end: None,
                line: None,
            },
        );
        books.open.insert(number, entry);
        number
    }

    /// A request has ended for its client.
    pub(super) fn end(&self, number: u64, end: End) {
        let mut books = self.books();
        match end {
            End::Answered(..) => books.totals.answered += 1,
            End::Aborted => books.totals.aborted += 1,
        }
        match books.open.get_mut(&number) {
            Some(entry) => entry.end = Some(end),
            None => books.fail(format!("request {number} ends twice")),
        }
        books.compare(number);
    }

    /// Something went wrong that the books cannot see.
    pub(super) fn fail(&self, why: String) {
        self.books().fail(why);
    }

    /// Whether nothing is known to be wrong so far; otherwise what is.
    pub(super) fn is_sound(&self) -> Result<(), Vec<String>> {
        match self.books().failures.as_slice() {
            [] => Ok(()),
            failures => Err(failures.to_vec()),
        }
    }

    /// A line of the edge's output; whether it is of the access log.
    pub(super) fn line(&self, text: &str) -> bool {
        let field = |name: &str| {
            let mut fields = text.split(' ').filter_map(|field| field.split_once('='));
            fields.find(|(had, _)| *had == name).map(|(_, value)| value)
        };
        let mut books = self.books();
        if let Some(lost) = field("lost").and_then(|lost| lost.parse::<u64>().ok()) {
            books.lost += lost;
            return true;
        }
        let (Some(status), Some(bytes)) = (field("status"), field("bytes")) else {
            return false;
        };
        let (Ok(status), Ok(bytes)) = (status.parse::<u16>(), bytes.parse()) else {
            books.fail(format!("a line that nobody can read: {text}"));
            return true;
        };
        match books.lines.get_mut(usize::from(status / 100).wrapping_sub(1)) {
            Some(count) => *count += 1,
            None => books.fail(format!("a line with no status: {text}")),
        }
        let whole = field("cut").is_none();
        let number = field("path").and_then(|path| path.rsplit_once("/soak-")?.1.parse::<u64>().ok());
        // A head that broke off has no path.
        let Some(number) = number else {
            if status != 400 && status != 408 && status != 499 {
                books.fail(format!("a line without a number: {text}"));
            }
            return true;
        };
        let line = Line { status, bytes, whole };
        match books.open.get_mut(&number) {
            None => books.fail(format!("a line for no request, or a second one: {text}")),
            Some(entry) => {
                let is_theirs = field("client") == Some(&entry.client.to_string())
                    && field("method") == Some(entry.method);
                if entry.line.replace(line).is_some() || !is_theirs {
                    let entry = format!("{entry:?}");
                    books.fail(format!("a line that is not of {entry}: {text}"));
                }
            }
        }
        books.compare(number);
        true
    }

    /// Whether all is known and agrees, and the counters, by class, with it. Only when nothing is under way.
    pub(super) fn balance(&self, counted: [u64; 5]) -> Result<(), String> {
        let mut books = self.books();
        let lines: u64 = books.lines.iter().sum();
        let has_lost = books.lost > 0;
        let agrees = if has_lost {
            counted.iter().sum::<u64>() == lines + books.lost
        } else {
            counted == books.lines
        };
        if !agrees {
            return Err(format!(
                "{counted:?} are counted, {:?} are logged, {} lost",
                books.lines, books.lost
            ));
        }
        let is_due = |(_, entry): &(&u64, &Entry)| !matches!(entry.end, Some(End::Aborted));
        let due: Vec<_> = books.open.iter().filter(is_due).collect();
        if due.len() as u64 > books.lost {
            return Err(format!(
                "{} requests have no line or no end: {:?}",
                due.len(),
                &due[..due.len().min(5)]
            ));
        }
        // The rest was never read by the edge; every line that is counted has come.
        books.open.clear();
        let totals = books.totals;
        if lines + books.lost < totals.answered {
            return Err(format!("{lines} lines of {totals}"));
        }
        Ok(())
    }

    pub(super) fn totals(&self) -> Totals {
        self.books().totals
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Closes an entry of which both sides are known, if they agree.
    fn compare(&mut self, number: u64) {
        let Some(Entry {
            end: Some(end),
            line: Some(line),
            ..
        }) = self.open.get(&number)
        else {
            return;
        };
        let (end, line) = (*end, *line);
        let agrees = match end {
            End::Answered(status, bytes) => line.status == status && line.bytes == bytes && line.whole,
            End::Aborted => true,
        };
        self.open.remove(&number);
        if !agrees {
            self.fail(format!("request {number}: {end:?} and {line:?}"));
        }
    }

    fn fail(&mut self, why: String) {
        if self.failures.len() < MOST_FAILURES {
            self.failures.push(why);
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} answered, {} aborted",
            self.sent, self.answered, self.aborted
        )
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1));

    /// One request that is answered with `200` and 5 bytes, these lines about it, and this counter of 2xx.
    fn kept(lines: &[&str], counted: u64) -> Result<Result<(), String>, Vec<String>> {
        let ledger = Ledger::default();
        let number = ledger.send(CLIENT, "GET");
        ledger.end(number, End::Answered(200, 5));
        for line in lines {
            ledger.line(line);
        }
        ledger.is_sound()?;
        Ok(ledger.balance([0, counted, 0, 0, 0]))
    }

    #[test]
    fn books_that_agree_are_closed() {
        assert_eq!(
            kept(
                &["client=127.0.1.1 method=GET path=/node/soak-1 status=200 bytes=5"],
                1
            ),
            Ok(Ok(()))
        );
    }

    #[test]
    fn a_line_that_is_wrong_is_found() {
        for line in [
            "client=127.0.1.2 method=GET path=/node/soak-1 status=200 bytes=5",
            "client=127.0.1.1 method=PUT path=/node/soak-1 status=200 bytes=5",
            "client=127.0.1.1 method=GET path=/node/soak-2 status=200 bytes=5",
            "client=127.0.1.1 method=GET path=/node/soak-1 status=502 bytes=5",
            "client=127.0.1.1 method=GET path=/node/soak-1 status=200 bytes=4",
            "client=127.0.1.1 method=GET path=/node/soak-1 status=200 bytes=5 cut=true",
            "client=127.0.1.1 method=GET path=/node/soak-1 status=0 bytes=5",
            "client=127.0.1.1 method=GET path=/node/ status=200 bytes=5",
        ] {
            assert!(kept(&[line], 1).is_err(), "{line}");
        }
        let right = "client=127.0.1.1 method=GET path=/node/soak-1 status=200 bytes=5";
        assert!(kept(&[right, right], 2).is_err(), "twice");
    }

    #[test]
    fn what_is_missing_is_found() {
        let line = "client=127.0.1.1 method=GET path=/node/soak-1 status=200 bytes=5";
        for (lines, counted) in [(&[][..], 0), (&[], 1), (&[line], 0), (&[line], 2)] {
            assert!(matches!(kept(lines, counted), Ok(Err(_))), "{lines:?} {counted}");
        }
        // A log that says how much it lost may lack that much.
        assert_eq!(kept(&["time=now lost=1"], 1), Ok(Ok(())));
    }

    #[test]
    fn who_left_may_have_a_line_or_none() {
        for line in [
            None,
            Some("client=127.0.1.1 method=GET path=/node/soak-1 status=499 bytes=0 cut=true"),
        ] {
            let ledger = Ledger::default();
            let number = ledger.send(CLIENT, "GET");
            ledger.end(number, End::Aborted);
            line.map(|line| ledger.line(line));
            assert_eq!(ledger.balance([0, 0, 0, u64::from(line.is_some()), 0]), Ok(()));
        }
    }
}
