//! What the server gives up must not arrive afterwards: otherwise it goes back to be given to another, and two have it.
//!
//! The kernel keeps bytes for a client that does not read, and delivers them whenever it does, also when the process is gone
//! by then. Each test lets the server give a recipient up in one way, and then the recipient reads whatever comes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use truehop_e2e::{
    Connection, Family, Home, Host, Internet, Link, Machine, Outcome, Request, Truehop, Uploaded, Visitor,
    binary, content, eventually,
};

const UPLOADER: Host = Host::at(127, 0, 0, 1);
const STRANGER: Host = Host::at(127, 0, 0, 2);
const ANOTHER: Host = Host::at(127, 0, 0, 3);

const CONFIG: &str = "\
[client]
from = \"peer\"
[admin]
listen = \"127.0.0.1:0\"
[drop]
lease = \"1s\"
[timeouts]
write = \"1s\"
shutdown = \"1s\"
";

/// One piece; less than a socket holds; more than that.
const SIZES: [usize; 3] = [40_000, 300_000, 16 << 20];

/// A download of which hardly more than the head was read.
struct Given {
    drop: Truehop,
    link: Link,
    content: Vec<u8>,
    recipient: Connection,
}

impl Given {
    fn begin(size: usize) -> Self {
        let drop = Truehop::start_in(Home::new(), CONFIG);
        let content = content(1, size);
        let link = Visitor::new(UPLOADER, drop.address()).put(&content).link;
        let mut recipient = STRANGER.connect_narrow(drop.address(), 4096);
        let request = Request::new("GET", &link.raw()).header("Host", "drop.test");
        recipient.write(request.to_string());
        let head = recipient.read_head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Self {
            drop,
            link,
            content,
            recipient,
        }
    }

    /// The recipient reads what comes, and then others ask: one of them has it.
    #[track_caller]
    fn goes_to_one(mut self) {
        let got = self.recipient.read_up_to(self.content.len());
        let has_all = got == self.content;
        drop(self.recipient);
        let another = Visitor::new(ANOTHER, self.drop.address());
        // Past the lease (1 s), which may have to be waited for.
        let past_the_lease = Instant::now() + Duration::from_millis(2500);
        let next = eventually("an answer that lasts", || {
            let next = another.get(&self.link.raw());
            (next.status != 423 || Instant::now() > past_the_lease).then_some(next)
        });
        match has_all {
            true => assert!(
                matches!(next.status, 410 | 423),
                "two have all {} bytes: {next:?}",
                got.len()
            ),
            false => {
                assert_eq!(next.status, 200, "nobody has it: {next:?}");
                assert!(next.body == self.content, "other bytes");
            }
        }
    }
}

#[test]
fn a_recipient_who_takes_too_long() {
    /// Whatever the server's patience is: this is no test of it.
    const PATIENCE: Duration = Duration::from_secs(60);
    for size in SIZES {
        println!("{size} bytes");
        let given = Given::begin(size);
        let end = Instant::now() + PATIENCE;
        while given.drop.collecting() > 0 {
            assert!(Instant::now() < end, "it is not given up");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        given.goes_to_one();
    }
}

#[test]
fn a_recipient_whom_a_stop_meets() {
    for size in SIZES {
        println!("{size} bytes");
        let given = Given::begin(size);
        let (exit, home) = given.drop.stop();
        assert_eq!(exit.status, Some(0), "{exit:#?}");
        let drop = Truehop::start_in(home, CONFIG);
        Given { drop, ..given }.goes_to_one();
    }
}

#[test]
fn a_recipient_whom_a_kill_meets() {
    for size in SIZES {
        println!("{size} bytes");
        let given = Given::begin(size);
        let drop = Truehop::start_in(given.drop.kill(), CONFIG);
        // Bytes that were on their way may have come; whether all did, the kernel of a dead process still decides.
        let mut given = Given { drop, ..given };
        let status = Visitor::new(ANOTHER, given.drop.address()).status(&given.link.raw());
        assert_eq!(status, 423, "the lease goes on");
        let got = given.recipient.read_up_to(given.content.len());
        if got == given.content {
            let past_the_lease = Instant::now() + Duration::from_millis(1500);
            eventually("the lease to pass", || {
                let status = Visitor::new(ANOTHER, given.drop.address()).status(&given.link.raw());
                assert!(
                    matches!(status, 410 | 423),
                    "two have all {} bytes: {status}",
                    got.len()
                );
                (Instant::now() > past_the_lease).then_some(())
            });
        }
    }
}

/// Cut at once, and what is cut does not arrive either.
#[test]
fn a_recipient_whom_the_withdrawal_meets() {
    for size in [300_000, 16 << 20] {
        let mut given = Given::begin(size);
        let uploader = Visitor::new(UPLOADER, given.drop.address());
        let said = uploader.ask(&Request::new("DELETE", given.link.page())).answer();
        assert!(matches!(said.status, 200 | 303), "{said:?}");
        eventually("the end of the collection", || {
            (given.drop.collecting() == 0).then_some(())
        });
        let got = given.recipient.read_up_to(size);
        let receipts = given.drop.delivered();
        assert!(
            got.len() < size || receipts == 1,
            "{size} bytes arrived after they were cut, and no receipt says so"
        );
    }
}

/// The recipient's way to the server is lost, and with it every acknowledgement: of what has come, the server knows nothing.
/// It resumes when the way is found again, and so says what it has.
#[test]
fn a_recipient_whose_acknowledgements_are_lost() {
    let Some(net) = Internet::build() else { return };
    let (server, client) = (&net.first, &net.client);
    let door = SocketAddr::new(server.address(Family::V4), 8080);
    let config = format!("listen = [\"{door}\"]\n{CONFIG}");
    let drop = Truehop::start_by(server.command(&binary()), Home::new(), &config);
    let ask = |from: &Machine, request: &Request| {
        let mut wire = from.wire(door).unwrap();
        wire.send(request).unwrap();
        Outcome::of(wire)
    };
    let content = content(1, 40_000);
    let put = Request::new("PUT", "/file.bin").body(&content);
    let link = Uploaded::read(&ask(&net.stranger, &put).answer()).link;

    let mut connection = client.connect(door);
    drop.pause();
    connection.write(
        Request::new("GET", &link.raw())
            .header("Host", "drop.test")
            .to_string(),
    );
    let lost = client.lose_what_goes_to(door.ip());
    drop.go_on();
    let head = connection.read_head();
    let collection = head
        .lines()
        .find_map(|line| line.strip_prefix("truehop-collection: "))
        .unwrap();
    server.inside(|| eventually("an end", || (drop.collecting() == 0).then_some(())));
    let mut got = connection.read_to_end();
    assert!(
        !got.is_empty() && got.len() < content.len(),
        "{} bytes have come",
        got.len()
    );

    std::mem::drop(lost);
    let rest = Request::new("GET", &link.raw())
        .header("Truehop-Collection", collection)
        .header("Range", &format!("bytes={}-", got.len()));
    got.extend(ask(client, &rest).answer().body);
    assert!(got == content, "{} bytes", got.len());
    server.inside(|| eventually("a receipt", || (drop.delivered() == 1).then_some(())));
    let another = ask(&net.attacker, &Request::new("GET", &link.raw()));
    assert_eq!(another.status(), Some(410));
}
