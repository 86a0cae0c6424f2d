//! How many blocks were allocated from all heaps, which never falls.

use super::Registry;
use crate::heap::{self, Heap};
use crate::os;
use crate::sync::Ordering;

/// How often allocations are added up, at most, where threads end meanwhile: a thread that was interrupted at its end
/// has gone on by then.
const LOOKS: usize = 1000;

impl Registry {
    /// Number of blocks that were allocated from heaps. A thread that ends hands its count over to its heap: then the
    /// figures are added up again, so that none of them is missing, or counted twice. Where there is no end of that,
    /// the number is what it was found to be last.
    pub(crate) fn allocations(&self) -> u64 {
        for _ in 0..LOOKS {
            let before = self.hand_overs();
            let sum = self.heaps().map(Heap::allocated).sum();
            heap::end_of_sum();
            if before.is_some() && before == self.hand_overs() {
                return self.allocations.fetch_max(sum, Ordering::Relaxed).max(sum);
            }
            os::yield_now();
        }
        self.allocations.load(Ordering::Relaxed)
    }

    /// How many counts were handed over so far; `None` while one is.
    fn hand_overs(&self) -> Option<usize> {
        let counts = || self.heaps().map(Heap::hand_overs);
        counts().all(|count| count.is_multiple_of(2)).then(|| counts().fold(0, usize::wrapping_add))
    }
}
