//! A drop with one file, and who asks for it.

use std::collections::BTreeMap;

use truehop_e2e::{
    Clock, Connection, Host, Outcome, Request, Response, Tmpfs, Truehop, Uploaded, Visitor, content,
    eventually,
};

use crate::After;

pub(crate) const UPLOADER: Host = Host::at(127, 0, 0, 1);
pub(crate) const OTHER: Host = Host::at(127, 0, 0, 2);
/// Who comes next.
pub(crate) const NEXT: Host = Host::at(127, 0, 0, 3);
/// A proxy that is trusted, and says nothing.
pub(crate) const PROXY: Host = Host::at(127, 0, 0, 9);

/// Untrusted peers are clients themselves, so that all three ask the same server.
pub(crate) const CONFIG: &str = "\
[client]
from = \"header\"
header = \"X-Real-IP\"
trusted = [\"127.0.0.9\"]
on_missing = \"peer\"
[admin]
listen = \"127.0.0.1:0\"
[drop]
lease = \"1s\"
grace = \"1s\"
";

/// Several pieces, and more than the kernel holds for a narrow client.
pub(crate) const SIZE: usize = 512 << 10;

/// More than sockets hold: while somebody reads the beginning, the last piece has not left.
pub(crate) const LARGE: usize = 16 << 20;

/// Who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    Owner,
    Other,
    Unknown,
}

impl Who {
    pub(crate) fn host(self) -> Host {
        match self {
            Self::Owner => UPLOADER,
            Self::Other => OTHER,
            Self::Unknown => PROXY,
        }
    }
}

/// A drop with one file.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) drop: Truehop,
    pub(crate) who: Who,
    pub(crate) file: Uploaded,
    pub(crate) content: Vec<u8>,
    #[expect(dead_code, reason = "what the process needs for as long as it is there")]
    pub(crate) disk: Option<Tmpfs>,
    #[expect(dead_code, reason = "as the disk")]
    pub(crate) clock: Option<Clock>,
}

impl Stage {
    pub(crate) fn new(who: Who) -> Self {
        Self::with(who, SIZE, Truehop::start(CONFIG), &[])
    }

    /// For [`begin`](Self::begin).
    pub(crate) fn large(who: Who) -> Self {
        Self::with(who, LARGE, Truehop::start(CONFIG), &[])
    }

    pub(crate) fn with(who: Who, size: usize, drop: Truehop, headers: &[(&str, &str)]) -> Self {
        let content = content(1, size);
        let request = Request::new("PUT", "/file.bin").headers(headers).body(&content);
        let file = Uploaded::read(&Visitor::new(UPLOADER, drop.address()).ask(&request).answer());
        Self {
            drop,
            who,
            file,
            content,
            disk: None,
            clock: None,
        }
    }

    pub(crate) fn path(&self) -> String {
        self.file.link.raw()
    }

    pub(crate) fn request(&self) -> Request {
        Request::new("GET", &self.path())
    }

    /// Who the row is about.
    pub(crate) fn visitor(&self) -> Visitor {
        self.at(self.who.host())
    }

    pub(crate) fn at(&self, host: Host) -> Visitor {
        Visitor::new(host, self.drop.address())
    }

    pub(crate) fn ask(&self, request: &Request) -> Outcome {
        self.visitor().ask(request)
    }

    /// A request that got all of it.
    #[track_caller]
    pub(crate) fn is_all(&self, outcome: &Outcome) {
        assert!(
            outcome.is_whole() && outcome.body() == self.content,
            "{outcome:?}"
        );
    }

    /// Begins to read, so that the rest is still here. What came by now, behind the head.
    #[track_caller]
    pub(crate) fn begin(&self) -> Begun {
        let mut connection = self.who.host().connect_narrow(self.drop.address(), 16 << 10);
        let request = self.request().header("Host", "drop.test");
        connection.write(request.to_string());
        let head = connection.read_head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let collection = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("Truehop-Collection")
                .then(|| value.trim().to_owned())
        });
        let bytes = connection.read_exact(LARGE / 8);
        Begun {
            connection,
            bytes,
            collection,
        }
    }

    /// What [`NEXT`] gets.
    pub(crate) fn next(&self) -> Response {
        self.at(NEXT).get(&self.path())
    }

    /// Somebody else is told to come later.
    #[track_caller]
    pub(crate) fn is_busy(&self) {
        let busy = self.next();
        assert_eq!(busy.status, 423, "{busy:?}");
        let later: u64 = busy.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=2).contains(&later), "the lease is a second: {busy:?}");
    }

    /// What the server counts.
    pub(crate) fn counted(&self) -> BTreeMap<String, u64> {
        self.drop.metrics()
    }

    pub(crate) fn endings(&self, ending: &str) -> u64 {
        self.counted()[&format!("truehop_drop_endings_total{{outcome=\"{ending}\"}}")]
    }

    /// What the owner's page says.
    pub(crate) fn owners_page(&self) -> String {
        let request = Request::new("GET", self.file.link.page()).header("Truehop-Owner", &self.file.owner);
        self.at(UPLOADER).ask(&request).answer().text()
    }

    /// What must be true now.
    #[track_caller]
    pub(crate) fn is(&self, after: After) {
        // Whatever is under way comes to its end first.
        eventually("the end of all requests", || {
            (self.drop.collecting() == 0).then_some(())
        });
        let delivered = self.endings("delivered");
        match after {
            After::Free => {
                assert_eq!(delivered, 0, "a receipt for nothing");
                self.next_gets_it();
            }
            After::Leased => {
                assert_eq!(delivered, 0, "a receipt for a part");
                self.is_busy();
                eventually("the lease to lapse", || {
                    let next = self.next();
                    assert!(matches!(next.status, 200 | 423), "{next:?}");
                    assert!(next.status == 423 || next.body == self.content, "other bytes");
                    (next.status == 200).then_some(())
                });
            }
            After::Delivered | After::Ended | After::Over => {
                eventually("410", || {
                    let next = self.next();
                    assert!(matches!(next.status, 410 | 423), "a second recipient: {next:?}");
                    (next.status == 410).then_some(())
                });
                if after == After::Over {
                    return;
                }
                let receipts = u64::from(after == After::Delivered);
                assert_eq!(self.endings("delivered"), receipts, "{:#?}", self.counted());
                let page = self.owners_page().to_lowercase();
                assert_eq!(page.contains("delivered"), after == After::Delivered, "{page}");
            }
        }
        self.unknown_is_counted();
    }

    #[track_caller]
    fn next_gets_it(&self) {
        let next = self.next();
        assert_eq!(next.status, 200, "{next:?}");
        assert!(next.body == self.content, "other bytes");
    }

    /// Whoever is unknown is so for a reason, which the operator finds.
    #[track_caller]
    fn unknown_is_counted(&self) {
        let counted = self.counted();
        let unknown = counted
            .iter()
            .filter(|(name, _)| name.contains("verdict=\"unknown\""));
        let unknown: u64 = unknown.map(|(_, count)| count).sum();
        assert!(unknown == 0 || self.who == Who::Unknown, "{counted:#?}");
    }
}

/// A download that is under way.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) connection: Connection,
    pub(crate) bytes: Vec<u8>,
    pub(crate) collection: Option<String>,
}

impl Begun {
    /// Reads the rest, which must be the rest.
    #[track_caller]
    pub(crate) fn finish(mut self, stage: &Stage) {
        let rest = self.connection.read_exact(stage.content.len() - self.bytes.len());
        self.bytes.extend(rest);
        assert!(self.bytes == stage.content, "other bytes than those uploaded");
    }

    /// Reads what still comes. Whether that was all.
    pub(crate) fn drain(mut self, stage: &Stage) -> bool {
        let rest = stage.content.len() - self.bytes.len();
        self.bytes.extend(self.connection.read_up_to(rest));
        self.bytes == stage.content
    }
}
