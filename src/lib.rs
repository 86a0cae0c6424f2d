#![doc = include_str!("../README.md")]
#![no_std]
// Only the protocols are of interest there; what uses them is not.
#![cfg_attr(loom, allow(dead_code, unused_imports))]
// Without an operating system nobody has a heap.
#![cfg_attr(any(not(any(unix, windows)), tenure_bare_metal), allow(dead_code))]
#![warn(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(any(feature = "std", test, loom))]
extern crate std;

// From the bottom up: a module imports only from those above it in this list. `tests/layering.rs` checks it.
mod sync;

mod align;
mod size_class;

mod tag;

mod arena;

mod os;

mod lock;

#[cfg(feature = "profile")]
mod sampling;

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

#[cfg(not(loom))]
mod environment;

#[cfg(not(loom))]
mod phase;

#[cfg(all(feature = "allocator-api2", not(loom)))]
mod allocator;

pub use arena::{ArenaFull, ArenaStats, StaticArena};
#[cfg(not(loom))]
#[cfg(feature = "profile")]
pub use environment::profile_dumps;
pub use environment::{from_env, preloaded};
#[cfg(all(feature = "profile", not(loom)))]
pub use global::profile;
#[cfg(not(loom))]
pub use global::{
    DynamicScope, Limit, Pressure, ProcessDelta, ProcessRegion, Region, RoutedFuture, StaticScope, TaggedFuture,
    Tenure, ThreadDelta, ThreadRegion, WhenFull, dynamic_scope, seal, seal_read_only, static_scope, tagged,
};
#[cfg(all(feature = "std", not(tenure_bare_metal), not(loom)))]
pub use global::{assert_allocs, assert_no_alloc};
#[cfg(not(loom))]
pub use phase::{Arena, Scope};
pub use region::Sealed;
#[cfg(not(loom))]
pub use stats::{
    Balance, BalanceLine, ClassStats, Json, Prometheus, SIZE_CLASSES, Stats, SystemStats, TagStats, Traffic,
};
#[cfg(not(loom))]
pub use tag::Tag;

/// What the fuzz targets reach inside for. No part of the interface.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    use core::ops::Range;

    /// Where a block lies.
    pub fn place(free: Range<usize>, size: usize, align: usize) -> Option<Range<usize>> {
        crate::arena::place_block(free, size, align)
    }

    /// Bytes to the next multiple of an alignment.
    pub fn skip(start: usize, align: usize) -> usize {
        crate::arena::skip(start, align)
    }
}

/// The unit tests run on what they test; but not under Miri, which has no mappings.
#[cfg(all(test, not(loom), not(miri)))]
#[global_allocator]
static GLOBAL: Tenure = Tenure::new();
