//! The same forgeries against servers and applications by themselves, as they are commonly set up: who is fooled by
//! what. It is why the chains are worth the trouble, and it shows that the forgeries are no blanks.

mod subjects;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpStream};

use truehop_e2e::{Answer, Cast, Family, Forgery, Internet, Process, Speaks, Visit, eventually};

use crate::forgeries::cast;
use subjects::{Host, Subject};

/// What became of the forgeries at one set-up.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) words: &'static str,
    pub(crate) sent: usize,
    /// It took another address for the client's: by which forgeries, in families.
    pub(crate) believed: BTreeMap<String, Vec<String>>,
    /// It took text for the client's address that is none.
    pub(crate) text: BTreeMap<String, Vec<String>>,
    /// It took the proxy before it for the client.
    pub(crate) proxy: BTreeMap<String, Vec<String>>,
    /// What should not have been, one way or the other.
    pub(crate) wrong: Vec<String>,
}

impl Row {
    fn is_fooled(&self) -> bool {
        [&self.believed, &self.text, &self.proxy]
            .iter()
            .any(|by| !by.is_empty())
    }
}

/// All set-ups, one after the other.
pub(crate) fn rows(net: &Internet, forgeries: &[Forgery]) -> Vec<Row> {
    assert!(subjects::are_as_written(net));
    subjects::ALL
        .iter()
        .map(|subject| row(net, subject, forgeries))
        .collect()
}

fn row(net: &Internet, subject: &Subject, forgeries: &[Forgery]) -> Row {
    let dir = tempfile::tempdir().unwrap();
    let words = subject.words;
    let host = Host {
        net,
        dir: dir.path(),
        words,
    };
    let mut processes = (subject.start)(&host);
    let visit = Visit {
        to: SocketAddr::new(net.first.address(Family::V4), 80),
        path: "/whoami",
        speaks: Speaks::Http1,
    };
    // Who poses as a trusted proxy must not be mistaken for the one that is there.
    let trusted = match net.second.inner(Family::V4) {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => unreachable!("asked for version 4"),
    };
    let cast = Cast { trusted, ..cast(net) };
    wait(net, subject, &mut processes, &visit, &cast);

    let mut row = Row {
        name: subject.name,
        words,
        sent: 0,
        believed: BTreeMap::new(),
        text: BTreeMap::new(),
        proxy: BTreeMap::new(),
        wrong: Vec::new(),
    };
    let truth = net.attacker.address(Family::V4).to_string();
    let proxy = net.first.inner(Family::V4).to_string();
    net.attacker.inside(|| {
        for forgery in forgeries
            .iter()
            .filter(|forgery| forgery.is_sayable(Speaks::Http1.language()))
        {
            row.sent += 1;
            let by = match visit.forge(forgery, &cast) {
                Answer::Client(client) if client == truth => continue,
                Answer::Refused(_) => continue,
                Answer::Client(client) if client == proxy => &mut row.proxy,
                Answer::Client(client) if client.parse::<IpAddr>().is_ok() => &mut row.believed,
                Answer::Client(_) => &mut row.text,
                Answer::Other(what) => {
                    row.wrong
                        .push(format!("{}, {}: {what}", subject.name, forgery.name));
                    continue;
                }
            };
            by.entry(forgery.family.clone())
                .or_default()
                .push(forgery.name.clone());
        }
    });
    // Who was expected to be fooled and is not says that nothing was sent as it was meant.
    if row.is_fooled() == subject.is_right {
        let by = [&row.believed, &row.text, &row.proxy];
        row.wrong.push(format!("{}: {by:?}", subject.name));
    }
    for process in processes.iter_mut().rev() {
        process.end();
    }
    row
}

/// Waits until the application behind it answers something, be it a refusal of its own.
fn wait(net: &Internet, subject: &Subject, processes: &mut [Process], visit: &Visit<'_>, cast: &Cast) {
    eventually(subject.name, || {
        for process in processes.iter_mut() {
            assert!(
                process.is_running(),
                "{} ended: {}",
                subject.name,
                process.wait().stderr
            );
        }
        net.attacker.inside(|| {
            TcpStream::connect(visit.to).ok()?;
            match visit.forge(&Forgery::honest(), cast) {
                // The proxy is there, and what stands behind it is not.
                Answer::Refused(why) if why.starts_with('5') => None,
                _ => Some(()),
            }
        })
    });
}
