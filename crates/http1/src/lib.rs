//! HTTP/1.1 on the wire, without I/O: heads, bodies and hop-by-hop fields for whoever stands between two sockets.
//!
//! * [`RequestHead`] and [`ResponseHead`] read a head as offsets into the caller's buffer, piece by piece as it arrives;
//!   [`Request`] and [`Response`] say what it means.
//! * [`Chunked`] finds the data of a chunked body where it stands.
//! * [`Rewrite`] puts a head together from the lines that go on and those that were added, for one vectored write.
//! * [`Host`]: which host a request is for; one that says so twice is refused.
//!
//! Invariant: nothing is repaired. A message that two readers could take for two things is an error with a name.
//! No input makes anything here panic, and no byte is looked at more than a fixed number of times.

#![forbid(unsafe_code)]

mod bad_request;
mod bytes;
mod chunked;
mod field;
mod framing;
mod head;
mod hop_by_hop;
mod host;
mod known;
mod request;
mod response;
mod rewrite;
mod section;
mod target;

pub use bad_request::BadRequest;
pub use chunked::{BadChunk, Chunked, Step, trailer_fields};
pub use field::{Field, FieldLines, NamedFieldLines, Span};
pub use head::{BadHead, Limits, Version};
pub use host::{BadHost, Host};
pub use known::Known;
pub use request::{Request, RequestBody, RequestHead};
pub use response::{BadResponse, Response, ResponseBody, ResponseHead};
pub use rewrite::{BadValue, Rewrite};
pub use target::Method;
