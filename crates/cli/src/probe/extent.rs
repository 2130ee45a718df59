//! How many requests a run sends, which is said before it begins.

use truehop_forgeries::{Forgery, Language};

use super::slow_down;
use super::survey::{HONEST_EVERY, HONEST_FIRST};

/// So many requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Extent {
    /// Forgeries.
    pub(super) forged: usize,
    /// All requests, where nothing is turned away, fails, or claims the address that we have.
    pub(super) usual: usize,
    /// All requests at most.
    pub(super) most: usize,
}

impl Extent {
    /// That of a run in these languages.
    pub(super) fn of(corpus: &[Forgery], languages: &[Language]) -> Self {
        let mut extent = Self {
            most: slow_down::MOST,
            ..Self::default()
        };
        for language in languages {
            let sayable = || corpus.iter().filter(|forgery| forgery.is_sayable(*language));
            let forged = sayable().count();
            // Turned away, each of these is tried once more with our own address.
            let plain = sayable()
                .filter(|forgery| forgery.plain_header().is_some())
                .count();
            extent.forged += forged;
            extent.usual += HONEST_FIRST + forged + forged / HONEST_EVERY + 1;
            // An honest request follows whatever is alarming.
            extent.most += HONEST_FIRST + forged + plain + forged + 1;
        }
        extent
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use indicatif::ProgressBar;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use truehop_forgeries::forgeries;

    use super::*;
    use crate::probe::connector::Connector;
    use crate::probe::echo::Echo;
    use crate::probe::slow_down::SlowDown;
    use crate::probe::survey::{End, Pages, Plan, Survey};

    /// Runs against a server that answers forgeries so, and honest requests well. Returns how many came.
    async fn requests(corpus: &[Forgery], refusal: Option<&str>) -> usize {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let echo = Echo::default();
        let plan = Plan {
            connector: Connector {
                to: listener.local_addr().unwrap(),
                from: None,
                tls: None,
                patience: Duration::from_secs(60),
            },
            host: "a",
            pages: Pages::of("/w"),
            echo: &echo,
            corpus,
            languages: vec![Language::Http1],
            trusted: [127, 0, 0, 1].into(),
            rate: 1_000_000,
            slow_down: SlowDown::new(ProgressBar::hidden()),
        };
        let came = Cell::new(0);
        let server = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
                }
                came.set(came.get() + 1);
                let honest = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n192.0.2.7";
                let answer = refusal.filter(|_| !is_honest(&request)).unwrap_or(honest);
                // Who sends very much may still be sending.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        };
        let run = async {
            let client = plan.introduce().await.unwrap();
            let mut survey = Survey::new(client);
            assert_eq!(survey.run(&plan, &ProgressBar::hidden()).await, End::Whole);
        };
        tokio::select! {
            () = run => {}
            () = server => {}
        }
        came.get()
    }

    fn is_honest(request: &[u8]) -> bool {
        let request = String::from_utf8_lossy(request);
        let (line, fields) = request.split_once("\r\n").unwrap();
        let names: Vec<&str> = fields.lines().filter_map(|line| line.split(':').next()).collect();
        line.starts_with("GET /w?truehop-probe=")
            && line.ends_with(" HTTP/1.1")
            && !line.contains("203.0.113.96")
            && names == ["Host", "User-Agent", "Cache-Control", "Accept", "Connection", ""]
            && fields.contains("Host: a\r\n")
            && fields.contains("Connection: close\r\n")
    }

    #[tokio::test]
    async fn as_many_requests_are_sent_as_is_said() {
        let corpus = forgeries().unwrap();
        let extent = Extent::of(&corpus, &[Language::Http1]);
        assert_eq!(requests(&corpus, None).await, extent.usual);
        let slower = "HTTP/1.1 429 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(requests(&corpus, Some(slower)).await, extent.most);
        let both = Extent::of(&corpus, &[Language::Http1, Language::Http2]);
        assert!(both.usual > extent.usual && both.forged > corpus.len() && both.most > both.usual);
    }
}
