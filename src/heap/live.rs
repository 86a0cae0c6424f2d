//! What a heap has given out, told to the process when it has changed by much.
//!
//! Blocks count from when they leave their slab until they are back there, or on their way home from another thread: so
//! what waits in magazines counts, and no fast path does. What waits in the depot does not count.

use super::Heap;
use crate::sync::Ordering;

/// Bytes by which what a heap has given out may have changed without the process's sum having changed.
pub(crate) const UNTOLD: usize = 32 * 1024;

impl Heap {
    /// So many bytes have left slabs and segments, or have come back; or, of other heaps' blocks, were sent home from
    /// here. By any thread.
    pub(super) fn live_changed(&self, was: usize, now: usize) {
        let change = now.wrapping_sub(was);
        let untold = self.untold.fetch_add(change, Ordering::Relaxed).wrapping_add(change) as isize;
        if untold.unsigned_abs() >= UNTOLD {
            let change = self.untold.swap(0, Ordering::Relaxed) as isize;
            let [gone, come] = [change.min(0), change.max(0)].map(isize::unsigned_abs);
            self.backend.counters.live_changed(gone, come);
        }
    }
}
