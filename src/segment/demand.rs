//! Demand: how much of what was given back, for want of room in the cache, was asked for again soon after.
//!
//! A program that allocates hundreds of MiB, frees them, and does so again, as one that works in steps does, would have
//! each page anew in each step. So what it was made to fetch again may be kept from then on, for as long as that was
//! not long ago. A program that frees much once has it given back at once.

use crate::align;
use crate::size_class::SLOT_SIZE;
use crate::sync::{AtomicUsize, Ordering, constructor};

/// Bytes that would better have been kept.
pub(super) struct Demand {
    /// Bytes that were given back lately though they were not old.
    given_back: AtomicUsize,
    /// Bytes of these that were asked for again.
    proven: AtomicUsize,
}

impl Demand {
    constructor! {
        pub(super) fn none() -> Self {
            Self { given_back: AtomicUsize::new(0), proven: AtomicUsize::new(0) }
        }
    }

    /// Bytes that may be kept, whatever else says. Whole pages, however large the system has them.
    pub(super) fn proven(&self) -> usize {
        align::down(self.proven.load(Ordering::Relaxed), SLOT_SIZE)
    }

    /// So many bytes were given back, for want of room.
    pub(super) fn gave_back(&self, bytes: usize) {
        if bytes > 0 {
            self.given_back.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// So many bytes were asked for, and had to come from the system. The process has never had more than `peak`.
    pub(super) fn fetched(&self, bytes: usize, peak: usize) {
        let given_back = self.given_back.load(Ordering::Relaxed);
        // Threads that do so at once may count some twice; it is a guess in any case.
        let again = bytes.min(given_back);
        if again > 0 {
            self.given_back.store(given_back - again, Ordering::Relaxed);
            self.proven.store((self.proven() + again).min(peak), Ordering::Relaxed);
        }
    }

    /// A purge delay is over: what was asked for before it counts half.
    pub(super) fn fade(&self) {
        self.given_back.store(0, Ordering::Relaxed);
        self.proven.store(self.proven() / 2, Ordering::Relaxed);
    }

    /// Whatever is kept is wanted elsewhere.
    pub(super) fn forget(&self) {
        self.given_back.store(0, Ordering::Relaxed);
        self.proven.store(0, Ordering::Relaxed);
    }
}
