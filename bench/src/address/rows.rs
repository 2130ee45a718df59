//! What is asked, and of whom.

use std::hint::black_box;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use truehop::proxy_protocol::{Parsed, Versions, parse};
use truehop::{Peer, Policy, PolicyConfig};

use crate::they;

/// One question and those who answer it.
pub struct Row {
    pub name: &'static str,
    pub expected: String,
    pub contenders: Vec<Contender>,
}

/// Somebody who answers.
pub struct Contender {
    pub name: &'static str,
    /// What it does not do of what the row asks for; empty when the work is equal.
    pub lacks: &'static str,
    pub answer: Box<dyn FnMut() -> String>,
    /// Answers so many times.
    pub call: Box<dyn FnMut(u64)>,
}

/// Whom everybody trusts; the last contains what the rows' proxies have.
pub const TRUSTED: [&str; 4] = [
    "192.0.2.0/24",
    "172.16.0.0/12",
    "2001:db8:8000::/33",
    "10.0.0.0/8",
];

const PEER: &str = "10.0.0.1:4711";
const CLIENT: &str = "203.0.113.95";

const NO_TRUST: &str = "tests no peer, walks no chain";
const NO_LINES: &str = "reads the first line only, folds no mapped address";

impl Contender {
    pub fn new<T: ToString>(
        name: &'static str,
        lacks: &'static str,
        ask: impl FnMut() -> T + Clone + 'static,
    ) -> Self {
        let (mut once, mut often) = (ask.clone(), ask);
        Self {
            name,
            lacks,
            answer: Box::new(move || once().to_string()),
            call: Box::new(move |calls| (0..calls).for_each(|_| drop(black_box(often())))),
        }
    }
}

/// What a browser and a proxy send besides.
pub fn request(more: &[(&'static str, &str)]) -> HeaderMap {
    let usual = [
        ("host", "files.example.org"),
        ("connection", "close"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        (
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ),
        ("accept-language", "de,en-US;q=0.7,en;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("cookie", "session=0123456789abcdef0123456789abcdef"),
        ("sec-fetch-mode", "navigate"),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in usual.iter().chain(more) {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn truehop(config: PolicyConfig, peer: &str, headers: &HeaderMap) -> Contender {
    let policy = config.build().unwrap();
    let (peer, headers): (Peer, _) = (peer.parse().unwrap(), headers.clone());
    Contender::new("truehop", "", move || {
        they::Said(
            policy
                .resolve(black_box(peer), black_box(&headers))
                .map(|r| r.client().ip()),
        )
    })
}

/// An entry for each hop, the client's first, the others ours.
fn chain(entries: usize, entry: impl Fn(String) -> String) -> String {
    let ours = (2..=entries).map(|n| format!("10.0.{}.{}", n / 250, n % 250 + 2));
    let entries: Vec<_> = [CLIENT.to_owned()].into_iter().chain(ours).map(entry).collect();
    entries.join(", ")
}

fn forged(entry: impl Fn(String) -> String) -> String {
    let forged: Vec<_> = (0..5000)
        .map(|n| entry(format!("10.6.{}.{}", n / 250, n % 250)))
        .collect();
    forged.join(", ") + ", "
}

fn in_list(
    name: &'static str,
    field: &'static str,
    config: fn() -> PolicyConfig,
    value: &str,
    rightmost: bool,
) -> Row {
    let headers = request(&[(field, value)]);
    let mut contenders = vec![truehop(config().trusted(TRUSTED), PEER, &headers)];
    if field == "x-forwarded-for" {
        contenders.push(they::parse_net(PEER, &headers, they::List::XForwardedFor));
        contenders.push(they::real_ip(PEER, &headers, NO_LINES));
        contenders.push(they::tower_real_ip(
            PEER,
            &headers,
            "reads the first line only; clones headers, boxes a future",
        ));
        if rightmost {
            contenders.push(they::client_ip(
                "rightmost_x_forwarded_for",
                &headers,
                client_ip::rightmost_x_forwarded_for,
                NO_TRUST,
            ));
        }
    } else {
        contenders.push(they::parse_net(PEER, &headers, they::List::Forwarded));
        contenders.push(they::real_ip(PEER, &headers, NO_LINES));
        contenders.push(they::rama_net(
            &headers,
            "reads one line; the walk is the benchmark's own",
        ));
        if rightmost {
            contenders.push(they::client_ip(
                "rightmost_forwarded",
                &headers,
                client_ip::rightmost_forwarded,
                NO_TRUST,
            ));
        }
    }
    Row {
        name,
        expected: CLIENT.to_owned(),
        contenders,
    }
}

pub fn all() -> Vec<Row> {
    let xff = |name, entries| {
        in_list(
            name,
            "x-forwarded-for",
            Policy::x_forwarded_for,
            &chain(entries, |ip| ip),
            entries == 1,
        )
    };
    let element = |ip: String| format!("for={ip};proto=https;by=_proxy");
    let forwarded = |name, entries| {
        in_list(
            name,
            "forwarded",
            Policy::forwarded,
            &chain(entries, element),
            entries == 1,
        )
    };
    let with_junk = |name, field, config, entry: &dyn Fn(String) -> String| {
        in_list(name, field, config, &(forged(entry) + &chain(2, entry)), false)
    };
    vec![
        peer(),
        stranger(),
        header(),
        xff("x-forwarded-for, 1 entry", 1),
        xff("x-forwarded-for, 2 entries", 2),
        xff("x-forwarded-for, 3 entries (two trusted)", 3),
        xff("x-forwarded-for, 5 entries", 5),
        xff("x-forwarded-for, 50 entries", 50),
        with_junk(
            "x-forwarded-for, 2 entries, left of them 5,000 forged",
            "x-forwarded-for",
            Policy::x_forwarded_for,
            &|ip| ip,
        ),
        forwarded("forwarded, 1 element", 1),
        forwarded("forwarded, 2 elements", 2),
        with_junk(
            "forwarded, 2 elements, left of them 5,000 forged",
            "forwarded",
            Policy::forwarded,
            &|ip| format!("for={ip}"),
        ),
        preface(
            "PROXY v1, TCP4",
            b"PROXY TCP4 203.0.113.95 192.0.2.7 56324 443\r\n".to_vec(),
            "",
        ),
        preface("PROXY v2, TCP4", v2(&[]), ""),
        preface(
            "PROXY v2, TCP4, ALPN, SNI, SSL and checksum",
            v2(&values()),
            "verifies no checksum, reads no values",
        ),
        explain(),
    ]
}

fn peer() -> Row {
    let headers = request(&[("x-forwarded-for", "6.6.6.6")]);
    let policy = Policy::peer();
    let peer: Peer = "203.0.113.95:4711".parse().unwrap();
    let ask = move || {
        they::Said(
            policy
                .resolve(black_box(peer), black_box(&headers))
                .map(|r| r.client().ip()),
        )
    };
    Row {
        name: "peer",
        expected: CLIENT.to_owned(),
        contenders: vec![Contender::new("truehop", "", ask)],
    }
}

fn stranger() -> Row {
    let headers = request(&[("x-forwarded-for", "6.6.6.6, 10.0.0.2")]);
    let peer = "203.0.113.95:4711";
    let contenders = vec![
        truehop(Policy::x_forwarded_for().trusted(TRUSTED), peer, &headers),
        they::parse_net(peer, &headers, they::List::XForwardedFor),
        they::real_ip(peer, &headers, NO_LINES),
        they::tower_real_ip(peer, &headers, "clones headers, boxes a future"),
    ];
    Row {
        name: "x-forwarded-for from an untrusted peer",
        expected: CLIENT.to_owned(),
        contenders,
    }
}

fn header() -> Row {
    let headers = request(&[("x-real-ip", CLIENT)]);
    let contenders = vec![
        truehop(Policy::header("X-Real-IP").trusted(TRUSTED), PEER, &headers),
        they::real_ip(PEER, &headers, "falls over from two other headers"),
        they::client_ip("x_real_ip", &headers, client_ip::x_real_ip, NO_TRUST),
    ];
    Row {
        name: "header X-Real-IP",
        expected: CLIENT.to_owned(),
        contenders,
    }
}

fn preface(name: &'static str, wire: Vec<u8>, peers_lack: &'static str) -> Row {
    let bytes = wire.clone();
    let ours = move || match parse(black_box(&bytes), Versions::BOTH) {
        Ok(Parsed::Done { header, .. }) => {
            they::Said(header.addresses.map(|ends| ends.source.ip()).ok_or("nobody"))
        }
        _ => they::Said(Err("no header")),
    };
    let contenders = vec![
        Contender::new("truehop", "", ours),
        they::ppp(wire.clone(), peers_lack),
        they::rama_haproxy(wire, peers_lack),
    ];
    Row {
        name,
        expected: CLIENT.to_owned(),
        contenders,
    }
}

fn v2(values: &[u8]) -> Vec<u8> {
    let ends = [203, 0, 113, 95, 192, 0, 2, 7, 0xdc, 0x04, 0x01, 0xbb];
    let length = (ends.len() + values.len()) as u16;
    [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..],
        &length.to_be_bytes(),
        &ends,
        values,
    ]
    .concat()
}

fn values() -> Vec<u8> {
    let tlv = |kind: u8, value: &[u8]| [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat();
    let ssl = [
        &b"\x01\0\0\0\0"[..],
        &tlv(0x21, b"TLSv1.3"),
        &tlv(0x23, b"TLS_AES_128_GCM_SHA256"),
    ]
    .concat();
    let mut values = [
        tlv(3, &[0; 4]),
        tlv(1, b"h2"),
        tlv(2, b"files.example.org"),
        tlv(0x20, &ssl),
    ]
    .concat();
    // The first value is the checksum; it covers the header with itself as zero.
    let checksum = crc32c(&v2(&values)).to_be_bytes();
    values[3..7].copy_from_slice(&checksum);
    values
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0x82f6_3b78
        } else {
            crc >> 1
        }
    };
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc))
    })
}

fn explain() -> Row {
    let headers = request(&[("x-forwarded-for", &chain(3, |ip| ip))]);
    let policy = Policy::x_forwarded_for().trusted(TRUSTED).build().unwrap();
    let peer: Peer = PEER.parse().unwrap();
    let ask = move || {
        let explanation = policy.explain(black_box(peer), black_box(&headers));
        they::Said(explanation.outcome().map(|r| r.client().ip()))
    };
    Row {
        name: "explain, x-forwarded-for, 3 entries",
        expected: CLIENT.to_owned(),
        contenders: vec![Contender::new("truehop", "", ask)],
    }
}

/// Reads an address of a row.
pub fn ip(text: &str) -> IpAddr {
    text.parse::<std::net::SocketAddr>().unwrap().ip()
}
