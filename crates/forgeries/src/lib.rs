//! Requests of somebody who wants to pass for somebody else.

#![forbid(unsafe_code)]

/// The forgeries, one a line; the first line explains the others.
pub const FILE: &str = include_str!("../forgeries.jsonl");
