//! What the tests of the whole allocator share. Each test binary uses a part of it.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod account;
pub mod block;
#[cfg(target_os = "linux")]
pub mod cgroup;
#[cfg(target_os = "linux")]
pub mod errno;
pub mod extent;
#[cfg(target_os = "linux")]
pub mod hoard;
pub mod intervals;
pub mod memory;
pub mod pattern;
pub mod process;
pub mod random;
#[cfg(target_os = "linux")]
pub mod seccomp;
