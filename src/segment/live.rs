//! Live bytes of the process, as heaps tell of them, and the most that they have been.
//!
//! A heap tells of what has left its slabs only when that has changed by much, so the sum is off by a little for each
//! heap, and costs nothing where blocks go to and fro.

use super::Counters;
use crate::sync::{AtomicUsize, Ordering, constructor};

/// Bytes that are out of slabs, in spans and in mappings, and their peaks.
pub(crate) struct Live {
    /// Modulo the size of a word: who frees a block may be told of before who allocated it.
    bytes: AtomicUsize,
    peak: AtomicUsize,
    peak_since_reset: AtomicUsize,
}

impl Live {
    constructor! {
        pub(super) fn none() -> Self {
            Self { bytes: AtomicUsize::new(0), peak: AtomicUsize::new(0), peak_since_reset: AtomicUsize::new(0) }
        }
    }

    fn bytes(&self) -> usize {
        below_zero_is_none(self.bytes.load(Ordering::Relaxed))
    }
}

/// A sum that is negative for a moment is none.
fn below_zero_is_none(sum: usize) -> usize {
    if sum > isize::MAX as usize { 0 } else { sum }
}

impl Counters {
    /// What was live as `was` bytes is live as `now` bytes.
    pub(crate) fn live_changed(&self, was: usize, now: usize) {
        let live = &self.live;
        let change = now.wrapping_sub(was);
        let sum = below_zero_is_none(live.bytes.fetch_add(change, Ordering::Relaxed).wrapping_add(change));
        if now > was && sum > live.peak_since_reset.load(Ordering::Relaxed) {
            live.peak_since_reset.fetch_max(sum, Ordering::Relaxed);
            live.peak.fetch_max(sum, Ordering::Relaxed);
        }
    }

    /// Bytes that are live, as far as heaps have told.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn live(&self) -> usize {
        self.live.bytes()
    }

    /// The most that live bytes have been, and the most since the last reset.
    pub(crate) fn live_peaks(&self) -> [usize; 2] {
        [&self.live.peak, &self.live.peak_since_reset].map(|peak| peak.load(Ordering::Relaxed))
    }

    /// Forgets the peak but for what is live now.
    pub(super) fn reset_live_peak(&self) {
        self.live.peak_since_reset.store(self.live.bytes(), Ordering::Relaxed);
    }
}
