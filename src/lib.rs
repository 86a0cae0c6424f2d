#![doc = include_str!("../README.md")]
#![no_std]
#![warn(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(any(feature = "std", test, loom))]
extern crate std;

// From the bottom up: a module imports only from those above it in this list. `tests/layering.rs` checks it.
mod sync;

mod align;
mod size_class;

mod arena;

mod os;

mod lock;

mod slab;

mod segment;

mod magazine;

mod heap;

mod registry;

mod stats;

mod global;

pub use arena::{ArenaFull, ArenaStats, StaticArena};
pub use global::Tenure;
pub use stats::{ClassStats, SIZE_CLASSES, Stats};
