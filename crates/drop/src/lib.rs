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
//! The limit of that: a crash after a recipient's last byte has arrived and before *delivered* is committed leaves the
//! file collectable, because nothing on this side knows that it arrived. It is then delivered a second time, or expires.
//! Its owner's page says that a download was interrupted.
//!
//! # Words
//!
//! The *owner* uploaded the file, a *recipient* is anybody else. A *collection* is a recipient's download; it holds a
//! *lease* and ends in *delivery* or not at all. A *receipt* is what stays known afterwards.

#![forbid(unsafe_code)]

mod blobs;
mod catalog;
mod clock;
mod collection;
mod config;
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
mod sweep;
mod web;

pub use clock::Clock;
pub use config::{BadConfig, DropConfig, OwnerRule};
pub use file_drop::FileDrop;
pub use open::OpenError;
pub use sweep::SweepError;
