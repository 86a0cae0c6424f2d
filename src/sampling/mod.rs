//! Sampling: which allocations a heap profile looks at, from where they came, and which of them are still in use.
//!
//! A sample stands for as many blocks as it was likely to be one of, so sums over samples are estimates of sums over
//! all allocations, without bias. Memory for all this is taken from the system once, when a profile is armed for the
//! first time, and never through the allocator.

mod addresses;
mod gaps;
mod levels;
mod mix;
mod profile;
mod recent;
mod rules;
mod stacks;
mod throttle;
mod unwind;
mod weight;

pub(crate) use gaps::Gaps;
pub(crate) use mix::mix;
pub(crate) use profile::{Profile, Tables, Trail};
pub(crate) use stacks::{Figures, MAX_FRAMES};
pub(crate) use throttle::{Stretch, Throttle};
pub use unwind::Unwinder;
pub(crate) use unwind::{walk_from, walk_whole};
pub(crate) use weight::Weight;
