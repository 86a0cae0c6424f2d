//! Exact bytes: how much is asked for of what is given, counted while somebody wants to know.
//!
//! A block's exact size is written nowhere, so it can only be counted when it is asked for. Threads are
//! [watched](super::watch) for that: all of their allocations and frees are slow paths while it lasts, and cost nothing
//! while it does not. A thread learns of it at its next slow path.

use super::routing::{self, Routing};
use super::thread::{home_if_any, is_at_work};
use super::untyped::Extent;
use super::{BACKEND, Tenure, tls};
use crate::heap::{MAPPINGS, SPANS};
use crate::sync::{AtomicBool, Ordering};
use core::ptr::NonNull;

/// True while exact bytes are counted.
static IS_COUNTING: AtomicBool = AtomicBool::new(false);

impl Tenure {
    /// Says whether exact bytes are counted from now on: of each allocation how much was asked for, and how much was
    /// given for it, by size class. So [`Stats`](crate::Stats) tell what rounding costs. They are not, unless this or
    /// `TENURE_EXACT=1` has said so.
    ///
    /// Meanwhile each allocation and each free takes tens of nanoseconds more; otherwise nothing. A thread that is at
    /// work follows when one of its magazines is empty or full, and new threads at once. Counts stay when the counting
    /// ends, and go on when it begins again.
    ///
    /// ```
    /// #[global_allocator]
    /// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
    ///
    /// GLOBAL.count_exact_bytes(true);
    /// let names: Vec<String> = (0..1000).map(|n| format!("a name that ends with the number {n}")).collect();
    /// GLOBAL.count_exact_bytes(false);
    /// let stats = GLOBAL.stats();
    /// let wasted: u64 = stats.used_classes().map(|class| class.rounding.waste()).sum();
    /// assert!(wasted > 0);
    /// # drop(names);
    /// ```
    pub fn count_exact_bytes(&self, are_wanted: bool) {
        IS_COUNTING.store(are_wanted, Ordering::Relaxed);
    }

    /// True while [exact bytes](Tenure::count_exact_bytes) are counted.
    pub fn counts_exact_bytes(&self) -> bool {
        IS_COUNTING.load(Ordering::Relaxed)
    }
}

/// How the calling thread, which is about to allocate, is routed, after it has followed what was said last.
#[inline(always)]
pub(super) fn routing() -> Routing {
    let routing = tls::routing();
    if routing.is_watched_for(Routing::EXACT) != IS_COUNTING.load(Ordering::Relaxed) {
        return follow(routing);
    }
    routing
}

#[cold]
#[inline(never)]
fn follow(routing: Routing) -> Routing {
    // A signal handler that has interrupted a slow path leaves the magazines where they are.
    if is_at_work() {
        return routing;
    }
    routing::change(routing.with(Routing::EXACT, !routing.is_watched_for(Routing::EXACT)));
    tls::routing()
}

/// Counts `block`, for which the calling thread has asked for `size` bytes. What lies in static memory takes no more
/// than that.
pub(super) fn count(block: NonNull<u8>, size: usize) {
    let (Some(home), Some(extent)) = (home_if_any(), Extent::find(block)) else { return };
    let kind = match extent {
        Extent::Slab(class) => class.index(),
        Extent::Large { .. } if BACKEND.owners.look_up(block.addr().get()).is_heap() => SPANS,
        Extent::Large { .. } => MAPPINGS,
        #[cfg(all(feature = "profile", not(feature = "hardened")))]
        Extent::Guarded { .. } => MAPPINGS,
    };
    home.roundings().add(kind, size, extent.len());
}
