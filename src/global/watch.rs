//! Watching: who wants to know what a thread allocates and frees, and how they are told.
//!
//! A watched thread's tops are [set aside](super::routing), so each of its allocations and frees is a slow path, and
//! each slow path that gives a block out or takes one back calls one hook here. A thread that is not watched pays
//! nothing on its fast paths. On its slow paths it pays one test of its routing.
//!
//! What is not seen: a `realloc` that stays in its size class, which takes no memory, and what hooks allocate
//! themselves.

use super::exact;
use super::routing::{self, Routing};
use super::thread::ledger;
use super::untyped::Extent;
use crate::heap::Ledger;
use core::ptr::NonNull;

/// Bytes that `block`, for which `size` were asked, takes: those of its class, of its span or of its mapping; in static
/// memory just `size`.
pub(super) fn extent(block: NonNull<u8>, size: usize) -> usize {
    Extent::find(block).map_or(size, Extent::len)
}

/// The calling thread, which is watched, has got `block`, for which `size` bytes were asked.
#[cold]
#[inline(never)]
pub(super) fn allocated(block: NonNull<u8>, size: usize) {
    routing::in_hook(|routing| {
        if routing.is_watched_for(Routing::COUNTED) {
            count(|ledger| ledger.allocated(extent(block, size), size));
        }
        if routing.is_watched_for(Routing::EXACT) {
            exact::count(block, size);
        }
    });
}

/// The calling thread, which is watched, is about to free `block`, of which it says that `size` bytes were asked for.
/// It may not be a block at all.
#[cold]
#[inline(never)]
pub(super) fn freed(block: NonNull<u8>, size: usize) {
    routing::in_hook(|routing| {
        if routing.is_watched_for(Routing::COUNTED) {
            count(|ledger| ledger.freed(extent(block, size)));
        }
    });
}

/// The calling thread, which is watched, has made a block another size without copying it. It took `old_extent` bytes,
/// for `old_size` that were asked, and may have moved from `old`, where there is no block then.
#[cold]
#[inline(never)]
pub(super) fn resized(_old: NonNull<u8>, old_extent: usize, old_size: usize, new: NonNull<u8>, new_size: usize) {
    routing::in_hook(|routing| {
        if routing.is_watched_for(Routing::COUNTED) {
            count(|ledger| ledger.resized([old_extent, extent(new, new_size)], [old_size, new_size]));
        }
    });
}

/// Enters something into the calling thread's ledger, and looks whether a budget is exceeded by it.
fn count(enter: impl FnOnce(&Ledger)) {
    let Some(ledger) = ledger() else { return };
    enter(ledger);
    #[cfg(all(feature = "std", not(tenure_bare_metal)))]
    ledger.check_budgets(|budget| {
        let mut stack = [0; crate::heap::FRAMES];
        crate::os::capture_stack(&mut stack);
        budget.stack.set(stack);
    });
}
