//! Demand: how much of what was given back, for want of room in the cache, was asked for again soon after.
//!
//! A program that allocates hundreds of MiB, frees them, and does so again, as one that works in steps does, would have
//! each page anew in each step. So what it was made to fetch again may be kept from then on, for as long as that was
//! not long ago. A program that frees much once has it given back at once.

use crate::align;
use crate::size_class::SLOT_SIZE;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, constructor};

/// Bytes that would better have been kept. Times are in milliseconds of the platform's clock.
pub(super) struct Demand {
    /// Bytes that were given back lately though they were not old.
    given_back: AtomicUsize,
    /// When that was last.
    gave_back_at: AtomicU64,
    /// Bytes of these that were asked for again.
    proven: AtomicUsize,
    /// When they were last halved.
    faded_at: AtomicU64,
}

impl Demand {
    constructor! {
        pub(super) fn none() -> Self {
            Self {
                given_back: AtomicUsize::new(0),
                gave_back_at: AtomicU64::new(0),
                proven: AtomicUsize::new(0),
                faded_at: AtomicU64::new(0),
            }
        }
    }

    /// Bytes that may be kept, whatever else says. Whole pages, however large the system has them.
    pub(super) fn proven(&self) -> usize {
        align::down(self.proven.load(Ordering::Relaxed), SLOT_SIZE)
    }

    /// So many bytes were given back at `now`, for want of room.
    pub(super) fn gave_back(&self, bytes: usize, now: u64) {
        self.given_back.fetch_add(bytes, Ordering::Relaxed);
        self.gave_back_at.store(now, Ordering::Relaxed);
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

    /// A purge delay has passed from `before` to `now`. What was given back is forgotten if all of it was before that,
    /// and what was asked for counts half, once in each delay, however often this is called.
    pub(super) fn fade(&self, before: u64, now: u64) {
        if self.gave_back_at.load(Ordering::Relaxed) <= before {
            self.given_back.store(0, Ordering::Relaxed);
        }
        let faded_at = self.faded_at.load(Ordering::Relaxed);
        // Relaxed: the time itself says whose turn it is.
        if faded_at <= before
            && self.faded_at.compare_exchange(faded_at, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.proven.store(self.proven() / 2, Ordering::Relaxed);
        }
    }

    /// Whatever is kept is wanted elsewhere.
    pub(super) fn forget(&self) {
        self.given_back.store(0, Ordering::Relaxed);
        self.proven.store(0, Ordering::Relaxed);
    }
}
