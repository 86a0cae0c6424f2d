//! Counts of what passes between magazines and slabs: all that can be known of a heap's past without a word on the fast
//! paths.
//!
//! Written under the heap's lock, so an addition is a load and a store; read by anybody.

use crate::size_class::{self, SizeClass};
use crate::sync::{AtomicU64, Ordering};

/// One for each class of slabs, and one for all spans, since a span may change its class while it is in use.
pub(super) const KINDS: usize = size_class::SLABS + 1;

/// Where [`Heap::counts`](super::Heap::counts) has those of spans.
pub(crate) const SPANS: usize = size_class::SLABS;

/// What has passed since the start, of one class or of spans.
///
/// `refilled == flushed + collected + blocks that are in no slab now`
pub(crate) struct Counts {
    refills: AtomicU64,
    refilled: AtomicU64,
    flushes: AtomicU64,
    flushed: AtomicU64,
    collected: AtomicU64,
    in_depot: AtomicU64,
}

/// What [`Counts`] said at one moment.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counted {
    /// Visits to slabs that brought blocks.
    pub(crate) refills: u64,
    /// The blocks that they brought.
    pub(crate) refilled: u64,
    /// Visits to slabs that took blocks back there.
    pub(crate) flushes: u64,
    /// The blocks that they took.
    pub(crate) flushed: u64,
    /// Blocks that other threads had freed, and that have come home.
    pub(crate) collected: u64,
    /// The blocks that wait in the depot now.
    pub(crate) in_depot: u64,
}

/// The only writer only.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

impl Counts {
    /// Those of `class` among a heap's.
    pub(super) fn of(all: &[Counts; KINDS], class: SizeClass) -> &Counts {
        &all[class.index().min(SPANS)]
    }

    /// Blocks have left their slabs, if any have. Lock-holder only.
    pub(super) fn refill(&self, blocks: usize) {
        if blocks > 0 {
            add(&self.refills, 1);
            add(&self.refilled, blocks as u64);
        }
    }

    /// Blocks have gone back to their slabs. Lock-holder only.
    pub(super) fn flush(&self, blocks: usize) {
        add(&self.flushes, 1);
        add(&self.flushed, blocks as u64);
    }

    /// Blocks have come home. Lock-holder only.
    pub(super) fn collect(&self, blocks: usize) {
        add(&self.collected, blocks as u64);
    }

    /// Blocks wait in the depot. Lock-holder only.
    pub(super) fn wait(&self, blocks: usize) {
        add(&self.in_depot, blocks as u64);
    }

    /// Blocks that have waited do not any more. Lock-holder only.
    pub(super) fn leave(&self, blocks: usize) {
        add(&self.in_depot, (blocks as u64).wrapping_neg());
    }

    /// Blocks that are in no slab now: in use, in magazines or in outboxes. Lock-holder only.
    pub(super) fn out(&self) -> u64 {
        let Counted { refilled, flushed, collected, .. } = self.read();
        refilled.wrapping_sub(flushed.wrapping_add(collected))
    }

    /// What was counted so far; a snapshot.
    pub(crate) fn read(&self) -> Counted {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            refills: read(&self.refills),
            refilled: read(&self.refilled),
            flushes: read(&self.flushes),
            flushed: read(&self.flushed),
            collected: read(&self.collected),
            in_depot: read(&self.in_depot),
        }
    }
}
