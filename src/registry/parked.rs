//! The set of parked heaps.
//!
//! Heaps are named by small numbers, so the set is bits, and lending a heap is clearing one. Nobody ever holds a link
//! that could have changed meanwhile: there is no ABA to rule out.

use crate::sync::{AtomicU64, Ordering, array_of, constructor};

/// A set of indices below `64 * N`.
pub(super) struct Parked<const N: usize> {
    words: [AtomicU64; N],
}

impl<const N: usize> Parked<N> {
    constructor! {
        /// The empty set.
        pub(super) fn new() -> Self {
            Self { words: array_of!(AtomicU64::new(0); N) }
        }
    }

    /// Adds `index`.
    pub(super) fn park(&self, index: usize) {
        // Release: the heap is left in order. Pairs with the Acquire in `lend`.
        self.words[index / 64].fetch_or(1 << (index % 64), Ordering::Release);
    }

    /// Takes the lowest index out of the set.
    pub(super) fn lend(&self) -> Option<usize> {
        self.words.iter().enumerate().find_map(|(nth, word)| {
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 {
                let lowest = bits & bits.wrapping_neg();
                let index = nth * 64 + lowest.trailing_zeros() as usize;
                let before = self.clear(index);
                if before & lowest != 0 {
                    return Some(index);
                }
                bits = before & !lowest;
            }
            None
        })
    }

    /// Takes `index` out of the set; false where it was not there.
    pub(super) fn lend_this(&self, index: usize) -> bool {
        self.clear(index) & 1 << (index % 64) != 0
    }

    /// Takes `index` out of the set, and returns its word as it was.
    fn clear(&self, index: usize) -> u64 {
        // Acquire: pairs with the Release in `park`.
        self.words[index / 64].fetch_and(!(1 << (index % 64)), Ordering::Acquire)
    }

    /// Takes `index` out of the set, if it is there.
    pub(super) fn withdraw(&self, index: usize) {
        self.words[index / 64].fetch_and(!(1 << (index % 64)), Ordering::Relaxed);
    }

    /// True where nothing is in the set; a snapshot.
    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }

    /// True where `index` is in the set; a snapshot.
    pub(super) fn contains(&self, index: usize) -> bool {
        self.words[index / 64].load(Ordering::Relaxed) & 1 << (index % 64) != 0
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
