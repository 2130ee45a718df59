//! How true a receipt is, measured through everything that may stand between the drop and a person.
//!
//! Two people: one reads half of a large file, waits, and reads on; one reads half of a file and vanishes. Whether the file
//! is called delivered meanwhile is written into a table, and `docs/delivered.md` must have that very table.

use std::fs;
use std::net::SocketAddr;
use std::thread;

use truehop_e2e::{
    Connection, Haproxy, Host, Nginx, Request, Truehop, Visitor, blobs_in, content, eventually, missing,
    stand_still, workspace,
};

const UPLOADER: Host = Host::at(127, 0, 0, 1);
const PERSON: Host = Host::at(127, 0, 0, 2);
const ANOTHER: Host = Host::at(127, 0, 0, 3);

const SMALL: usize = 16 << 10;

/// The least size of a large file: so that half of it is more than the sockets of a proxy may hold, by the kernel's
/// defaults.
const LARGE: usize = 32 << 20;

/// What a person's own kernel may hold of the large file, when it is told to hold as little as that.
const HELD: usize = 256 << 10;

/// A grace that does not end here.
const CONFIG: &str = "\
[admin]
listen = \"127.0.0.1:0\"
[drop]
lease = \"1s\"
grace = \"1h\"
[client]
from = \"header\"
header = \"X-Real-IP\"
trusted = [\"127.0.0.10\"]
";

/// How nginx is told who it is and who the client is; everything else is what each row says.
const NGINX: &str = "proxy_bind 127.0.0.10; proxy_set_header X-Real-IP $remote_addr; proxy_http_version 1.1;";

/// What stands between.
enum Between {
    Nothing,
    Edge(Truehop),
    Nginx(Nginx),
    Haproxy(Haproxy),
}

/// What was seen of one of them.
#[derive(Debug, Eq, PartialEq)]
struct Measured {
    /// Called delivered while the slow reader has half of it.
    slow: bool,
    /// Called delivered although the person has vanished at half of 32 MiB.
    gone_large: bool,
    /// The same, of 16 KiB.
    gone_small: bool,
    /// What was still missing at the person when it was called delivered.
    missing: Missing,
    /// Whether the same person may have it once more from then on.
    has_grace: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Missing {
    Nothing,
    /// What proxies and kernels hold on the way.
    SomeMegabytes,
    /// As much as the person had not read by then.
    AnyAmount,
}

/// Puts something before the drop at this address.
type Put = fn(SocketAddr) -> Between;

const ROWS: [(&str, Put); 6] = [
    ("nothing", |_| Between::Nothing),
    ("Truehop's edge", |drop| {
        Between::Edge(Truehop::start(&format!(
            "[[route]]\npath = \"/\"\nproxy = [\"http://{drop}\"]\nbind = \"127.0.0.10\"\n"
        )))
    }),
    ("nginx, `proxy_buffering off`", |drop| {
        Between::Nginx(Nginx::start(drop, &format!("{NGINX} proxy_buffering off;")))
    }),
    ("nginx as it comes, which heeds `X-Accel-Buffering: no`", |drop| {
        Between::Nginx(Nginx::start(drop, NGINX))
    }),
    ("nginx, `proxy_ignore_headers X-Accel-Buffering`", |drop| {
        Between::Nginx(Nginx::start(
            drop,
            &format!("{NGINX} proxy_ignore_headers X-Accel-Buffering;"),
        ))
    }),
    ("HAProxy", |drop| {
        Between::Haproxy(Haproxy::start(drop, "127.0.0.10"))
    }),
];

impl Between {
    fn door(&self, drop: SocketAddr) -> SocketAddr {
        match self {
            Self::Nothing => drop,
            Self::Edge(edge) => edge.address(),
            Self::Nginx(nginx) => nginx.address(),
            Self::Haproxy(haproxy) => haproxy.address(),
        }
    }
}

#[test]
fn the_table_of_what_delivered_means_is_true() {
    if missing(&["nginx", "haproxy"]) {
        return;
    }
    let measured = thread::scope(|scope| {
        let rows = ROWS.map(|(name, between)| (name, scope.spawn(move || measure(between))));
        rows.map(|(name, row)| {
            (
                name,
                row.join()
                    .unwrap_or_else(|_| panic!("{name} could not be measured")),
            )
        })
    });
    let by = |name: &str| &measured.iter().find(|(had, _)| *had == name).expect("a row").1;
    // Whatever the document says, this must be so.
    let direct = by("nothing");
    assert!(
        !direct.slow && !direct.gone_large && !direct.gone_small,
        "{direct:?}"
    );
    assert!(
        direct.missing == Missing::Nothing && !direct.has_grace,
        "{direct:?}"
    );
    assert!(
        measured
            .iter()
            .all(|(name, row)| *name == "nothing" || row.has_grace),
        "{measured:?}"
    );
    for streaming in ["Truehop's edge", "nginx, `proxy_buffering off`", "HAProxy"] {
        let row = by(streaming);
        assert!(!row.slow && !row.gone_large, "{streaming}: {row:?}");
        assert_ne!(row.missing, Missing::AnyAmount, "{streaming}");
    }
    let by_default = by("nginx as it comes, which heeds `X-Accel-Buffering: no`");
    assert_eq!(
        by_default,
        by("nginx, `proxy_buffering off`"),
        "the header does what the directive does"
    );

    let table = table(&measured);
    let document = fs::read_to_string(workspace().join("docs/delivered.md")).unwrap_or_default();
    assert!(
        document.contains(&format!(
            "<!-- measured -->\n{table}<!-- end of what is measured -->\n"
        )),
        "docs/delivered.md has another table than what was measured:\n\n{table}"
    );
}

/// The size of a large file on this machine, whose sockets may hold more than usual.
fn large() -> usize {
    let most = |name| {
        let limits = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
        limits
            .split_whitespace()
            .last()
            .and_then(|most| most.parse::<usize>().ok())
            .unwrap_or_default()
    };
    // A proxy has a socket to receive with and one to send with; the rest is its own.
    LARGE.max(2 * (most("tcp_rmem") + most("tcp_wmem")) + (8 << 20))
}

fn measure(between: Put) -> Measured {
    Measured {
        gone_large: vanishing(between, large()),
        gone_small: vanishing(between, SMALL),
        ..slow_reader(between)
    }
}

fn table(measured: &[(&str, Measured)]) -> String {
    let mut table = String::from(
        "| between the drop and the person | reads half of a large file and pauses | vanishes at half of a large file | vanishes at half \
         of 16 KiB | not yet at the person when it is called delivered | the same person, from then on |\n|---|---|---|---|---|---|\n",
    );
    for (name, row) in measured {
        let called = |delivered| {
            if delivered {
                "**delivered**"
            } else {
                "not delivered"
            }
        };
        let missing = match row.missing {
            Missing::Nothing => "nothing",
            Missing::SomeMegabytes => "what the proxy and the kernels hold: up to some MiB",
            Missing::AnyAmount => "**any amount**",
        };
        table += &format!(
            "| {name} | {} | {} | {} | {missing} | {} |\n",
            called(row.slow),
            called(row.gone_large),
            called(row.gone_small),
            if row.has_grace {
                "may have it once more: the grace begins"
            } else {
                "410: there is no grace"
            }
        );
    }
    table
}

/// A drop with one file, behind something.
struct Way {
    drop: Truehop,
    between: Between,
    path: String,
    content: Vec<u8>,
}

impl Way {
    fn new(between: Put, size: usize) -> Self {
        let drop = Truehop::start(CONFIG);
        let content = content(1, size);
        let path = Visitor::new(UPLOADER, drop.address()).put(&content).link.raw();
        let between = between(drop.address());
        Self {
            drop,
            between,
            path,
            content,
        }
    }

    fn door(&self) -> SocketAddr {
        self.between.door(self.drop.address())
    }

    /// The person asks, and reads the head and half of the rest; its kernel takes little more.
    fn half(&self) -> Connection {
        let room = if self.content.len() > SMALL { HELD / 4 } else { 1 };
        let mut person = PERSON.connect_narrow(self.door(), room);
        person.write(format!("GET {} HTTP/1.1\r\nHost: drop.test\r\n\r\n", self.path));
        let head = person.read_head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let half = self.content.len() / 2;
        assert!(person.read_exact(half) == self.content[..half], "other bytes");
        person
    }

    fn is_delivered(&self) -> bool {
        self.drop.delivered() == 1
    }

    /// Whether it is called delivered by the time at which whoever stands between has taken what it takes.
    fn comes_to_be_delivered(&self) -> bool {
        stand_still(&[self.drop.address().port(), self.door().port()]);
        self.is_delivered()
    }

    /// Nobody else gets it; and if it was called delivered too early, the same person gets it once more.
    fn the_promise_holds(&self, is_delivered: bool) {
        let another = Visitor::new(ANOTHER, self.door());
        let status = another.status(&self.path);
        assert!(matches!(status, 410 | 423), "somebody else got {status}");
        if is_delivered {
            assert_eq!(blobs_in(self.drop.data()).len(), 1, "there is no grace");
        }
        let again = Visitor::new(PERSON, self.door())
            .ask(&Request::new("GET", &self.path))
            .answer();
        assert_eq!(again.status, 200, "the same person may try again: {again:?}");
        assert!(again.body == self.content, "other bytes");
        eventually("410 for everybody else", || {
            (another.status(&self.path) == 410).then_some(())
        });
    }
}

/// Whether it is called delivered while the person has half, and what is missing when it is; then the person comes again.
fn slow_reader(between: Put) -> Measured {
    // More than the person's own kernel holds, and less than what lies in any socket on the way.
    const LAST: usize = 2 * HELD;
    let size = large();
    let way = Way::new(between, size);
    let mut person = way.half();
    let slow = way.comes_to_be_delivered();
    assert!(
        person.read_exact(size / 2 - LAST) == way.content[size / 2..size - LAST],
        "other bytes"
    );
    let early = slow || way.comes_to_be_delivered();
    assert!(
        person.read_exact(LAST) == way.content[size - LAST..],
        "other bytes"
    );
    eventually("the delivery", || way.is_delivered().then_some(()));
    let again = Visitor::new(PERSON, way.door()).status(&way.path);
    assert!(matches!(again, 200 | 410), "{again}");
    let missing = match (slow, early) {
        (true, _) => Missing::AnyAmount,
        (false, true) => Missing::SomeMegabytes,
        (false, false) => Missing::Nothing,
    };
    Measured {
        slow,
        missing,
        has_grace: again == 200,
        gone_large: false,
        gone_small: false,
    }
}

/// Whether it is called delivered to somebody who has half of it and is gone.
fn vanishing(between: Put, size: usize) -> bool {
    let way = Way::new(between, size);
    let person = way.half();
    way.comes_to_be_delivered();
    person.abort();
    eventually("the end of the collection", || {
        (way.drop.collecting() == 0).then_some(())
    });
    let is_delivered = way.is_delivered();
    way.the_promise_holds(is_delivered);
    is_delivered
}
