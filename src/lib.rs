#![doc = include_str!("../README.md")]
#![no_std]
// Only the protocols are of interest there; what uses them is not.
#![cfg_attr(loom, allow(dead_code, unused_imports))]
// Without an operating system nobody has a heap.
#![cfg_attr(any(not(any(unix, windows)), tenure_bare_metal), allow(dead_code))]
// What its own interfaces take the place of.
#![cfg_attr(feature = "hardened", allow(dead_code, unused_imports))]
#![warn(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(any(feature = "std", test, loom))]
extern crate std;

// From the bottom up: a module imports only from those above it in this list. `tests/layering.rs` checks it.
mod sync;

mod align;
mod size_class;

mod number;

mod tag;

mod arena;

mod os;

mod lock;

#[cfg(feature = "hardened")]
mod secret;

#[cfg(feature = "profile")]
mod sampling;

mod slab;

mod segment;

#[cfg(feature = "profile")]
mod guarded;

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
#[cfg(all(feature = "profile", not(loom)))]
pub use environment::profile_dumps;
#[cfg(not(loom))]
pub use environment::{from_env, preloaded};
#[cfg(not(loom))]
pub use global::{
    DynamicScope, Limit, Pressure, ProcessDelta, ProcessRegion, Region, RoutedFuture, StaticScope, TaggedFuture,
    Tenure, ThreadDelta, ThreadRegion, WhenFull, dynamic_scope, seal, seal_read_only, static_scope, tagged,
};
#[cfg(all(feature = "std", not(tenure_bare_metal), not(loom)))]
pub use global::{assert_allocs, assert_no_alloc};
#[cfg(all(feature = "profile", not(loom)))]
pub use global::{guard, profile};
#[cfg(not(loom))]
pub use phase::{Arena, Scope};
pub use region::Sealed;
#[cfg(not(loom))]
pub use stats::{
    Balance, BalanceLine, ClassStats, Json, Prometheus, Rounding, SIZE_CLASSES, Stats, SystemStats, TagStats, Traffic,
};
#[cfg(not(loom))]
pub use tag::Tag;

/// What the fuzz targets reach inside for. No part of the interface.
#[cfg(fuzzing)]
pub mod fuzzing {
    use core::ops::Range;

    /// Size classes, by their indices.
    pub mod size_class {
        use crate::size_class::{self, SizeClass};
        use crate::slab::{self, Blocks};
        use core::alloc::Layout;

        /// Number of classes of slabs.
        pub const SLABS: usize = size_class::SLABS;
        /// Number of classes.
        pub const COUNT: usize = size_class::COUNT;
        /// Bytes of a slab's largest block.
        pub const MAX_SIZE: usize = size_class::MAX_SIZE;
        /// Bytes of the longest span.
        pub const MAX_SPAN: usize = size_class::MAX_SPAN;
        /// Bytes of a slot.
        pub const SLOT_SIZE: usize = size_class::SLOT_SIZE;

        /// Between the codes of neighbouring classes.
        pub const STEP: usize = size_class::STEP;

        /// The class of a layout.
        pub fn of(layout: Layout) -> Option<usize> {
            SizeClass::of(layout).map(SizeClass::index)
        }

        /// The class of a layout's span.
        pub fn of_span(layout: Layout) -> Option<usize> {
            SizeClass::of_span(layout).map(SizeClass::index)
        }

        /// The class of the span of a size, which is more than a slab's block has.
        pub fn of_untyped_span(size: usize) -> Option<usize> {
            SizeClass::of_untyped_span(size).map(SizeClass::index)
        }

        /// The class of the spans of so many slots, at least one.
        pub fn of_slots(slots: usize) -> Option<usize> {
            SizeClass::of_slots(slots).map(SizeClass::index)
        }

        /// The class of a size that is a multiple of its alignment.
        pub fn of_size(size: usize) -> Option<usize> {
            SizeClass::of_size(size).map(SizeClass::index)
        }

        /// The class of a size alone.
        pub fn of_untyped(size: usize) -> Option<usize> {
            SizeClass::of_untyped(size).map(SizeClass::index)
        }

        /// Bytes of a block.
        pub fn size(index: usize) -> usize {
            SizeClass::from_index(index).size()
        }

        /// The class's code.
        pub fn code(index: usize) -> usize {
            SizeClass::from_index(index).code()
        }

        /// True for a class of spans.
        pub fn is_span(index: usize) -> bool {
            SizeClass::from_index(index).is_span()
        }

        /// Blocks of a slab.
        pub fn capacity(index: usize) -> usize {
            slab::capacity(SizeClass::from_index(index))
        }

        /// The block that starts at an offset of a slab.
        pub fn locate(index: usize, offset: usize) -> Option<usize> {
            Blocks::of(SizeClass::from_index(index)).locate(core::ptr::without_provenance_mut(offset))
        }
    }

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
