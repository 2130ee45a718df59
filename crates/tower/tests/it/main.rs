//! What a service behind the layer sees, and what its server is told.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[cfg(feature = "axum")]
mod axum_app;
mod examples;
mod layer;
mod mock;
#[cfg(feature = "tokio")]
mod preface;
