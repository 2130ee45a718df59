//! A file from its upload to its receipt, and somebody at every corner who says that it is theirs.

use std::fmt;

use truehop_e2e::{App, Family, Link, Outcome, Pair, Request, content};

use super::person::{Course, Person, posing};
use super::{Drops, NOTE, app_at};
use crate::site::Site;

/// A larger file: as much as nginx lets through unless it is told otherwise.
const LARGE: usize = 1 << 20;

/// Uploaded, kept, coveted, collected, gone.
pub(super) fn from_upload_to_receipt(site: &Site, pair: Pair, family: Family, drops: &mut Drops) {
    let net = &site.net;
    let [client, other, attacker, stranger] = outside(site, family);
    let inside = [site.back(App::Whoami, family), app_at(site, pair, family)];
    let inside = inside.map(|door| Person {
        host: &net.neighbour,
        door,
    });
    // In version 6 all hosts of a home count as one; the stranger is of another.
    let (home, recipient, bystanders) = match family {
        Family::V4 => (vec![client], other, vec![attacker]),
        Family::V6 => (vec![client, other, attacker], stranger, vec![]),
    };
    let uploader = client.host.address(family);
    let mut see = |who: Person<'_>, step: &str, what: &dyn fmt::Debug, is_right: bool| {
        let step = format!("{} {step}, {family}", who.host.role());
        drops.see(&step, what, is_right);
    };

    let file = client.uploads(NOTE);
    let get = Request::new("GET", &file.link.raw());
    for person in home {
        let had = person.asks(&get);
        see(person, "keeps what they download", &had, is(&had, NOTE));
    }

    // Whoever has the link can look, and nothing else.
    let extended = client.asks(&extend(&file.link, "3d"));
    see(client, "extends", &extended, extended.is_success());
    let before = client.asks(&look(&file.link));
    for &liar in bystanders.iter().chain([&recipient]) {
        let looked = liar.asks(&posing(Request::new("HEAD", &file.link.raw()), uploader));
        see(liar, "looks", &looked, looked.is_success());
        for (step, act) in acts(&file.link) {
            let said = liar.asks(&posing(act, uploader));
            see(liar, step, &said, said.status() == Some(403));
        }
    }
    for liar in inside {
        for (step, act) in acts(&file.link) {
            let said = liar.asks(&posing(act, uploader));
            see(liar, step, &said, !said.is_success());
        }
    }
    let after = client.asks(&look(&file.link));
    see(
        client,
        "finds the file as it was",
        &after,
        is(&after, before.body()),
    );

    // Who downloads is not the uploader, whatever they say.
    let had = recipient.asks(&posing(get.clone(), uploader));
    see(recipient, "downloads", &had, is(&had, NOTE));
    let course = client.reads_the_course_of(&file);
    see(
        client,
        "reads that it is delivered",
        &course,
        course == Course::Delivered,
    );
    for person in [client, attacker] {
        let late = person.asks(&get);
        see(person, "is too late", &late, late.status() == Some(410));
    }
    for &person in bystanders.iter().chain(&inside) {
        let again = Request::new("POST", &format!("{}/1/again", file.link));
        for late in [get.clone(), again] {
            let late = person.asks(&posing(late, uploader));
            see(person, "is too late as the uploader", &late, !late.is_success());
        }
    }
    // Behind a proxy nobody knows whether it arrived: there is a grace.
    let again = recipient.asks(&get);
    see(recipient, "has it once more", &again, is(&again, NOTE));

    let file = client.uploads(NOTE);
    let deleted = client.asks(&Request::new("DELETE", file.link.page()));
    see(client, "deletes", &deleted, deleted.is_success());
    let late = recipient.asks(&Request::new("GET", &file.link.raw()));
    see(
        recipient,
        "is too late for what is deleted",
        &late,
        late.status() == Some(410),
    );
}

/// A download in two parts, with others in between.
pub(super) fn in_two_parts(site: &Site, drops: &mut Drops) {
    let [client, recipient, attacker, _] = outside(site, Family::V4);
    let large = content(1, LARGE);
    let (first, second) = large.split_at(LARGE / 2);
    let file = client.uploads(&large);
    let get = Request::new("GET", &file.link.raw());
    let of = |range: &str| get.clone().header("Range", range);
    let (front, back) = (
        format!("bytes=0-{}", LARGE / 2 - 1),
        format!("bytes={}-", LARGE / 2),
    );

    let had = recipient.asks(&of(&front));
    let is_right = had.status() == Some(206) && had.body() == first;
    drops.see("the first half", &had, is_right);
    let stolen = attacker.asks(&posing(of(&back), recipient.host.address(Family::V4)));
    drops.see(
        "the second half, as the recipient",
        &stolen,
        stolen.status() == Some(423),
    );
    let owned = client.asks(&get);
    drops.see("the uploader between the halves", &owned, is(&owned, &large));
    let had = recipient.asks(&of(&back));
    let is_right = had.status() == Some(206) && had.body() == second;
    drops.see("the second half", &had, is_right);
    let course = client.reads_the_course_of(&file);
    drops.see("both halves are delivered", &course, course == Course::Delivered);
    let late = client.asks(&get);
    drops.see(
        "the uploader after both halves",
        &late,
        late.status() == Some(410),
    );
}

/// The people outside, at the first proxy: client, other client, attacker, stranger.
fn outside(site: &Site, family: Family) -> [Person<'_>; 4] {
    let (net, door) = (&site.net, site.front(App::Whoami, family));
    [&net.client, &net.other_client, &net.attacker, &net.stranger].map(|host| Person { host, door })
}

/// What only an uploader may do, in words for who does it all the same.
fn acts(link: &Link) -> [(&'static str, Request); 3] {
    [
        ("may not delete", Request::new("DELETE", link.page())),
        (
            "may not delete by the form",
            Request::new("POST", &format!("{link}/delete")),
        ),
        ("may not extend", extend(link, "7d")),
    ]
}

fn extend(link: &Link, time: &str) -> Request {
    Request::new("POST", &format!("{link}/expires"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("expires={time}").as_bytes())
}

fn look(link: &Link) -> Request {
    Request::new("GET", link.page())
}

/// Whether this is the whole answer.
fn is(outcome: &Outcome, content: &[u8]) -> bool {
    outcome.is_whole() && outcome.body() == content
}
