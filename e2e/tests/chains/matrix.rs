//! Honest people: each application must see the whole chain, from the client to its own peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use serde_json::Value;
use truehop_e2e::{App, Family, Joint, Machine, Pair, Proxy, Request};

use crate::site::Site;

/// What was asked, and how often the answer was right.
#[derive(Debug, Default)]
pub(crate) struct Honest {
    pub(crate) right: BTreeMap<Way, usize>,
    pub(crate) wrong: Vec<String>,
}

/// A way of asking.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Way {
    /// One request on its connection.
    Plain,
    /// Several requests on one connection, while somebody else does the same.
    Kept,
    /// Over IPv6 all the way.
    Ipv6,
    /// Over TLS.
    Tls,
    /// By HTTP/2, over TLS.
    Http2,
}

impl Way {
    pub(crate) const ALL: [Self; 5] = [Self::Plain, Self::Kept, Self::Ipv6, Self::Tls, Self::Http2];
}

/// Asks in every way that the pair speaks.
pub(crate) fn ask(site: &Site, pair: Pair) -> Honest {
    let mut honest = Honest::default();
    let (client, other) = (&site.net.client, &site.net.other_client);
    for app in apps(pair) {
        let front = site.front(app, Family::V4);
        let request = request(app);
        for who in [client, other] {
            let answer = who.connect(front).exchange(&request).json();
            honest.see(site, pair, Way::Plain, app, who, Family::V4, &answer);
        }
        // By turns: their requests go on over the same connections between the proxies.
        let mut kept = [client, other].map(|who| (who, who.connect(front)));
        for _ in 0..3 {
            for (who, connection) in &mut kept {
                let answer = connection.exchange(&request).json();
                honest.see(site, pair, Way::Kept, app, who, Family::V4, &answer);
            }
        }
        let answer = client
            .connect(site.front(app, Family::V6))
            .exchange(&request)
            .json();
        honest.see(site, pair, Way::Ipv6, app, client, Family::V6, &answer);
    }
    if pair.link != Joint::Preface {
        over_tls(site, pair, Way::Tls, &mut honest);
        if pair.first.speaks_http2() {
            over_tls(site, pair, Way::Http2, &mut honest);
        }
    }
    honest
}

/// The applications that understand the chain: Flask is told how many proxies there are, and a PROXY header hides one;
/// and the one that takes such a header itself is Truehop.
pub(crate) fn apps(pair: Pair) -> impl Iterator<Item = App> {
    App::ALL.into_iter().filter(move |app| match pair.link {
        Joint::Header => true,
        Joint::Preface => *app != App::Flask,
        Joint::PrefaceBehind => *app == App::Whoami,
    })
}

fn request(app: App) -> Request {
    Request::new("GET", app.path()).headers(&[("Host", "edge.test"), ("Accept", "application/json")])
}

/// By curl, whose TLS and HTTP/2 are none of ours: both applications of the listener, on one connection.
fn over_tls(site: &Site, pair: Pair, way: Way, honest: &mut Honest) {
    let client = &site.net.client;
    let to = site.tls(Family::V4);
    let (option, version) = match way {
        Way::Http2 => ("--http2", "2"),
        _ => ("--http1.1", "1.1"),
    };
    // Those that the first proxy's TLS leads to.
    let apps: Vec<App> = apps(pair).filter(|app| *app != App::Axum).collect();
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--insecure",
        option,
        "--header",
        "Accept: application/json",
    ]);
    curl.arg("--resolve").arg(format!("edge.test:443:{}", to.ip()));
    curl.args(["--write-out", "|%{http_version}|"]);
    curl.args(apps.iter().map(|app| format!("https://edge.test{}", app.path())));
    let output = client.command(&curl).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<&str> = told.split('|').collect();
    for (app, part) in apps.into_iter().zip(parts.chunks(2)) {
        let answer = serde_json::from_str(part[0]).unwrap_or(Value::String(told.clone()));
        honest.see(site, pair, way, app, client, Family::V4, &answer);
        if part.get(1) != Some(&version) {
            honest.wrong.push(format!("{way:?} was not spoken: {told}"));
        }
    }
}

impl Honest {
    #[expect(clippy::too_many_arguments, reason = "a row of the table")]
    fn see(
        &mut self,
        site: &Site,
        pair: Pair,
        way: Way,
        app: App,
        who: &Machine,
        family: Family,
        answer: &Value,
    ) {
        let wanted = expected(site, pair, who, family);
        let chain = chain(app, answer);
        if answer["client"].as_str() == wanted.last().map(ToString::to_string).as_deref() && chain == wanted {
            *self.right.entry(way).or_default() += 1;
        } else {
            self.wrong.push(format!(
                "{way:?}, {app:?}, {}: {wanted:?} is wanted, not {answer}",
                who.role()
            ));
        }
    }
}

/// The chain as it is: the application's peer first, the client last.
fn expected(site: &Site, pair: Pair, who: &Machine, family: Family) -> Vec<IpAddr> {
    let (first, second) = (site.net.first.inner(family), site.net.second.inner(family));
    // What takes the place of a peer leaves no trace of it, but with our edge, which writes down both.
    match pair.link {
        Joint::Preface if pair.second != Proxy::Edge => vec![second, who.address(family)],
        _ => vec![second, first, who.address(family)],
    }
}

/// The chain as the application tells it.
fn chain(app: App, answer: &Value) -> Vec<IpAddr> {
    let hops = answer["hops"].as_array().cloned().unwrap_or_default();
    let hop = |hop: &Value| match app {
        // "peer 192.168.0.20:40000", "named 192.168.0.10:40000", "203.0.113.95"
        App::Whoami => hop["hop"]
            .as_str()
            .and_then(|text| address(text.split(' ').next_back()?)),
        App::Axum | App::Flask => hop.as_str().and_then(address),
    };
    // Flask's peer is the edge before it, on a Unix socket; whoami's stands among the hops.
    let peer = answer["peer"]
        .as_str()
        .filter(|_| app == App::Axum)
        .and_then(address);
    peer.into_iter().chain(hops.iter().filter_map(hop)).collect()
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    text.parse().ok().or_else(with_port)
}
