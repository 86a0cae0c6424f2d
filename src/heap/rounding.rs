//! Rounding: how much is asked for and how much is given, counted by heaps while somebody wants to know.

use super::counts::{SPANS, add};
use crate::size_class;
use crate::sync::{AtomicU64, Ordering};

/// One for each class of slabs, one for all spans, and one for all mappings.
const KINDS: usize = size_class::SLABS + 2;

/// Where those of mappings are; those of spans are at [`SPANS`].
pub(crate) const MAPPINGS: usize = SPANS + 1;

/// What the borrower was given. Written by the borrower alone, read by others; valid as zeros.
pub(crate) struct Roundings([Count; KINDS]);

struct Count {
    blocks: AtomicU64,
    requested: AtomicU64,
    granted: AtomicU64,
}

impl Roundings {
    /// Counts a block of `granted` bytes, for which `requested` were asked. Borrower-only.
    pub(crate) fn add(&self, kind: usize, requested: usize, granted: usize) {
        let count = &self.0[kind];
        add(&count.blocks, 1);
        add(&count.requested, requested as u64);
        add(&count.granted, granted as u64);
    }

    /// Blocks, bytes asked for and bytes given, of each kind; a snapshot.
    pub(crate) fn read(&self) -> impl Iterator<Item = [u64; 3]> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.0.iter().map(move |count| [read(&count.blocks), read(&count.requested), read(&count.granted)])
    }
}
