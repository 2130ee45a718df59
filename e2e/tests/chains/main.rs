//! Whole chains of real servers, between hosts that have addresses of their own: who is the client, and who can pose?
//!
//! Every ordered pair of proxies stands in front of every application. First honest people ask (`matrix`), then two
//! attackers try every line of `forgeries.jsonl` (`forgeries`): one outside, through the first proxy; one inside, who
//! talks to the second proxy and to the application server as well. Then files go through (`drops`): a wrong address
//! would keep one for ever, or give it to the wrong one.
//!
//! Invariant: an application answers with the true address or not at all. What is counted is written down in
//! `docs/chains.md`, which must tell what was measured.
#![expect(clippy::unwrap_used, reason = "what a test sets up must work")]

mod alone;
mod drops;
mod forgeries;
mod hosts;
mod matrix;
mod page;
mod site;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use truehop_e2e::{Forgery, Pair, Proxy, missing, skipped, tell};

use drops::Drops;
use forgeries::Forged;
use matrix::Honest;
use site::Site;

/// Everything that runs in the chains, or by itself.
const PEERS: [&str; 10] = [
    "nginx", "haproxy", "caddy", "apache2", "gunicorn", "uvicorn", "node", "curl", "openssl", "ip",
];

/// Pictures that are used at the same time, each with a pair of its own.
const AT_ONCE: usize = 2;

/// What a picture is used for at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Job {
    /// Servers and applications by themselves.
    Alone,
    /// A pair of proxies; or none, straight to the applications.
    Chain(Option<Pair>),
}

/// What was found out about a pair, or about the applications without one.
#[derive(Debug)]
struct Report {
    pair: Option<Pair>,
    honest: Honest,
    forged: Forged,
    drops: Drops,
}

#[test]
fn chains_know_their_clients_and_nobody_can_pose() {
    if missing(&PEERS) {
        return;
    }
    if let Some(lacking) = Proxy::ALL.iter().find_map(|proxy| proxy.lacks()) {
        skipped(lacking);
        return;
    }
    let forgeries = truehop_forgeries::forgeries().unwrap();
    let pairs = Pair::all().into_iter().map(Some);
    let jobs: Vec<Job> = [Job::Alone, Job::Chain(None)]
        .into_iter()
        .chain(pairs.map(Job::Chain))
        .collect();
    let (next, reports, rows) = (
        AtomicUsize::new(0),
        Mutex::new(Vec::new()),
        Mutex::new(Vec::new()),
    );
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let Some(site) = Site::build() else { return };
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match *job {
                        Job::Alone => *rows.lock().unwrap() = alone::rows(&site.net, &forgeries),
                        Job::Chain(pair) => {
                            let report = report(&site, pair, &forgeries);
                            reports.lock().unwrap().push(report);
                        }
                    }
                }
            });
        }
    });
    let (reports, rows) = (reports.into_inner().unwrap(), rows.into_inner().unwrap());
    if reports.is_empty() {
        return;
    }

    let mut wrong: Vec<String> = rows.iter().flat_map(|row| row.wrong.clone()).collect();
    let (mut all, mut drops) = (Forged::default(), Drops::default());
    for report in &reports {
        let what = report
            .honest
            .wrong
            .iter()
            .chain(&report.forged.fooled)
            .chain(&report.forged.silent)
            .chain(&report.drops.wrong)
            .chain(&report.drops.fooled);
        let at = report
            .pair
            .map_or_else(|| "no proxy".to_owned(), |pair| pair.to_string());
        wrong.extend(what.map(|what| format!("{at}: {what}")));
        all.add(&report.forged);
        drops.add(&report.drops);
    }
    // This is what it was all for.
    let (runs, fooled) = (all.runs(), all.fooled.len());
    tell(&format!(
        "{runs} runs (chain x forgery x attacker), {fooled} fooled"
    ));
    let (runs, fooled) = (drops.runs(), drops.fooled.len());
    tell(&format!(
        "{runs} runs at the drop behind the chains, {fooled} fooled"
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(reports.len() + 1, jobs.len());
    if let Some(difference) = page::settle(&reports, &rows, &forgeries, &all, &drops) {
        panic!("{difference}");
    }
}

fn report(site: &Site, pair: Option<Pair>, forgeries: &[Forgery]) -> Report {
    let Some(at) = pair else {
        return Report {
            pair,
            honest: Honest::default(),
            forged: forgeries::straight_to_the_application(site, forgeries),
            drops: Drops::default(),
        };
    };
    let _chain = site.start(at);
    Report {
        pair,
        honest: matrix::ask(site, at),
        forged: forgeries::try_all(site, at, forgeries),
        drops: drops::try_all(site, at, forgeries),
    }
}
