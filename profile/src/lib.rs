//! Heap profiles of programs on [Tenure](https://docs.rs/tenure): where memory comes from that is in use, and where all
//! of it came from.
//!
//! The allocator itself takes the samples (see [`tenure::profile`], all of which is here as well). This crate finds the
//! functions' names and writes a profile as
//! - **pprof**, gzipped, which `go tool pprof` and many other programs open: four values for each call stack, allocated
//!   and in use, blocks and bytes;
//! - **folded stacks**, one line each, for `flamegraph.pl`, `inferno` or `speedscope`;
//! - a **flame graph** in SVG;
//! - a **leak report**: what is in use, by call stack, as text for people.
//!
//! Names are looked for when a profile is written, not when samples are taken, and in the files that the program
//! consists of, as they are on disk then. What this crate allocates meanwhile is not in the profile.
//!
//! ```
//! use tenure_profile::{Options, Profile, Unwinder, Value, arm_with};
//!
//! #[global_allocator]
//! static GLOBAL: tenure::Tenure = tenure::Tenure::new();
//!
//! // Every allocation, as it is a small program; and with tables, in case it was built without frame pointers.
//! arm_with(Options { rate: 1, unwinder: Unwinder::Tables, ..Options::default() })?;
//! let words: Vec<String> = (0..100).map(|n| n.to_string()).collect();
//!
//! let mut folded = Vec::new();
//! Profile::take().write_folded(Value::LiveBytes, &mut folded)?;
//! assert!(String::from_utf8(folded)?.contains("to_string"));
//! # drop(words);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]
#![deny(unsafe_code)]

#[doc(hidden)]
pub mod atomically;
mod environment;
mod exit;
mod flamegraph;
mod folded;
mod format;
mod leaks;
mod machinery;
mod maps;
mod pprof;
mod profile;
mod resolved;
mod symbols;

pub use environment::{Setting, WrongSetting};
pub use exit::from_env;
pub use format::Format;
pub use leaks::{Leaks, leaks};
pub use profile::{NotAProfile, Profile, Value};
pub use tenure::profile::{
    CannotArm, DEFAULT_RATE, MAX_FRAMES, MAX_RATE, Options, Stack, Text, Totals, Unwinder, arm, arm_with, disarm,
    each_stack, is_armed, last_rate, rate, totals, unsampled,
};
