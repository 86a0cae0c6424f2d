//! Guards around a segment's description: what is written beyond a block, or before one, by mistake ends there.
//!
//! ```text
//! slot 0                     slots 1 to 30      slot 31
//! | description | guard |    slabs, spans   |   guard   | the next segment, or a mapping's head
//! ```
//!
//! In a segment that is backed by a huge page there is the same room and no guard, since that would make small pages of it.

use super::{END, METADATA, SLOTS, Segment};
use crate::align;
use crate::os;
use crate::size_class::SLOT_SIZE;
use core::ptr::{self, NonNull};

impl Segment {
    /// Makes the end of the first slot and the last slot fault where they are touched, if the system allows that. Owner-only.
    pub(super) fn guard(&self, page_size: usize) {
        let described = align::up(METADATA, page_size);
        for (first, end) in [(described, SLOT_SIZE), (END * SLOT_SIZE, SLOTS * SLOT_SIZE)] {
            if first < end
                && let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut(self.address() + first))
            {
                // SAFETY: whole pages of the segment that nothing is in.
                unsafe { os::guard(start, end - first) };
            }
        }
    }
}
