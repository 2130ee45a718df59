//! Two attackers and every forgery of the file: the answer is the attacker's own address, or a refusal.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use truehop_e2e::{Answer, App, Cast, Family, Forgery, Internet, Joint, Machine, Pair, Speaks, Visit};

use crate::matrix::apps;
use crate::site::Site;

/// What became of forgeries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forged {
    /// Answered with the attacker's true address.
    pub(crate) held: usize,
    /// Refused.
    pub(crate) refused: usize,
    /// Anything else: which, and how.
    pub(crate) fooled: Vec<String>,
    /// How many were sent of each family.
    pub(crate) families: BTreeMap<String, usize>,
    /// Where not even an honest request is answered rightly, so that holding out proves nothing.
    pub(crate) silent: Vec<String>,
}

/// A way in, and who comes by it.
struct Door<'a> {
    who: &'a Machine,
    from: IpAddr,
    visit: Visit<'static>,
    /// Whether honest requests are refused here too, by intent.
    is_closed: bool,
}

impl Forged {
    /// How many were sent.
    pub(crate) fn runs(&self) -> usize {
        self.held + self.refused + self.fooled.len()
    }

    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.held += other.held;
        self.refused += other.refused;
        self.fooled.extend(other.fooled.iter().cloned());
        self.silent.extend(other.silent.iter().cloned());
        for (family, sent) in &other.families {
            *self.families.entry(family.clone()).or_default() += sent;
        }
    }
}

/// The words of the file: the attackers would like to be the other client, and know the first proxy.
pub(crate) fn cast(net: &Internet) -> Cast {
    let v4 = |ip| match ip {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => unreachable!("asked for version 4"),
    };
    Cast {
        forged: v4(net.other_client.address(Family::V4)),
        trusted: v4(net.first.inner(Family::V4)),
    }
}

/// Tries all of them on a pair: from outside through the first proxy, from inside at the second.
pub(crate) fn try_all(site: &Site, pair: Pair, forgeries: &[Forgery]) -> Forged {
    let mut doors = Vec::new();
    let (outside, inside) = (&site.net.attacker, &site.net.neighbour);
    for app in apps(pair) {
        for family in Family::BOTH {
            // The way over IPv6 is the same for all applications.
            if family == Family::V6 && app != App::Whoami {
                continue;
            }
            let door = |who, from, to, is_closed| Door {
                who,
                from,
                visit: Visit {
                    to,
                    path: app.path(),
                    speaks: Speaks::Http1,
                },
                is_closed,
            };
            doors.push(door(
                outside,
                outside.address(family),
                site.front(app, family),
                false,
            ));
            // Who has not come through all proxies has no client at Flask; a listener for PROXY headers may want one.
            let is_closed = app == App::Flask || pair.link == Joint::Preface;
            doors.push(door(
                inside,
                inside.inner(family),
                site.back(app, family),
                is_closed,
            ));
        }
        // What listens for TLS leads to the first port's applications.
        if pair.link == Joint::Preface || app == App::Axum {
            continue;
        }
        let mut tls = vec![Speaks::Http1OverTls, Speaks::Http2];
        tls.retain(|speaks| match speaks {
            Speaks::Http2 => pair.first.speaks_http2(),
            _ => app == App::Whoami,
        });
        doors.extend(tls.into_iter().map(|speaks| Door {
            who: outside,
            from: outside.address(Family::V4),
            visit: Visit {
                to: site.tls(Family::V4),
                path: app.path(),
                speaks,
            },
            is_closed: false,
        }));
    }
    through(site, &doors, forgeries)
}

/// Tries all of them on the applications themselves, without any proxy: the attacker inside is not kept away from them.
pub(crate) fn straight_to_the_application(site: &Site, forgeries: &[Forgery]) -> Forged {
    let inside = &site.net.neighbour;
    let mut doors = Vec::new();
    for family in Family::BOTH {
        let all = App::ALL.map(|app| (site.app(app, family), app, app == App::Flask));
        let prefaced = (inside_port(site, family), App::Whoami, true);
        doors.extend(
            all.into_iter()
                .chain([prefaced])
                .map(|(to, app, is_closed)| Door {
                    who: inside,
                    from: inside.inner(family),
                    visit: Visit {
                        to,
                        path: app.path(),
                        speaks: Speaks::Http1,
                    },
                    is_closed,
                }),
        );
    }
    through(site, &doors, forgeries)
}

/// Where the application wants a PROXY header, of the second proxy only.
fn inside_port(site: &Site, family: Family) -> SocketAddr {
    (site.net.app.inner(family), App::PREFACED).into()
}

fn through(site: &Site, doors: &[Door<'_>], forgeries: &[Forgery]) -> Forged {
    let (cast, mut forged) = (cast(&site.net), Forged::default());
    for door in doors {
        let Visit { to, path, speaks } = door.visit;
        let at = format!("{} by {speaks} at {to}{path}", door.who.role());
        let truth = Answer::Client(door.from.to_string());
        door.who.inside(|| {
            let honest = door.visit.forge(&Forgery::honest(), &cast);
            let is_refused = matches!(honest, Answer::Refused(_));
            if honest != truth && !(door.is_closed && is_refused) {
                forged.silent.push(format!("{at}, an honest request: {honest}"));
            }
            for forgery in forgeries
                .iter()
                .filter(|forgery| forgery.is_sayable(speaks.language()))
            {
                *forged.families.entry(forgery.family.clone()).or_default() += 1;
                match door.visit.forge(forgery, &cast) {
                    answer if answer == truth => forged.held += 1,
                    Answer::Refused(_) => forged.refused += 1,
                    answer => forged.fooled.push(format!("{at}, {}: {answer}", forgery.name)),
                }
            }
        });
    }
    forged
}
