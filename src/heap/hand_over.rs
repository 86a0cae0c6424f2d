//! Hand-over: a figure goes from one place to another, and who adds up both wants to find it once.
//!
//! A sequence lock without a lock: whoever adds up asks before and afterwards how many hand-overs there have been, and
//! does it again where one was going on. Nobody is stopped by it.

use crate::sync::{AtomicUsize, Ordering, constructor, fence};

/// The hand-overs of one thread at a time.
pub(crate) struct HandOvers(AtomicUsize);

impl HandOvers {
    constructor! {
        pub(crate) fn new() -> Self {
            Self(AtomicUsize::new(0))
        }
    }

    /// Runs `act`, which moves the figure.
    pub(crate) fn during(&self, act: impl FnOnce()) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before + 1, Ordering::Relaxed);
        // Release: whoever finds what `act` has done finds that it was at it. Pairs with the fence in `end_of_sum`.
        fence(Ordering::Release);
        act();
        // Release: whoever finds that it is done finds what it has done. Pairs with the Acquire in `count`.
        self.0.store(before + 2, Ordering::Release);
    }

    /// How many there have been, before figures are added up; odd while one is going on.
    pub(crate) fn count(&self) -> usize {
        // Acquire: pairs with the Release at the end of `during`.
        self.0.load(Ordering::Acquire)
    }

    /// In a forked child: none is going on, since who was at it does not exist.
    pub(crate) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// To be called when figures have been added up, before hand-overs are counted again.
pub(crate) fn end_of_sum() {
    // Acquire: pairs with the fence in `during`.
    fence(Ordering::Acquire);
}

#[cfg(all(loom, test))]
mod loom_tests;
