//! Sampled guard pages: what is noticed, what is said of it, and that all else goes on as if there were none.
//!
//! A program that misuses a guarded block runs in a process of its own, which is this test binary, told to run the same
//! test once more. A hardened build guards nothing, and says so: `tests/hardened.rs`.
#![cfg(all(feature = "profile", not(feature = "hardened"), target_os = "linux", not(loom)))]

#[path = "../support/mod.rs"]
mod support;

mod at_work;
mod faults;
mod handlers;
mod origin;
mod passed_over;
mod report;
mod sites;

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();
