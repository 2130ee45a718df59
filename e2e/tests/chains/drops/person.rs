//! Somebody in front of the drop.

use std::net::{IpAddr, SocketAddr};

use truehop_e2e::{Machine, Outcome, Request, Uploaded, eventually};

/// Who it is, and where they reach the drop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Person<'a> {
    pub(super) host: &'a Machine,
    pub(super) door: SocketAddr,
}

/// Where a file stands, as its owner reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Course {
    Waiting,
    /// All of it has left for somebody who was not the owner, and nobody knows whether it arrived.
    Uncertain,
    Delivered,
    Other(String),
}

impl Person<'_> {
    #[track_caller]
    pub(super) fn uploads(&self, content: &[u8]) -> Uploaded {
        let put = Request::new("PUT", "/file.bin").body(content);
        Uploaded::read(&self.asks(&put).answer())
    }

    pub(super) fn asks(&self, request: &Request) -> Outcome {
        let Ok(mut wire) = self.host.wire(self.door) else {
            return Outcome::Lost;
        };
        // Who refuses may close before everything is sent.
        let _ = wire.send(request);
        Outcome::while_staying(wire, request, |_| true)
    }

    /// What the page tells who has the secret, once nothing is under way any more.
    pub(super) fn reads_the_course_of(&self, file: &Uploaded) -> Course {
        let look = Request::new("GET", file.link.page()).header("Truehop-Owner", &file.owner);
        eventually("a download to end", || {
            let outcome = self.asks(&look);
            let text = outcome.response().map(|page| page.text()).unwrap_or_default();
            let state = text.lines().find_map(|line| line.strip_prefix("state:   "));
            match state.unwrap_or(&text) {
                state if state.starts_with("Being downloaded") => None,
                state if state.starts_with("Waiting") => Some(Course::Waiting),
                state if state.starts_with("A download was interrupted at its very end") => {
                    Some(Course::Uncertain)
                }
                state if state.starts_with("Delivered") => Some(Course::Delivered),
                state => Some(Course::Other(state.to_owned())),
            }
        })
    }
}

/// The request of somebody who says in every common way that they are at this address.
pub(super) fn posing(request: Request, ip: IpAddr) -> Request {
    let node = match ip {
        IpAddr::V4(ip) => format!("for={ip}"),
        IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
    };
    let ip = ip.to_string();
    request.headers(&[("X-Forwarded-For", &ip), ("X-Real-IP", &ip), ("Forwarded", &node)])
}
