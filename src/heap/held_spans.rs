//! Held back: the places of spans that were freed on probation, which nobody is to have for a while. They leave in the
//! order in which they came, when there is no more room.
//!
//! The span itself has ended, and its memory is the system's again. So what is held back is addresses alone, and costs
//! its heap nothing; but who takes other slots instead meets page faults there. Where a page is there again when a
//! place leaves, and does not read as zero, somebody has written to it who had the address still.

use super::core::{Core, Host};
use super::counts::SPANS;
use super::misuse::written_while_free;
use crate::segment::{Backend, Segment};
use crate::size_class::{MAX_SPAN, SLOT_SIZE};
use crate::slab::Slab;
use core::ptr::{self, NonNull};

/// Slots that are held back at a time: as many as the largest span has.
const MOST_SLOTS: usize = MAX_SPAN / SLOT_SIZE;

/// The places that a heap holds back. Their slots are not free, and nothing is there.
pub(super) struct HeldSpans {
    /// A ring of their descriptions, which still tell how many slots each span had; null where there is none.
    ended: [*const Slab; MOST_SLOTS],
    /// Where the oldest stands.
    oldest: usize,
    count: usize,
    slots: usize,
}

impl HeldSpans {
    pub(super) const fn new() -> Self {
        Self { ended: [ptr::null(); MOST_SLOTS], oldest: 0, count: 0, slots: 0 }
    }

    /// True where there is room for a span of so many slots. There always is where nothing is held back.
    fn has_room(&self, slots: usize) -> bool {
        self.slots + slots <= MOST_SLOTS
    }

    /// There is room for it.
    fn add(&mut self, slab: &Slab) {
        debug_assert!(self.has_room(slab.extent()));
        self.ended[(self.oldest + self.count) % MOST_SLOTS] = slab;
        self.count += 1;
        self.slots += slab.extent();
    }

    /// The oldest.
    fn take<'s>(&mut self) -> Option<&'s Slab> {
        self.count = self.count.checked_sub(1)?;
        // SAFETY: slabs' heads lie in their segments' first slots, which are never unmapped.
        let slab = unsafe { &*self.ended[self.oldest] };
        self.oldest = (self.oldest + 1) % MOST_SLOTS;
        self.slots -= slab.extent();
        Some(slab)
    }
}

impl Core {
    /// Ends a span that was freed on probation, and keeps its place out of use for a while; false where it was freed
    /// before. One whose memory stays, as in a segment that a huge page backs, goes the way of those that other threads
    /// free: the next span that is wanted may be there.
    pub(super) fn end_span_on_probation(&mut self, host: Host<'_>, slab: &Slab) -> bool {
        let segment = Segment::of(slab);
        if !segment.mark_returned(slab) {
            return false;
        }
        if !segment.retire_held_back(slab, host.backend) {
            segment.unmark_returned(slab);
            return segment.put_remote(slab, 0, 1) == 0;
        }
        host.counts[SPANS].collect(1);
        while !self.held_spans.has_room(slab.extent()) {
            self.let_oldest_span_go(host);
        }
        self.held_spans.add(slab);
        true
    }

    /// The place that was held back for longest is free; ends the process where it was written to. False where there is
    /// none.
    pub(super) fn let_oldest_span_go(&mut self, host: Host<'_>) -> bool {
        let Some(slab) = self.held_spans.take() else { return false };
        let segment = Segment::of(slab);
        // SAFETY: it was added, and its slots are nobody's.
        unsafe { look(host.backend, segment.start_of(slab), slab.extent() * SLOT_SIZE) };
        segment.let_go(slab);
        self.regained(host.backend, segment);
        true
    }
}

/// Ends the process if any of `len` bytes from `start` on was written to since they were given back.
///
/// # Safety
/// - They are whole slots of a segment, and nobody has them.
unsafe fn look(backend: &Backend, start: NonNull<u8>, len: usize) {
    // SAFETY: passed on.
    if unsafe { backend.os.resident_pages(start, len) } == 0 {
        return;
    }
    for at in (0..len).step_by(size_of::<u64>()) {
        // SAFETY: inside the slots. A program that writes there at this moment is what is looked for.
        let found = unsafe { start.add(at).cast::<u64>().read_volatile() };
        if let Some(first) = found.to_le_bytes().iter().position(|&byte| byte != 0) {
            written_while_free(start.as_ptr(), len, at + first);
        }
    }
}
