//! Where a connection comes from, once its start has been read.

use crate::node::Hop;
use crate::peer::Peer;

/// Where a connection comes from: the peer, and what a PROXY header in front of it said.
///
/// Made from a [`Peer`] where no PROXY header is read, and by a
/// [`Preface`](crate::proxy_protocol::Preface) where one may be. A policy that reads PROXY headers refuses an arrival
/// whose start was not looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arrival {
    peer: Peer,
    start: Start,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Start {
    /// Nobody looked.
    Unread,
    /// There was no header, and none was allowed.
    Plain,
    /// There was one, which names somebody or nobody.
    Prefaced(Option<Hop>),
}

impl Arrival {
    pub(crate) fn plain(peer: Peer) -> Self {
        Self {
            peer,
            start: Start::Plain,
        }
    }

    pub(crate) fn prefaced(peer: Peer, claim: Option<Hop>) -> Self {
        Self {
            peer,
            start: Start::Prefaced(claim),
        }
    }

    /// The other end of the socket.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whom the PROXY header named.
    pub fn claim(&self) -> Option<Hop> {
        match self.start {
            Start::Prefaced(claim) => claim,
            Start::Unread | Start::Plain => None,
        }
    }

    /// Whether the connection's start was looked at for a PROXY header.
    pub(crate) fn was_read(&self) -> bool {
        self.start != Start::Unread
    }
}

impl From<Peer> for Arrival {
    fn from(peer: Peer) -> Self {
        Self {
            peer,
            start: Start::Unread,
        }
    }
}
