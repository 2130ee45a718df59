//! The drop as its host and its visitors see it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test fails the test"
)]

mod deleting;
mod form;
mod life;
mod opening;
mod owning;
mod pages;
mod recovery;
mod support;
mod uploading;
