//! Requests that two servers could read differently, each suite named by what it tries. They go byte for byte through
//! the edge to gunicorn, node and nginx, all as lenient as they can be made.
//!
//! What is not exactly HTTP/1.1 is refused, its connection closed, and no upstream ever sees any of it.

mod framing;
mod lines;
mod target;

use truehop_e2e::{Case, passed};

// Legal requests, without which a suite could not tell an edge that refuses from one that is broken.

pub(crate) const LENGTH: Case = passed(
    "a length",
    "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "hello",
);
pub(crate) const CHUNKED: Case = passed(
    "chunks",
    "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "hello",
);
