//! The drop as its host and its visitors see it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper of a test fails the test, or says why it was skipped"
)]

mod acts;
mod archive;
mod collecting;
mod deleting;
mod form;
mod full;
mod life;
mod logging;
mod model;
mod opening;
mod owning;
mod pages;
mod recovery;
mod support;
mod table;
mod uploading;
