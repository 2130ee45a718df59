//! The manual: what can go wrong, what to write for each proxy, and how to come here from elsewhere.
//!
//! * [`threats`]: 37 ways in which services have learnt wrong addresses, and how each is met here.
//! * [`recipes`]: a proxy's configuration and the policy that fits it, side by side.
//! * [`migrating`]: other libraries' settings in this one's words, and what changes.
//!
//! # In five sentences
//!
//! The peer is what the kernel says; everything else is a claim, and anybody can write one. A policy says whose claims
//! are believed: the addresses of *your proxies*, never those of your clients. It names one header, which the nearest
//! proxy must set or append to on every request. The list is read from the right, because only its right end was
//! written by somebody you know. Whatever the policy does not answer is an error, and an error is never an address.
//!
//! # Before it goes out
//!
//! 1. Write the policy; build it at start, so that a typo stops the program and not a request.
//! 2. Run [`Policy::lint_in`](crate::Policy::lint_in), and show [`Policy::named_sets`](crate::Policy::named_sets) with
//!    their age.
//! 3. Send a forged header through the proxy and around it, and look at [`Policy::explain`](crate::Policy::explain).
//! 4. Watch with a [`Detector`](crate::Detector), which notices a proxy that the policy does not know.

pub mod migrating;
pub mod recipes;
pub mod threats;
