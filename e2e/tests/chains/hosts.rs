//! The hosts by themselves, without any server of ours: who connects is who is seen, and what is made is removed.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::thread;

use truehop_e2e::{Family, Internet, Machine, eventually};

/// Who is seen at this address of a server, when these connect to it one after the other.
fn seen(server: &Machine, at: SocketAddr, from: &[&Machine]) -> Vec<IpAddr> {
    // One listener for all: a program that another test starts holds it open for a moment.
    let listener = server.inside(|| TcpListener::bind(at).unwrap());
    let accepted = from.iter().map(|from| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = from.inside(|| TcpStream::connect(at).unwrap());
                stream.write_all(b"hello").unwrap();
            });
            let (mut stream, peer) = listener.accept().unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            assert_eq!(said, "hello");
            peer.ip()
        })
    });
    accepted.collect()
}

#[test]
fn hosts_are_seen_by_their_own_addresses() {
    let Some(net) = Internet::build() else { return };
    for family in Family::BOTH {
        let front = SocketAddr::new(net.first.address(family), 80);
        let clients = [&net.client, &net.other_client, &net.attacker, &net.stranger];
        assert_eq!(
            seen(&net.first, front, &clients),
            clients.map(|host| host.address(family))
        );
        let app = SocketAddr::new(net.app.inner(family), 8080);
        let inside = [&net.first, &net.second, &net.neighbour];
        assert_eq!(
            seen(&net.app, app, &inside),
            inside.map(|host| host.inner(family))
        );
        let reached = net.attacker.inside(|| TcpStream::connect(app).is_ok());
        assert!(!reached, "the outer network must not reach the inner one");
    }
    assert_eq!(net.client.address(Family::V4).to_string(), "203.0.113.95");
    assert_eq!(net.stranger.address(Family::V6).to_string(), "2001:db8:198::97");
    assert_eq!(net.first.address(Family::V6).to_string(), "2001:db8:203::10");
    assert_eq!(net.first.inner(Family::V6).to_string(), "fd00:168::10");
}

#[test]
fn two_pictures_do_not_disturb_each_other_and_nothing_stays_behind() {
    let (Some(one), Some(two)) = (Internet::build(), Internet::build()) else {
        return;
    };
    let front = SocketAddr::new(one.first.address(Family::V4), 80);
    let _listener = one.first.inside(|| TcpListener::bind(front).unwrap());
    assert_eq!(
        seen(&two.first, front, &[&two.client]),
        [two.client.address(Family::V4)]
    );

    let made = [one.app.namespace().to_owned(), two.app.namespace().to_owned()];
    assert!(made.iter().all(|name| exists(name)));
    drop(one);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _two = two;
        panic!("as a test does that fails");
    }));
    assert!(panicked.is_err());
    assert!(!made.iter().any(|name| exists(name)));
}

#[test]
fn what_a_killed_run_left_behind_is_removed_with_its_programs() {
    if Internet::build().is_none() {
        return;
    }
    // No process has such a number.
    let name = "truehop-4194304999-0-app";
    assert!(
        Command::new("ip")
            .args(["netns", "add", name])
            .status()
            .unwrap()
            .success()
    );
    let mut program = Command::new("ip");
    let mut program = program
        .args(["netns", "exec", name, "sleep", "1000"])
        .spawn()
        .unwrap();
    let is_in_there = |name: &str| {
        let listed = Command::new("ip").args(["netns", "pids", name]).output().unwrap();
        String::from_utf8(listed.stdout)
            .unwrap()
            .lines()
            .any(|line| line == program.id().to_string())
    };
    eventually("the program to be in there", || is_in_there(name).then_some(()));
    drop(Internet::build());
    assert!(!exists(name));
    assert!(!program.wait().unwrap().success(), "it was killed");
}

fn exists(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}
