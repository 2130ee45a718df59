//! The drop behind a chain: whoever uploaded keeps, whoever else downloads takes, and nobody passes for the uploader.
//!
//! The uploader is the client of the drawing, known by address alone. The secret of the upload stays at home until the
//! end, when it opens the receipt: of the address nothing is kept by then.
//!
//! Invariant: it is the drop that is asked what became of a file, and not the one who asked for it.

mod life;
mod person;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use truehop_e2e::{
    Answer, App, Cast, Family, Forgery, Joint, Pair, Proxy, Request, Speaks, Uploaded, Visit, Words,
};

use crate::forgeries::cast;
use crate::site::Site;
use person::{Course, Person};

/// What is uploaded to be stolen. It looks like an application's answer, so that an attacker's answer shows who has it.
const NOTE: &[u8] = br#"{"client": "whoever has this file"}"#;

/// What [`NOTE`] says.
const HAD: &str = "whoever has this file";

/// The chain through which every forgery is sent, and not one of each family: both pass on what a client claims.
const ALL_FORGERIES: Pair = Pair {
    first: Proxy::Nginx,
    second: Proxy::Haproxy,
    words: Words::Documentation,
    link: Joint::Header,
};

/// What became of drops.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops {
    /// Steps of honest people, and of people who only say that they are the uploader, that ended as they must.
    pub(crate) right: usize,
    /// The others.
    pub(crate) wrong: Vec<String>,
    /// Forged downloads that were another's: the file was gone.
    pub(crate) taken: usize,
    /// Forged downloads that were refused: the file was still there.
    pub(crate) refused: usize,
    /// Forged downloads that were another's and whose end nobody knows, because HAProxy reset a connection: nobody else
    /// gets the file.
    pub(crate) uncertain: usize,
    /// Anything else: which, and how.
    pub(crate) fooled: Vec<String>,
}

impl Drops {
    /// How many forged downloads there were.
    pub(crate) fn runs(&self) -> usize {
        self.taken + self.refused + self.uncertain + self.fooled.len()
    }

    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.wrong.extend(other.wrong.iter().cloned());
        self.taken += other.taken;
        self.refused += other.refused;
        self.uncertain += other.uncertain;
        self.fooled.extend(other.fooled.iter().cloned());
    }

    fn see(&mut self, step: &str, what: &dyn fmt::Debug, is_right: bool) {
        match is_right {
            true => self.right += 1,
            false => self.wrong.push(format!("the drop, {step}: {what:?}")),
        }
    }
}

/// Everything that is done with the drop behind a pair that runs.
pub(crate) fn try_all(site: &Site, pair: Pair, forgeries: &[Forgery]) -> Drops {
    let mut drops = Drops::default();
    for family in Family::BOTH {
        life::from_upload_to_receipt(site, pair, family, &mut drops);
    }
    life::in_two_parts(site, &mut drops);
    forged(site, pair, &chosen(pair, forgeries), &mut drops);
    drops
}

/// Both attackers would like to have a file that stays, as the uploader's own downloads let it.
fn forged(site: &Site, pair: Pair, forgeries: &[&Forgery], drops: &mut Drops) {
    let (net, front) = (&site.net, site.front(App::Whoami, Family::V4));
    let [client, stranger] = [&net.client, &net.stranger].map(|host| Person { host, door: front });
    let IpAddr::V4(forged) = client.host.address(Family::V4) else {
        unreachable!("asked for version 4")
    };
    let as_client = Cast { forged, ..cast(net) };
    let back = site.back(App::Whoami, Family::V4);
    let doors = [
        (&net.attacker, front),
        (&net.neighbour, back),
        (&net.neighbour, app_at(site, pair, Family::V4)),
    ];
    let is_out_of_reach = |file: &Uploaded| {
        let had = stranger.asks(&Request::new("GET", &file.link.raw()));
        had.status() == Some(423)
    };
    let mut waiting: Option<Uploaded> = None;
    for (who, to) in doors {
        for forgery in forgeries {
            let file = waiting.take().unwrap_or_else(|| client.uploads(NOTE));
            let path = file.link.raw();
            let visit = Visit {
                to,
                path: &path,
                speaks: Speaks::Http1,
            };
            let answer = who.inside(|| visit.forge(forgery, &as_client));
            let course = client.reads_the_course_of(&file);
            match (&answer, &course) {
                (Answer::Client(had), Course::Delivered) if had == HAD => drops.taken += 1,
                // The drop does not read what comes with a GET, and ends the connection behind the answer; HAProxy answers
                // that with a reset, which may overtake the acknowledgement.
                (Answer::Client(had), Course::Uncertain)
                    if had == HAD && pair.second == Proxy::Haproxy && is_out_of_reach(&file) =>
                {
                    drops.uncertain += 1;
                }
                (Answer::Refused(_), Course::Waiting) => {
                    drops.refused += 1;
                    waiting = Some(file);
                }
                _ => drops.fooled.push(format!(
                    "the drop, {} at {to}, {}: {answer}, and then: {course:?}",
                    who.role(),
                    forgery.name
                )),
            }
        }
    }
    let file = waiting.unwrap_or_else(|| client.uploads(NOTE));
    let had = client.asks(&Request::new("GET", &file.link.raw()));
    let is_kept = had.is_whole() && had.body() == NOTE;
    drops.see("the uploader keeps what nobody got", &had, is_kept);
}

/// One forgery of each family, and another with each pair; all of them with one pair.
fn chosen(pair: Pair, forgeries: &[Forgery]) -> Vec<&Forgery> {
    let sayable = forgeries
        .iter()
        .filter(|forgery| forgery.is_sayable(Speaks::Http1.language()));
    if pair == ALL_FORGERIES {
        return sayable.collect();
    }
    let mut families: BTreeMap<&str, Vec<&Forgery>> = BTreeMap::new();
    for forgery in sayable {
        families.entry(&forgery.family).or_default().push(forgery);
    }
    let turn = Pair::all().iter().position(|other| *other == pair).unwrap();
    families
        .values()
        .map(|family| family[turn % family.len()])
        .collect()
}

/// Where the application that the pair leads to listens.
fn app_at(site: &Site, pair: Pair, family: Family) -> SocketAddr {
    match pair.link {
        Joint::PrefaceBehind => (site.net.app.inner(family), App::PREFACED).into(),
        Joint::Header | Joint::Preface => site.app(App::Whoami, family),
    }
}
