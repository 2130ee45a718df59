//! The file drop: upload a file, share a link; the file is gone once somebody else has it.
//!
//! [`FileDrop::open`] takes a directory, [`FileDrop::router`] is the service. The server that hosts it resolves the
//! client of each request and puts the [`Resolution`](truehop_tower::truehop::Resolution) into the request's
//! extensions; it takes the [`Courier`](truehop_delivery::Courier) out of the response's extensions and tells it when
//! every byte has arrived.
//!
//! Invariant: a file is there until somebody other than its owner has all of it, or its time is up, and gone after. The
//! catalog's rows are written before the bytes appear and before they disappear, so that a crash leaves nothing that the
//! next start cannot put right.
//!
//! The limit of that: a connection may break, or the server crash, when the last bytes have left for a recipient, and then
//! nobody knows whether they arrived. Such a file is *uncertain*: only the same recipient may have it, until its owner says
//! otherwise.
//!
//! # Words
//!
//! A *drop* is what was uploaded: one or several files under one link. The *owner* uploaded it, a *recipient* is anybody
//! else. A *collection* is a recipient's download; it holds a *lease* and ends in *delivery* or not at all. A *receipt* is
//! what stays known afterwards.

#![forbid(unsafe_code)]

mod blobs;
mod catalog;
mod clock;
mod collection;
mod config;
mod coverage;
mod failpoint;
mod file_drop;
mod id;
mod intake;
mod leash;
mod lifecycle;
mod metrics;
mod name;
mod open;
mod owner;
mod reserve;
mod secret;
mod sweep;
pub mod upkeep;
mod web;
mod zip;

pub use clock::Clock;
pub use config::{BadConfig, DropConfig, OwnerRule};
pub use file_drop::FileDrop;
pub use open::OpenError;
pub use sweep::SweepError;
