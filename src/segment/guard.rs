//! Guards around a segment's description, where what is written beyond a block, or before one, by mistake ends; and the
//! random order of its slabs.
//!
//! ```text
//! slot 0                     slots 1 to 30      slot 31
//! | description | guard |    slabs, spans   |   guard   | the next segment, or a mapping's head
//! ```
//!
//! In a segment that is backed by a huge page there is the same room and no guard, since that would make small pages of
//! it.

use super::{Counters, END, METADATA, SLOTS, Segment, Warmth};
use crate::align;
use crate::os;
use crate::secret;
use crate::size_class::SLOT_SIZE;
use core::ptr::{self, NonNull};

impl Segment {
    /// Makes the end of the first slot and the last slot fault where they are touched, if the system allows that.
    /// Owner-only.
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

    /// Takes one free slot, another one in each process: of those that were touched before or, where `warmth` allows it
    /// and there are none, of all. Returns it, and whether it reads as zero. Owner-only.
    pub(super) fn take_any_slot(&self, warmth: Warmth, counters: &Counters) -> Option<(usize, bool)> {
        let free = self.free_slots();
        let warm = free & self.touched_slots();
        let among = if warm == 0 && warmth == Warmth::Any { free } else { warm };
        if among == 0 {
            return None;
        }
        let first = (secret::number_of(self.address() + free as usize) >> 59) as u32;
        let slot = (among.rotate_right(first).trailing_zeros() + first) as usize % SLOTS;
        self.take_run(slot, 1, counters).map(|is_zero| (slot, is_zero))
    }
}
