//! Requests of somebody who wants to pass for somebody else: a corpus of them, and how each is sent.
//!
//! The corpus is a file of lines, `forgeries.jsonl`, whose first line says what the keys and words of the others mean.
//! [`forgeries`] reads it. A [`Forgery`] becomes a [`Request`] when it is said who plays whom (the [`Cast`]) and whom it
//! goes to (the [`Place`]). An [`Exchange`] has the bytes of it, as HTTP/1.1 or HTTP/2, and takes the server's; it does no
//! I/O, so that tests with threads and a command with tasks send the same. [`mends`] says for each family what to write
//! where such requests are believed.
//!
//! ```
//! use truehop_forgeries::{Cast, Exchange, Language, Place, forgeries};
//!
//! let cast = Cast { forged: [203, 0, 113, 96].into(), trusted: [127, 0, 0, 1].into() };
//! let place = Place { host: "example.com", path: "/whoami", beside: &[] };
//! for forgery in forgeries()?.iter().filter(|forgery| forgery.is_sayable(Language::Http1)) {
//!     let (_exchange, bytes) = Exchange::begin(&forgery.request(&cast, &place), Language::Http1);
//!     assert!(!bytes.is_empty());
//! }
//! # Ok::<(), truehop_forgeries::BadLine>(())
//! ```
//!
//! Invariant: a key or a word that nobody knows is an error when the file is read, and so is a line that its language
//! cannot say. A forgery that is sent other than it was meant proves nothing.

#![forbid(unsafe_code)]

mod corpus;
mod exchange;
mod http1;
mod http2;
mod mend;
mod request;
mod text;

pub use corpus::{BadLine, Fault, Forgery, Language, forgeries};
pub use exchange::{Answer, Exchange, State};
pub use mend::{Line, Mend, mends};
pub use request::{Cast, Place, Request};
