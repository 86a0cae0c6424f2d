//! Purging: the memory of free slots goes back to the system, and what of the description no slab needs any more.

use super::{Backend, Segment, run_mask};
use crate::align;
use crate::size_class::SLOT_SIZE;
use crate::slab::{self, Lines, Slab, SlotKind};
use crate::sync::Ordering;
use core::mem::offset_of;
use core::ptr::{self, NonNull};

impl Segment {
    /// True where some slot is free and touched and nobody has looked since `before`.
    pub(super) fn is_to_be_looked_at(&self, before: u64) -> bool {
        let is_young =
            self.head.idle.load(Ordering::Relaxed) != 0 && self.head.idle_since.load(Ordering::Relaxed) > before;
        self.has_warm_slot() && !is_young
    }

    /// True where no slot is free and touched, and nobody has looked since `before`, or that is `u64::MAX`.
    pub(super) fn is_cold_since(&self, before: u64) -> bool {
        !self.has_warm_slot() && self.head.idle_since.load(Ordering::Relaxed) <= before
    }

    /// Gives the memory of slots back to the system that have been free since `before`, or of all free ones where that
    /// is `u64::MAX`; returns how many bytes. Takes note of which are free at `now`, once what was noted before is old
    /// enough. Owner-only.
    pub(crate) fn purge_idle(&self, backend: &Backend, before: u64, now: u64) -> usize {
        if before == u64::MAX {
            let purged = self.purge(backend, u32::MAX);
            self.purge_lines(backend);
            return purged;
        }
        if !self.is_to_be_looked_at(before) {
            return 0;
        }
        let purged = self.purge(backend, self.head.idle.load(Ordering::Relaxed));
        if purged > 0 {
            self.purge_lines(backend);
        }
        self.head.idle.store(self.free_slots() & self.touched_slots(), Ordering::Relaxed);
        self.head.idle_since.store(now, Ordering::Relaxed);
        purged
    }

    /// Gives back what lies in the first slot behind the lines of the bitmaps that are needed: slabs of smaller blocks
    /// may have been there once, or a huge page. Bits are set anew for each slab, and no remote bit is set where there
    /// is no slab. Metadata is counted as resident all the same.
    fn purge_lines(&self, backend: &Backend) {
        if self.head.is_huge.get() || self.head.lines.get() <= 1 {
            return;
        }
        let lines_of = |slab: &Slab| if let SlotKind::Slab(class) = slab.kind() { slab::lines(class) } else { 1 };
        let needed = self.slots().map(lines_of).max().unwrap_or(1);
        if usize::from(self.head.lines.replace(needed as u8)) <= needed {
            return;
        }
        let start = align::up(offset_of!(Segment, lines) + (needed - 1) * size_of::<Lines>(), backend.os.page_size());
        if start < SLOT_SIZE
            && let Some(place) = NonNull::new(ptr::with_exposed_provenance_mut(self.address() + start))
        {
            // SAFETY: a part of the first slot that holds nothing that is needed, as said above; this thread owns the
            // segment. Where the system refuses, nothing has changed.
            unsafe { backend.os.purge(place, SLOT_SIZE - start) };
        }
    }

    /// Gives the memory of those of these slots back that are free and touched.
    fn purge(&self, backend: &Backend, slots: u32) -> usize {
        let mut left = self.free_slots() & self.touched_slots() & slots;
        let mut purged = 0;
        while left != 0 {
            let slot = left.trailing_zeros() as usize;
            let count = (left >> slot).trailing_ones() as usize;
            let mask = run_mask(slot, count);
            left &= !mask;
            if backend.purge(self.slot_start(slot), count * SLOT_SIZE) {
                self.untouch(mask);
                purged += count * SLOT_SIZE;
            }
        }
        purged
    }
}
