//! Traffic between slabs and magazines, as the slow paths count it.

use crate::heap::Counted;

/// What passed between slabs and threads since the start, over all heaps.
///
/// A thread allocates from its magazines and frees into them. What is counted here are visits to the slabs, and the
/// blocks that moved at them. So these are no numbers of allocations, which
/// [`Stats::allocations`](crate::Stats::allocations) tells for all classes together: a block that was taken from a slab
/// once may have been allocated and freed a thousand times since, or never.
///
/// ```text
/// refilled == flushed + remote_frees + live + in_magazines + in_outboxes + remote_pending
/// ```
///
/// Few blocks in each refill tell of a magazine that is new or goes one way; many refills each second tell of a
/// magazine that is too small for the bursts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Visits to slabs that brought blocks into a magazine, or one block past it.
    pub refills: u64,
    /// Blocks that left slabs that way.
    pub refilled: u64,
    /// Visits to slabs that took blocks of a magazine back: one that was full, or one that was emptied.
    pub flushes: u64,
    /// Blocks that went back to slabs that way.
    pub flushed: u64,
    /// Blocks that were freed by threads which did not own them, and that have come home since.
    pub remote_frees: u64,
}

impl Traffic {
    pub(super) const EMPTY: Self = Self { refills: 0, refilled: 0, flushes: 0, flushed: 0, remote_frees: 0 };

    /// Blocks that are in no slab at the moment: live, in magazines, or on their way home.
    #[must_use]
    pub const fn outside(&self) -> u64 {
        self.refilled.saturating_sub(self.flushed).saturating_sub(self.remote_frees)
    }

    pub(super) fn add(&mut self, counted: Counted) {
        self.refills += counted.refills;
        self.refilled += counted.refilled;
        self.flushes += counted.flushes;
        self.flushed += counted.flushed;
        self.remote_frees += counted.collected;
    }
}
