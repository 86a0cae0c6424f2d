#![doc = include_str!("../README.md")]
#![no_std]
// Only the protocols are of interest there; what uses them is not.
#![cfg_attr(loom, allow(dead_code, unused_imports))]
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

mod region;

mod magazine;

mod heap;

mod registry;

#[cfg(not(loom))]
mod stats;

#[cfg(not(loom))]
mod global;

pub use arena::{ArenaFull, ArenaStats, StaticArena};
#[cfg(not(loom))]
pub use global::{
    DynamicScope, RoutedFuture, StaticScope, Tenure, WhenFull, dynamic_scope, seal, seal_read_only, static_scope,
};
pub use region::Sealed;
#[cfg(not(loom))]
pub use stats::{ClassStats, SIZE_CLASSES, Stats};

/// The unit tests run on what they test.
#[cfg(all(test, not(loom)))]
#[global_allocator]
static GLOBAL: Tenure = Tenure::new();
